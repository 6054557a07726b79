"""`Ready`: the nodes that may begin, and which of them begins first.

At first a stack: what has just become ready runs first, so that values live shortly. With priorities, or
once there are ranks, a heap: the highest priority first, then the highest rank, then the latest.

A node that stops being ready otherwise than by being taken stays, and is passed over when its turn comes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from .states import READY, RUNNING

if TYPE_CHECKING:
    from .options import Options

__all__ = ["Ready"]


class Ready:
    """The ready nodes of one run.

    Parameters
    ----------
    state : bytearray
        By number: the state of each node.
    special : mapping of int to Options
        For the few whose options ask something.

    Attributes
    ----------
    has_priorities : bool
        Whether any node has one.
    is_stale : bool
        Whether any may not be ready any more; who lets a node become so says it here.
    """

    __slots__ = (
        "_heap",
        "_pushed",
        "_rank",
        "_special",
        "_stack",
        "_state",
        "has_priorities",
        "is_stale",
    )

    def __init__(self, state: bytearray, special: Mapping[int, Options]) -> None:
        self._state = state
        self._special = special
        self._stack: list[int] = []
        self.has_priorities = any(options.priority for options in special.values())
        self._heap: list[tuple[float, float, int, int]] | None = [] if self.has_priorities else None
        self._pushed = 0
        self._rank: Sequence[float] = ()
        self.is_stale = False

    def __len__(self) -> int:
        """Return how many may be taken, at most."""
        return len(self._stack if self._heap is None else self._heap)

    def pusher(self) -> Callable[[int], None]:
        """Return a function that adds a node whose state is READY."""
        return self._stack.append if self._heap is None else self._push

    def extend(self, numbers: Iterable[int]) -> None:
        """Add nodes whose state is READY; the last is taken first, among equals."""
        if self._heap is None:
            self._stack.extend(numbers)
            return
        for number in numbers:
            self._push(number)

    def _push(self, number: int) -> None:
        assert self._heap is not None
        options = self._special.get(number)
        rank = self._rank[number] if self._rank else 0.0
        self._pushed -= 1
        order = (-(options.priority if options else 0), -rank, self._pushed, number)
        heapq.heappush(self._heap, order)

    def take(self, limit: int) -> list[int]:
        """Begin up to `limit` nodes, and return them; the first one comes last."""
        return self._take_latest(limit) if self._heap is None else self._take_best(limit)

    def _take_latest(self, limit: int) -> list[int]:
        stack, state = self._stack, self._state
        if self.is_stale:
            self.is_stale = False
            latest = [n for n in dict.fromkeys(reversed(stack)) if state[n] == READY]
            stack[:] = reversed(latest)
        if len(stack) <= limit:
            taken = stack[:]
            stack.clear()
        else:
            taken = stack[-limit:]
            del stack[-limit:]
        for number in taken:
            state[number] = RUNNING
        return taken

    def _take_best(self, limit: int) -> list[int]:
        assert self._heap is not None
        taken: list[int] = []
        while self._heap and len(taken) < limit:
            number = heapq.heappop(self._heap)[-1]
            if self._state[number] == READY:
                self._state[number] = RUNNING
                taken.append(number)
        return taken[::-1]

    def rank(self, rank: Sequence[float]) -> None:
        """From now on take those of the highest rank first, within a priority.

        Parameters
        ----------
        rank : sequence of float
            By number.
        """
        found = self._stack if self._heap is None else [entry[-1] for entry in self._heap]
        self._rank, self._stack, self._heap = rank, [], []
        self.extend(n for n in dict.fromkeys(found) if self._state[n] == READY)
