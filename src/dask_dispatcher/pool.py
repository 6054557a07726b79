"""`Pool`: the interface of ``concurrent.futures.Executor`` on any executor of ours.

A call that is submitted is a run of one node; ``map`` is one run of many, which costs far less a
call. One thread hands the values of ended runs to their futures, all that have ended by then in one
exchange. The thread knows nothing of the pool, so that a forgotten pool is collected, and ends it.

Calls are as a pool makes them: arguments are not searched for nodes (a node or `NodeFuture` that is
itself an argument is one), and what a call raises is raised as it is.
"""

from __future__ import annotations

import concurrent.futures
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import DependencyError, DispatcherError, SerializationError
from .futures import NodeFuture
from .ops import Op, op
from .schedule import DELAYED, READY, RUNNING, WAITING

if TYPE_CHECKING:
    from .executors.base import Executor
    from .executors.run import Run

__all__ = ["Pool", "PoolFuture"]

T = TypeVar("T")

_NOT_BEGUN = (WAITING, READY, DELAYED)


class Pool(concurrent.futures.Executor):
    """An executor of ours for libraries that take a pool; made by `Executor.as_pool`.

    ``shutdown`` waits for what was submitted and ends the pool, not the executor.

    Parameters
    ----------
    executor : Executor
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._pending: weakref.WeakSet[PoolFuture[Any]] = weakref.WeakSet()
        self._maps: weakref.WeakSet[Run] = weakref.WeakSet()
        self._lock = threading.Lock()  # guards _is_shut and _thread
        self._is_shut = False
        self._thread: threading.Thread | None = None
        self._messages: _Messages = queue.SimpleQueue()

    @property
    def _max_workers(self) -> int:
        # Libraries ask a pool for it, and so does Dask.
        return self._executor._engine.count_workers() or os.cpu_count() or 1

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> PoolFuture[T]:
        """Call ``fn(*args, **kwargs)`` somewhere; return its future."""
        node: Op[T] = op(fn).bare(args, kwargs)
        future: PoolFuture[T] = PoolFuture()
        with self._lock:
            self._check_open()
            try:
                run = self._executor.start([node])
            except SerializationError as error:
                future.set_exception(error)
                return future
            self._pending.add(future)
            self._start_thread()
            self._messages.put(_BEGUN)
            future.follow(run, node, self._messages)
        return future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **options: Any,
    ) -> Iterator[T]:
        """Call `fn` with each of the items; return an iterator over the results, in order.

        Parameters
        ----------
        fn : callable
        *iterables : iterable
            Exhausted before this returns.
        timeout : float, optional
            Seconds from now after which the iterator raises TimeoutError.
        chunksize, **options
            For pools that need them; the schedule sees to it here.
        """
        factory = op(fn)
        nodes = [factory.bare(args) for args in zip(*iterables, strict=False)]
        with self._lock:
            self._check_open()
            run = self._executor.start(nodes)
            self._maps.add(run)
        deadline = None if timeout is None else time.monotonic() + timeout
        return _results(self._executor, run, nodes, deadline)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; by default wait for those there are."""
        with self._lock:
            self._is_shut = True
            self._messages.put(_LAST)
        if cancel_futures:
            for future in tuple(self._pending):
                future.cancel()
            for run in tuple(self._maps):
                run.cancel()
        if wait:
            for run in tuple(self._maps):
                run._state.wait_until(run.done, None)
            if self._thread is not None and self._thread is not threading.current_thread():
                self._thread.join()

    def _check_open(self) -> None:
        if self._is_shut:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def _start_thread(self) -> None:
        if self._thread is None:
            args = (self._executor, self._messages)
            self._thread = threading.Thread(target=_hand_over, args=args, daemon=True)
            self._thread.name = "dask-dispatcher-pool"
            self._thread.start()

    def __del__(self) -> None:
        self._messages.put(_LAST)

    def __repr__(self) -> str:
        return f"<Pool on {self._executor!r}>"


