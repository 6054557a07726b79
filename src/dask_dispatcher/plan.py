"""A graph, flattened for one run: ints instead of objects.

`compile_plan` walks from the requested nodes to all they need and gives each a number, in the order
in which it finds them. It stops at given inputs, merges equal `pure` calls, and refuses cycles,
which only added edges can make. What it returns never changes during the run; `Schedule` keeps the
state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .collector import collector_paused
from .nesting import PLACEHOLDERS
from .nodes import DataNode, DispatchNode
from .numbering import Numbers, Users
from .ops import Op
from .options import Options
from .plain import PlainCalls

if TYPE_CHECKING:
    from .graph import DispatchGraph

__all__ = ["DepthFirst", "Plan", "compile_plan"]

DEFAULTS = Options()


class DepthFirst(list[DispatchNode[Any]]):
    """Requested nodes of a graph whose values are large, beside what they cost.

    What has just become ready begins first, so that values are used before more are made. Beginning
    what most work hangs on first, as runs do once some call is slow, makes all first values of a
    wide graph before any second one.
    """


@dataclass
class Plan:
    """The numbered nodes of a run.

    Attributes
    ----------
    nodes : list
        By number: a `DispatchNode`, or a `NodeFuture` given as an argument.
    index : Numbers
        The number of each node. Merged nodes share one.
    needs : list of tuple of int
        By number: the distinct nodes whose values it takes.
    dependents : Users
        By number: the distinct nodes that wait for it.
    after : dict of int to list of int
        For the few that have any: the nodes it waits for without taking their values.
    special : dict of int to Options
        For the few whose options ask something of the engine.
    coroutines : list of int
        The ``async def`` calls.
    given : dict of int to object
        The nodes that need not run, with what stands for their values.
    requested : list of int
        One number a requested node, in order, repeats included.
    depth_first : bool
        Whether what has just become ready begins first, whatever else is known; see `DepthFirst`.
    """

    nodes: list[Any]
    index: Numbers
    needs: list[tuple[int, ...]]
    dependents: Users
    after: dict[int, list[int]] = field(default_factory=dict)
    special: dict[int, Options] = field(default_factory=dict)
    coroutines: list[int] = field(default_factory=list)
    given: dict[int, Any] = field(default_factory=dict)
    requested: list[int] = field(default_factory=list)
    depth_first: bool = False

    @cached_property
    def plain(self) -> PlainCalls:
        """Which nodes are plain calls; found out when somebody asks."""
        return PlainCalls(self.nodes, self.needs)

    def options(self, number: int) -> Options:
        """Return the options of a node; the defaults for nodes that have none."""
        special = self.special.get(number)
        if special is not None:
            return special
        node = self.nodes[number]
        return node.options if type(node) is Op else DEFAULTS


def compile_plan(
    requested: Iterable[DispatchNode[Any]],
    inputs: Mapping[DispatchNode[Any], Any] | None = None,
    graph: DispatchGraph | None = None,
) -> Plan:
    """Number the requested nodes and all they need.

    Parameters
    ----------
    requested : iterable of DispatchNode
    inputs : mapping of DispatchNode to object, optional
        Values that stand in for nodes; matched by identity, or by key if the node was unpickled.
    graph : DispatchGraph, optional
        Brings the edges that were added to it.

    Returns
    -------
    Plan

    Raises
    ------
    CycleError
        If the graph's added edges close a cycle.
    TypeError
        If something requested is no node.
    """
    depth_first = isinstance(requested, DepthFirst)
    requested = list(requested)
    for node in requested:
        if type(node) not in PLACEHOLDERS:
            raise TypeError(f"only nodes can be run, not {type(node).__name__}")
    compiler = _Compiler(inputs or {}, graph)
    if graph is not None:
        graph.check_acyclic({node for node in graph if compiler.is_input(node)})
    with collector_paused():
        plan = compiler.compile(requested)
    plan.depth_first = depth_first
    return plan


class _Compiler:
    def __init__(self, inputs: Mapping[Any, Any], graph: DispatchGraph | None) -> None:
        self.nodes: list[Any] = []
        self.index = Numbers(self.nodes)
        self.needs: list[tuple[int, ...]] = []
        self.last: list[int] = []
        """By number: the last node found so far to need it."""
        self.uses: list[int] = []
        """By number: how many nodes need it."""
        self.after: dict[int, list[int]] = {}
        self.special: dict[int, Options] = {}
        self.coroutines: list[int] = []
        self.given: dict[int, Any] = {}
        self.inputs = inputs
        self.inputs_by_key = {node.key: value for node, value in inputs.items()}
        self.graph = graph
        self.pure: dict[str, int] = {}

    def compile(self, requested: Sequence[Any]) -> Plan:
        """Return the plan of the requested nodes."""
        with self.index.writing():
            for node in requested:
                self.number(node)
            self.walk()
        if self.index.merged:
            self._rename_merged()
        return Plan(
            self.nodes,
            self.index,
            self.needs,
            self._users(),
            self.after,
            self.special,
            self.coroutines,
            self.given,
            [self.index[node] for node in requested],
        )

    def number(self, node: Any) -> int:
        """Return the number of `node`, giving it the next one if it has none."""
        number = self.index.find(node)
        if number < 0:
            number = self.index.add(node)
            self.last.append(-1)
            self.uses.append(0)
        return number

    def walk(self) -> None:
        """Number all that the numbered nodes need, in the order in which they are found."""
        nodes, needs, last, uses = self.nodes, self.needs, self.last, self.uses
        coroutines, table = self.coroutines, self.index.table
        usual = not self.inputs and self.graph is None
        mine: list[int] = []
        for node in nodes:  # which grows
            number = node._place if table is None else table[node]
            if usual and type(node) is Op and node._callee.is_plain:
                if node._callee.is_coroutine:
                    coroutines.append(number)
            elif self._is_settled(number, node):
                needs.append(())
                continue
            if type(node) is Op and node._kwargs is None and not node._nested:
                placeholders = node._args
            else:
                placeholders = node._inputs()
            total = len(nodes)
            for value in placeholders:
                if type(value) in PLACEHOLDERS:
                    # As `number` does; a call for each edge would take longer than all the rest.
                    need = value._place if table is None else table.get(value, -1)
                    if need >= total or nodes[need] is not value:
                        need = total
                        total += 1
                        nodes.append(value)
                        last.append(number)
                        uses.append(1)
                        if table is None:
                            value._place = need
                        else:
                            table[value] = need
                    elif last[need] == number:
                        continue  # the same argument once more
                    else:
                        last[need] = number
                        uses[need] += 1
                    mine.append(need)
            needs.append(tuple(mine))
            mine.clear()

    def _is_settled(self, number: int, node: Any) -> bool:
        """Note what is special about a node; return whether it need not run."""
        if not isinstance(node, DispatchNode):  # a NodeFuture
            self.given[number] = node
        elif self.is_input(node):
            self.given[number] = self._input(node)
        elif type(node) is DataNode:
            self.given[number] = node.value
        elif type(node) is Op and not node._callee.is_plain:
            if node._is_pure() and self._is_merged(number, node):
                self.given[number] = None
            else:
                self.special[number] = node.options
        if number in self.given:
            return True
        if type(node) is Op and node._callee.is_coroutine:
            self.coroutines.append(number)
        self._order(number, node)
        return False

    def is_input(self, node: Any) -> bool:
        """Return whether a value was given for `node`."""
        return node in self.inputs or (
            bool(self.inputs)
            and (node._key is not None or node._is_pure())
            and node.key in self.inputs_by_key
        )

    def _input(self, node: Any) -> Any:
        return self.inputs[node] if node in self.inputs else self.inputs_by_key[node.key]

    def _is_merged(self, number: int, node: Any) -> bool:
        """Let an equal pure call that was met before stand for this one, if there is any."""
        first = self.pure.setdefault(node.key, number)
        if first == number:
            return False
        self.index.merged[number] = first
        return True

    def _order(self, number: int, node: Any) -> None:
        """Note what the node waits for without taking its value."""
        before = node._after()
        if self.graph is not None:
            before = (*before, *self.graph.added_dependencies(node))
        if before:
            data = {self.number(value) for value in node._inputs()}
            others = dict.fromkeys(n for n in map(self.number, before) if n not in data)
            if others:
                self.after[number] = list(others)

    def _users(self) -> Users:
        """Return who waits for each node."""
        after = self.after
        if not after and not self.index.merged:
            return Users(self.needs, self.uses, self.last)
        return Users.of([(*mine, *after.get(number, ())) for number, mine in enumerate(self.needs)])

    def _rename_merged(self) -> None:
        """Put what stands for merged nodes in their place: everywhere, and once."""
        merged = self.index.merged
        for number, mine in enumerate(self.needs):
            if not merged.keys().isdisjoint(mine):
                self.needs[number] = tuple(dict.fromkeys(merged.get(n, n) for n in mine))
        for number, before in self.after.items():
            firsts = dict.fromkeys(merged.get(n, n) for n in before)
            self.after[number] = [n for n in firsts if n not in self.needs[number]]
