"""Coroutine nodes: tasks that carry them, one task for all that do not suspend.

A task a node would cost more than most coroutines do. So one task, the *carrier*, calls one ready
coroutine after the other, and steps it by hand. One that ends without suspending costs little more
than a call. If one suspends, the carrier becomes that node's own task from there on, as
``asyncio.current_task()``, timeouts and task groups expect, and a new carrier takes over the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import TYPE_CHECKING, Any

from ...deferred.links import NODE, Caller
from ...errors import ExecutorError
from ...events import NodeFinished, NodeStarted
from ..policy import Failure
from .watch import NODES_TASK

if TYPE_CHECKING:
    from .engine import ThreadEngine
    from .job import Job

__all__ = ["Carriers"]

_TURN = 0.005  # seconds after which the event loop gets its turn
_BATCH = 256
_WHERE = "event loop"
_new: Any = tuple.__new__  # makes a named tuple in half the time


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
        # Whether anything depends on when a node starts and ends.
        self._is_clocked = job.has_timeouts or job.state.events is not None
        self._is_carried = False  # whether a carrier is there, or called, to take what is ready
        self._is_stepping = False  # whether a node may be in its first step
        self._todo: deque[int] = deque()  # what the carrier has taken
        self._turn_ends = 0.0
        self._done: list[int] = []  # what has ended since the last report
        self._failed: list[tuple[int, BaseException]] = []
        self.suspended: dict[int, _Suspended] = {}
        """By number: the nodes that have tasks of their own."""
        self._tasks: set[asyncio.Task[None]] = set()
        # By number: the resources of the nodes it has taken; a suspended one has its own.
        self._demands: dict[int, Mapping[str, float]] = {}
        self._unbound = job.coroutine_nodes.difference(
            number for number, options in job.guarded.items() if options.resources
        )
        """The nodes that need no resources."""

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
        while True:
            try:
                number = self._todo.popleft()  # the carrier does so too, without the lock
            except IndexError:
                break
            self._release(self._demands.pop(number, None))
        for node in self.suspended.values():
            node.expired = True
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks with it
                self.loop.call_soon_threadsafe(node.cancel)

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
            while self._todo:
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
                    if not self._go_on():
                        break

    def _begin_turn(self) -> None:
        self._turn_ends = time.monotonic() + _TURN

    def _advance(self) -> Coroutine[Any, Any, None] | None:
        """Step one node after the other, once each.

        Returns
        -------
        coroutine or None
            What to await, as the last one has suspended; None: none is left, or the turn is over.
        """
        todo, step, now, turn_ends = self._todo, self._step, time.monotonic, self._turn_ends
        while todo:
            try:
                number = todo.popleft()
            except IndexError:  # the run was stopped in this very moment
                return None
            while number >= 0:
                rest = step(number)
                if rest is not None:
                    return rest
                number = self._next_in_line(number)
                if now() > turn_ends:
                    if number >= 0:
                        todo.appendleft(number)
                    return None
        return None

    def _pause(self) -> None:
        """Report what has ended before the loop gets its turn."""
        with self._engine.lock:
            self._is_stepping = False
            self._report()
            self._engine.wake(self._job)

    def _go_on(self) -> bool:
        """Return whether the run still goes on after a pause."""
        with self._engine.lock:
            self._is_stepping = not self._job.schedule.stopped
            return self._is_stepping

    def _refill(self) -> bool:
        """Report what has ended; take what is ready; return whether there is anything."""
        with self._engine.lock:
            self._report()
            while not self._todo and (numbers := self._job.take_coroutines(_BATCH)):
                self._todo.extend(number for number in numbers if self._acquire(number))
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
        if number in self._unbound:
            return True
        demand = self._job.guarded[number].resources
        assert demand is not None
        if not self._engine.acquire(self._job, number, demand):
            return False
        self._demands[number] = demand
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

    def _next_in_line(self, number: int) -> int:
        """Begin the coroutine that waited for this one alone, without a turn of the schedule."""
        with self._engine.lock:
            if self._failed:  # which may stop the run, and then nothing new is to begin
                self._report()
                return -1
            return self._job.schedule.take_next(number, self._unbound)

    def _report(self) -> None:
        done, self._done = self._done, []
        failed, self._failed = self._failed, []
        if self._demands:
            for number in (*done, *(number for number, _ in failed)):
                self._release(self._demands.pop(number, None))
        if done:
            self._job.state.finished(done)
        for number, error in failed:
            self._engine.attempt_failed(self._job, number, Failure.of(error))

    def _step(self, number: int) -> Coroutine[Any, Any, None] | None:
        """Step a node once; return what to await if it has suspended."""
        job, is_clocked = self._job, self._is_clocked
        run = job.context.copy().run
        timeout, started = None, 0.0
        if is_clocked:
            timeout, started = job.timeout_of(number), time.time()
            self._note_started(number, started)
        caller = _new(Caller, ((job.state.name, number), job.state.attempt(number)))
        try:
            coroutine, waited_for = run(_begin, caller, job, number)
        except StopIteration as end:
            if is_clocked:
                self._ended(number, end.value, started, timeout)
            else:
                job.values[number] = end.value
                self._done.append(number)
        except BaseException as error:
            self._failed.append((number, error))
        else:
            return self._see_through(
                self._suspend(number, started, timeout), coroutine, waited_for, run
            )
        return None

    def _ended(self, number: int, value: Any, started: float, timeout: float | None) -> None:
        if timeout is not None and time.time() - started > timeout:  # it kept the loop from saying
            self._failed.append((number, self._job.timed_out(number, timeout)))
            return
        self._job.values[number] = value
        self._done.append(number)
        if self._job.state.events is not None:
            node, attempt = self._job.nodes[number], self._job.state.attempt(number)
            self._job.state.events.append(
                NodeFinished(time.time(), node, node.label, attempt, _WHERE, started)
            )

    def _note_started(self, number: int, started: float) -> None:
        if self._job.state.events is not None:
            node, attempt = self._job.nodes[number], self._job.state.attempt(number)
            self._job.state.events.append(NodeStarted(started, node, node.label, attempt, _WHERE))

    # Nodes that suspend

    def _suspend(self, number: int, started: float, timeout: float | None) -> _Suspended:
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
            self._engine.wake(self._job)
            self.kick()
        if timeout is not None:
            left = max(0.0, started + timeout - time.time())
            node.timer = self.loop.call_later(left, self._expire, node, timeout)
        return node

    async def _see_through(
        self, node: _Suspended, coroutine: Any, waited_for: Any, run: Callable[..., Any]
    ) -> None:
        try:
            value = await _drive(coroutine, waited_for, run)
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
                self._ended(node.number, value, node.started, None)
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


def _begin(caller: Caller, job: Job, number: int) -> tuple[Any, Any]:
    """Make and step a node's coroutine, in its own context; return it, and what it waits for."""
    NODE.set(caller)
    coroutine = job.nodes[number].call(job.values, job.needs[number], job.look_up)
    return coroutine, coroutine.send(None)


@types.coroutine
def _drive(coroutine: Any, waited_for: Any, run: Callable[..., Any]) -> Generator[Any, Any, Any]:
    """Await the rest of a coroutine that waits for something, each step through `run`."""
    while True:
        try:
            try:
                sent = yield waited_for
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:
                waited_for = run(coroutine.throw, error)
            else:
                waited_for = run(coroutine.send, sent)
        except StopIteration as end:
            return end.value


def _is_cancelling(task: asyncio.Task[Any] | None) -> bool:
    # Python 3.10 does not count cancellations; there, what a task raises is taken as its own.
    return bool(task.cancelling()) if task and hasattr(task, "cancelling") else False
