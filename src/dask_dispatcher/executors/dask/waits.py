"""`Waits`: nodes that wait for a deferred reference make room for others.

What a waiting node waits for may be put by a node that has not begun. So what waits behind it in its
group goes back to the program, and the worker's thread takes up another task. Short waits make no
room, as it costs more than they take.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from ...deferred.links import Caller
from ...errors import DeferredError

__all__ = ["Waits"]

_PATIENCE = 0.02  # seconds a node may wait before room is made
MOST = 64  # nodes of a process that wait at once


class _Count:
    def __init__(self) -> None:
        self.waiting = 0
        self.lock = threading.Lock()  # guards waiting


_count = _Count()


class Waits:
    """Of one group: what its helper's thread waits for.

    Parameters
    ----------
    run : Hashable
    attempt : Hashable
    current : list of int
        Whose first is the number of the node under way.
    loop : AbstractEventLoop
        The worker's.
    make_room : callable
        Called once on it, when a wait has taken long.
    """

    def __init__(
        self,
        run: Hashable,
        attempt: Hashable,
        current: list[int],
        loop: asyncio.AbstractEventLoop,
        make_room: Callable[[], None],
    ) -> None:
        self._run, self._attempt = run, attempt
        self._current = current
        self._loop = loop
        self._make_room = make_room
        self._has_room = False
        self._lock = threading.Lock()  # guards _end and _over
        self._end: Callable[[BaseException], None] | None = None
        self._over: BaseException | None = None

    def caller(self) -> Caller:
        """Return which node is under way."""
        return Caller((self._run, self._current[0]), self._attempt)

    @contextmanager
    def room(self, end: Callable[[BaseException], None]) -> Iterator[None]:
        """Surround a wait."""
        with _count.lock:
            if _count.waiting >= MOST:
                raise DeferredError(
                    f"{MOST} nodes wait for deferred references in this worker already; let what "
                    "they wait for be put earlier, or let fewer wait at once"
                )
            _count.waiting += 1
        try:
            with self._lock:
                self._end, over = end, self._over
            if over is not None:
                end(over)
            elif not self._has_room:
                self._loop.call_soon_threadsafe(self._wait_a_while, end)
            yield
        finally:
            with self._lock:
                self._end = None
            with _count.lock:
                _count.waiting -= 1

    def _wait_a_while(self, end: Callable[[BaseException], None]) -> None:
        self._loop.call_later(_PATIENCE, self._look, end)

    def _look(self, end: Callable[[BaseException], None]) -> None:
        if self._end is end and not self._has_room:
            self._has_room = True
            self._make_room()

    def end(self, error: BaseException) -> None:
        """Let the wait under way end, and none begin."""
        with self._lock:
            self._over, end = error, self._end
        if end is not None:
            end(error)
