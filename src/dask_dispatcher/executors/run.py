"""`Run`: a run under way, as its starter sees it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any

from ..cards import card
from ..futures import NodeFuture
from ..results import Result
from ..view import STATES

if TYPE_CHECKING:
    from ..nodes import DispatchNode
    from .base import Executor
    from .observing import Pump
    from .state import RunState

__all__ = ["Results", "Run"]

Results = list[Result[NodeFuture[Any]]]
Pair = tuple["DispatchNode[Any]", Result[NodeFuture[Any]]]


class Run:
    """A run under way; ``await run`` gives its results.

    Made by `Executor.start`.
    """

    def __init__(
        self,
        executor: Executor,
        state: RunState,
        requested: list[DispatchNode[Any]],
        pump: Pump | None,
    ) -> None:
        self._executor = executor  # which ends its runs when nobody refers to it any more
        self._state = state
        self._requested = requested
        self._pump = pump
        # A node that was requested twice, or equals another, has one future.
        self._futures: dict[int, NodeFuture[Any]] = {}

    def results(self, timeout: float | None = None) -> Results:
        """Return one Result a requested node, in order, once all have ended.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait.

        Raises
        ------
        TimeoutError
            If time is up first; the run goes on.
        """
        if not self._state.wait_until(self.done, timeout):
            raise TimeoutError(f"{self!r} is not over after {timeout} s")
        if self._pump is not None:
            self._pump.join()
        return self._collect()

    def as_completed(self) -> _AsCompleted:
        """Return an iterator over ``(node, Result)`` in the order in which nodes end.

        It can be used with ``for`` and with ``async for``; a node that was requested twice comes
        once.
        """
        return _AsCompleted(self)

    def cancel(self) -> None:
        """Stop the run: what has not started never starts.

        Requested nodes that have not finished end as Err(RunCancelledError).
        """
        with self._state.owner.lock:
            if not self._state.schedule.is_over:
                self._state.stop()

    def done(self) -> bool:
        """Return whether every node has ended."""
        return self._state.defunct is not None or (
            self._state.schedule.is_over and self._state.owner.is_quiet(self._state)
        )

    def states(self) -> dict[DispatchNode[Any], str]:
        """Return the state of each node in a word: done, running, failed, waiting and so on.

        Examples
        --------
        >>> from dask_dispatcher import AsyncExecutor, DispatchGraph, op
        >>> graph = DispatchGraph([op(int)("1") + 1])
        >>> with AsyncExecutor() as executor:
        ...     run = executor.start(graph)
        ...     _ = run.results()
        ...     sorted(set(run.states().values()))
        ['done']
        >>> picture = graph.to_svg(run.states())
        """
        states, nodes = self._state.schedule.state, self._state.plan.index
        return {
            node: STATES[states[number]]
            for node, number in nodes.items()
            if type(node) is not NodeFuture
        }

    def __await__(self) -> Generator[Any, None, Results]:
        return self._wait().__await__()

    async def _wait(self) -> Results:
        try:
            await self._state.wait_async(self.done)
        except asyncio.CancelledError:
            # Whoever awaits a run owns it: cancelled with them, it leaves nothing running.
            self.cancel()
            await self._state.wait_async(self.done)
            raise
        if self._pump is not None:
            await asyncio.to_thread(self._pump.join)
        return self._collect()

    def _collect(self) -> Results:
        interrupt = self._state.interrupt
        if interrupt is not None:
            raise interrupt
        numbers = self._state.plan.requested
        return [
            self._result(number, node)
            for number, node in zip(numbers, self._requested, strict=True)
        ]

    def _result(self, number: int, node: DispatchNode[Any]) -> Result[NodeFuture[Any]]:
        future = self._futures.get(number)
        if future is None:
            future = self._futures[number] = NodeFuture(self._state, number, node)
        return self._state.result(number, future)

    def _repr_html_(self) -> str:
        counts = Counter(self.states().values())
        is_done = self.done()
        tone = "bad" if counts["failed"] else "good" if is_done else "plain"
        facts = [(state, f"{count:,}") for state, count in counts.most_common()]
        return card("over" if is_done else "under way", f"Run on {self._executor!r}", facts, tone)

    def __repr__(self) -> str:
        schedule = self._state.schedule
        state = "over" if self.done() else "running"
        return f"<Run: {state}, {schedule.done} done, {schedule.failed} failed>"


class _AsCompleted:
    """The iterator behind `Run.as_completed`."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._position = 0
        self._nodes: dict[int, DispatchNode[Any]] = {}
        for number, node in zip(run._state.plan.requested, run._requested, strict=True):
            self._nodes.setdefault(number, node)

    def __iter__(self) -> Iterator[Pair]:
        return self

    def __next__(self) -> Pair:
        if self._position == len(self._nodes):
            raise StopIteration
        self._run._state.wait_until(self._has_next, None)
        return self._take()

    def __aiter__(self) -> AsyncIterator[Pair]:
        return self

    async def __anext__(self) -> Pair:
        if self._position == len(self._nodes):
            raise StopAsyncIteration
        await self._run._state.wait_async(self._has_next)
        return self._take()

    def _has_next(self) -> bool:
        return len(self._run._state.schedule.settled) > self._position

    def _take(self) -> Pair:
        state = self._run._state
        if state.interrupt is not None:
            raise state.interrupt
        number = state.schedule.settled[self._position]
        self._position += 1
        node = self._nodes[number]
        return node, self._run._result(number, node)
