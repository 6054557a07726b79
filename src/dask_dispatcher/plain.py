"""`PlainCalls`: which nodes are calls of nothing but nodes, or nothing but numbers and the like.

Graphs of tiny calls hold nearly nothing else. Who sends nodes to other processes looks at their
arguments more than once: may they leave, and what are they? To look at a node in the order in which
nodes run takes longer than all that is done with it, as by then it is far from the processor. So it is
found out once, in the order of the numbers, near to that in which the graph was built.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .ops import Op

__all__ = ["ATOMS", "PlainCalls"]

ATOMS = frozenset({int, float, bool, type(None), complex})
"""Types whose values are always small, and pickle without a word of the user's."""

_MOST = 255  # callees, as a code is one byte


class PlainCalls:
    """The plain calls of a plan: their arguments are positional, and either nodes, each once, or atoms.

    So they are the node's needs, in order, if it has any.

    Parameters
    ----------
    nodes : iterable
    needs : iterable of tuple of int
        What each takes.

    Attributes
    ----------
    codes : bytearray
        By number: which of the `callees` it calls, counted from 1; 0 if it is no plain call.
    callees : list of Callee
        Those that came first, if they are too many for a byte.
    """

    __slots__ = ("callees", "codes")

    def __init__(self, nodes: Iterable[Any], needs: Iterable[tuple[int, ...]]) -> None:
        self.codes = bytearray()
        known: dict[Any, int] = {}
        last, code = None, 0
        add = self.codes.append
        for node, mine in zip(nodes, needs, strict=True):
            if type(node) is Op and node._kwargs is None and not node._nested:
                args = node._args
                if len(mine) == len(args) if mine else ATOMS.issuperset(map(type, args)):
                    if node._callee is not last:
                        last = node._callee
                        code = known.setdefault(last, len(known) + 1)
                    add(code if code <= _MOST else 0)
                    continue
            add(0)
        self.callees = list(known)[:_MOST]