class PoolFuture(concurrent.futures.Future[T]):
    """What ``Pool.submit`` returns. A call that waits for its turn can be cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self._is_cancelled = False  # guarded by the engine's lock
        self._run: Run | None = None
        self._value: NodeFuture[T] | None = None

    def follow(self, run: Run, node: Op[T], messages: _Messages) -> None:
        """Belong to a run of one node from now on; be put among the messages when it has ended."""
        state, number = run._state, run._state.plan.requested[0]
        self._run, self._value = run, NodeFuture(state, number, node)
        state.when_ended(number, lambda: messages.put(self))

    def cancel(self) -> bool:
        """Cancel the call unless it has begun; return whether it is cancelled."""
        if self._run is not None and not self.done():
            with self._run._state.owner.lock:
                if self._node_state() not in _NOT_BEGUN:
                    return False
                self._is_cancelled = True
                self._run.cancel()
        return super().cancel()

    def running(self) -> bool:
        """Return whether the call is being made now."""
        return super().running() or (not self.done() and self._node_state() == RUNNING)

    def settle(self) -> NodeFuture[T] | None:
        """Take over how the node has ended; return its value's future if it ended well."""
        if self._is_cancelled:
            super().cancel()
        if not self.set_running_or_notify_cancel():
            return None
        assert self._value is not None
        error = self._value._checked().error_of(self._value._number)
        if error is None:
            return self._value
        self.set_exception(_users_error(error))
        return None

    def _node_state(self) -> int | None:
        if self._run is None:
            return None
        return self._run._state.schedule.state[self._run._state.plan.requested[0]]


_BEGUN, _LAST = "a call has begun", "no more calls will"
_Messages = queue.SimpleQueue[PoolFuture[Any] | str]


def _hand_over(executor: Executor, messages: _Messages) -> None:
    """Hand values to futures until no more can come."""
    begun, may_come = 0, True
    while begun or may_come:
        batch = [messages.get()]
        while not messages.empty():
            batch.append(messages.get())
        ended = [message for message in batch if isinstance(message, PoolFuture)]
        begun += batch.count(_BEGUN) - len(ended)
        may_come = may_come and _LAST not in batch
        _settle(executor, ended)
        del batch, ended  # nothing is kept alive by the wait for more


def _settle(executor: Executor, ended: list[PoolFuture[Any]]) -> None:
    well = [(future, value) for future in ended if (value := future.settle()) is not None]
    try:
        values = executor.gather([value for _, value in well])
    except DispatcherError:  # one of them was lost, or cannot travel: see which
        for future, value in well:
            _fetch_into(future, value)
    else:
        for (future, _), result in zip(well, values, strict=True):
            future.set_result(result)


def _fetch_into(future: PoolFuture[Any], value: NodeFuture[Any]) -> None:
    try:
        future.set_result(value.fetch())
    except DispatcherError as error:
        future.set_exception(_users_error(error))


def _results(
    executor: Executor, run: Run, nodes: list[Op[T]], deadline: float | None
) -> Iterator[T]:
    """Return the values of a run in order, all that are there in one exchange."""
    state = run._state
    pairs = zip(state.plan.requested, nodes, strict=True)
    left = [NodeFuture(state, number, node) for number, node in pairs][::-1]
    try:
        while left:
            seconds = None if deadline is None else deadline - time.monotonic()
            if not left[-1].wait(seconds):
                raise concurrent.futures.TimeoutError(f"{run!r} is not over in time")
            taken = _take_well(left)
            if not taken:
                error = state.error_of(left[-1]._number)
                assert error is not None
                raise _users_error(error)
            yield from executor.gather(taken)
    finally:
        run.cancel()


def _take_well(left: list[NodeFuture[T]]) -> list[NodeFuture[T]]:
    """Take those that have ended well from the end of a list, up to the first that has not."""
    taken = []
    while left and left[-1]._checked().has_succeeded(left[-1]._number):
        taken.append(left.pop())
    return taken


def _users_error(error: DispatcherError) -> BaseException:
    cause = error.__cause__ if isinstance(error, DependencyError) else None
    return error if cause is None else cause
