"""Large values that are made and used in one group, and need not outlive their last use there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...plan import Plan
    from ...schedule import Schedule

__all__ = ["passing_in", "users_inside"]


def users_inside(plan: Plan, schedule: Schedule, numbers: Collection[int]) -> dict[int, int]:
    """Return the nodes of a group whose values nobody outside it takes, and how many inside do."""
    inside, needs, uses = set(numbers), plan.needs, schedule.uses
    users = Counter(need for number in numbers for need in needs[number] if need in inside)
    return {need: count for need, count in users.items() if count == uses[need]}


def passing_in(plan: Plan, schedule: Schedule, numbers: Collection[int]) -> dict[int, list[int]]:
    """Return, by node, which values it takes that only nodes of its group take."""
    users = users_inside(plan, schedule, numbers)
    if not users:
        return {}
    taken = {number: [n for n in plan.needs[number] if n in users] for number in numbers}
    return {number: found for number, found in taken.items() if found}
