"""What a Dask graph holds, handed by reference to workers that are threads of this process.

On a cluster that lives in this process, tasks store into the program's own arrays, take its locks
and call back into its closures, as they do on Dask's local schedulers. What our engines send is
pickled all the same; so a task, or a literal, travels as a `Shared`, which pickles as a name, and is
looked up by it where it arrives. Nodes keep what they share alive, a run keeps its nodes.

Values that tasks return travel as on any cluster: to keep those alive would be to keep them all.
"""

from __future__ import annotations

import itertools
import uuid
import weakref
from collections.abc import Callable
from typing import Any

from dask.utils import key_split

from ..ops import Op
from .graphs import Translation
from .tasks import Key, is_coroutine, ordered

__all__ = ["Shared", "SharedTranslation", "unshared"]


class Shared:
    """An object of this process, pickled as its name.

    Parameters
    ----------
    value : object

    Examples
    --------
    >>> import pickle
    >>> numbers = Shared([1])
    >>> pickle.loads(pickle.dumps(numbers)).value is numbers.value
    True
    """

    __slots__ = ("__weakref__", "_name", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self._name = f"{_PROCESS}-{next(_serial)}"
        _shared[self._name] = self

    def __reduce__(self) -> tuple[Any, ...]:
        return _find, (self._name,)


class SharedTranslation(Translation):
    """Makes nodes that call tasks where they are; the value of a literal is a `Shared`."""

    def _literal(self, value: Any) -> Shared:
        return Shared(value)

    def _call(self, key: Key, task: Any) -> Op[Any]:
        keys = tuple(task.dependencies)
        args = (Shared((ordered(key, task), keys)), *(self._nodes[other] for other in keys))
        return self._op(key, await_shared if is_coroutine(task) else self._evaluate(key), args, {})

    def _evaluate(self, key: Key) -> Callable[..., Any]:
        kind = key_split(key)
        return self._kinds.setdefault(kind, EvaluateShared(kind))


class EvaluateShared:
    """Calls Dask tasks of one kind, as `Evaluate` does, where they and their literals are `Shared`.

    Parameters
    ----------
    kind : str
    """

    def __init__(self, kind: str) -> None:
        self.__name__ = kind

    def __call__(self, shared: Shared, *values: Any) -> Any:
        return _evaluated(shared, values)


async def await_shared(shared: Shared, *values: Any) -> Any:
    """Await the coroutine of such a task."""
    return await _evaluated(shared, values)


def _evaluated(shared: Shared, values: tuple[Any, ...]) -> Any:
    task: Callable[[Any], Any]
    keys: tuple[Key, ...]
    task, keys = shared.value
    return task(dict(zip(keys, map(unshared, values), strict=True)))


def unshared(value: Any) -> Any:
    """Return what a `Shared` stands for; any other value as it is."""
    return value.value if type(value) is Shared else value


# No other process, and none that was forked from this one and shares something since, has the names.
_PROCESS = uuid.uuid4().hex
_serial = itertools.count()
_shared: weakref.WeakValueDictionary[str, Shared] = weakref.WeakValueDictionary()


def _find(name: str) -> Shared:
    found = _shared.get(name)
    if found is None:
        raise LookupError(
            "a part of a Dask graph is asked for outside its process, or after its run"
        )
    return found
