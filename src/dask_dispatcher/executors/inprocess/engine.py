"""`ThreadEngine`: the threads, carriers and resources of an `AsyncExecutor`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...deferred.links import set_site
from ...errors import NestedRunError, RunCancelledError
from ...schedule import RUNNING
from ..engine import Engine
from ..policy import Failure
from ..shares import Shares
from .carriers import Carriers
from .clocks import processor_seconds
from .costs import CallCosts
from .crew import Crew
from .job import Job
from .lookout import Lookout
from .member import Member
from .waiting import MemberSite
from .watch import Watch

if TYPE_CHECKING:
    from ..policy import Policy
    from ..state import RunState

__all__ = ["ThreadEngine"]

log = logging.getLogger("dask_dispatcher")

_DEFAULT_LIMIT = 64
_CORES = os.cpu_count() or 1
_LARGEST_SLICE = 1024
_SLICE_SECONDS = 0.002  # what a slice is sized for
# Seconds that `close` waits at a time: a Ctrl-C that comes just before a thread begins to wait is not
# noticed before it wakes.
_BREATH = 0.5


class ThreadEngine(Engine):
    """Runs nodes on threads and event loops of this process.

    Parameters
    ----------
    policy : Policy
    max_workers : int or None
        How many plain calls may be under way at once; None: threads grow with calls that wait.
    resources : mapping of str to float, optional
    """

    def __init__(
        self,
        policy: Policy,
        max_workers: int | None,
        resources: Mapping[str, float] | None,
    ) -> None:
        super().__init__(policy)
        self.crew = Crew(max_workers or _DEFAULT_LIMIT)
        self.costs = CallCosts()
        self._shares = Shares(resources)
        self._jobs: deque[Job] = deque()
        self._job_of: dict[RunState, Job] = {}
        self._carriers: dict[RunState, Carriers] = {}
        self._watch: Watch | None = None
        self._lookout: Lookout | None = None
        self._closing = False

    # Runs

    def launch(self, state: RunState, *, blocking: bool) -> None:
        loop = None if blocking else _running_loop()
        job = Job(state, loop)
        with self.lock:
            if state.schedule.is_over:  # the executor was closed or reset, or its inputs failed
                state.settle()
                return
            self._start_watch()
            self._job_of[state] = job  # first: `stop` finds it by this if Ctrl-C comes in between
            self._jobs.append(job)
            job.look_for_slow(self.costs.slow)
            if job.has_coroutines:
                carriers = Carriers(self, job, loop or self._start_watch().loop)
                self._carriers[state] = carriers
                job.sort_ready()
            self.wake(job)
            self._look_soon()

    def _start_watch(self) -> Watch:
        if self._watch is None:
            watch = Watch(self.lock)
            self._lookout = Lookout(self, watch)
            self._watch = watch  # last: Ctrl-C in between leaves none without a lookout
        return self._watch

    def _look_soon(self) -> None:
        assert self._lookout is not None
        self._lookout.soon()

    def post(self, function: Callable[[], None]) -> None:
        def call() -> None:
            function()
            for job in tuple(self._jobs):
                if job.schedule.is_over:
                    self.retire(job)
                else:
                    self.wake(job)

        if not self._closing:
            with contextlib.suppress(RuntimeError):  # closed in this very moment
                self._start_watch().post(call)

    def stop(self, state: RunState, running: Iterable[int]) -> None:
        job = self._job_of.get(state)
        if job is None:
            return
        job.drop_ready()
        self._shares.forget(state)
        for member in self.crew.members:
            if member.job is job:
                member.todo.clear()
                if member.end_wait is not None:
                    member.end_wait(
                        RunCancelledError("the run that this node belongs to was stopped")
                    )
        if state in self._carriers:
            self._carriers[state].stop()
        self.retire(job)

    def is_quiet(self, state: RunState) -> bool:
        carriers = self._carriers.get(state)
        return carriers is None or carriers.is_quiet

    def look(self, state: RunState, number: int) -> Any:
        return state.values[number]

    def count_workers(self) -> int:
        return len(self.crew.members)

    def retire(self, job: Job) -> None:
        """Let go of a run that is over, but for coroutines that still have to unwind."""
        if job in self._jobs:
            self._jobs.remove(job)
        self._job_of.pop(job.state, None)
        if self.is_quiet(job.state):
            self._carriers.pop(job.state, None)
        if not self._jobs:
            self.costs.forget_many()

    def close(self) -> None:
        with self.lock:
            members = self._dismiss()
        for member in members:
            if member.thread is not threading.current_thread():
                while member.thread.is_alive():
                    member.thread.join(_BREATH)
        if self._watch is not None:
            self._watch.close()

    def leave(self) -> None:
        """Do as `close`, without waiting for calls to return and coroutines to unwind."""
        with self.lock:
            # The collector may have cleared the executor's weak references to them already.
            for job in tuple(self._jobs):
                job.state.stop()
            self._dismiss()
            if self._watch is not None:
                self._watch.leave()

    def _dismiss(self) -> list[Member]:
        """Let every thread end once its call has returned; return those that will."""
        self._closing = True
        return self.crew.call_all()

    @contextmanager
    def waiting(self, state: RunState) -> Iterator[None]:
        """Let a thread wait for a run: a node's own thread makes room for another meanwhile."""
        here = threading.current_thread()
        if self._watch is not None and here is self._watch.thread and not state.schedule.is_over:
            raise NestedRunError(
                "a blocking run inside a coroutine node would wait for itself; use "
                "await executor.start(...)"
            )
        carriers = self._carriers.get(state)
        if carriers is not None and carriers.loop is _running_loop():
            raise NestedRunError(
                "this run was started on the event loop that waits for it here; await it instead"
            )
        with self.making_room():
            yield

    @contextmanager
    def making_room(self) -> Iterator[None]:
        member = self.crew.here()
        if member is None:
            yield
            return
        with self.lock:
            member.nested_waits += 1
            self.relieve(member)
            self._call_one()
        try:
            yield
        finally:
            with self.lock:
                member.nested_waits -= 1
                if self.crew.is_surplus:
                    self.crew.call_idle()  # to its end

    # Threads; the lock is held in all of these, but for the calls themselves

    def wake(self, job: Job) -> None:
        """See that somebody comes for what is ready."""
        if job.has_coroutines and job.state in self._carriers:
            job.sort_ready()
            self._carriers[job.state].kick()
        if job.has_calls and not self.crew.count_busy():
            self._call_one()

    def _call_one(self) -> None:
        """Bring one more thread, an idle or a new one, unless one is on its way."""
        if self._closing or self.crew.call_idle():
            return
        if threading.current_thread() is threading.main_thread():
            # Ctrl-C could leave a thread half started, and counted as busy for ever.
            self._start_watch().post(self._call_if_nobody_is_busy)
        else:
            self.crew.hire(lambda serial: Member(self, serial))

    def _call_if_nobody_is_busy(self) -> None:
        if self._has_calls() and not self.crew.count_busy():
            self._call_one()

    def work(self, member: Member) -> None:
        """What a member's thread does all its life."""
        set_site(MemberSite(self, member))
        with self.lock:
            while not (member.abandoned or self.crew.is_surplus):
                job = self._next_job()
                if job is not None:
                    try:
                        self._serve(member, job)
                    except Exception as error:  # ours: what a node raises is caught around it
                        log.exception("the in-process engine failed")
                        self.internal_error([job.state], error)
                        member.free()
                elif self._closing:
                    break
                else:
                    member.rest()
            self.crew.remove(member)
            self._call_if_nobody_is_busy()

    def _next_job(self) -> Job | None:
        """Return a run that has a call ready, each in turn."""
        for _ in range(len(self._jobs)):
            job = self._jobs[0]
            self._jobs.rotate(-1)
            if job.has_calls:
                return job
        return None

    def _serve(self, member: Member, job: Job) -> None:
        """Let a member call slices of one run, one after the other, until others want a turn."""
        while True:
            careful = job.is_careful
            numbers = job.take_calls(job.slice_size, follow=not careful)
            if careful:
                numbers = self._sort_out(member, job, numbers)
            if not numbers:
                return
            member.job, member.todo = job, numbers
            size = len(numbers)
            is_doubted = self.costs.is_doubted(member.costly)
            seconds, worked = self._call(
                member, job, processor_seconds if is_doubted else time.thread_time
            )
            done = self._report(member, job)
            if member.costly is None:
                self._note_slice(job, size, done, seconds, worked)
            elif self.costs.called(
                member.costly,
                seconds,
                worked,
                busy=self.crew.count_busy(),
                is_sure=is_doubted,
            ):
                job.rank(self.costs.slow)
            member.current = -1
            if careful or member.abandoned or len(self._jobs) != 1 or self.crew.is_surplus:
                member.free()
                return

    def _call(self, member: Member, job: Job, clock: Callable[[], float]) -> tuple[float, float]:
        """Let a member call its slice, without the lock; return how long that took by two clocks."""
        self.lock.release()
        worked, started = clock(), time.perf_counter()
        try:
            member.run_slice(job)
        finally:
            seconds, worked = time.perf_counter() - started, clock() - worked
            self.lock.acquire()
        return seconds, worked

    def _note_slice(
        self, job: Job, size: int, done: list[int], seconds: float, worked: float
    ) -> None:
        """Size the next slices by how long this one took; suspect its calls if they seem to wait."""
        if seconds > _SLICE_SECONDS * 2:
            job.slice_size = max(1, job.slice_size // 2)
        elif size * 2 > job.slice_size and seconds < _SLICE_SECONDS:
            job.slice_size = min(2 * job.slice_size, _LARGEST_SLICE)
        if seconds > _SLICE_SECONDS / 2 and self.costs.seem_slow(
            len(done), seconds, worked, busy=self.crew.count_busy()
        ):
            for number in done:
                self.suspect(job, number)

    def suspect(self, job: Job, number: int) -> None:
        """Let the function of a node, whose call seemed slow, be called alone the next time."""
        function = job.function_of(number)
        if function is not None:
            self.costs.suspect(function)
            job.is_careful = True

    def _report(self, member: Member, job: Job) -> list[int]:
        """Pass on what a member has done; return that."""
        if member.demand:
            demand, member.demand = member.demand, None
            self.release(demand)
        if member.abandoned:
            return []
        done = member.take_done()
        if done:
            job.state.finished(done)
        if member.todo:
            job.schedule.put_back(member.take_todo())
        for number, error in member.take_failed():
            self.attempt_failed(job, number, Failure.of(error, None))
        if job.schedule.is_over:
            self.retire(job)
        elif job.has_coroutines:
            self.wake(job)
        return done

    def attempt_failed(self, job: Job, number: int, failure: Failure) -> None:
        """Report that an attempt failed; start another one later if there is to be one."""
        delay = job.state.attempt_failed(number, failure)
        if delay is not None:

            def resume() -> None:
                job.schedule.resume(number)
                self.wake(job)

            assert self._watch is not None
            self._watch.later(delay, resume)
        if job.schedule.is_over:
            self.retire(job)

    # Calls that are not like the others

    def _sort_out(self, member: Member, job: Job, numbers: list[int]) -> list[int]:
        """Return a slice of plain calls, or a single call that needs care; put the rest back."""
        for position in range(len(numbers) - 1, -1, -1):
            number = numbers[position]
            function = job.function_of(number)
            if (
                number not in job.guarded
                and not job.all_guarded
                and (function is None or self.costs.is_fast(function))
            ):
                continue
            if position < len(numbers) - 1:  # first the plain ones, which come before it
                job.schedule.put_back(numbers[: position + 1])
                return numbers[position + 1 :]
            job.schedule.put_back(numbers[:position])
            return self._prepare(member, job, number, function)
        return numbers

    def _prepare(
        self, member: Member, job: Job, number: int, function: Callable[..., Any] | None
    ) -> list[int]:
        """Get a member ready for one call with resources, a timeout, or a known high cost."""
        options = job.state.plan.options(number)
        if options.resources:
            if not self.acquire(job, number, options.resources):
                return []
            member.demand = options.resources
        timeout = self.policy.timeout_of(options)
        if timeout is not None:
            member.deadline, member.timeout = time.monotonic() + timeout, timeout
            self._look_soon()
        if function is not None and not self.costs.is_fast(function):
            member.costly = function
            member.is_waiting = self.costs.waits(function)
            # Whoever takes a slow call sees to it that the next one is taken too.
            if (member.is_waiting or self.crew.count_busy() < _CORES) and self._has_calls():
                self._call_one()
        return [number]

    def acquire(self, job: Job, number: int, demand: Mapping[str, float]) -> bool:
        """Take what a node needs; if that is in use by others, the node is put back later."""
        may_begin = self._shares.acquire(job.state, number, demand)
        if job.schedule.is_over:  # there will never be enough for its last node
            self.retire(job)
        return may_begin

    def release(self, demand: Mapping[str, float]) -> None:
        """Give back what a node has used, and wake the runs that wait for it."""
        for state in self._shares.release(demand):
            job = self._job_of.get(state)
            if job is not None:
                self.wake(job)

    def _has_calls(self) -> bool:
        return any(job.has_calls for job in self._jobs)

    # What the look at the threads finds

    def look_after_runs(self) -> bool:
        """See that runs have threads, and end those that are over; return whether any is left."""
        if self._has_calls() and self.crew.count_busy() < _CORES:
            self._call_one()
        for carriers in tuple(self._carriers.values()):
            carriers.check_loop()
        for job in tuple(self._jobs):
            if job.schedule.is_over:  # and Ctrl-C interrupted what ended it
                self.retire(job)
        return bool(self._jobs or self._carriers)

    def relieve(self, member: Member) -> None:
        """Take from a member what it has finished and what it has not begun."""
        job = member.job
        if job is None:
            return
        job.schedule.put_back(member.take_todo())
        done = member.take_done()
        if done:
            job.state.finished(done)

    def time_out(self, member: Member) -> None:
        """Leave a member to its endless call: a thread cannot be killed."""
        job, number, timeout = member.job, member.current, member.timeout
        if job is None or number < 0:  # it is about to begin
            return
        member.deadline = None
        if job.schedule.state[number] != RUNNING:
            return
        member.abandoned = True
        self.crew.remove(member)
        if member.end_wait is not None:
            member.end_wait(job.timed_out(number, timeout))
        self.attempt_failed(job, number, Failure(job.timed_out(number, timeout), "", None))
        self.wake(job)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
