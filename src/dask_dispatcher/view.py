"""`RunView`: what an observer may look at while a run goes on.

Records tell what happened, one by one; a view answers questions about the whole at the moment it is
asked: which nodes there are, how they hang together, in what state each of them is. It reads what
the schedule keeps anyway, without its lock, so that a look costs the run nothing but its own time;
counts taken while nodes end may be a moment old.

A view ends with its run, since it would keep the run's values alive: `RunEnded` is the last record
with which it can be asked anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .schedule import CANCELLED, DELAYED, DONE, FAILED, READY, RELEASED, RUNNING, WAITING

if TYPE_CHECKING:
    from .plan import Plan
    from .schedule import Schedule

__all__ = ["STATES", "RunView"]

STATES: Mapping[int, str] = {
    WAITING: "waiting",
    READY: "ready",
    RUNNING: "running",
    DELAYED: "delayed",
    DONE: "done",
    RELEASED: "done",
    FAILED: "failed",
    CANCELLED: "cancelled",
}
"""What each state of a node is called, by the number that stands for it in `RunView.states`."""


class RunView:
    """The nodes of a run, and how they are.

    Parameters
    ----------
    executor : str
        The name of the executor's class.
    plan : Plan
    schedule : Schedule
    failures : mapping of int to int
        By number: how often a node has failed so far.
    count_workers : callable
        Returns how many workers there are, or None.
    """

    def __init__(
        self,
        executor: str,
        plan: Plan,
        schedule: Schedule,
        failures: Mapping[int, int],
        count_workers: Callable[[], int | None],
    ) -> None:
        self.executor = executor
        self._plan: Plan | None = plan
        self._schedule: Schedule | None = schedule
        self._failures = failures
        self._count_workers = count_workers

    @property
    def nodes(self) -> Sequence[Any]:
        """The nodes by number, and `NodeFuture` that were given as arguments."""
        return self._open_plan().nodes

    @property
    def needs(self) -> Sequence[Sequence[int]]:
        """By number: the nodes whose values a node takes."""
        return self._open_plan().needs

    @property
    def after(self) -> Mapping[int, Sequence[int]]:
        """For the few that have any: the nodes a node waits for without taking their values."""
        return self._open_plan().after

    @property
    def given(self) -> Collection[int]:
        """The nodes that need not run, since their values were there before."""
        return self._open_plan().given

    @property
    def requested(self) -> Sequence[int]:
        """The nodes that were asked for."""
        return self._open_plan().requested

    def number(self, node: Any) -> int:
        """Return the number of a node; equal pure calls share one."""
        return self._open_plan().index[node]

    def states(self) -> bytes:
        """Return the state of each node; `STATES` has the names."""
        if self._schedule is None:
            raise ValueError("the run is over, and its view with it")
        return bytes(self._schedule.state)

    def failures(self) -> dict[int, int]:
        """Return how often nodes have failed so far, by number, of those that have."""
        return dict(self._failures)

    def workers(self) -> int | None:
        """Return how many workers there are now; None if the executor cannot tell."""
        return self._count_workers()

    def close(self) -> None:
        """Let go of the run."""
        self._plan = self._schedule = None
        self._failures = {}
        self._count_workers = _unknown

    def _open_plan(self) -> Plan:
        if self._plan is None:
            raise ValueError("the run is over, and its view with it")
        return self._plan


def _unknown() -> int | None:
    return None
