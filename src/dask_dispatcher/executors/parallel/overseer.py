"""`Overseer`: looks after what takes long.

Workers that are slow are asked to give back what they have not begun; nodes whose time is up end,
and their workers with them; calls that nobody wants any more are killed after a moment.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ...errors import NodeTimeoutError, shown
from ...schedule import RUNNING
from ..policy import Failure

if TYPE_CHECKING:
    from .attempts import Attempts
    from .job import Job
    from .process import WorkerProcess
    from .slices import Slice

__all__ = ["Overseer"]

_LOOK = 0.01  # seconds between two looks at slices that take longer than expected
_LONG = 0.05  # the same, while nobody could do anything about them
_ANSWER = 1.0  # seconds in which a worker that is to be killed may report what it has done
_GRACE = 0.3  # seconds that a call of a stopped run is given before its worker is killed

Later = Callable[[float, Callable[[], None]], None]


class Overseer:
    """Looks at workers as long as there are runs.

    Parameters
    ----------
    attempts : Attempts
    later : callable
        Calls a function after some seconds.
    """

    def __init__(self, attempts: Attempts, later: Later) -> None:
        self._attempts = attempts
        self._later = later
        self._due = math.inf  # when the next look is to be

    def look_soon(self, look: Callable[[], None], *, is_urgent: bool) -> None:
        """Have `look` called in a moment, once.

        Each look wakes this thread, at the price of some 0.2 ms of the workers' time.

        Parameters
        ----------
        look : callable
        is_urgent : bool
            Whether others have nothing to do, or somebody is to hear what is under way.
        """
        delay = _LOOK if is_urgent else _LONG
        due = time.monotonic() + delay
        if due >= self._due:
            return
        self._due = due

        def call() -> None:
            if self._due == due:  # else there has been an urgent one before
                self._due = math.inf
                look()

        self._later(delay, call)

    def look(self, workers: Iterable[WorkerProcess], *, is_room: bool) -> None:
        """Ask slow workers to give back what they have not begun; tell observers what takes long.

        Parameters
        ----------
        workers : iterable of WorkerProcess
        is_room : bool
            Whether others have nothing to do.
        """
        now = time.monotonic()
        for worker in workers:
            self._announce_coroutines(worker)
            if not worker.slices or now - worker.since < _LOOK:
                continue
            self._announce_node(worker)
            if self._is_overdue(worker, now) or (is_room and self._has_begun(worker)):
                self._take_back(worker)

    def _is_overdue(self, worker: WorkerProcess, now: float) -> bool:
        """Return whether it takes so long that what waits behind is taken back in any case."""
        return now - worker.since > _LONG + next(iter(worker.slices.values())).seconds

    def _has_begun(self, worker: WorkerProcess) -> bool:
        """Return whether it runs what it was given; else it waits for a processor, as others would."""
        part = next(iter(worker.slices.values()))
        return worker.node_of(part.serial) != -1

    def _take_back(self, worker: WorkerProcess) -> None:
        """Ask for what a worker has not begun; but not for its only node, which it is about to run.

        It is late in either case: nothing more is put behind that node.
        """
        for place, part in enumerate(worker.slices.values()):
            if not part.is_nudged and (place or len(part.pending) > 1):
                self._nudge(worker, part)
            part.is_nudged = True

    def make_room(self, worker: WorkerProcess) -> None:
        """Take back what is queued behind a call that waits for others."""
        for part in worker.slices.values():
            if not part.is_nudged:
                self._nudge(worker, part)

    def _nudge(self, worker: WorkerProcess, part: Slice) -> None:
        part.is_nudged = True
        worker.send("nudge", part.serial)

    def _announce_node(self, worker: WorkerProcess) -> None:
        """Tell observers of a call that takes long; of the others they hear when they end."""
        part = next(iter(worker.slices.values()))
        current = worker.node_of(part.serial)
        if current is None or current not in part.pending or current == part.announced:
            return
        part.announced = current
        began = time.time() - worker.seconds_in_node()
        part.job.state.note_started(current, began, worker.name)

    def _announce_coroutines(self, worker: WorkerProcess) -> None:
        for (_, number), coroutine in worker.coroutines.items():
            if not coroutine.is_announced:
                coroutine.is_announced = True
                coroutine.job.state.note_started(number, coroutine.began, worker.name)

    # Timeouts

    def watch(self, worker: WorkerProcess, part: Slice) -> None:
        """See that no node of a slice outlives its timeout."""
        limits = [t for number in part.pending if (t := part.job.timeout(number)) is not None]
        if limits:
            self._later(min(limits), lambda: self._check(worker, part))

    def _check(self, worker: WorkerProcess, part: Slice) -> None:
        if worker.slices.get(part.serial) is not part or worker.is_gone:
            return
        current = worker.node_of(part.serial)
        limit = part.job.timeout(current) if current is not None and current >= 0 else None
        if limit is None or current not in part.pending:
            self.watch(worker, part)
            return
        left = limit - worker.seconds_in_node()
        if left > 0:
            self._later(left, lambda: self._check(worker, part))
        elif part.job.schedule.state[current] == RUNNING:
            self._time_out(worker, part, current)

    def _time_out(self, worker: WorkerProcess, part: Slice, number: int) -> None:
        """End a node whose time is up, and its worker, which may first report its neighbours."""
        job = part.job
        worker.timed_out = job.serial, number
        part.note([number])
        self._attempts.end(job, [number])
        label = shown(job.state.plan.nodes[number].label)
        text = f"{label} did not end within {job.timeout(number)} s; its worker was killed"
        self._attempts.fail(job, number, Failure(NodeTimeoutError(text), "", None))
        for other in worker.slices.values():
            self._nudge(worker, other)
        self._later(_ANSWER, worker.kill)

    # Calls that nobody wants

    def give_up(self, worker: WorkerProcess, job: Job, unwanted: set[int]) -> None:
        """Stop nodes of a run on a worker; what else it runs may go on."""
        if job.schedule.is_over:
            worker.forbid(job.serial)
        coroutines = [
            n for serial, n in worker.coroutines if serial == job.serial and n in unwanted
        ]
        if coroutines:
            worker.send("cancel", job.serial, coroutines)
        parts = [part for part in worker.slices.values() if part.job is job]
        for part in parts:
            self._nudge(worker, part)
        if any(unwanted & part.pending for part in parts):
            self._later(_GRACE, lambda: self._kill(worker, parts, unwanted))

    def _kill(self, worker: WorkerProcess, parts: list[Slice], unwanted: set[int]) -> None:
        for part in parts:
            is_there = worker.slices.get(part.serial) is part
            if is_there and worker.node_of(part.serial) in unwanted & part.pending:
                worker.kill()
