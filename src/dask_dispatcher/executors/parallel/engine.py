"""`ParallelEngine`: the controller of local worker processes.

All it does happens on one thread, that of its event loop, with the engine's lock held: messages and
deaths of workers, timers, and what users post. After each of these it *feeds*: gives slices of ready
nodes to workers that have room.

Its parts: `Crew` knows how many workers there are; `Job` how a run's nodes are packed and how many make
a slice; `Placing` where they run best; `Sender` gives them out; `Attempts` knows their resources and
retries; `reports` what follows from what a worker says, and from its death; `Holdings` where large
values are; `Overseer` looks after what takes long.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import logging
import os
import shutil
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ExecutorError, WorkerLostError, shown
from ...travel import refuse_local_only
from ..engine import Engine
from ..inprocess.watch import Watch
from ..shares import Shares
from ..slices.carrying import is_atom
from ..slices.costs import Costs
from .attempts import Attempts
from .cores import thread_limits
from .crew import Crew
from .fetching import fetch
from .folders import name_folder, sweep_folders
from .holdings import Holdings
from .job import Job
from .memory import Witness, is_readable
from .overseer import Overseer
from .packets import Packets
from .placing import Placing
from .process import WorkerProcess
from .relaying import RELAYED, Relay
from .reports import lose_coroutine, lose_slice, report, unreadable
from .sending import Sender
from .slices import Slice
from .values import Given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...futures import NodeFuture
    from ...plan import Plan
    from ..policy import Policy
    from ..state import RunState

__all__ = ["ParallelEngine"]

log = logging.getLogger("dask_dispatcher")


class ParallelEngine(Engine):
    """Runs nodes on worker processes of its own.

    Parameters
    ----------
    policy : Policy
    max_workers : int
    resources : mapping of str to float, optional
    """

    memory_limit = 0
    """Bytes of values that a worker keeps in memory; 0: a share of the machine's."""

    def __init__(
        self, policy: Policy, max_workers: int, resources: Mapping[str, float] | None
    ) -> None:
        super().__init__(policy)
        self._max_workers = max_workers
        self._shares = Shares(resources)
        self._costs, self._sizes = Costs(), Costs()
        self._jobs: deque[Job] = deque()
        self._over: list[Job] = []  # as looking at all runs each time would cost their square
        self._job_of: dict[RunState, Job] = {}  # of runs under way: a job keeps its run alive
        self._serial_of: weakref.WeakKeyDictionary[RunState, int] = weakref.WeakKeyDictionary()
        self._by_serial: weakref.WeakValueDictionary[int, Job] = weakref.WeakValueDictionary()
        self._serial = itertools.count(1)
        self._is_closing = False
        self._watch: Watch | None = None
        self._witness = Witness()
        self._folder = name_folder()
        self._holdings = Holdings(self._wake)
        self._packets = Packets(self._witness.identity, self._folder, self._holdings.release)
        self._relay = Relay(self._folder, self.post)
        self._crew = Crew(max_workers, self._make_worker, self._relay.count_blocked, self.later)
        self._workers = self._crew.workers
        self._placing = Placing()
        self._attempts = Attempts(self._shares, self.later)
        self._overseer = Overseer(self._attempts, self.later)
        self._sender = Sender(
            self._crew, self._placing, self._attempts, self._packets, self._overseer, self._serial
        )

    # What any thread may call

    def prepare(self, plan: Plan) -> None:
        refuse_local_only(plan)
        with self.lock:
            if self._workers:
                return
        try:
            self._start_first()
        except OSError as error:
            raise ExecutorError(f"no worker process can be started: {error}") from error

    def _start_first(self) -> None:
        """Start a worker from the loop's thread, and wait until the system has started it."""
        with self.lock:
            if self._watch is None:
                _check_descriptors()
                sweep_folders()
                self._watch = Watch(self.lock)
        started: concurrent.futures.Future[None] = concurrent.futures.Future()

        def start() -> None:
            try:
                if not self._workers:
                    self._crew.start()
            except OSError as error:
                started.set_exception(error)
            else:
                started.set_result(None)

        self.post(start)
        started.result()

    def launch(self, state: RunState, *, blocking: bool) -> None:
        def add() -> None:
            if state.schedule.is_over:
                state.settle()
            else:
                self._resume(state)

        self.post(add)

    def post(self, function: Callable[[], None]) -> None:
        if self._watch is not None:
            with contextlib.suppress(RuntimeError):  # closed in this very moment
                self._watch.post(self._fed(function))

    def later(self, delay: float, function: Callable[[], None]) -> None:
        """Call `function` after `delay` seconds, as `post` does."""
        if self._watch is not None and not self._is_closing:
            self._watch.later(delay, self._fed(function))

    def _fed(self, function: Callable[..., None]) -> Callable[..., None]:
        """Return a function that does the same, and then gives out what has become ready."""

        def call(*args: Any) -> None:
            function(*args)
            self._feed()

        return self._guarded(call)

    def _guarded(self, function: Callable[..., None]) -> Callable[..., None]:
        """Return a function that does the same with the lock held; what it raises ends all runs."""

        def call(*args: Any) -> None:
            with self.lock:
                try:
                    function(*args)
                except Exception as error:
                    log.exception("the controller of the worker processes failed")
                    self.internal_error([job.state for job in self._jobs], error)

        return call

    def _wake(self) -> None:
        if not self._is_closing:
            self.post(lambda: None)

    def close(self) -> None:
        if self._watch is None:
            return
        with self.lock:
            self._is_closing = True
        ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._watch.post(lambda: self._end_workers(ended))
        if threading.current_thread() is not self._watch.thread:
            ended.result()
        self._watch.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def leave(self) -> None:
        """Do as `close`, from wherever the collector or the interpreter's end calls it.

        The loop's thread may be frozen by then, with the lock in its hands.
        """
        self._is_closing = True
        self._crew.abandon()
        if self._watch is not None:
            with contextlib.suppress(RuntimeError):  # `close` was interrupted when this was done
                self._watch.leave()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end_workers(self, ended: concurrent.futures.Future[None]) -> None:
        self._crew.end()
        ended.set_result(None)

    # Workers

    def _make_worker(self) -> WorkerProcess:
        assert self._watch is not None
        worker = WorkerProcess(
            next(self._serial),
            self._watch.loop,
            self._guarded(self._hear),
            self._fed(self._gone),
            thread_limits(self._max_workers),
        )
        worker.send(
            "hello",
            self._max_workers,
            self._folder,
            self._witness.identity,
            self.memory_limit,
            self._relay.home,
        )
        return worker

    def _gone(self, worker: WorkerProcess) -> None:
        """Deal with the end of a worker."""
        is_hopeless = self._crew.lose(worker)
        self._relay.lose(worker)
        if self._is_closing:
            return
        log.info("worker %s is gone: %s", worker.name, worker.reason)
        for job in list(self._job_of.values()):
            job.forget(worker)
        slices, worker.slices = list(worker.slices.values()), {}
        coroutines, worker.coroutines = worker.coroutines, {}
        lost = self._holdings.lose(worker)
        for part in slices:
            lose_slice(self._attempts, worker, part)
        for (_, number), coroutine in coroutines.items():
            lose_coroutine(self._attempts, worker, coroutine.job, number)
        self._recompute(lost, worker.name, worker.reason)
        if any(job.suspects for job in self._jobs):  # they are not to run beside coroutines
            self._start_another()
        if is_hopeless:
            self._give_up(f"worker processes end as soon as they start: {worker.reason}")

    def _recompute(self, lost: dict[RunState, list[int]], worker: str | None, reason: str) -> None:
        """Let values that are gone be computed again, if somebody needs them still."""
        for state, numbers in lost.items():
            state.lost([], numbers, worker, reason)
            if not state.schedule.is_over:
                self._resume(state)

    def _give_up(self, text: str) -> None:
        for job in list(self._jobs):
            job.state.stop(
                lambda node: WorkerLostError(
                    f"{text}; {shown(node.label)} had not finished", node=node, label=node.label
                )
            )

    # Runs

    def _resume(self, state: RunState) -> None:
        """Drive a run, for the first time or because something of it is to be computed again."""
        job = self._job_of.get(state)
        if job is None:
            # The same again for a run that is resumed: its values are known by it.
            serial = self._serial_of.setdefault(state, next(self._serial))
            job = Job(state, serial, self._costs, self._sizes)
            self._job_of[state] = self._by_serial[serial] = job
            self._jobs.append(job)
            job.tell_over(self._over)
        for worker in self._workers:
            worker.permit(job.serial)

    def _retire(self) -> None:
        over = self._over.copy()
        self._over.clear()
        for job in over:
            if not job.schedule.is_over:  # resumed
                job.tell_over(self._over)
                continue
            self._jobs.remove(job)
            del self._job_of[job.state]
            self._shares.forget(job.state)
            self._packets.forget(job)
            for worker in self._workers:
                worker.send("over", job.serial)
                job.forget(worker)

    def stop(self, state: RunState, running: Iterable[int]) -> None:
        self.give_up(state, running)

    def give_up(self, state: RunState, numbers: Iterable[int]) -> None:
        job = self._job_of.get(state)
        if job is None:
            return
        unwanted = set(numbers)
        if state.schedule.is_over:
            self._relay.cancel(job.serial)
        for worker in self._workers:
            self._overseer.give_up(worker, job, unwanted)

    # What workers say

    def _hear(self, worker: WorkerProcess, message: tuple[Any, ...]) -> None:
        kind, *rest = message
        if kind in RELAYED:  # too many to look each time whether there is something to give out
            if self._relay.hear(worker, kind, rest):
                self._overseer.make_room(worker)
                self._feed()
        else:
            self._hear_of_nodes(worker, kind, rest)
            self._feed()

    def _hear_of_nodes(self, worker: WorkerProcess, kind: str, rest: list[Any]) -> None:
        if kind == "ended":
            run, serial, said = rest
            part = worker.slices.pop(serial, None)
            self._report(worker, run, part, said, ())
            if part is not None:  # nothing should be left
                self._attempts.take_back(part.job, part.left())
        elif kind == "report":
            run, serial, said, back = rest
            part = worker.slices.get(serial)
            self._report(worker, run, part, said, back)
            if worker.timed_out is not None and part is not None and not part.pending:
                worker.kill()
        elif kind == "back":
            serial, numbers = rest
            part = worker.slices.pop(serial, None)
            if part is not None:
                self._attempts.take_back(part.job, numbers)
        elif kind == "ready":
            worker.identity, readable = rest
            self._packets.note_reader(readable)
            if not is_readable(worker.identity):
                worker.send("unreadable")
            self._crew.note_started()
        elif kind == "spilled":
            self._holdings.move(*rest)

    def _report(
        self,
        worker: WorkerProcess,
        run: int,
        part: Slice | None,
        said: Sequence[Any],
        back: Sequence[int],
    ) -> None:
        job = self._by_serial.get(run)
        if job is None or job.state.defunct is not None:
            for number, place in said[3]:
                self._holdings.drop((run, number), worker, place)
            return
        missed = report(self._holdings, self._attempts, worker, job, part, said, back)
        self._recompute({job.state: missed} if missed else {}, worker.name, "it had been used up")
        self._recompute(unreadable(job, said[5]), None, "its value could not be read")

    # Feeding

    def _feed(self) -> None:
        """Give ready nodes to workers that have room, in turn from each run."""
        if self._is_closing:
            return
        self._holdings.flush()
        self._relay.flush()
        self._retire()
        self._sender.give_out(self._jobs)
        if self._jobs:
            under_way = (part.job for worker in self._workers for part in worker.slices.values())
            is_observed = any(job.state.events is not None for job in under_way)
            self._overseer.look_soon(self._look, is_urgent=self._crew.has_room or is_observed)
            self._start_more()
        self._crew.dismiss_surplus()

    def _look(self) -> None:
        self._overseer.look(self._workers, is_room=self._crew.has_room)

    def _start_more(self) -> None:
        """Start another worker if there is something to do and nobody to do it."""
        wanted = any(job.schedule.has_ready or job.assigned for job in self._jobs) or any(
            map(self._placing.has_waiting, self._workers)
        )
        if self._crew.is_taken and (wanted or not self._workers):
            self._start_another()

    def _start_another(self) -> None:
        try:
            self._crew.start_another()
        except OSError as error:
            self._give_up(f"no worker process can be started: {error}")

    # Values

    def hold(self, value: Any) -> Any:
        return (
            value
            if is_atom(value)
            else Given(value, (0, next(self._serial)), self._holdings.release)
        )

    def adopt(self, future: NodeFuture[Any]) -> Any:
        state = future._checked()
        if state.owner is not self:
            return self.hold(future.fetch())
        return state.values[future._number]

    def fetch(self, state: RunState, number: int, timeout: float | None) -> Any:
        return fetch(self, state, number, timeout)


def _check_descriptors() -> None:
    """Raise OSError if there are none left for an event loop.

    One that asyncio could not make, for want of them, complains on stderr when it goes.
    """
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            for descriptor in os.pipe():
                stack.callback(os.close, descriptor)
