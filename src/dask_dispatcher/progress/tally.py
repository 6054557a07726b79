"""`Tally`: how many nodes of each label are in which state, counted at a look.

Nothing is counted while nodes run. A look reads the schedule's states, a byte a node, and counts
them in C; which node belongs to which label is worked out once, at the first look. `seconds` tells
what a look costs, so that whoever looks can keep it to a share of the whole.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..drawing import shown_label
from ..nodes import DispatchNode
from ..ops import Op
from ..schedule import CANCELLED, DONE, FAILED, RELEASED, RUNNING
from ..view import RunView

__all__ = ["Counts", "Tally"]

_FEW_LABELS = 24
_NODES_A_LABEL = 8


@dataclass
class Counts:
    """The nodes of one label, by state."""

    name: str
    nodes: int = 0
    done: int = 0
    running: int = 0
    failed: int = 0

    @property
    def ended(self) -> int:
        """How many will not run any more."""
        return self.done + self.failed


class Tally:
    """Counts the nodes of a run.

    Parameters
    ----------
    view : RunView
    """

    def __init__(self, view: RunView) -> None:
        self._view = view
        self._names: list[str] = []
        self._group_of: list[int] | None = None
        self.seconds = 0.0

    def look(self) -> list[Counts]:
        """Return the counts of each label; those of most nodes first."""
        began = time.perf_counter()
        if self._group_of is None:
            self._names, self._group_of = _groups(self._view)
        found = [Counts(name) for name in self._names]
        counted = Counter(zip(self._group_of, self._view.states(), strict=True))
        for (group, state), count in counted.items():
            if group >= 0:
                _add(found[group], state, count)
        self.seconds = time.perf_counter() - began
        return sorted(found, key=lambda counts: -counts.nodes)

    def retries(self) -> int:
        """Return how many attempts have failed and were, or will be, made again."""
        states, failures = self._view.states(), self._view.failures()
        return sum(times - (states[number] == FAILED) for number, times in failures.items())


def _add(counts: Counts, state: int, count: int) -> None:
    counts.nodes += count
    if state in (DONE, RELEASED):
        counts.done += count
    elif state in (FAILED, CANCELLED):
        counts.failed += count
    elif state == RUNNING:
        counts.running += count


def _groups(view: RunView) -> tuple[list[str], list[int]]:
    """Return the names of groups, and the group of each node; -1 for values that were given.

    Labels, unless nearly every node has one of its own: then functions.
    """
    given = view.given
    wanted = [number not in given for number in range(len(view.nodes))]
    for name_of in (_label, _function):
        numbers: dict[str, int] = {}
        of = [
            numbers.setdefault(name_of(node), len(numbers)) if is_wanted else -1
            for node, is_wanted in zip(view.nodes, wanted, strict=True)
        ]
        if len(numbers) <= _FEW_LABELS or len(of) >= _NODES_A_LABEL * len(numbers):
            break
    return [shown_label(name) for name in numbers], of


def _label(node: DispatchNode[Any]) -> str:
    return node.label


def _function(node: DispatchNode[Any]) -> str:
    return node.func_name if isinstance(node, Op) else type(node).__name__


def first_and_rest(counts: Sequence[Counts], limit: int) -> list[Counts]:
    """Return the first `limit` counts, the last of them the sum of all that would be left out."""
    if len(counts) <= limit:
        return list(counts)
    rest = counts[limit - 1 :]
    total = Counts(f"{len(rest)} other labels")
    for one in rest:
        total.nodes += one.nodes
        total.done += one.done
        total.running += one.running
        total.failed += one.failed
    return [*counts[: limit - 1], total]
