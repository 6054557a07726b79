"""`Sender`: gives ready nodes to workers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ...collector import collector_paused
from ...errors import shown
from ..policy import Failure
from .slices import Coroutine, Slice

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator

    from .attempts import Attempts
    from .crew import Crew
    from .job import Job
    from .overseer import Overseer
    from .packets import Packets
    from .placing import Chosen, Placing
    from .process import WorkerProcess

__all__ = ["Sender"]


class Sender:
    """Gives slices of ready nodes, and coroutines, to the workers where they run best.

    Parameters
    ----------
    crew : Crew
    placing : Placing
    attempts : Attempts
    packets : Packets
    overseer : Overseer
        Watches slices of nodes that may time out.
    serials : iterator of int
        Names for slices.
    """

    def __init__(
        self,
        crew: Crew,
        placing: Placing,
        attempts: Attempts,
        packets: Packets,
        overseer: Overseer,
        serials: Iterator[int],
    ) -> None:
        self._crew = crew
        self._placing = placing
        self._attempts = attempts
        self._packets = packets
        self._overseer = overseer
        self._serials = serials

    def give_out(self, jobs: deque[Job]) -> None:
        """Give slices to workers that have room, in turn from each run."""
        while jobs and self._placing.has_room(self._crew.workers):
            if not any(self._give(job) for job in tuple(jobs)):
                break
            jobs.rotate(-1)

    def _give(self, job: Job) -> bool:
        """Give a slice of one run to a worker; return whether that was possible."""
        limit = self._placing.limit(job, self._crew.workers)
        first = self._placing.worker_with_room(self._crew.workers, limit)
        # The worker that is asked first may leave nodes to one that has their inputs.
        return (
            self._give_to(first, job)
            or self._give_to(self._placing.worker_with_room(list(job.assigned)), job)
            or self._give_to(self._placing.worker_to_go_on(self._crew.workers, job), job)
        )

    def _give_to(self, worker: WorkerProcess | None, job: Job) -> bool:
        if worker is None:
            return False
        chosen = self._placing.choose(
            job, worker, self._crew.workers, self._attempts.begin, may_start=self._crew.may_start
        )
        if chosen.coroutines:
            self._send_coroutines(job, worker, chosen.coroutines)
        if chosen.numbers:
            with collector_paused():
                self._send(job, worker, chosen)
        return bool(chosen.numbers or chosen.coroutines)

    def _send(self, job: Job, worker: WorkerProcess, chosen: Chosen) -> None:
        packet, numbers = self._pack(job, worker, chosen.numbers)
        if not numbers:
            return
        serial = next(self._serials)
        part = Slice(job, serial, numbers, packet.holds, chosen.seconds, chosen.trail)
        if not worker.slices:
            worker.since = time.monotonic()
        worker.slices[serial] = part
        observed = job.state.events is not None
        stamps = observed or job.has_timeouts
        what = job.serial, serial, packet.packed.columns, packet.given
        before = chosen.before.serial if chosen.before is not None else 0
        behind = before if chosen.trail is not None else None
        passing = job.passing(numbers) if chosen.patience else {}
        worker.send("slice", *what, chosen.patience, observed, stamps, behind, passing)
        if job.has_timeouts:
            self._overseer.watch(worker, part)

    def _pack(self, job: Job, worker: WorkerProcess, numbers: list[int]) -> tuple[Any, list[int]]:
        packet, failed = self._packets.pack(job, worker, numbers)
        for number, error in failed:
            self._attempts.end(job, [number])
            self._attempts.fail(job, number, Failure(error, "", None))
        sent = packet.packed.numbers
        lost = {number for number, _ in failed}
        if len(sent) + len(lost) < len(numbers):  # they need what is lost at the moment
            kept = lost.union(sent)
            job.schedule.put_back([number for number in numbers if number not in kept])
        return packet, sent

    def _send_coroutines(self, job: Job, worker: WorkerProcess, numbers: list[int]) -> None:
        packet, numbers = self._pack(job, worker, numbers)
        if not numbers:
            return
        for number in numbers:
            worker.coroutines[job.serial, number] = Coroutine(job, packet.holds, time.time())
        nodes = job.state.plan.nodes
        timeouts = {
            n: (t, shown(nodes[n].label)) for n in numbers if (t := job.timeout(n)) is not None
        }
        observed = job.state.events is not None
        worker.send(
            "coroutines", job.serial, packet.packed.entries, packet.given, timeouts, observed
        )
