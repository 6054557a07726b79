"""The numbers of a plan's nodes, and who depends on them, in few bytes.

`Numbers` finds the number of a node without a dictionary. A node has room for one number. The plan
that was compiled last has written its own there, so a plan checks what it reads against its list of
nodes; where that fails, another plan has the node too, and it makes itself a dictionary after all.

Two that compile at the same time must not both write: each would take the nodes that the other has
just numbered for new ones. Whoever comes while another compiles, in another thread, in a signal
handler, or while a user's argument is being hashed, does not wait, but compiles with a dictionary.
Who writes is known by a weak reference, not by a lock: Ctrl-C may come before whoever has a lock can
see to its release, and what was interrupted is soon gone.

`Users` is the table of needs turned round. Where one node waits, that is kept; where several do, in
two arrays, of four bytes an edge, and four a node.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

__all__ = ["Numbers", "Users"]


def _reset() -> None:
    global _guard, _writer
    _guard = threading.RLock()  # for a moment; a signal handler may compile in its midst
    _writer = None


_guard: threading.RLock
_writer: weakref.ref[Numbers] | None  # what writes on nodes now
_reset()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset)


class Numbers(Mapping[Any, int]):
    """The number of each node.

    Parameters
    ----------
    nodes : list
        By number: nodes, which have the attribute ``_place`` for this, and futures, which do too.

    Attributes
    ----------
    table : dict of node to int, or None
        If the numbers are not on the nodes.
    merged : dict of int to int
        Of the nodes that an equal one stands for: the number of that one.
    """

    __slots__ = ("__weakref__", "merged", "nodes", "table")

    def __init__(self, nodes: list[Any]) -> None:
        self.nodes = nodes
        self.table: dict[Any, int] | None = None
        self.merged: dict[int, int] = {}

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Let nodes be numbered in this block: by `table` if somebody else writes on nodes now."""
        try:
            if not self._claim():
                self.table = {}
            yield
        finally:
            self._give_up()

    def _claim(self) -> bool:
        """Become what writes on nodes, if nothing does; return whether it is."""
        global _writer
        with _guard:
            if _writer is None or _writer() is None:
                _writer = weakref.ref(self)
            return _writer() is self

    def _give_up(self) -> None:
        global _writer
        with _guard:
            if _writer is not None and _writer() is self:
                _writer = None

    def find(self, node: Any) -> int:
        """Return the node's own number, also if it is merged; -1 if none is found."""
        if self.table is not None:
            return self.table.get(node, -1)
        number: int = getattr(node, "_place", -1)
        is_own = -1 < number < len(self.nodes) and self.nodes[number] is node
        return number if is_own else -1

    def add(self, node: Any) -> int:
        """Give a node that has none the next number."""
        number = len(self.nodes)
        self.nodes.append(node)
        if self.table is not None:
            self.table[node] = number
        else:
            node._place = number
        return number

    def __getitem__(self, node: Any) -> int:
        number = self.find(node)
        if number < 0:
            if self.table is None:  # another plan has written on the node since
                self.table = {known: number for number, known in enumerate(self.nodes)}
            number = self.table[node]
        return self.merged.get(number, number)

    def reader(self, values: Sequence[Any]) -> Callable[[Any], Any]:
        """Return a function that gives the value of a node."""
        nodes, total = self.nodes, len(self.nodes)

        def read(node: Any) -> Any:
            number = node._place
            if number < total and nodes[number] is node:
                return values[number]
            return values[self[node]]

        return read if self.table is None and not self.merged else lambda node: values[self[node]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)


class Users:
    """By number: the nodes that wait for a node, in ascending order.

    Most have one, which is at hand in a list; there is no row for it.

    Parameters
    ----------
    needs : sequence of tuple of int
        By number: the distinct nodes that a node waits for.
    counts : list of int
        By number: how many wait for it. Kept for whoever asks for them first.
    last : list of int
        By number: one of those that wait for it, or -1. Becomes `sole`.

    Attributes
    ----------
    sole : list of int
        By number: the only node that waits for it; -1 if it is not one.
    starts, rows : array of int
        Where `sole` is -1: those that wait are ``rows[starts[number] : starts[number + 1]]``.

    Examples
    --------
    >>> list(map(list, Users.of([(2, 1), (2,), ()])))
    [[], [0], [0, 1]]
    """

    __slots__ = ("_counts", "rows", "sole", "starts")

    def __init__(
        self, needs: Sequence[tuple[int, ...]], counts: list[int], last: list[int]
    ) -> None:
        self._counts: list[int] | None = counts
        self.sole = last
        self.starts = starts = array("i", [0]) * (len(needs) + 1)
        self.rows = rows = array("i")
        if max(counts, default=0) < 2:
            return
        # Each row is filled from its end, so that what says where it ends then says where it starts.
        starts[:-1] = array("i", accumulate(count if count > 1 else 0 for count in counts))
        starts[-1] = starts[-2]
        rows.extend(array("i", [0]) * starts[-1])
        for user in range(len(needs) - 1, -1, -1):
            for need in needs[user]:
                if counts[need] > 1:
                    last[need] = -1
                    starts[need] = place = starts[need] - 1
                    rows[place] = user

    @classmethod
    def of(cls, needs: Sequence[tuple[int, ...]]) -> Users:
        """Return the table of needs turned round."""
        counts, last = [0] * len(needs), [-1] * len(needs)
        for user, mine in enumerate(needs):
            for need in mine:
                counts[need] += 1
                last[need] = user
        return cls(needs, counts, last)

    def __getitem__(self, number: int) -> Sequence[int]:
        sole = self.sole[number]
        return (sole,) if sole >= 0 else self.rows[self.starts[number] : self.starts[number + 1]]

    def __len__(self) -> int:
        return len(self.sole)

    def counts(self) -> list[int]:
        """Return a list of how many wait for each, the caller's own."""
        counts, self._counts = self._counts, None
        return [len(self[n]) for n in range(len(self))] if counts is None else counts
