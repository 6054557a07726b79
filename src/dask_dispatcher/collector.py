"""The cycle collector, kept from looking again and again at much that is no garbage.

`collector_paused` is for work of ours that makes many small objects at once. Nodes are made by the
user's own loop, which nobody can pause the collector around: that is what `Promoter` is for.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from operator import methodcaller

__all__ = ["Promoter", "collector_paused"]

_STEP = 256  # nodes
_ROW = 20_000  # nodes in a row before any is moved
_MOST = 2_000_000  # nodes that are moved before the next full collection
_OTHERS = 4  # collections of what is young that a step's own nodes may bring about
_IMMORTAL = 1_000  # more than Python 3.12 itself keeps where frozen objects are
_call = methodcaller("__call__")


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the cycle collector; for work that makes many tuples and no cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Promoter:
    """Spares the collector the nodes of a large graph while it is being built.

    The collector looks at all that is new every 700 objects, at some of it once more, and at
    everything there is whenever that has grown by a quarter. Of the time that a million nodes take
    this was two thirds, and nodes make no cycles. So once many have been built in a row, every
    further few are moved straight to the oldest generation, with all else that is young:
    `gc.freeze` and `gc.unfreeze` join lists, however long they are, and set back the counts by
    which collections fall due. No setting changes, and no code of ours runs inside the collector,
    as a callback would.

    Collections are put off, not given up:

    - Nodes are in a row as long as little else is allocated between them. What builds a graph now
      and then, beside other work, is collected as ever.
    - After `_MOST` nodes it is the collector's turn: none is moved before its next full collection,
      which falls due soon then.
    - It does nothing while the collector is off, and never again once it finds that the program has
      frozen objects itself, as servers do before they fork: `gc.unfreeze` would undo that.
    - It is for the collector of CPython up to 3.13, with the GIL. Others have no generations, or
      look at every object when they freeze.

    Attributes
    ----------
    until_step : iterator
        Gives up an item for each node that is built; once it has none, `step` is due.
    """

    __slots__ = ("_moved", "_row", "_seen", "until_step")

    def __init__(self) -> None:
        self._row = 0
        self._moved = 0  # since the last full collection
        self._seen = (0, 0)  # collections, partial and full
        self.until_step = repeat(None, _STEP) if _has_generations() else repeat(None)

    # Threads may take steps at once; then a few nodes are not counted, or moved a little later.
    def step(self) -> None:
        """Take note of the nodes built since the last time, and move them if it is time."""
        self.until_step = repeat(None, _STEP)
        if not gc.isenabled():
            return
        young, middle, full = (each["collections"] for each in gc.get_stats())
        others = young + middle - self._seen[0]
        if full != self._seen[1]:
            self._row = self._moved = 0
        elif others > _OTHERS:
            self._row = 0
        self._seen = (young + middle, full)
        self._row += _STEP
        if self._row >= _ROW and self._moved < _MOST:
            self._move()

    def _move(self) -> None:
        # All within one call, so that no thread, signal or fork comes in between. `any` goes on to
        # the next as long as the last has said nothing.
        counts = map(_call, (gc.get_freeze_count,))
        if any(chain(map(_IMMORTAL.__lt__, counts), map(_call, (gc.freeze, gc.unfreeze)))):
            self.until_step = repeat(None)  # for ever: there are frozen objects
        else:
            self._moved += _STEP


def _has_generations() -> bool:
    return (
        sys.implementation.name == "cpython"
        and sys.version_info < (3, 14)
        and getattr(sys, "_is_gil_enabled", lambda: True)()
    )
