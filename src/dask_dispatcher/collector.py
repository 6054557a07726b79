"""The cycle collector, held off where many small objects are made that are soon gone or last for long.

`collector_paused` is for work of our own. Nodes are built by the user's, and by the million: `watch_for`
puts off the collector's longer looks meanwhile. Nodes live until their graph has run, and no cycle is
among them; yet CPython's collector looks through all that is alive whenever that has grown by a quarter,
and at a million nodes building one took three times as long as at ten thousand. While many of the new
objects are nodes, only new ones are looked through, once; older ones wait. So cycles that die young go
as ever. As soon as the program does something else, the collector goes on as before, within a few
thousand objects: nothing has to be switched back by hand. An older look that is due takes place then.

From Python 3.14 on the collector goes through old objects bit by bit, and takes no notice of this.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["collector_paused", "watch_for"]

_SELDOM = 8  # at one of so many collections it is looked at what is new
_STRIDE = 17  # of the new objects, one in so many is looked at; odd, as nodes and tuples take turns
_SHARE = 4  # nodes that are one in so many of the new objects mean that somebody builds
_NEVER = 1_000_000_000


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


class _Watch:
    """Called by the collector whenever it begins and ends.

    Parameters
    ----------
    kind : type
        Of nodes.
    """

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._turn = 0
        self._usual: int | None = (
            None  # while somebody builds: after how many looks older ones follow
        )

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        if phase != "start":
            return
        self._turn += 1
        if self._turn % _SELDOM:
            return
        is_building = self._is_building()
        if is_building and self._usual is None:
            self._usual = _set_second_threshold(_NEVER)
        elif not is_building and self._usual is not None:
            if gc.get_threshold()[1] == _NEVER:  # else somebody has set it since
                _set_second_threshold(self._usual)
            self._usual = None

    def _is_building(self) -> bool:
        new = gc.get_objects(generation=0)[::_STRIDE]
        return sum(type(one) is self._kind for one in new) * _SHARE > len(new)


def _set_second_threshold(count: int) -> int:
    """Set it, and return what it was."""
    first, second, third = gc.get_threshold()
    gc.set_threshold(first, count, third)
    return second


def watch_for(kind: type) -> None:
    """Begin to look out for programs that build nodes of a class."""
    gc.callbacks.append(_Watch(kind))
