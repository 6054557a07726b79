"""Values that pass within a slice: made there, taken by one node of it, and wanted by nobody else.

Whoever runs the slice drops such a value when the node that takes it has succeeded, and need not say
where it is. If that node fails, is given back or is never begun, the value is as any other.

Most arrays that pass are never pickled: `Passing` holds them until it is known what becomes of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...pickling import is_plain_array
from .carrying import SMALL
from .values import NOTHING

if TYPE_CHECKING:
    from ...plan import Plan
    from ...schedule import Schedule

__all__ = ["Passing", "only_user", "passing_in"]

_ROOM = 4_000_000  # bytes held at most: beyond, they count, and may go to a file


def only_user(schedule: Schedule, plan: Plan, number: int) -> int | None:
    """Return the node to which all of a value goes; None if it goes elsewhere too."""
    users = plan.dependents[number]
    return users[0] if len(users) == 1 and schedule.uses[number] == 1 else None


def passing_in(schedule: Schedule, plan: Plan, numbers: Sequence[int]) -> dict[int, list[int]]:
    """Return, by node, the values of a slice that go to this one of its nodes, and to nobody else."""
    inside, needs = set(numbers), plan.needs
    passing = {
        number: [
            need
            for need in needs[number]
            if need in inside and only_user(schedule, plan, need) == number
        ]
        for number in numbers
    }
    return {number: found for number, found in passing.items() if found}


class Passing:
    """Arrays that pass within a slice under way, of which nothing has been said.

    One thread runs the nodes, holds and drops; another may take what is held, at any time. Whoever
    has taken a value sees to it that something is said of its node.

    Parameters
    ----------
    taken : mapping of int to sequence of int
        By node: the values that only it takes.
    """

    def __init__(self, taken: Mapping[int, Sequence[int]]) -> None:
        self._taken = taken
        # Not of nodes that use up others: these are said to be gone, so it must be said what took them.
        self._numbers = {n for numbers in taken.values() for n in numbers} - taken.keys()
        self._held: dict[int, Any] = {}
        self._room = _ROOM  # roughly, as two threads count

    def hold(self, number: int, value: Any) -> Any:
        """Hold a value if it passes; return it as others are to see it, or NOTHING."""
        if number not in self._numbers or not _is_lone_array(value) or value.nbytes > self._room:
            return NOTHING
        view = value.view()
        view.flags.writeable = False  # as all arrays are that a node is given
        self._room -= value.nbytes
        self._held[number] = value
        return view

    def taken_by(self, number: int) -> Sequence[int]:
        """Return the values that pass, and that only this node takes."""
        return self._taken.get(number, ())

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
