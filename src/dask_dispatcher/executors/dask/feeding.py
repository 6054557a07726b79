"""`Feeder`: gives nodes that are ready to workers that have room, in turn from each run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..policy import Failure
from .groups import Group
from .sending import Sender
from .values import Held

if TYPE_CHECKING:
    from .batches import Batch
    from .engine import DaskEngine
    from .job import Job
    from .members import Member

__all__ = ["Feeder"]


class Feeder:
    """Feeds the workers of an engine, with whose lock held it is used.

    Parameters
    ----------
    engine : DaskEngine
    """

    def __init__(self, engine: DaskEngine) -> None:
        self._engine = engine
        self._sender = Sender(engine.connection, engine.scatterer)
        self._wakes_at = 0.0

    def feed(self) -> None:
        """Send what is ready, as far as there is room."""
        engine = self._engine
        if not engine.jobs or not engine.connection.is_alive:
            return
        if not engine.crew.is_running:
            engine.watch.light_beacon()
            return
        while True in {self._give(job) for job in tuple(engine.jobs)}:
            engine.jobs.rotate(-1)
        if any(job.has_backlog for job in engine.jobs):
            self._wake_later(engine.crew.next_room())
        engine.reclaimer.level()

    def _wake_later(self, seconds: float) -> None:
        now = time.monotonic()
        if not now < self._wakes_at <= now + seconds:
            self._wakes_at = now + seconds
            self._engine.later(seconds, lambda: None)

    def _give(self, job: Job) -> bool:
        """Send some nodes of a run, if there is room; return whether that was possible."""
        if job.schedule.stopped:
            return False
        crew = self._engine.crew
        given = self._give_bound(job)
        member = crew.with_room()
        if not (job.light or job.heavy or job.probes) and job.schedule.has_ready:
            if member is None and not job.asks_for_something:
                return given
            job.fill(
                crew.threads,
                is_alone=len(self._engine.jobs) == 1,
                is_under_way=self._engine.is_under_way(job.state),
            )
        if job.alone and (empty := crew.empty()):
            return self._send(job, job.next_of(job.alone, is_alone=True), empty) or given
        if job.coroutines and (any_member := crew.for_coroutines()):
            return self._send(job, job.next_coroutines(), any_member) or given
        if job.careful and (idle := crew.with_room(idle=True)):
            return self._send(job, job.next_of(job.careful), idle) or given
        if member is None:
            return given
        return self._send(job, job.next_batch(member.address), member, is_bound=False) or given

    def _give_bound(self, job: Job) -> bool:
        """Send what asks for something that only some workers have."""
        given = False
        for queue in job.bound.values():
            while queue:
                options = job.state.plan.options(queue[0])
                member, exists = self._engine.crew.bound(options, idle=job.is_careful(options))
                if not exists:
                    self._engine.watch.note_unplaced(job, queue)
                if member is None:
                    break
                given |= self._send(job, job.next_of(queue), member)
        return given

    def _inputs(self, job: Job, batch: Batch) -> dict[str, int]:
        """Return the bytes of large values that a batch takes, by the worker that has them."""
        sizes: dict[str, int] = {}
        if not job.takes_large:
            return sizes
        for number in batch.numbers:
            for need in job.state.plan.needs[number]:
                value = job.state.values[need]
                if type(value) is Held and not value.is_small:
                    sizes[value.worker] = sizes.get(value.worker, 0) + value.size
        return sizes

    def _send(
        self, job: Job, batch: Batch | None, member: Member, *, is_bound: bool = True
    ) -> bool:
        """Send a batch to a member; if not `is_bound`, to another one that has what it takes."""
        if batch is None:
            return False
        engine, inputs = self._engine, self._inputs(job, batch)
        if inputs and not is_bound:
            member = engine.crew.near(inputs, member)
        try:
            sent = self._sender.send(job, batch, member)
        except Exception as error:
            if engine.connection.is_alive:
                raise
            engine.scheduler_lost(f"{type(error).__name__}: {error}")
            return False
        kept = {*sent.numbers, *(number for number, _ in sent.failed)}
        left = [number for number in batch.numbers if number not in kept]
        if sent.awaits is None:
            job.schedule.put_back(left)
        else:
            engine.scatterer.hold(sent.awaits, job, left)
        if sent.future is not None:
            engine.add(Group(job, sent, batch, member, inputs))
            job.note_sent(sent.numbers, member.address)
        for number, cause in sent.failed:
            engine.failed(job.state, number, Failure(cause, "", None))
        return True
