"""`Holdings`: which large values there are, on which workers, and which may go.

Reference counting is the protocol. Whoever may still need a value refers to its `Held` or `Copy`:
the run that made it, slices that were told of its place. When the last reference to a `Copy` goes,
in whatever thread, the worker is told to let go.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from .values import Copy, Held

if TYPE_CHECKING:
    from ..state import RunState
    from .job import Job
    from .places import Place
    from .process import WorkerProcess
    from .store import Key

__all__ = ["Holdings"]


class Holdings:
    """The controller's books about large values.

    Parameters
    ----------
    wake : callable
        Sees to it that `flush` is called soon; called in any thread.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._held: weakref.WeakValueDictionary[Key, Held] = weakref.WeakValueDictionary()
        self._released: deque[Copy] = deque()

    def put(self, job: Job, number: int, worker: WorkerProcess, place: Place) -> Held:
        """Note where a worker has put the value of a node."""
        key = job.serial, number
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = Held(job.state, key)
        held.put(Copy(worker, key, place, self.release))
        return held

    def drop(self, key: Key, worker: WorkerProcess, place: Place) -> None:
        """Let a value go of which nobody wants to know."""
        Copy(worker, key, place, self.release)

    def move(self, key: Key, place: Place) -> None:
        """Note that a value is in a file now, and need not be kept in memory."""
        held = self._held.get(key)
        copy = Copy(None, key, place, self.release)
        if held is not None:
            held.copies.clear()
            held.put(copy)

    def lose(self, worker: WorkerProcess) -> dict[RunState, list[int]]:
        """Note that a worker is gone; return what is lost with it, by run."""
        lost: dict[RunState, list[int]] = {}
        for (_, number), held in list(self._held.items()):
            state = held.state() if held.lose(worker) else None
            if state is not None and state.defunct is None:
                lost.setdefault(state, []).append(number)
        return lost

    def release(self, copy: Copy) -> None:
        """Note that nobody needs a copy any more; it is let go at the next `flush`."""
        self._released.append(copy)
        if len(self._released) == 1:
            self._wake()

    def flush(self) -> None:
        """Tell workers to let go of what nobody needs, and remove files."""
        by_worker: dict[WorkerProcess, list[Key]] = {}
        while self._released:
            copy = self._released.popleft()
            if copy.worker is not None:
                copy.worker.kept -= 1
                by_worker.setdefault(copy.worker, []).append(copy.key)
            if copy.place[0] == "file":
                with contextlib.suppress(OSError):
                    os.unlink(copy.place[1])
        for worker, keys in by_worker.items():
            worker.send("free", keys)
