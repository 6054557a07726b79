"""`Watch`: looks, as long as a run is under way, at who is there to run it.

Twice a second the scheduler is asked about its workers; so every wait has an end. Who joins is given
work, what a worker that has left was given is lost, and what waits behind somebody else's work is
taken back if there is a better place for it.
"""

from __future__ import annotations

import concurrent.futures
import logging
import time
import uuid
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ...errors import NoWorkersError
from .listening import listen
from .placing import nowhere

if TYPE_CHECKING:
    import distributed

    from .engine import DaskEngine
    from .job import Job

__all__ = ["Watch"]

log = logging.getLogger("dask_dispatcher")

_TICK = 0.5  # seconds between two looks at the scheduler


class Watch:
    """Looks at the scheduler and the workers of an engine, whose lock is held in all of this.

    Parameters
    ----------
    engine : DaskEngine
    worker_timeout : float
        Seconds to wait for a worker that can run a node.
    """

    def __init__(self, engine: DaskEngine, worker_timeout: float) -> None:
        self._engine = engine
        self.worker_timeout = worker_timeout
        self.seen_workers = time.monotonic()
        self._is_on = False
        self._asked: concurrent.futures.Future[dict[str, Any]] | None = None
        self._beacon: distributed.Future[Any] | None = None
        self._unplaced: dict[tuple[Job, int], float] = {}  # since when no worker can run them

    @property
    def is_hopeless(self) -> bool:
        """Whether there has been no worker for too long."""
        is_late = time.monotonic() - self.seen_workers > self.worker_timeout
        return is_late and not self._engine.crew.is_running

    def begin(self) -> None:
        """Look from now on, until no run is under way; the time without workers counts anew."""
        self.seen_workers = time.monotonic()
        if not self._is_on:
            self._is_on = True
            self._look()

    def _look(self) -> None:
        engine = self._engine
        if not engine.states:
            self._is_on = False
            return
        engine.later(_TICK, self._look)
        if engine.connection.is_alive:
            self._ask()
        else:
            engine.scheduler_lost("the connection broke")

    def _ask(self) -> None:
        if self._asked is None:
            post = self._engine.post
            self._asked = self._engine.connection.identity()
            self._asked.add_done_callback(lambda answer: post(lambda: self._heard(answer)))

    def _heard(self, answer: concurrent.futures.Future[dict[str, Any]]) -> None:
        self._asked = None
        engine = self._engine
        if answer.cancelled() or answer.exception() is not None:
            engine.scheduler_lost("it does not answer")
            return
        now = time.monotonic()
        workers = answer.result()["workers"]
        listen(engine.connection.client, engine, workers, answer.result()["id"])
        engine.gone(engine.crew.update(workers), set())
        if engine.crew.is_running:
            self.seen_workers = now
            self._check_placed(now)
            self._engine.reclaimer.ask_after_late()
        elif self.is_hopeless:
            engine.stop_all(NoWorkersError, self._why_no_workers(), again=False)
        elif now - self.seen_workers > _TICK:
            log.info("waiting for workers: %s", self._why_no_workers())

    def _why_no_workers(self) -> str:
        address, members = self._engine.connection.address, self._engine.crew.members.values()
        if members:
            states = sorted({str(member.told.get("status")) for member in members})
            return f"all workers at {address} are {' or '.join(states)}"
        return (
            f"the scheduler at {address} has had no worker for {self.worker_timeout:g} s; "
            f"start one with: dask worker {address}"
        )

    def light_beacon(self) -> None:
        """Give the scheduler a task, so that an adaptive cluster starts a worker, and we hear of it."""
        if self._beacon is not None:
            return
        key = (f"waiting_for_workers-{uuid.uuid4().hex}", 0)
        beacon = self._beacon = self._engine.connection.submit(int, key=key)

        def come() -> None:
            if self._beacon is beacon:
                self._beacon = None
                self._ask()

        self._engine.connection.when_done(beacon, lambda: self._engine.post(come))

    def note_unplaced(self, job: Job, numbers: Iterable[int]) -> None:
        """Note that no worker can run some nodes."""
        for number in numbers:
            self._unplaced.setdefault((job, number), time.monotonic())

    def _check_placed(self, now: float) -> None:
        for (job, number), since in list(self._unplaced.items()):
            options = job.state.plan.options(number)
            queue = job.bound.get(id(options), deque())
            is_over = job not in self._engine.jobs or number not in queue
            if is_over or self._engine.crew.bound(options)[1]:
                del self._unplaced[job, number]
            elif now - since > self.worker_timeout:
                del self._unplaced[job, number]
                queue.remove(number)
                node = job.state.plan.nodes[number]
                job.state.fail(number, nowhere(node, options, self.worker_timeout))

    def rest(self) -> None:
        """Note that no run is under way."""
        if self._beacon is not None:
            self._beacon.release()
            self._beacon = None
