"""`Shared`: an object of this process, handed by reference to threads that are sent pickles."""

from __future__ import annotations

import itertools
import uuid
import weakref
from typing import Any

__all__ = ["Shared"]


class Shared:
    """An object of this process, pickled as its name.

    The name is good for as long as the `Shared` lives. An engine that is returned one by a node keeps
    it, as it keeps large values, for as long as others may ask for what is in it.

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


# No other process, and none that was forked from this one and shares something since, has the names.
_PROCESS = uuid.uuid4().hex
_serial = itertools.count()
_shared: weakref.WeakValueDictionary[str, Shared] = weakref.WeakValueDictionary()


def _find(name: str) -> Shared:
    found = _shared.get(name)
    if found is None:
        raise LookupError(
            "what is handed by reference is asked for outside its process, or after it has gone"
        )
    return found
