"""`Drive`: the loop behind executors that begin nodes one by one and are told when they end.

One thread owns the runs. It sleeps on a queue until somebody posts, or a timer is due; then, with
the lock held, it lets each post do its work and begins what is ready, one node a run in turn, so
that a short run does not wait behind a long one.

::

    user's threads --launch, cancel-->  queue --> [drive thread] --begin--> pool, cluster, ...
    pool's threads --ended----------->                  |
                                          schedule, timers, retries

`PoolDrive` drives what a third party's executor gives: a method that submits a callable and returns
a ``concurrent.futures.Future``.
"""

from __future__ import annotations

import concurrent.futures
import heapq
import itertools
import logging
import os
import queue
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..call import Call, bind
from ..errors import NodeTimeoutError, shown
from ..events import NodeFinished, NodeStarted
from .engine import Engine
from .policy import Failure
from .shares import Shares

if TYPE_CHECKING:
    from .policy import Policy
    from .state import RunState

__all__ = ["Drive", "PoolDrive"]

log = logging.getLogger("dask_dispatcher")


class Drive(Engine):
    """A thread that drives runs.

    Parameters
    ----------
    policy : Policy
    name : str
        Of the thread.
    """

    def __init__(self, policy: Policy, name: str) -> None:
        super().__init__(policy)
        self.states: list[RunState] = []  # the runs that are not over
        self._name = name
        self._posts: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._thread: threading.Thread | None = None
        self._closing = False

    @abstractmethod
    def feed(self) -> None:
        """Begin what is ready, as far as there is room."""

    def has_ended(self, state: RunState) -> None:
        """Note that a run is over; the lock is held."""

    # What any thread may call

    def launch(self, state: RunState, *, blocking: bool) -> None:
        def add() -> None:
            self.states.append(state)

        with self.lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        self.post(add)

    def post(self, function: Callable[[], None]) -> None:
        self._posts.put(function)

    def close(self) -> None:
        self._closing = True
        if self._thread is not None:
            self.post(lambda: None)
            self._thread.join()

    # What the drive thread does

    def later(self, delay: float, function: Callable[[], None]) -> None:
        """Call `function` after `delay` seconds, with the lock held."""
        due = time.monotonic() + delay
        heapq.heappush(self._timers, (due, next(self._serial), function))

    def _run(self) -> None:
        while not self._closing:
            self._turn(self._next_post())

    def _turn(self, post: Callable[[], None] | None) -> None:
        """Let one post do its work, and all that is due; then begin what is ready."""
        with self.lock:
            try:
                if post is not None:
                    post()
                self._run_due_timers()
                if self._posts.empty():
                    self.feed()
            except Exception as error:
                log.exception("the drive loop failed")
                self.internal_error(self.states, error)
            self._retire()

    def _next_post(self) -> Callable[[], None] | None:
        timeout = None
        if self._timers:
            timeout = max(0.0, self._timers[0][0] - time.monotonic())
        try:
            return self._posts.get(timeout=timeout)
        except queue.Empty:
            return None

    def _run_due_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[-1]()

    def _retire(self) -> None:
        for state in [state for state in self.states if state.schedule.is_over]:
            self.states.remove(state)
            state.settle()
            self.has_ended(state)

    # What all drives do with an attempt

    def note_started(self, state: RunState, number: int, worker: str | None = None) -> float:
        """Record that an attempt begins now; return the time."""
        now = time.time()
        if state.events is not None:
            node = state.plan.nodes[number]
            attempt = state.attempt(number)
            state.events.append(NodeStarted(now, node, node.label, attempt, worker))
        return now

    def succeeded(
        self,
        state: RunState,
        number: int,
        value: Any,
        started: float,
        ended: float | None = None,
        worker: str | None = None,
    ) -> None:
        """Report the value of a running node."""
        state.values[number] = value
        if state.events is not None:
            node = state.plan.nodes[number]
            attempt = state.attempt(number)
            now = time.time() if ended is None else ended
            state.events.append(NodeFinished(now, node, node.label, attempt, worker, started))
        state.finished((number,))

    def failed(self, state: RunState, number: int, failure: Failure) -> None:
        """Report that an attempt failed; start another one later if there is to be one."""
        delay = state.attempt_failed(number, failure)
        if delay is not None:
            self.later(delay, lambda: state.schedule.resume(number))


