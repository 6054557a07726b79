"""Coroutine nodes: tasks that carry them, one task for all that do not suspend.

A task a node would cost more than most coroutines do. So one task, the *carrier*, steps one ready
coroutine after the other by hand, in slices as threads do: what waits for nothing but nodes of the
slice is in it too. One that ends without suspending costs little more than a call. If one suspends,
the carrier becomes that node's own task from there on, as ``asyncio.current_task()``, timeouts and
task groups expect; the rest of the slice goes back to the schedule, and a new carrier comes for it.

Coroutines are stepped through a generator that lives on from one to the next, `_Steps`: so the
interpreter just passes on what a coroutine returns, where its ``send`` would raise a StopIteration.
The steps in which a coroutine suspends are that node's own, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from typing import TYPE_CHECKING, Any

from ...deferred.links import NODE, RUN, Caller
from ...errors import ExecutorError
from ...events import NodeFinished, NodeStarted
from ..policy import Failure
from .watch import NODES_TASK

if TYPE_CHECKING:
    from .engine import ThreadEngine
    from .job import Job

__all__ = ["Carriers"]

_TURN = 0.005  # seconds after which the event loop gets its turn
_LARGEST_SLICE = 256
_WHERE = "event loop"


class _Suspended:
    """A coroutine node that has suspended, and the task that is its own since then."""

    __slots__ = ("demand", "expired", "number", "started", "task", "timer")

    def __init__(self, number: int, task: asyncio.Task[Any], started: float, demand: Any) -> None:
        self.number = number
        self.task = task
        self.started = started
        self.demand = demand  # the resources it holds
        self.expired = False  # its result no longer counts: it timed out, or its run was stopped
        self.timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        if not self.task.done():
            self.task.cancel()


class Carriers:
    """The carriers of one job, all on one event loop.

    Parameters
    ----------
    engine : ThreadEngine
    job : Job
    loop : asyncio.AbstractEventLoop
    """

    def __init__(self, engine: ThreadEngine, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._job = job
        self.loop = loop
        job.context.run(RUN.set, job.state.name)
        # Whether anything depends on when a node starts and ends.
        self._is_clocked = job.has_timeouts or job.state.events is not None
        self._is_carried = False  # whether a carrier is there, or called, to take what is ready
        self._is_stepping = False  # whether a node may be in its first step
        self._todo: list[int] = []  # the rest of the carrier's slice, the next one last
        self._slice_size = 1
        self._turn_ends = 0.0
        self._steps = _Steps(job)
        self._done: list[int] = []  # what has ended since the last report
        self._failed: list[tuple[int, BaseException]] = []
        self.suspended: dict[int, _Suspended] = {}
        """By number: the nodes that have tasks of their own."""
        self._tasks: set[asyncio.Task[None]] = set()
        # By number: the resources of the nodes it has taken; a suspended one has its own.
        self._demands: dict[int, Mapping[str, float]] = {}

    @property
    def is_quiet(self) -> bool:
        """Whether no node has begun that has not ended."""
        return not (self.suspended or self._is_stepping)

    def kick(self) -> None:
        """See that a carrier comes for what is ready; any thread, the lock is held."""
        if self._is_carried or not (self._job.coroutines or self._todo):
            return
        self._is_carried = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: `check_loop` deals with that
            self.loop.call_soon_threadsafe(self._begin)

    def check_loop(self) -> None:
        """End the run if its loop is closed; the lock is held."""
        if not self.loop.is_closed():
            return
        for node in self.suspended.values():
            self._release(node.demand)
        self.suspended.clear()
        self._is_stepping = False
        self._job.state.stop(
            lambda node: ExecutorError(
                f"the event loop of the run was closed before {node.label} finished",
                node=node,
                label=node.label,
            )
        )
        self._engine.retire(self._job)

    def stop(self) -> None:
        """Cancel what has suspended; the lock is held."""
        self._take_todo()
        for node in self.suspended.values():
            node.expired = True
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks with it
                self.loop.call_soon_threadsafe(node.cancel)

    def _take_todo(self) -> list[int]:
        """Return what the carrier has not begun, the next one last; the lock is held."""
        rest = []
        while self._todo:
            try:
                rest.append(self._todo.pop())
            except IndexError:  # the carrier, which needs no lock for it, has just taken the last
                break
        for number in rest:
            self._release(self._demands.pop(number, None))
        return rest[::-1]

    def _begin(self) -> None:
        task = self.loop.create_task(self._carry(), name=NODES_TASK)
        self._tasks.add(task)  # a loop keeps only weak references to its tasks
        task.add_done_callback(self._has_ended)

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            # Between two nodes, by the loop itself, as asyncio.run does at its end.
            with self._engine.lock:
                self._job.state.stop()
        elif (error := task.exception()) is not None:
            with self._engine.lock:
                self._is_stepping = False
                self._engine.internal_error([self._job.state], error)

    async def _carry(self) -> None:
        self._begin_turn()
        while self._refill():
            rest = self._advance()
            if rest is not None:
                await rest
                if not self._take_over():
                    return
                self._begin_turn()
            elif time.monotonic() > self._turn_ends:
                self._pause()
                await asyncio.sleep(0)
                self._begin_turn()

    def _begin_turn(self) -> None:
        self._turn_ends = time.monotonic() + _TURN

    def _advance(self) -> Coroutine[Any, Any, None] | None:
        """Step one node after the other, once each.

        Returns
        -------
        coroutine or None
            What to await, as the last one has suspended; None: none is left, or the last one has
            failed, or the turn is over.
        """
        todo, done, values, is_clocked = self._todo, self._done, self._job.values, self._is_clocked
        copy_context, now, turn_ends = self._job.context.copy, time.monotonic, self._turn_ends
        steps, started = self._steps, 0.0
        step, ended = steps.begin, steps.ended
        while todo:
            try:
                number = todo.pop()
            except IndexError:  # the run was stopped in this very moment
                break
            if is_clocked:
                started = self._note_started(number)
            run = copy_context().run
            try:
                waited_for = run(step, number)
            except BaseException as error:
                self._failed.append((number, error))
                self._steps = _Steps(self._job)
                break  # the next one may be there only because this one was to succeed
            if waited_for is not ended:
                self._steps = _Steps(self._job)
                return self._see_through(
                    self._suspend(number, started), steps.rest(waited_for, run)
                )
            if not is_clocked:
                values[number] = ended.value
                done.append(number)
            elif not self._has_ended_in_time(number, ended.value, started):
                break
            if now() > turn_ends:
                break
        ended.value = None
        return None

    def _pause(self) -> None:
        """Report what has ended before the loop gets its turn."""
        with self._engine.lock:
            self._is_stepping = False
            self._report()
            self._shorten_slices()
            self._engine.wake(self._job)

    def _refill(self) -> bool:
        """Report what has ended; see that there is a slice; return whether there is."""
        with self._engine.lock:
            self._report()
            while not self._todo and (numbers := self._job.take_coroutines(self._slice_size)):
                begun = [number for number in numbers if self._acquire(number)]
                self._todo += self._job.with_followers(begun, self._slice_size)
                self._slice_size = min(2 * self._slice_size, _LARGEST_SLICE)
            self._engine.wake(self._job)
            self._is_carried = self._is_stepping = bool(self._todo)
            self._leave()
            return self._is_carried

    def _leave(self) -> None:
        """Once the run is over and the last of its nodes has unwound, tell those who wait."""
        if self._job.schedule.is_over and self.is_quiet:
            self._job.state.settle()
            self._engine.retire(self._job)

    def _acquire(self, number: int) -> bool:
        options = self._job.guarded.get(number)
        if options is None or not options.resources:
            return True
        if not self._engine.acquire(self._job, number, options.resources):
            return False
        self._demands[number] = options.resources
        return True

    def _release(self, demand: Mapping[str, float] | None) -> None:
        if demand:
            self._engine.release(demand)

    def _take_over(self) -> bool:
        """After a node of its own: be the carrier again, if nobody else is and there is work."""
        with self._engine.lock:
            if _is_cancelling(asyncio.current_task()):  # the next node would take it for itself
                self.kick()
                return False
            if self._is_carried or not (self._job.coroutines or self._todo):
                return False
            self._is_carried = self._is_stepping = True
            return True

    def _report(self) -> None:
        done, self._done = self._done, []
        failed, self._failed = self._failed, []
        if self._demands:
            for number in (*done, *(number for number, _ in failed)):
                self._release(self._demands.pop(number, None))
        if done:
            self._job.state.finished(done)
        if failed:
            self._give_back()
        for number, error in failed:
            self._engine.attempt_failed(self._job, number, Failure.of(error))

    def _give_back(self) -> None:
        """Return the rest of the slice, which waits or may not begin, to the schedule."""
        self._job.schedule.put_back(self._take_todo())
        self._shorten_slices()

    def _shorten_slices(self) -> None:
        self._slice_size = max(1, self._slice_size // 2)

    def _note_started(self, number: int) -> float:
        """Return the time; record that a node starts now."""
        started = time.time()
        if self._job.state.events is not None:
            node, attempt = self._job.nodes[number], self._job.state.attempt(number)
            self._job.state.events.append(NodeStarted(started, node, node.label, attempt, _WHERE))
        return started

    def _has_ended_in_time(self, number: int, value: Any, started: float) -> bool:
        """Note a node's value, unless it has outlived its timeout; return whether it has not."""
        timeout = self._job.timeout_of(number)
        if timeout is not None and time.time() - started > timeout:  # it kept the loop from saying
            self._failed.append((number, self._job.timed_out(number, timeout)))
            return False
        self._note_ended(number, value, started)
        return True

    def _note_ended(self, number: int, value: Any, started: float) -> None:
        self._job.values[number] = value
        self._done.append(number)
        if self._job.state.events is not None:
            node, attempt = self._job.nodes[number], self._job.state.attempt(number)
            self._job.state.events.append(
                NodeFinished(time.time(), node, node.label, attempt, _WHERE, started)
            )

    # Nodes that suspend

    def _suspend(self, number: int, started: float) -> _Suspended:
        """From now on the carrier is the task of this node; another one takes over the rest."""
        task = asyncio.current_task()
        assert task is not None
        with self._engine.lock:
            node = _Suspended(number, task, started, self._demands.pop(number, None))
            self.suspended[number] = node
            self._is_carried = self._is_stepping = False
            if self._job.schedule.stopped:
                node.expired = True
                self.loop.call_soon(node.cancel)
            self._report()
            self._give_back()
            self._engine.wake(self._job)
        timeout = self._job.timeout_of(number)
        if timeout is not None:
            left = max(0.0, started + timeout - time.time())
            node.timer = self.loop.call_later(left, self._expire, node, timeout)
        return node

    async def _see_through(self, node: _Suspended, rest: Awaitable[Any]) -> None:
        try:
            value = await rest
        except BaseException as error:
            if not node.expired:
                if isinstance(error, asyncio.CancelledError) and _is_cancelling(node.task):
                    # The loop itself cancels its tasks, as asyncio.run does at its end. A
                    # CancelledError that the node raised by itself is a failure like any other.
                    with self._engine.lock:
                        self._job.state.stop()
                else:
                    self._failed.append((node.number, error))
        else:
            if not node.expired:
                self._note_ended(node.number, value, node.started)
        if node.timer is not None:
            node.timer.cancel()
        with self._engine.lock:
            if self.suspended.get(node.number) is node:
                del self.suspended[node.number]
                self._release(node.demand)
            self._report()
            self._engine.wake(self._job)
            self._leave()

    def _expire(self, node: _Suspended, timeout: float) -> None:
        if node.expired:
            return
        node.expired = True
        failure = Failure(self._job.timed_out(node.number, timeout), "", None)
        with self._engine.lock:
            self._engine.attempt_failed(self._job, node.number, failure)
        node.cancel()


