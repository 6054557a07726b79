"""`Company`: which worker a node belongs to, as others whose large values will meet its own went there.

Of eight arrays that are summed in pairs, two that meet should be made on one worker, and so should the
four whose sums meet then; else each sum moves one of them. So whoever makes a large value leaves word
with the nodes below: where they will find one of their inputs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..plan import Plan

__all__ = ["WINDOW", "Company"]

_DEPTH = 8  # nodes below one that are left word with

WINDOW = 16
"""Nodes of a queue among which there is a choice."""


class Company:
    """Of one run.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        self._dependents = plan.dependents
        self._homes: dict[int, Hashable] = {}  # where some input of a node is, or is going to be

    def _line(self, number: int) -> list[int]:
        """Return a node and those below it, as far as each has but one user."""
        found = [number]
        while len(found) <= _DEPTH and len(users := self._dependents[found[-1]]) == 1:
            found.append(users[0])
        return found

    def note(self, number: int, home: Hashable) -> None:
        """Note that a large value will be made on a worker."""
        for below in self._line(number)[1:]:
            self._homes.setdefault(below, home)

    def pick(self, queue: deque[int], kin: int, home: Hashable) -> None:
        """Bring that node to the front of a queue that belongs to a worker most.

        Parameters
        ----------
        queue : deque of int
        kin : int
            How many of the first ones may be exchanged, as they call one function.
        home : hashable
            What the worker is known by.
        """
        choice = list(queue)[: min(kin, WINDOW)]
        best = min(choice, key=lambda number: self.distance(number, home))
        queue.remove(best)
        queue.appendleft(best)

    def distance(self, number: int, home: Hashable) -> int:
        """Return less than 0 for a node that meets others there, more for one that does elsewhere."""
        for steps, below in enumerate(self._line(number)):
            known = self._homes.get(below)
            if known is not None:
                return steps - _DEPTH - 1 if known == home else _DEPTH + 1 - steps
        return 0
