"""`Crew`: how many worker processes there are: when another one is started, and when one may go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .process import WorkerProcess

__all__ = ["Crew"]

_MOST_FAILED_STARTS = 3
_START_SECONDS = 60.0  # after which a worker that has not said a word is given up


class Crew:
    """The workers of one engine.

    Parameters
    ----------
    size : int
        How many may run nodes at once. Those that wait for others leave their places to more.
    make : callable
        Starts a process; raises OSError if that is not possible.
    count_blocked : callable
        Returns how many workers wait for others.
    later : callable
        Calls a function after some seconds.

    Attributes
    ----------
    workers : list of WorkerProcess
        All there are, those that are just starting included.
    """

    def __init__(
        self,
        size: int,
        make: Callable[[], WorkerProcess],
        count_blocked: Callable[[], int],
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self.workers: list[WorkerProcess] = []
        self._size = size
        self._make = make
        self._count_blocked = count_blocked
        self._later = later
        self._failed_starts = 0  # in a row

    # Who comes

    def start(self) -> None:
        """Start a worker."""
        worker = self._make()
        self.workers.append(worker)
        self._later(_START_SECONDS, lambda: _check_started(worker))

    def start_another(self) -> None:
        """Start a worker if there may be one more.

        Raises
        ------
        OSError
            If that is not possible, and there is no other.
        """
        if self.may_start:
            try:
                self.start()
            except OSError:
                if not self.workers:
                    raise

    @property
    def may_start(self) -> bool:
        """Whether there may be one more."""
        return len(self.workers) - self._count_blocked() < self._size

    @property
    def has_room(self) -> bool:
        """Whether there is a worker that has nothing to do, or could be one."""
        return self.may_start or any(worker.is_idle for worker in self.workers)

    @property
    def is_taken(self) -> bool:
        """Whether all have something to do, and none is about to come."""
        return not any(worker.identity is None or worker.is_idle for worker in self.workers)

    def note_started(self) -> None:
        """Note that a worker has said its first word."""
        self._failed_starts = 0

    # Who goes

    def lose(self, worker: WorkerProcess) -> bool:
        """Note that a worker has ended; return whether too many in a row did so as they started."""
        self.workers.remove(worker)
        self._failed_starts = self._failed_starts + 1 if worker.identity is None else 0
        if self._failed_starts < _MOST_FAILED_STARTS:
            return False
        self._failed_starts = 0
        return True

    def dismiss_surplus(self) -> None:
        """Let workers end that took the places of others which waited, once those are back."""
        if len(self.workers) <= self._size:
            return
        staying = sum(not worker.is_dismissed for worker in self.workers)
        surplus = staying - self._count_blocked() - self._size
        for worker in reversed(self.workers):
            if surplus > 0 and worker.is_idle and not (worker.coroutines or worker.kept):
                worker.dismiss()
                surplus -= 1

    def end(self) -> None:
        """Kill all, and bury them."""
        for worker in tuple(self.workers):
            worker.kill()
            worker.end()

    def abandon(self) -> None:
        """Kill all, wherever and whenever this is called."""
        for worker in tuple(self.workers):
            worker.kill()
            worker.reap()


def _check_started(worker: WorkerProcess) -> None:
    if worker.identity is None:
        worker.kill()
