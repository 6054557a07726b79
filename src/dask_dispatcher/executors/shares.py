"""`Shares`: who uses the abstract resources of a local executor, and which nodes wait for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import NoWorkersError, shown
from ..resources import Resources

if TYPE_CHECKING:
    from .state import RunState

__all__ = ["Shares"]


class Shares:
    """Hands out resources to nodes that have been taken from their schedules.

    Parameters
    ----------
    resources : mapping of str to float, optional
        What there is of each.
    """

    def __init__(self, resources: Mapping[str, float] | None) -> None:
        self._resources = Resources(resources)
        self._parked: list[tuple[RunState, int]] = []

    def acquire(self, state: RunState, number: int, demand: Mapping[str, float]) -> bool:
        """Take what a node needs; return whether it may begin.

        Where others use it now, the node is parked; where there will never be enough, it fails.
        """
        missing = self._resources.missing(demand)
        if missing:
            node = state.plan.nodes[number]
            text = f"{shown(node.label)} needs {missing}, more than this executor was given as resources="
            state.fail(number, NoWorkersError(text, node=node, label=node.label))
            return False
        if self._resources.acquire(demand):
            return True
        self._parked.append((state, number))
        return False

    def release(self, demand: Mapping[str, float]) -> set[RunState]:
        """Give back what a node has used; return the runs whose parked nodes are ready again."""
        self._resources.release(demand)
        parked, self._parked = self._parked, []
        for state, number in parked:
            state.schedule.put_back((number,))
        return {state for state, _ in parked}

    def forget(self, state: RunState) -> None:
        """Drop the parked nodes of a run that is over."""
        self._parked = [entry for entry in self._parked if entry[0] is not state]
