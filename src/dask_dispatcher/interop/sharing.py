"""A Dask graph, and what its tasks return, by reference for workers that are threads of this process.

On a cluster that lives in this process, tasks store into the program's own arrays, take its locks
and call back into its closures, as they do on Dask's local schedulers. What our engines send is
pickled all the same; so a task, or a literal, travels as a `Shared`, which pickles as a name, and is
looked up by it where it arrives. Nodes keep what they share alive, a run keeps its nodes.

What a task returns is a `Shared` too, which the engine keeps: it knows when nobody needs it any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dask.utils import key_split

from ..callee import Kindred
from ..ops import Op
from ..shared import Shared
from .graphs import Translation
from .tasks import Key, is_coroutine, ordered

__all__ = ["SharedTranslation", "unshared"]

# Whose identity is nothing to anybody.
_ATOMS = frozenset({int, float, bool, str, bytes, complex, type(None)})


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


class EvaluateShared(Kindred):
    """Calls Dask tasks of one kind, as `Evaluate` does, where they and their values are `Shared`.

    Parameters
    ----------
    kind : str
    """

    def __call__(self, shared: Shared, *values: Any) -> Any:
        return _to_share(_evaluated(shared, values))


async def await_shared(shared: Shared, *values: Any) -> Any:
    """Await the coroutine of such a task."""
    return _to_share(await _evaluated(shared, values))


def _evaluated(shared: Shared, values: tuple[Any, ...]) -> Any:
    task: Callable[[Any], Any]
    keys: tuple[Key, ...]
    task, keys = shared.value
    return task(dict(zip(keys, map(unshared, values), strict=True)))


def _to_share(value: Any) -> Any:
    return value if type(value) in _ATOMS else Shared(value)


def unshared(value: Any) -> Any:
    """Return what a `Shared` stands for; any other value as it is."""
    return value.value if type(value) is Shared else value
