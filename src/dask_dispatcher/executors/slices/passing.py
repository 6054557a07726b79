"""Values that pass within a slice: made there, taken by nodes of it, and wanted by nobody else.

Whoever runs the slice drops such a value when the last node that takes it has succeeded, and need not
say where it is. If one of them fails, is given back or is never begun, the value is as any other.

Most arrays that pass to one node are never pickled: `Passing` holds them until it is known what
becomes of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from ...pickling import is_plain_array
from .carrying import SMALL
from .values import NOTHING

if TYPE_CHECKING:
    from ...plan import Plan
    from ...schedule import Schedule

__all__ = ["Passing", "passing_in", "users_inside"]

_ROOM = 4_000_000  # bytes held at most: beyond, they count, and may go to a file


def users_inside(plan: Plan, schedule: Schedule, numbers: Collection[int]) -> dict[int, int]:
    """Return the nodes of a slice whose values nobody outside it takes, and how many inside do."""
    inside, needs, uses = set(numbers), plan.needs, schedule.uses
    users = Counter(need for number in numbers for need in needs[number] if need in inside)
    return {need: count for need, count in users.items() if count == uses[need]}


def passing_in(plan: Plan, schedule: Schedule, numbers: Collection[int]) -> dict[int, list[int]]:
    """Return, by node, which values it takes that only nodes of its slice take."""
    users = users_inside(plan, schedule, numbers)
    if not users:
        return {}
    taken = {number: [n for n in plan.needs[number] if n in users] for number in numbers}
    return {number: found for number, found in taken.items() if found}


class Passing:
    """Arrays that pass within a slice under way, of which nothing has been said.

    One thread runs the nodes, holds and drops; another may take what is held, at any time. Whoever
    has taken a value sees to it that something is said of its node.

    Parameters
    ----------
    taken : mapping of int to sequence of int
        By node: the values that it takes, and no node elsewhere.
    """

    def __init__(self, taken: Mapping[int, Sequence[int]]) -> None:
        self._taken = taken
        self._users = Counter(chain.from_iterable(taken.values()))  # that have not succeeded yet
        # Not of nodes that several take, or that use up others: what takes a value, or what a value was
        # made of, must not be said to be done before the value is.
        self._lone = {n for n, count in self._users.items() if count == 1} - taken.keys()
        self._held: dict[int, Any] = {}
        self._room = _ROOM  # roughly, as two threads count

    def hold(self, number: int, value: Any) -> Any:
        """Hold a value if it passes; return it as others are to see it, or NOTHING."""
        if number not in self._lone or not _is_lone_array(value) or value.nbytes > self._room:
            return NOTHING
        view = value.view()
        view.flags.writeable = False  # as all arrays are that a node is given
        self._room -= value.nbytes
        self._held[number] = value
        return view

    def __contains__(self, number: int) -> bool:
        """Return whether a value passes."""
        return number in self._users

    def taken_by(self, number: int) -> Sequence[int]:
        """Return the values that pass, and that this node takes."""
        return self._taken.get(number, ())

    def is_last_use(self, number: int) -> bool:
        """Note that a value has been used once more; return whether it is not to be used again."""
        self._users[number] -= 1
        return not self._users[number]

    def pop(self, number: int) -> Any:
        """Return a value that is held, which no longer is; NOTHING if it is not."""
        value = self._held.pop(number, NOTHING)
        if value is not NOTHING:
            self._room += value.nbytes
        return value

    def rest(self) -> Iterator[tuple[int, Any]]:
        """Return what is held, with its numbers; it no longer is."""
        for number in list(self._held):
            value = self.pop(number)
            if value is not NOTHING:
                yield number, value


def _is_lone_array(value: Any) -> bool:
    """Return whether a value is a large array that its pickle would share memory with."""
    if not (is_plain_array(value) and hasattr(value, "flags") and value.nbytes > SMALL):
        return False
    return bool(value.flags.forc)
