"""`Functions`: those of one run, in a worker.

The channel thread takes their bytes, in the order of messages; whoever is about to run a node opens
what it calls, which may import the user's modules and take its time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from ..slices.functions import load_function, raising
from ..slices.packing import BUILT_IN, Entry

__all__ = ["Functions"]


class Functions:
    """The functions of a run by target.

    Attributes
    ----------
    table : list of callable
        Those of entries that were passed to `open` can be called.
    """

    def __init__(self) -> None:
        self.table: list[Callable[..., Any]] = [*BUILT_IN]
        self._pickled: dict[int, bytes] = {}
        self._lock = threading.Lock()  # guards the two above

    def add(self, functions: Iterable[tuple[int, bytes]]) -> None:
        """Take functions that the controller sends for the first time."""
        with self._lock:
            for target, data in functions:
                missing = target + 1 - len(self.table)
                self.table.extend([_not_sent] * missing)
                self._pickled[target] = data

    def open(self, entries: Iterable[Entry]) -> None:
        """Unpickle the functions of entries, if that has not been done."""
        if not self._pickled:
            return
        with self._lock:
            for target in self._pickled.keys() & {entry[1] for entry in entries}:
                self.table[target] = _loaded(self._pickled[target])
                del self._pickled[target]  # last: whoever looks without the lock finds it in place


def _loaded(data: bytes) -> Callable[..., Any]:
    """Return a function; if it cannot be unpickled, one that says so."""
    try:
        return load_function(data)
    except Exception as error:
        return raising(error)


def _not_sent(*_: Any, **__: Any) -> Any:
    raise RuntimeError("the function was not sent; a mistake of dask-dispatcher, please report it")