class PoolDrive(Drive):
    """Drives nodes through a function that submits a callable to some pool.

    Parameters
    ----------
    policy : Policy
    submit : callable
        Takes a callable without arguments, returns a ``concurrent.futures.Future``.
    max_workers : int, optional
        How many nodes run at once; default: the number of cores.
    resources : mapping of str to float, optional
    """

    def __init__(
        self,
        policy: Policy,
        submit: Callable[[Callable[[], Any]], concurrent.futures.Future[Any]],
        max_workers: int | None = None,
        resources: dict[str, float] | None = None,
    ) -> None:
        super().__init__(policy, "dask-dispatcher-drive")
        self._submit = submit
        self._slots = max_workers or os.cpu_count() or 1
        self._shares = Shares(resources)
        # By run and node: the future of the attempt that counts; late ones find another here.
        self._running: dict[tuple[RunState, int], concurrent.futures.Future[Any]] = {}

    def feed(self) -> None:
        waiting = [state for state in self.states if not state.schedule.stopped]
        while waiting:
            for state in tuple(waiting):
                has_room = len(self._running) < self._slots
                numbers = state.schedule.take() if has_room else []
                if not numbers:
                    waiting.remove(state)
                else:  # it is the others' turn first when there is room again
                    self.states.remove(state)
                    self.states.append(state)
                for number in numbers:
                    self._begin(state, number)

    def look(self, state: RunState, number: int) -> Any:
        return state.values[number]

    def count_workers(self) -> int:
        return self._slots

    def _begin(self, state: RunState, number: int) -> None:
        options = state.plan.options(number)
        if options.resources and not self._shares.acquire(state, number, options.resources):
            return
        node = state.plan.nodes[number]
        needs = state.plan.needs[number]
        call = Call.of(node, needs, state.plan.index)
        started = self.note_started(state, number)
        try:
            future = self._submit(bind(call, [state.values[need] for need in needs]))
        except Exception as error:
            self._release(state, number)
            self.failed(state, number, Failure.of(error))
            return
        self._running[state, number] = future
        future.add_done_callback(
            lambda ended: self.post(lambda: self._ended(state, number, ended, started))
        )
        timeout = self.policy.timeout_of(options)
        if timeout is not None:
            self.later(timeout, lambda: self._time_out(state, number, future, timeout))

    def _ended(
        self,
        state: RunState,
        number: int,
        future: concurrent.futures.Future[Any],
        started: float,
    ) -> None:
        if self._running.get((state, number)) is not future:
            return
        del self._running[state, number]
        self._release(state, number)
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self.succeeded(state, number, future.result(), started)
        else:
            self.failed(state, number, Failure.of(error))

    def _time_out(
        self,
        state: RunState,
        number: int,
        future: concurrent.futures.Future[Any],
        timeout: float,
    ) -> None:
        if self._running.get((state, number)) is not future:
            return
        del self._running[state, number]
        self._release(state, number)
        future.cancel()
        label = shown(state.plan.nodes[number].label)
        error = NodeTimeoutError(f"{label} did not end within {timeout} s")
        self.failed(state, number, Failure(error, "", None))

    def _release(self, state: RunState, number: int) -> None:
        demand = state.plan.options(number).resources
        if demand:
            self._shares.release(demand)

    def stop(self, state: RunState, running: Iterable[int]) -> None:
        self._shares.forget(state)
        for number in running:
            future = self._running.pop((state, number), None)
            if future is not None:
                future.cancel()
                self._release(state, number)
