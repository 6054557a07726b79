"""`Trees`: which nodes go along with one that gives a large value, so that it need not outlive them.

What makes a large value is sent alone, so that it has a Dask task and key of its own. But where all of
it goes to a single node, it need not be a Dask task's result at all: both go in one task, and the value
is dropped as soon as it has been used. So do all that this node waits for, if nobody else takes what
they give: an in-tree, of which the value of the root alone remains.

::

    make -> double -.
                     add -> ...    one task of five nodes, which leaves one value; in memory at any
    make -> double -'              time: three, where five tasks would need up to five

Each level less is a hop less, and each value less is memory that need not be there: on a machine short
of it, a fresh page costs more than what is computed in it.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from ...schedule import DONE, READY, RUNNING, WAITING
from ..slices.passing import only_user

if TYPE_CHECKING:
    from ...plan import Plan
    from ...schedule import Schedule
    from .estimates import Estimates

__all__ = ["Trees"]

_LONGEST = 0.25  # seconds that a tree is to take at most
_LARGEST = 50  # nodes of a tree


class Trees:
    """Of one run.

    Parameters
    ----------
    plan : Plan
    schedule : Schedule
    estimates : Estimates
    """

    def __init__(self, plan: Plan, schedule: Schedule, estimates: Estimates) -> None:
        self._plan = plan
        self._needs = plan.needs
        self._schedule = schedule
        self._estimates = estimates

    def grow(self, number: int, leaves: int, queued: Container[int]) -> list[int]:
        """Return the largest tree that begins with a node, in the order in which it is to run.

        Parameters
        ----------
        number : int
            Of a node that is to be sent.
        leaves : int
            How many nodes of it may be ready now: they could run beside each other.
        queued : container of int
            Nodes that are begun, but were not sent.
        """
        tree = [number]
        while (root := self.only_user(tree[-1])) is not None:
            larger = self._tree(root, leaves, queued)
            if larger is None or number not in larger:
                break
            tree = larger
        return tree

    def only_user(self, number: int) -> int | None:
        """Return the node to which all of a value goes; None if it goes elsewhere too."""
        return only_user(self._schedule, self._plan, number)

    def _may_go(self, number: int, queued: Container[int]) -> bool:
        """Return whether a node can be sent now, and with others."""
        schedule = self._schedule
        state = schedule.state[number]
        is_unsent = state in (WAITING, READY) or (state == RUNNING and number in queued)
        goes_alone = number in schedule.leaders or number in schedule.losses
        return is_unsent and not goes_alone and not self._estimates.is_unknown(number)

    def _tree(self, root: int, leaves: int, queued: Container[int]) -> list[int] | None:
        """Return all that has to run for a node, itself last; None if that cannot be one tree."""
        state, left, seconds = self._schedule.state, leaves, _LONGEST
        found: list[int] = []
        stack = [root]
        while stack:  # the root first, each node before what it needs: the order turned round
            number = stack.pop()
            is_inside = number == root or self.only_user(number) is not None
            if not (is_inside and self._may_go(number, queued)):
                return None
            needs = [need for need in self._needs[number] if state[need] != DONE]
            left -= not needs
            seconds -= self._estimates.seconds(number)
            found.append(number)
            if left < 0 or seconds < 0 or len(found) > _LARGEST:
                return None
            stack += needs
        return found[::-1]
