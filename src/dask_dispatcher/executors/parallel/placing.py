"""`Placing`: which nodes go to which worker next.

A node goes where most of the bytes it takes are, unless that worker has so much to do that moving
them is quicker. Nodes that are alike, cheap and take nothing large, which are nearly all of a graph
of tiny calls, are not looked at one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from ...schedule import Trail
from ..company import WINDOW
from .slices import is_late
from .values import Given, Held

if TYPE_CHECKING:
    from .job import Job
    from .process import WorkerProcess
    from .slices import Slice

__all__ = ["Chosen", "Placing"]

_TARGET = 0.005  # seconds that a slice is to take
_AMPLE = 0.04  # the same, while so much is ready that what one worker has is not missed by another
_SHORT = 0.005  # seconds of work a worker may have when it is given more
_LONG = 0.1  # the same, while each finds something ready
_LARGEST = 1000  # nodes of a slice
_MANY = 8  # nodes ready for each worker, which are ample
_UNKNOWN = _TARGET / 8  # seconds that a call of which nothing is known is counted for
_USUAL = 0.01  # seconds that a slice is counted for of which nothing is known
_BYTES_A_SECOND = 2e9  # from one process's memory to another's
_MOVE = 0.0005  # seconds that a move takes at least
_HOP = 0.0005  # seconds of work that are worth a message, and waiting for what others do meanwhile


class Chosen(NamedTuple):
    """Nodes for one worker.

    Attributes
    ----------
    numbers, coroutines : list of int
    seconds : float
        What `numbers` are expected to cost.
    patience : float
        Seconds between two reports of its worker; 0 for calls that are not known to be quick: each
        is reported at once, before the next one begins.
    trail : Trail or None
        If others may come behind them that take their values before these have been reported.
    before : Slice or None
        The one behind which they come.
    """

    numbers: list[int]
    coroutines: list[int]
    seconds: float
    patience: float
    trail: Trail | None = None
    before: Slice | None = None


class _Pick:
    """Picks, of some begun nodes, those that one worker is to run; looks at them one by one.

    Parameters
    ----------
    job : Job
    worker : WorkerProcess
    begin : callable
        Takes the resources of a node; returns False if it has to wait for them.
    better : callable
        Returns the worker where a node had better run, if that is another one.
    ample : int
        How many nodes may be `_AMPLE` seconds of work, as enough is left for the other workers;
        with more, `_TARGET` is enough.
    """

    def __init__(
        self,
        job: Job,
        worker: WorkerProcess,
        begin: Callable[[Job, int], bool],
        better: Callable[[int], WorkerProcess | None],
        ample: int,
    ) -> None:
        self.numbers: list[int] = []
        self.coroutines: list[int] = []
        self.seconds = 0.0
        self.is_known = True
        """Whether something is known of what each costs."""
        self.back: list[int] = []
        """Nodes that were to follow others, and are not to be in one slice with them."""
        self._job = job
        self._worker = worker
        self._begin = begin
        self._better = better
        self._count_ample = ample
        self._elsewhere: set[int] = set()
        self.is_full = False
        self._is_risky = False  # it may take down what runs beside it

    def looks_at(self, number: int) -> bool:
        """Deal with a node; return False if it is to be left, with all that come after it."""
        job = self._job
        if self._elsewhere and not self._elsewhere.isdisjoint(job.state.plan.needs[number]):
            self.back.append(number)
            self._elsewhere.add(number)
            return True
        if number in job.coroutines:
            if self._is_risky:
                return False
            self._elsewhere.add(number)
            if self._begin(job, number):
                self.coroutines.append(number)
            return True
        alone = job.is_alone(number)
        if self.is_full or (alone and (self.numbers or self._worker.slices)):
            return False
        if not self._goes_elsewhere(number):
            self.numbers.append(number)
            job.note_place(number, self._worker)
            cost = job.seconds(number)
            self.is_known = self.is_known and cost is not None
            cost = _UNKNOWN if cost is None else cost
            self.seconds += cost
            target = _AMPLE if len(self.numbers) < self._count_ample else _TARGET
            # Another one like it would be farther from the target than this is.
            self.is_full = alone or self.seconds + cost / 2 >= target
            self._is_risky = number in job.suspects
        return True

    def _goes_elsewhere(self, number: int) -> bool:
        is_special = self._job.held or number in self._job.suspects
        better = self._better(number) if is_special else None
        if better is not None and self._job.schedule.waiting[number]:
            self.back.append(number)  # for what it follows is here, and not done
        elif better is not None:
            self._job.assign(number, better)
        if better is not None or not self._begin(self._job, number):
            self._elsewhere.add(number)
            return True
        return False


class Placing:
    """The policy; it keeps nothing."""

    def is_ample(self, job: Job, workers: Sequence[WorkerProcess]) -> bool:
        """Return whether so much is ready that workers had better ask for it less often."""
        return job.is_known and job.schedule.count_ready() > _MANY * len(workers)

    def limit(self, job: Job, workers: Sequence[WorkerProcess]) -> float:
        """Return how many seconds of work a worker may have that is given more."""
        return _LONG if job.is_known and job.schedule.count_ready() >= len(workers) else _SHORT

    def has_room(self, workers: Sequence[WorkerProcess]) -> bool:
        """Return whether any worker may be given something, whichever run it is of."""
        return self.worker_with_room(workers, _LONG) is not None

    def worker_with_room(
        self, workers: Sequence[WorkerProcess], limit: float = _SHORT
    ) -> WorkerProcess | None:
        """Return the worker that is to be given something next, if any has no more than `limit`."""
        best = None
        for worker in workers:
            if not worker.is_open or not self._has_room(worker, limit):
                continue
            if best is None or len(worker.slices) < len(best.slices):
                best = worker
        return best

    def worker_to_go_on(self, workers: Sequence[WorkerProcess], job: Job) -> WorkerProcess | None:
        """Return a worker with room for what waits for nothing but what it has been given."""
        for worker in workers:
            if worker.is_open and worker.slices and self._has_room(worker, _SHORT):
                (part,) = worker.slices.values()
                if part.job is job and part.trail is not None and part.trail.goes_on:
                    return worker
        return None

    def _has_room(self, worker: WorkerProcess, limit: float) -> bool:
        if not worker.slices:
            return True
        if len(worker.slices) > 1:
            return False
        (part,) = worker.slices.values()
        return part.seconds <= limit and not part.is_nudged and not part.job.suspects

    def choose(
        self,
        job: Job,
        worker: WorkerProcess,
        workers: Sequence[WorkerProcess],
        begin: Callable[[Job, int], bool],
        *,
        may_start: bool = False,
    ) -> Chosen:
        """Take nodes of a run for a worker.

        Parameters
        ----------
        job : Job
        worker : WorkerProcess
        workers : sequence of WorkerProcess
            All there are.
        begin : callable
            Takes the resources of a node; returns False if it has to wait for them.
        may_start : bool
            Whether there could be one more worker.
        """
        fair = self._fair(job, worker, workers, may_start=may_start)
        if job.is_even:
            return self._choose_even(job, worker, fair)
        is_ample = self.is_ample(job, workers)
        pick = _Pick(
            job,
            worker,
            begin,
            lambda number: self._better_place(job, number, worker, workers),
            fair // 2 if is_ample else 0,  # half of it, so that all end at about the same time
        )
        self._fill(pick, job, worker, fair)
        patience = (_AMPLE if is_ample else _TARGET) if pick.is_known else 0.0
        return Chosen(pick.numbers, pick.coroutines, pick.seconds, patience)

    def has_waiting(self, worker: WorkerProcess) -> bool:
        """Return whether something waits behind what a worker runs that another could do meanwhile."""
        last = next(reversed(worker.slices.values()), None)
        return len(worker.slices) > 1 and last is not None and not last.job.is_even

    def _fair(
        self,
        job: Job,
        worker: WorkerProcess,
        workers: Sequence[WorkerProcess],
        *,
        may_start: bool,
    ) -> int:
        """Return how many of the nodes that are ready are a worker's share.

        Others get as much if they have as little to do.
        """
        takers = sum(w.is_open and len(w.slices) <= len(worker.slices) for w in workers)
        return max(1, -(-job.schedule.count_ready() // max(1, takers + may_start)))

    def _choose_even(self, job: Job, worker: WorkerProcess, fair: int) -> Chosen:
        """Take nodes without a look at each; they may take values that the worker has yet to make."""
        before = next(reversed(worker.slices.values()), None)
        if before is None or before.job is not job or before.trail is None:
            before, trail = None, Trail()
        else:
            trail = before.trail
        lead = max(fair, math.ceil(_HOP / job.dearest))
        numbers = job.schedule.take(job.limit, follow=True, lead=lead, trail=trail)
        numbers.reverse()
        seconds = len(numbers) * _TARGET / job.limit
        return Chosen(numbers, [], seconds, _TARGET, trail, before)

    def _fill(self, pick: _Pick, job: Job, worker: WorkerProcess, fair: int) -> None:
        """Let a pick look at what is ready, until it has enough, or its worker's share."""
        # As few at a time as will do: what is put back is taken again and again.
        lead = _LARGEST if job.suspects else min(job.lead, fair)
        count = 0
        while count < _LARGEST and (waiting := self._next(job, worker, lead, may_steal=not count)):
            if job.suspects:  # first, while no coroutines run that would be lost with the worker
                waiting.sort(key=lambda number: number not in job.suspects)
            looked_at = sum(1 for _ in takewhile(pick.looks_at, waiting))
            left, pick.back = [*pick.back, *waiting[looked_at:]], []
            job.schedule.put_back(reversed(left))  # onto a stack: the last comes off first
            count += looked_at
            fair -= lead
            is_share = fair <= 0 and pick.seconds >= _HOP
            if pick.is_full or is_share or looked_at < len(waiting):
                break
            lead = min(2 * lead, max(fair, 1))
        job.lead = max(1, 2 * count)

    def _next(self, job: Job, worker: WorkerProcess, lead: int, *, may_steal: bool) -> list[int]:
        mine = job.take_assigned(worker)
        if mine:
            return mine
        if job.has_bulky:
            self._sort(job, worker)
        lead = min(lead, _LARGEST)
        # With room for what follows them: else sums would begin when all products are there.
        taken = job.schedule.take(max(job.limit, 2 * lead), follow=True, lead=lead)
        if taken:
            taken.reverse()
            return taken
        return job.steal_assigned() if may_steal else []

    def _sort(self, job: Job, worker: WorkerProcess) -> None:
        """Let what a worker had best do come first among the next nodes, if they rank alike."""
        found = job.schedule.take(WINDOW)
        found.sort(key=lambda number: job.company.distance(number, worker), reverse=True)
        job.schedule.put_back(found)

    def _better_place(
        self, job: Job, number: int, worker: WorkerProcess, workers: Sequence[WorkerProcess]
    ) -> WorkerProcess | None:
        """Return another worker where a node would begin sooner, its inputs being there.

        Or, of one that may take its worker down, where nothing else would be lost.
        """
        if number in job.suspects:
            return self._spare(workers) if worker.coroutines else None
        held: dict[WorkerProcess, int] = {}
        total = 0
        for need in job.state.plan.needs[number]:
            value = job.state.values[need]
            if isinstance(value, (Held, Given)):
                size = value.size if isinstance(value, Held) else 0
                total += size
                for holder in value.copies:
                    held[holder] = held.get(holder, 0) + size
        if not held:
            return None
        best = max((w for w in held if w in workers), key=held.__getitem__, default=None)
        if best is None or best is worker or held[best] <= held.get(worker, 0):
            return None
        moving = _MOVE + (total - held.get(worker, 0)) / _BYTES_A_SECOND
        return best if self._load(job, best) < moving else None

    def _spare(self, workers: Sequence[WorkerProcess]) -> WorkerProcess | None:
        """Return a worker without coroutines, perhaps one that is just starting."""
        free = (worker for worker in workers if not worker.coroutines)
        return next((worker for worker in free if worker.timed_out is None), None)

    def _load(self, job: Job, worker: WorkerProcess) -> float:
        """Return the seconds of work that a worker has been given, roughly."""
        if is_late(worker.slices.values()):  # nobody knows when it ends
            return math.inf
        given = sum(part.seconds or _USUAL for part in worker.slices.values())
        return given + sum(job.seconds(n) or _USUAL for n in job.assigned.get(worker, ()))