class _Ended:
    """What `_Steps` yield when a coroutine has ended, as nothing that a coroutine yields is."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Any = None


class _Steps:
    """Makes and steps coroutines, one after the other, up to one that raises or suspends.

    Attributes
    ----------
    begin : callable
        Takes a node's number; called in that node's own context. Returns what the node's coroutine
        waits for, or `ended`.
    ended : _Ended
        Holds what the last coroutine returned.
    """

    __slots__ = ("_generator", "begin", "ended")

    def __init__(self, job: Job) -> None:
        self.ended = _Ended()
        self._generator = _step(job, self.ended)
        self._generator.send(None)
        self.begin = self._generator.send

    @types.coroutine
    def rest(self, waited_for: Any, run: Callable[..., Any]) -> Generator[Any, Any, Any]:
        """Await the rest of a coroutine that waits for something, each step through `run`."""
        generator = self._generator
        while waited_for is not self.ended:
            try:
                sent = yield waited_for
            except GeneratorExit:
                generator.close()
                raise
            except BaseException as error:
                waited_for = run(generator.throw, error)
            else:
                waited_for = run(generator.send, sent)
        return self.ended.value


@types.coroutine
def _step(job: Job, ended: _Ended) -> Generator[Any, Any, None]:
    starts = job.schedule.starts
    nodes, values, needs, look_up = job.nodes, job.values, job.needs, job.look_up
    number = yield
    while True:
        again = number in starts
        NODE.set(Caller((job.state.name, number), starts[number]) if again else number)
        ended.value = yield from nodes[number].call(values, needs[number], look_up)
        number = yield ended


def _is_cancelling(task: asyncio.Task[Any] | None) -> bool:
    # Python 3.10 does not count cancellations; there, what a task raises is taken as its own.
    return bool(task.cancelling()) if task and hasattr(task, "cancelling") else False
