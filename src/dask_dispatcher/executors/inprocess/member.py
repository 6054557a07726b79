"""`Member`: a thread of the in-process engine, and the loop in which it calls nodes."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...events import NodeStarted
from ...nesting import PLACEHOLDERS
from ...ops import Op
from ..batches import Finished
from .clocks import HAS_CPU_CLOCKS, count_waits, cpu_seconds, is_runnable, seems_to_wait

if TYPE_CHECKING:
    from .engine import ThreadEngine
    from .job import Job

__all__ = ["Member"]

_DOUBT = 0.05  # seconds before a call is taken for a waiting one while others compute
_SETTLED = 0.016  # seconds between two looks at a call that waits
_COMPUTED = 0.001  # seconds of the processor in one call, from which on it is slow beyond doubt


class Member:
    """A thread that pulls ready nodes.

    The watch looks at what it does while it does it. `todo` and `done` are lists that both pop from
    and append to; all else is read and written under the engine's lock, but for `current`.

    Attributes
    ----------
    job : Job or None
        Whose nodes it calls now.
    current : int
        The node it is calling, -1 between slices.
    started : float
        When that call began, if somebody observes: when the one before it ended.
    todo : list of int
        The rest of its slice, the next one last.
    costly : callable or None
        The function of its call, if that is known to be slow and so called alone.
    deadline : float or None
        When its call times out, by the monotonic clock; `timeout` is the seconds it was given.
    demand : mapping or None
        The resources it holds.
    is_waiting : bool
        Its call seems to wait, not to compute.
    nested_waits : int
        How many other runs, or deferred references, its call waits for.
    end_wait : callable or None
        Ends, with an error, its call's wait for a deferred reference.
    abandoned : bool
        Its call has timed out: the thread ends as soon as the call returns.
    """

    def __init__(self, engine: ThreadEngine, serial: int) -> None:
        self.job: Job | None = None
        self.current = -1
        self.started = 0.0
        self.todo: list[int] = []
        self.nested_waits = 0
        self.end_wait: Callable[[BaseException], None] | None = None
        self.abandoned = False
        self.demand: Mapping[str, float] | None = None
        self.is_idle = False
        self._done: list[int] = []
        # When its slice began, and when each node of `_done` ended; empty if nobody observes.
        self._times: list[float] = []
        self._failed: list[tuple[int, BaseException]] = []
        # Run, number and attempt of the last start that was told.
        self._noted: tuple[str, int, int] | None = None
        self._lock = engine.lock
        # A queue, as a Condition that Ctrl-C interrupts may leave its waiters in a wrong state.
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.free()
        self.thread = threading.Thread(
            target=engine.work, args=(self,), name=f"dask-dispatcher-{serial}", daemon=True
        )

    def free(self) -> None:
        """Be between two slices."""
        self.job = None
        self.current = -1
        self.costly: Callable[..., Any] | None = None
        self.deadline: float | None = None
        self.timeout: float | None = None
        self.is_waiting = False
        self._seen = self._seen_waits = -1
        self._seen_at = self._seen_cpu = self._computed = self._settled_until = 0.0

    def rest(self) -> None:
        """Wait until called; gives the lock back meanwhile, which is held once."""
        self.is_idle = True
        self._lock.release()
        try:
            self._calls.get()
        finally:
            self._lock.acquire()
        self.is_idle = False

    def call(self) -> None:
        """Wake the thread if it rests, or before it rests the next time."""
        self._calls.put(None)  # first, so that Ctrl-C in between cannot leave it asleep, yet busy
        self.is_idle = False

    @property
    def is_nested(self) -> bool:
        """Whether its call does nothing but wait for another run."""
        return self.nested_waits > 0

    def take_done(self) -> list[int]:
        """Return what it has called since it last reported."""
        done = self._done[:]
        del self._done[: len(done)]
        if self._times and done:
            self._record(done)
        return done

    def _record(self, done: list[int]) -> None:
        """Tell observers when these nodes began and ended: each began when the one before ended."""
        assert self.job is not None
        events = self.job.state.events
        assert events is not None
        times = self._times[: len(done) + 1]
        del self._times[: len(done)]
        events.append(Finished(done, times[:-1], times[1:], self.thread.name))

    def take_failed(self) -> list[tuple[int, BaseException]]:
        """Return what has failed since it last reported."""
        if not self._failed:
            return []
        failed, self._failed = self._failed, []
        return failed

    def take_todo(self) -> list[int]:
        """Return what it has not begun, the next one last; it begins nothing more."""
        rest = []
        while self.todo:
            try:
                rest.append(self.todo.pop())
            except IndexError:  # the thread itself has just taken the last one
                break
        return rest[::-1]

    def is_settled(self, now: float) -> bool:
        """Return whether its call waits, and that is not worth another look yet."""
        return self.is_waiting and now < self._settled_until

    def is_stalled(self, now: float, busy: int) -> bool:
        """Return whether it is in the same call as at the last look; notes if that waits.

        `busy` is the number of threads that compute.
        """
        if self.job is None or self.current < 0 or self.is_idle:
            return False
        self._settled_until = now + _SETTLED
        cpu = cpu_seconds(self.thread)
        if self._seen != self.current:
            self._seen, self._seen_at, self._seen_cpu = self.current, now, cpu
            self._seen_waits = -1 if self.is_waiting else count_waits(self.thread)
            return False
        elapsed = now - self._seen_at
        self._computed = cpu - self._seen_cpu
        waits = seems_to_wait(self._computed, elapsed, busy)
        if waits and not self.is_waiting:
            # On a loaded machine a call that computes may get no processor for a while.
            is_clear = busy <= 1 or elapsed > _DOUBT or self._is_still(elapsed)
            waits = is_clear and not is_runnable(self.thread)
        self.is_waiting = waits
        return True

    @property
    def is_slow(self) -> bool:
        """Whether its call, which is stalled, is known to wait or to compute for long.

        Else it may be quick, and its thread just had no processor since the look before: the whole
        process was stopped, or others had the processor, or the interpreter's lock.
        """
        return self.is_waiting or self._computed >= _COMPUTED or not HAS_CPU_CLOCKS

    def _is_still(self, elapsed: float) -> bool:
        """Return whether the thread has not stirred in its call.

        One that wants the interpreter's lock waits for it five milliseconds at a time
        (`sys.setswitchinterval`); one that sleeps or reads does not wake in between.
        """
        if elapsed < 1.3 * sys.getswitchinterval() or self._seen_waits < 0:
            return False
        return count_waits(self.thread) == self._seen_waits

    def run_slice(self, job: Job) -> None:
        """Call the nodes in `todo`, one after the other, up to a failure; the lock is not held."""
        if self.deadline is not None:
            self._run_timed(job)
            return
        nodes, values, needs, look_up = job.nodes, job.values, job.needs, job.look_up
        self._begin_record(job)
        todo, done, times = self.todo, self._done, self._times
        value_of = values.__getitem__
        placeholders, copy_context, op, now = PLACEHOLDERS, job.context.copy, Op, time.time
        while todo:
            try:
                number = todo.pop()
            except IndexError:  # the watch took the rest in this very moment
                return
            self.current = number
            node = nodes[number]
            try:
                if type(node) is op and node._kwargs is None and not node._nested:
                    # As `Op.call` does; this is where the time of tiny calls goes.
                    args, mine = node._args, needs[number]
                    if len(args) == 1:  # as most have
                        values[number] = copy_context().run(
                            node._callee.func, values[mine[0]] if mine else args[0]
                        )
                    elif len(mine) == len(args):  # each is a node of its own
                        values[number] = copy_context().run(node._callee.func, *map(value_of, mine))
                    else:
                        filled = [look_up(a) if type(a) in placeholders else a for a in args]
                        values[number] = copy_context().run(node._callee.func, *filled)
                else:
                    values[number] = copy_context().run(node.evaluate, look_up)
            except BaseException as error:
                if times:
                    self._note_failing(job, number)
                self._failed.append((number, error))
                return  # the next one may be there only because this one was to succeed
            if times:  # first, as whoever takes what is done takes their times along
                self.started = ended = now()
                times.append(ended)
            done.append(number)

    def _run_timed(self, job: Job) -> None:
        """Call the one node in `todo`; its value counts only if it comes in time."""
        self._begin_record(job)
        try:
            number = self.current = self.todo.pop()
        except IndexError:  # the run was stopped in this very moment
            return
        begun = time.monotonic()
        try:
            value = job.context.copy().run(job.nodes[number].evaluate, job.look_up)
            if self.timeout is not None and time.monotonic() - begun > self.timeout:
                raise job.timed_out(number, self.timeout)  # the watch may not have seen it
        except BaseException as error:
            self._failed.append((number, error))
            return
        with self._lock:
            if self.abandoned:  # another attempt may have given its value
                return
            job.values[number] = value
            if self._times:
                self._times.append(time.time())
            self._done.append(number)

    def _begin_record(self, job: Job) -> None:
        """Note when a slice begins, if anybody observes."""
        if job.state.events is None:
            self._times = []
            return
        self.started = time.time()
        self._times = [self.started]
        if self.costly is not None or self.deadline is not None:
            self.note_started(job, self.todo[-1])

    def _note_failing(self, job: Job, number: int) -> None:
        """Record when and where a call began that has failed, unless that was told before."""
        with self._lock:  # the watch may be about to tell the same
            if not self.abandoned:
                self.note_started(job, number)

    def note_started(self, job: Job, number: int) -> None:
        """Record, once, that the thread calls a node now, or still."""
        if job.state.events is not None and number >= 0:
            node, attempt = job.nodes[number], job.state.attempt(number)
            if self._noted == (job.state.name, number, attempt):
                return
            self._noted = job.state.name, number, attempt
            job.state.events.append(
                NodeStarted(self.started, node, node.label, attempt, self.thread.name)
            )
