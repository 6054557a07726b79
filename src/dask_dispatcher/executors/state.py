"""The inside of one run: its plan and schedule, its values, errors, and those who wait for it.

An engine reports what happened through ``finished``, ``attempt_failed``, ``lost`` and ``stop``,
always with the executor's lock held; everybody else waits and reads. The state outlives its run for
as long as a `NodeFuture` refers to it, so that a value can be fetched, or computed again, later.

References go one way, `Run` -> `NodeFuture` -> `RunState`, so that values go as soon as the last
reference does, without waiting for the cycle collector.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..arguments import described_arguments
from ..errors import (
    DependencyError,
    DispatcherError,
    ExecutorError,
    RunCancelledError,
    WorkerLostError,
    safe_text,
    shown,
)
from ..events import NodeFailed, NodeLost, NodeRetried, NodeStarted
from ..futures import NodeFuture
from ..results import Err, Ok, Result
from ..schedule import CANCELLED, DONE, FAILED, FINAL, RELEASED, RUNNING, Schedule
from .policy import Failure

if TYPE_CHECKING:
    from ..plan import Plan
    from .engine import Engine

__all__ = ["RunState", "cancelled"]

log = logging.getLogger("dask_dispatcher")


class RunState:
    """One run of one plan on one executor.

    Attributes
    ----------
    name : str
        Unique; of no meaning.
    values : list
        By number: the value of a finished node, or what the engine keeps in its place.
    errors : dict of int to DispatcherError
        By number: why a node failed; its dependents find it through `Schedule.root`.
    failures : dict of int to int
        By number: how many attempts have failed.
    watchers : list of callable
        Called, with the lock held, when a requested node has ended, and when the run is over.
    events : deque of Event or Finished, or None
        What observers are to be told next; None if nobody observes single nodes.
    interrupt : BaseException or None
        A KeyboardInterrupt that a node raised; whoever waits for the run raises it again.
    defunct : str or None
        Why there are no values any more: the executor was reset or closed.
    """

    def __init__(self, owner: Engine, plan: Plan, *, fail_fast: bool) -> None:
        self.name = uuid.uuid4().hex
        self.owner = owner
        self.plan = plan
        self.fail_fast = fail_fast
        self.watchers: list[Callable[[], None]] = []
        self.values: list[Any] = [None] * len(plan.nodes)
        self.errors: dict[int, DispatcherError] = {}
        self.failures: dict[int, int] = {}
        self.events: deque[Any] | None = None
        self.interrupt: BaseException | None = None
        self.defunct: str | None = None
        self._cancel_error: Callable[[Any], ExecutorError] = cancelled
        awaited = self._take_inputs()
        self.schedule = Schedule(plan, owner.policy.max_losses, awaited)
        self._announced = 0
        self._began = time.monotonic()
        self._is_told_over = False
        for number, future in awaited.items():
            self._await_input(number, future)

    # Inputs that are futures

    def _take_inputs(self) -> dict[int, NodeFuture[Any]]:
        """Fill in the given values; return the futures that have not ended, or have failed."""
        awaited = {}
        for number, value in list(self.plan.given.items()):
            if type(value) is not NodeFuture:
                self.values[number] = self.owner.hold(value)
            elif value._checked().has_succeeded(value._number):
                self.values[number] = self.owner.adopt(value)
            else:
                awaited[number] = value
                del self.plan.given[number]
        return awaited

    def _await_input(self, number: int, future: NodeFuture[Any]) -> None:
        other = future._checked()

        def settle() -> None:
            error = other.error_of(future._number)
            if self.schedule.is_over:
                return
            if error is not None:
                self.fail(number, error)
                return
            try:
                self.values[number] = self.owner.adopt(future)
            except DispatcherError as lost:  # between its end and now
                self.fail(number, lost)
            else:
                self.finished([number])

        other.when_ended(future._number, lambda: self.owner.post(settle))

    def await_again(self, number: int) -> None:
        """Wait once more for an input whose value was lost, and is computed anew by its own run."""
        future = self.plan.given.pop(number)
        self.schedule.await_again(number)
        self._await_input(number, future)

    # What the engine reports; the executor's lock is held

    def finished(self, numbers: Iterable[int]) -> None:
        """Note that nodes have their values, which are in `values` by now."""
        self.schedule.finish(numbers)
        self.settle()

    def settle(self) -> None:
        """Drop the values nobody needs, and tell those who wait."""
        schedule = self.schedule
        if schedule.freed:
            freed, schedule.freed = schedule.freed, []
            self.owner.free(self, freed)
        if len(schedule.settled) != self._announced or schedule.is_over:
            self._announced = len(schedule.settled)
            self._log_end()
            for watcher in tuple(self.watchers):
                watcher()

    def _log_end(self) -> None:
        schedule = self.schedule
        if schedule.is_over and not self._is_told_over:
            self._is_told_over = True
            seconds = time.monotonic() - self._began
            counts = schedule.done, schedule.failed
            log.info("run %.8s ended after %.3f s: %d done, %d failed", self.name, seconds, *counts)

    def attempt_failed(self, number: int, failure: Failure) -> float | None:
        """Note that an attempt failed.

        Returns
        -------
        float or None
            The seconds after which the engine is to call ``resume``, if the node is tried again.
        """
        if self.schedule.state[number] != RUNNING:  # its run was stopped, or it has ended already
            return None
        self.failures[number] = self.failures.get(number, 0) + 1
        options = self.plan.options(number)
        delay = self.owner.policy.delay_before_retry(options, self.failures[number], failure.cause)
        if delay is not None and not self.schedule.stopped:
            self._note_attempt(NodeRetried, number, failure, delay, failure.traceback)
            self.schedule.retry(number)
            return delay
        error = self.dependency_error(number, failure)
        self._note_attempt(NodeFailed, number, failure, failure.traceback, error.arguments)
        self.fail(number, error)
        # One that came up on a worker interrupts nobody here.
        if isinstance(failure.cause, KeyboardInterrupt) and failure.worker is None:
            self.interrupt = failure.cause
            self.stop()
        return None

    def fail(self, number: int, error: DispatcherError) -> None:
        """Note that a node failed for good."""
        self.errors[number] = error
        self.schedule.fail(number)
        if self.fail_fast:
            self.stop()
        else:
            self.settle()

    def lost(
        self, running: Iterable[int], values: Iterable[int], worker: str | None, reason: str
    ) -> None:
        """Note that a worker is gone, with what it ran and what it alone held."""
        running, values = list(running), list(values)
        schedule = self.schedule
        again = schedule.lose(running, values)
        if self.events is not None:
            now = time.time()
            for number in dict.fromkeys((*running, *values, *again)):
                node = self.plan.nodes[number]
                self.events.append(NodeLost(now, node, node.label, worker))
        exhausted, schedule.exhausted = schedule.exhausted, []
        for number in exhausted:
            self._fail_lost(number, worker, reason)
        self.settle()

    def _fail_lost(self, number: int, worker: str | None, reason: str) -> None:
        node = self.plan.nodes[number]
        lost = WorkerLostError(
            f"{shown(node.label)} was lost with its worker {self.schedule.losses[number]} times, "
            f"more than max_losses allows; last: {reason}",
            node=node,
            label=node.label,
        )
        self.fail(number, self.dependency_error(number, Failure(lost, "", worker)))

    def stop(self, error: Callable[[Any], ExecutorError] | None = None) -> None:
        """End the run: what has not finished gets ``error(node)``.

        By default that is a RunCancelledError.
        """
        if not self.schedule.stopped:
            self._cancel_error = error or cancelled
            self.owner.stop(self, self.schedule.stop())
        self.settle()

    def cancel(self, numbers: Iterable[int]) -> None:
        """Give nodes up, and what depends on them; the rest of the run goes on."""
        numbers = list(numbers)
        running = self.schedule.cancel(numbers)
        self.owner.give_up(self, running)
        for number in numbers:
            self.values[number] = None
        self.settle()

    def note_started(self, number: int, began: float, worker: str) -> None:
        """Tell observers, if there are any, that an attempt is under way, and since when."""
        if self.events is not None:
            node = self.plan.nodes[number]
            event = NodeStarted(began, node, node.label, self.attempt(number), worker)
            self.events.append(event)

    def _note_attempt(self, record: Any, number: int, failure: Failure, *more: Any) -> None:
        if self.events is not None:
            node, attempt = self.plan.nodes[number], self.attempt(number)
            event = record(
                time.time(), node, node.label, attempt, failure.worker, failure.cause, *more
            )
            self.events.append(event)

    def dependency_error(self, number: int, failure: Failure) -> DependencyError:
        """Return the error of a node that failed for good, and of all that depend on it."""
        node, attempts = self.plan.nodes[number], self.attempt(number)
        often = f" after {attempts} attempts" if attempts > 1 else ""
        where = f" on {failure.worker}" if failure.worker else ""
        cause = failure.cause
        error = DependencyError(
            f"{shown(node.label)} failed{often}{where}: {type(cause).__name__}: "
            f"{safe_text(cause, 500)}",
            node=node,
            label=node.label,
            attempts=attempts,
            worker=failure.worker,
            traceback=failure.traceback,
            origin=node.origin,
            arguments=described_arguments(node, self._look_up),
        )
        error.__cause__ = cause
        return error

    def _look_up(self, node: Any) -> Any:
        return self.owner.look(self, self.plan.index[node])

    def attempt(self, number: int) -> int:
        """Return how often a node has been started."""
        return self.schedule.starts.get(number, 1)

    # What others ask

    def has_ended(self, number: int) -> bool:
        """Return whether a node has a value or an error."""
        return self.schedule.state[number] in FINAL

    def has_succeeded(self, number: int) -> bool:
        """Return whether a node has a value."""
        return self.defunct is None and self.schedule.state[number] in (DONE, RELEASED)

    def error_of(self, number: int) -> DispatcherError | None:
        """Return the error of a node that has ended; None if it succeeded.

        Who asks for what had succeeded before the executor was reset or closed is told where it
        has gone.
        """
        node, state = self.plan.nodes[number], self.schedule.state[number]
        if state == FAILED:
            return self.errors[self.schedule.root[number]]
        if state == CANCELLED:
            return self._cancel_error(node)
        if self.defunct is None:
            return None
        return ExecutorError(self.defunct, node=node, label=node.label)

    def result(self, number: int, future: NodeFuture[Any]) -> Result[NodeFuture[Any]]:
        """Return what a node that has ended ended in."""
        error = self.error_of(number)
        return Ok(future) if error is None else Err(error)

    def describe(self, number: int) -> str:
        """Return the state of a node in a word."""
        if self.defunct is not None:
            return "gone"
        if not self.has_ended(number):
            return "pending"
        return "error" if self.error_of(number) is not None else "ready"

    def wait_until(self, is_true: Callable[[], bool], timeout: float | None) -> bool:
        """Wait for a condition on this state; return whether it came true in time."""
        if is_true():
            return True
        # A queue, as a Condition that Ctrl-C interrupts may leave its lock in a wrong state.
        woken: queue.SimpleQueue[None] = queue.SimpleQueue()

        def watch() -> None:
            woken.put(None)

        deadline = None if timeout is None else time.monotonic() + timeout
        with self.owner.waiting(self):
            with self.owner.lock:
                self.watchers.append(watch)
            try:
                while not is_true():
                    left = None if deadline is None else max(0.0, deadline - time.monotonic())
                    try:
                        woken.get(timeout=left)
                    except queue.Empty:
                        return is_true()
            finally:
                with self.owner.lock:
                    self.watchers.remove(watch)
        return True

    def wait_for(self, number: int, timeout: float | None) -> bool:
        """Wait until a node has ended."""
        if self.has_ended(number):
            return True
        return self.wait_until(lambda: self.has_ended(number), timeout)

    def when_ended(self, number: int, callback: Callable[[], None]) -> None:
        """Call back, once, when a node has ended; at once if it has."""

        def watch() -> None:
            if self.has_ended(number):
                self.watchers.remove(watch)
                callback()

        with self.owner.lock:
            self.watchers.append(watch)
            watch()

    async def wait_async(self, is_true: Callable[[], bool]) -> None:
        """Wait, in a coroutine, for a condition on this state."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()

        def watch() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits there
                loop.call_soon_threadsafe(event.set)

        with self.owner.lock:
            self.watchers.append(watch)
        try:
            with self.owner.making_room():
                while not is_true():
                    await event.wait()
                    event.clear()
        finally:
            with self.owner.lock:
                self.watchers.remove(watch)

    def fetch(self, number: int, timeout: float | None) -> Any:
        """Return the value of a node, waiting for it if need be."""
        started = time.monotonic()
        if not self.wait_for(number, timeout):
            node = self.plan.nodes[number]
            raise TimeoutError(f"{node!r} has not ended after {timeout} s")
        error = self.error_of(number)
        if error is not None:
            raise error.with_traceback(None)
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - started))
        return self.owner.fetch(self, number, left)

    async def fetch_async(self, number: int) -> Any:
        """Return the value of a node in a coroutine, waiting for it if need be."""
        await self.wait_async(lambda: self.has_ended(number))
        return await asyncio.to_thread(self.fetch, number, None)

    def discard(self, number: int) -> None:
        """Let go of a value that no future refers to any more."""
        if self.schedule.is_over and self.defunct is None:
            self.values[number] = None

    def forget(self, reason: str) -> None:
        """Let go of what a run that is over has computed; from now on `fetch` says `reason`.

        The lock is held.
        """
        assert self.schedule.is_over
        self.defunct = reason
        self.values = []
        self.settle()


def cancelled(node: Any, why: str = "the run was stopped") -> ExecutorError:
    """Return the error of a node that did not finish, as something ended its run."""
    text = f"{why} before {shown(node.label)} finished"
    return RunCancelledError(text, node=node, label=node.label)
