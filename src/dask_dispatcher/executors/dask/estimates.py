"""`Estimates`: what the nodes of a run are expected to take, by what calls of their functions took.

What is known of functions outlives the run (`Costs`). A function that takes long, or gives large
values, has its nodes sent alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...ops import Op
from ..slices.packing import BUILT_IN

if TYPE_CHECKING:
    from ...plan import Plan
    from ...schedule import Schedule
    from ..slices.costs import Costs

__all__ = ["CHEAPEST", "USUAL", "Estimates"]

CHEAPEST = 2e-6
"""Seconds that a node costs a worker at least."""

USUAL = 0.025
"""Seconds that a node is counted for of which nothing is known."""

_DEAR = 0.1  # seconds from which on a node is sent alone, as two would be too much for a group
_COUNTED = 1e-4  # seconds from which on a node is worth to be counted by itself
_RANKED = 0.005  # seconds from which on it matters what begins first
_BULKY = 1_000_000  # bytes of a value from which on its node is sent alone
_SIZEABLE = 100_000  # the same, of a node that takes `_OWN` seconds, as long as a Dask task costs
_OWN = 0.0025


class Estimates:
    """Of one run.

    Parameters
    ----------
    plan : Plan
    schedule : Schedule
        Is told what most work hangs on.
    costs : Costs
        Seconds a call, by function.
    sizes : Costs
        Bytes of large values, by function.

    Attributes
    ----------
    unknown, apart, counted, sized : set
        Callees of which nothing is known; those whose nodes are sent alone; those that are not, but
        cost so much that no mean over all nodes stands for them; and those that give values which
        stay on workers.
    light_mean : float or None
        Seconds of a node that is not sent alone, as far as anything is known.
    """

    def __init__(self, plan: Plan, schedule: Schedule, costs: Costs, sizes: Costs) -> None:
        self._nodes = plan.nodes
        self._schedule = schedule
        self._costs, self._sizes = costs, sizes
        self._callees = {node._callee for node in plan.nodes if type(node) is Op}
        self._kin: dict[int, list[Any]] = {}  # callees by the id of their function
        for callee in self._callees:
            self._kin.setdefault(id(callee.func), []).append(callee)
        self._ranked: dict[Any, float] = {}
        self.unknown: set[Any] = set()
        self.apart: set[Any] = set()
        self.counted: set[Any] = set()
        self.sized: set[Any] = set()
        self._known = self.unknown, self.apart, self.counted, self.sized
        self.light_mean: float | None = None
        for callee in self._callees:
            self._classify(callee)
        self._weigh()

    def seconds(self, number: int) -> float:
        """Return what a node is expected to take."""
        node = self._nodes[number]
        mean = self._costs.mean(node._callee) if type(node) is Op else 0.0
        return USUAL if mean is None else max(mean, CHEAPEST)

    def is_unknown(self, number: int) -> bool:
        """Return whether nothing is known of a node."""
        node = self._nodes[number]
        return type(node) is Op and node._callee in self.unknown

    def is_apart(self, number: int) -> bool:
        """Return whether a node is sent alone."""
        node = self._nodes[number]
        return type(node) is Op and node._callee in self.apart

    def size(self, number: int) -> float:
        """Return how many bytes of a node's value are expected to stay on its worker."""
        node = self._nodes[number]
        return self._sizes.mean(node._callee) or 0.0 if type(node) is Op else 0.0

    def is_bulky(self, number: int) -> bool:
        """Return whether a node is expected to give a large value."""
        return _is_bulky(self.size(number), self.seconds(number))

    # What is learned

    def note_costs(self, costs: list[tuple[int, int, float]], functions: list[Any]) -> None:
        """Take note of what calls have cost, by their targets in a table of callees."""
        count, seconds, changed = 0, 0.0, False
        for target, calls, took in costs:
            if target < len(BUILT_IN):
                continue
            callee = functions[target - len(BUILT_IN)]
            self._costs.add(callee, calls, took)
            changed |= self._classify_kin(callee)
            if callee not in self.apart:
                count, seconds = count + calls, seconds + took
        if count:
            mean = seconds / count
            old = mean if self.light_mean is None else self.light_mean
            self.light_mean = 0.5 * (mean + old)
        if changed:
            self._weigh()

    def note_size(self, number: int, size: int) -> None:
        """Take note of a large value."""
        node = self._nodes[number]
        if type(node) is Op:
            self._sizes.add(node._callee, 1, size)
            if self._classify_kin(node._callee):
                self._weigh()

    def _classify_kin(self, callee: Any) -> bool:
        """Look anew at the calls of one function; return whether anything has changed."""
        before = self._classes(callee)
        self._classify(callee)
        if self._classes(callee) == before:
            return False
        for kin in self._kin[id(callee.func)]:  # perhaps as many as there are nodes
            self._classify(kin)
        return True

    def _classes(self, callee: Any) -> list[bool]:
        return [callee in known for known in self._known]

    def _classify(self, callee: Any) -> None:
        mean, size = self._costs.mean(callee), self._sizes.mean(callee) or 0.0
        for known in self._known:
            known.discard(callee)
        if size:
            self.sized.add(callee)
        if mean is None:
            self.unknown.add(callee)
        elif mean >= _DEAR or _is_bulky(size, mean):
            self.apart.add(callee)
        elif mean >= _COUNTED:
            self.counted.add(callee)

    def _weigh(self) -> None:
        """Look anew at what the functions cost."""
        means = {callee: self._costs.mean(callee) for callee in self._callees}
        known = {callee: mean for callee, mean in means.items() if mean is not None}
        light = [mean for callee, mean in known.items() if callee not in self.apart]
        if light and self.light_mean is None:
            self.light_mean = sum(light) / len(light)
        if max(known.values(), default=0.0) >= _RANKED:
            self._rank(known)

    def _rank(self, means: dict[Any, float]) -> None:
        """Let what most work hangs on begin first, if costs differ from what was known."""
        if means.keys() == self._ranked.keys() and all(
            0.5 < mean / (self._ranked[callee] or 1e-9) < 2.0
            for callee, mean in means.items()
            if mean >= _RANKED
        ):
            return
        self._ranked = means
        usual = sum(means.values()) / len(means)
        self._schedule.rank(
            [means.get(node._callee, usual) if type(node) is Op else 0.0 for node in self._nodes]
        )


def _is_bulky(size: float, seconds: float) -> bool:
    return size >= (_BULKY if seconds < _OWN else _SIZEABLE)
