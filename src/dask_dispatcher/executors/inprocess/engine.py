"""`ThreadEngine`: the threads, carriers and resources of an `AsyncExecutor`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
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
from .crew import Member, processor_seconds, seems_to_wait
from .job import Job
from .waiting import MemberSite
from .watch import Watch

if TYPE_CHECKING:
    from ..policy import Policy
    from ..state import RunState

__all__ = ["ThreadEngine"]

log = logging.getLogger("dask_dispatcher")

_DEFAULT_LIMIT = 64
_CORES = os.cpu_count() or 1
_FIRST_LOOK, _LAST_LOOK = 0.001, 0.016  # seconds between two looks at the threads
_LARGEST_SLICE = 1024
_SLICE_SECONDS = 0.002  # what a slice is sized for
_SLOW = 0.001  # seconds; the first guess at the cost of a call that stalls a thread
_UNKNOWN = _SLOW, True
# Seconds that `close` waits at a time: a Ctrl-C that comes just before a thread begins to wait is not
# noticed before it wakes.
_BREATH = 0.5
_MOST_COSTS = 1000  # functions whose costs are remembered between runs


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
        self._limit = max_workers or _DEFAULT_LIMIT
        self._shares = Shares(resources)
        self._jobs: deque[Job] = deque()
        self._job_of: dict[RunState, Job] = {}
        self._carriers: dict[RunState, Carriers] = {}
        self._members: list[Member] = []
        self._serial = itertools.count(1)
        self._watch: Watch | None = None
        self._is_looking = False
        self._pause = _FIRST_LOOK
        self._closing = False
        # By function: the mean seconds of a call, and whether it waits rather than computes.
        self._slow: dict[Callable[..., Any], tuple[float, bool]] = {}
        # Of these, what was thought to compute and now seems to wait. Its next call is timed together
        # with what it stands in line for a processor: to ask for that gives up the interpreter's
        # lock, before and after the call.
        self._doubted: set[Callable[..., Any]] = set()
        # What has been called alone and was not slow. Where one function was slow, those of which
        # nothing is known are called alone at first.
        self._fast: set[Callable[..., Any]] = set()

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
            job.look_for_slow(self._slow)
            if job.has_coroutines:
                carriers = Carriers(self, job, loop or self._start_watch().loop)
                self._carriers[state] = carriers
                job.sort_ready()
            self.wake(job)
            self._look_soon()

    def _start_watch(self) -> Watch:
        if self._watch is None:
            self._watch = Watch(self.lock)
        return self._watch

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
        for member in self._members:
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
        return len(self._members)

    def retire(self, job: Job) -> None:
        """Let go of a run that is over, but for coroutines that still have to unwind."""
        if job in self._jobs:
            self._jobs.remove(job)
        self._job_of.pop(job.state, None)
        if self.is_quiet(job.state):
            self._carriers.pop(job.state, None)
        if not self._jobs and len(self._slow) + len(self._fast) > _MOST_COSTS:
            self._slow.clear()
            self._doubted.clear()
            self._fast.clear()

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
        for member in self._members:
            member.call()
        return self._members[:]  # without those that were abandoned

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
        here = threading.current_thread()
        member = next((m for m in tuple(self._members) if m.thread is here), None)
        if member is None:
            yield
            return
        with self.lock:
            member.nested_waits += 1
            self._relieve(member)
            self._call_one()
        try:
            yield
        finally:
            with self.lock:
                member.nested_waits -= 1
                idle = next((other for other in self._members if other.is_idle), None)
                if idle is not None and self._is_surplus():
                    idle.call()  # to its end

    # Threads; the lock is held in all of these, but for the calls themselves

    def wake(self, job: Job) -> None:
        """See that somebody comes for what is ready."""
        if job.has_coroutines and job.state in self._carriers:
            job.sort_ready()
            self._carriers[job.state].kick()
        if job.has_calls and not self._busy():
            self._call_one()

    def _call_one(self) -> None:
        """Bring one more thread, an idle or a new one, unless one is on its way."""
        if self._closing:
            return
        for member in self._members:
            if member.is_idle:
                member.call()
                return
        if threading.current_thread() is threading.main_thread():
            # Ctrl-C could leave a thread half started, and counted as busy for ever.
            self._start_watch().post(self._call_if_nobody_is_busy)
        elif self._count_working() < self._limit:
            member = Member(self, next(self._serial))
            self._members.append(member)
            member.thread.start()

    def _call_if_nobody_is_busy(self) -> None:
        if self._has_calls() and not self._busy():
            self._call_one()

    def _count_working(self) -> int:
        return sum(not (member.is_nested or member.abandoned) for member in self._members)

    def _is_surplus(self) -> bool:
        """Return whether there is a thread too many, as one that has made room is back."""
        return len(self._members) > self._limit and self._count_working() > self._limit

    def work(self, member: Member) -> None:
        """What a member's thread does all its life."""
        set_site(MemberSite(self, member))
        with self.lock:
            while not (member.abandoned or self._is_surplus()):
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
            if member in self._members:
                self._members.remove(member)
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
            self.lock.release()
            is_doubted = member.costly in self._doubted
            clock = processor_seconds if is_doubted else time.thread_time
            worked = None if member.costly is None else clock()
            started = time.perf_counter()
            try:
                member.run_slice(job)
            finally:
                seconds = time.perf_counter() - started
                worked = None if worked is None else clock() - worked
                self.lock.acquire()
            self._report(member, job)
            if member.costly is not None:
                self._note_cost(member.costly, seconds, worked, is_sure=is_doubted)
            elif seconds > _SLICE_SECONDS * 2:
                job.slice_size = max(1, job.slice_size // 2)
            elif size * 2 > job.slice_size and seconds < _SLICE_SECONDS:
                job.slice_size = min(2 * job.slice_size, _LARGEST_SLICE)
            member.current = -1
            if careful or member.abandoned or len(self._jobs) != 1 or self._is_surplus():
                member.free()
                return

    def _report(self, member: Member, job: Job) -> None:
        """Pass on what a member has done."""
        if member.demand:
            demand, member.demand = member.demand, None
            self.release(demand)
        if member.abandoned:
            return
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
                and (function is None or function in self._fast)
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
        if function is not None and function not in self._fast:
            member.costly = function
            _, member.is_waiting = self._slow.get(function, _UNKNOWN)
            # Whoever takes a slow call sees to it that the next one is taken too.
            if (member.is_waiting or self._busy() < _CORES) and self._has_calls():
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

    def _note_cost(
        self,
        function: Callable[..., Any],
        seconds: float,
        worked: float | None,
        *,
        is_sure: bool,
    ) -> None:
        """Keep a running mean of a slow function's cost; forget one that has become fast.

        `worked` is how many of the seconds the call computed, if that is known. Unless it `is_sure`,
        something else may have had the processor meanwhile.
        """
        mean, waits = self._slow.get(function, (seconds, True))
        if worked is not None:  # the look may have come while something else had the processor
            seems_waiting = seems_to_wait(worked, seconds, self._busy())
            if seems_waiting and not (waits or is_sure):
                self._doubted.add(function)
            else:
                waits = seems_waiting
                self._doubted.discard(function)
        mean += 0.25 * (seconds - mean)
        if mean < _SLOW / 10:
            self._slow.pop(function, None)
            self._fast.add(function)
        else:
            self._slow[function] = mean, waits

    def _busy(self) -> int:
        """Return how many threads keep a core busy, or soon will."""
        # In one expression, as all are counted for each slow call.
        return sum(
            not (m.is_idle or m.is_waiting or m.nested_waits or m.abandoned) for m in self._members
        )

    def count_waiting(self) -> int:
        """Return how many calls wait for deferred references."""
        return sum(member.end_wait is not None for member in self._members)

    def _has_calls(self) -> bool:
        return any(job.has_calls for job in self._jobs)

    # The look at the threads

    def _look_soon(self) -> None:
        self._pause = _FIRST_LOOK
        if not self._is_looking:
            assert self._watch is not None
            self._watch.later(self._pause, self._look)
            self._is_looking = True  # last: Ctrl-C in between costs one look too many, not all

    def _look(self) -> None:
        """Find threads that are stuck in a call, and relieve them; end calls that time out."""
        now = time.monotonic()
        busy = self._busy()
        unclear = [member for member in self._members if not member.is_settled(now)]
        stalled = [member for member in unclear if member.is_stalled(now, busy)]
        is_news = any(member.costly is None for member in stalled)
        for member in stalled:
            if member.is_slow:
                self._mark_slow(member)
            self._relieve(member)
        for member in tuple(self._members):
            if member.deadline is not None and member.deadline <= now:
                self._time_out(member)
        if self._has_calls() and self._busy() < _CORES:
            self._call_one()
        for carriers in tuple(self._carriers.values()):
            carriers.check_loop()
        for job in tuple(self._jobs):
            if job.schedule.is_over:  # and Ctrl-C interrupted what ended it
                self.retire(job)
        if not (self._jobs or self._carriers):
            self._is_looking = False
            return
        self._pause = _FIRST_LOOK if is_news else min(2 * self._pause, _LAST_LOOK)
        deadlines = [m.deadline - now for m in self._members if m.deadline is not None]
        assert self._watch is not None
        self._watch.later(max(_FIRST_LOOK, min(self._pause, *deadlines, _LAST_LOOK)), self._look)

    def _mark_slow(self, member: Member) -> None:
        job = member.job
        assert job is not None
        function = job.function_of(member.current)
        if function is None:
            return
        mean, waits = self._slow.get(function, _UNKNOWN)
        if member.costly is not None:
            if member.is_waiting and not waits:  # which was not clear at the first look
                self._slow[function] = mean, True
        else:
            member.note_started(job, member.current)
            self._slow[function] = mean, member.is_waiting
            self._fast.discard(function)
            member.costly = function
            job.is_careful = True
            job.rank(self._slow)

    def _relieve(self, member: Member) -> None:
        """Take from a member what it has finished and what it has not begun."""
        job = member.job
        if job is None:
            return
        job.schedule.put_back(member.take_todo())
        done = member.take_done()
        if done:
            job.state.finished(done)

    def _time_out(self, member: Member) -> None:
        """Leave a member to its endless call: a thread cannot be killed."""
        job, number, timeout = member.job, member.current, member.timeout
        if job is None or number < 0:  # it is about to begin
            return
        member.deadline = None
        if job.schedule.state[number] != RUNNING:
            return
        member.abandoned = True
        self._members.remove(member)
        if member.end_wait is not None:
            member.end_wait(job.timed_out(number, timeout))
        self.attempt_failed(job, number, Failure(job.timed_out(number, timeout), "", None))
        self.wake(job)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
