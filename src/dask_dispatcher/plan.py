"""A graph, flattened for one run: ints instead of objects.

`compile_plan` walks from the requested nodes to all they need and gives each a number, in the order
in which it finds them. It stops at given inputs, merges equal `pure` calls, and refuses cycles,
which only added edges can make. What it returns never changes during the run; `Schedule` keeps the
state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .collector import collector_paused
from .nesting import PLACEHOLDERS
from .nodes import DataNode, DispatchNode
from .ops import Op
from .options import Options

if TYPE_CHECKING:
    from .graph import DispatchGraph

__all__ = ["DepthFirst", "Plan", "compile_plan"]

DEFAULTS = Options()

_FEW = 8  # dependents: up to here a new tuple for each is smaller than a list, and as quick


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
    index : dict
        The number of each node. Merged nodes share one.
    needs : list of tuple of int
        By number: the distinct nodes whose values it takes.
    dependents : list of sequence of int
        By number: the distinct nodes that wait for it. A tuple, shared with others that have the
        same; a list is for those that have many.
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

    nodes: list[Any] = field(default_factory=list)
    index: dict[Any, int] = field(default_factory=dict)
    needs: list[tuple[int, ...]] = field(default_factory=list)
    dependents: list[Sequence[int]] = field(default_factory=list)
    after: dict[int, list[int]] = field(default_factory=dict)
    special: dict[int, Options] = field(default_factory=dict)
    coroutines: list[int] = field(default_factory=list)
    given: dict[int, Any] = field(default_factory=dict)
    requested: list[int] = field(default_factory=list)
    depth_first: bool = False

    def options(self, number: int) -> Options:
        """Return the options of a node; the defaults for nodes that have none."""
        special = self.special.get(number)
        if special is not None:
            return special
        node = self.nodes[number]
        return node.options if type(node) is Op else DEFAULTS

    def add_dependent(self, number: int, user: int) -> None:
        """Note that `user` waits for a node."""
        users = self.dependents[number]
        if type(users) is list:
            users.append(user)
        else:
            self.dependents[number] = (*users, user) if len(users) < _FEW else [*users, user]


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
        for node in requested:
            compiler.number(node)
        compiler.walk()
    plan = compiler.plan
    plan.depth_first = depth_first
    plan.requested = [plan.index[node] for node in requested]
    return plan


class _Compiler:
    def __init__(self, inputs: Mapping[Any, Any], graph: DispatchGraph | None) -> None:
        self.plan = Plan()
        self.inputs = inputs
        self.inputs_by_key = {node.key: value for node, value in inputs.items()}
        self.graph = graph
        self.pure: dict[str, int] = {}
        # Numbers not walked from yet; in the tuple that is what some node needs, if that is all.
        self.found: deque[Any] = deque()

    def number(self, node: Any) -> int:
        """Return the number of `node`, giving it the next one if it has none."""
        plan = self.plan
        number = plan.index.get(node)
        if number is None:
            number = plan.index[node] = len(plan.nodes)
            plan.nodes.append(node)
            plan.dependents.append(())
            self.found.append(number)
        return number

    def walk(self) -> None:
        """Number all that the numbered nodes need, in the order in which they are found."""
        nodes, index = self.plan.nodes, self.plan.index
        dependents: list[Any] = self.plan.dependents
        needs, coroutines, found = self.plan.needs, self.plan.coroutines, self.found
        usual = not self.inputs and self.graph is None
        several: list[int] = []
        while found:
            me = found.popleft()
            if type(me) is int:
                me = (me,)
            (number,) = me
            node = nodes[number]
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
            for value in placeholders:
                if type(value) in PLACEHOLDERS:
                    need = index.get(value)
                    if need is None:
                        need = index[value] = len(nodes)
                        nodes.append(value)
                        dependents.append(me)
                        found.append(need)
                    else:
                        users = dependents[need]
                        if not users:
                            dependents[need] = me
                        # The edges of one node come one after the other, so a repeat is the last.
                        elif users[-1] == number:
                            continue
                        elif type(users) is list:
                            users.append(number)
                        elif len(users) < _FEW:
                            dependents[need] = users + me
                        else:
                            dependents[need] = [*users, number]
                    several.append(need)
            mine = tuple(several)
            needs.append(mine)
            if len(mine) == 1 and found and found[-1] == need:
                found[-1] = mine  # one tuple for both ends of the edge
            several.clear()

    def _is_settled(self, number: int, node: Any) -> bool:
        """Note what is special about a node; return whether it need not run."""
        plan = self.plan
        if not isinstance(node, DispatchNode):  # a NodeFuture
            plan.given[number] = node
        elif self.is_input(node):
            plan.given[number] = self._input(node)
        elif type(node) is DataNode:
            plan.given[number] = node.value
        elif type(node) is Op and not node._callee.is_plain:
            if node._is_pure() and self._merge(number, node):
                return True
            plan.special[number] = node.options
        if number in plan.given:
            return True
        if type(node) is Op and node._callee.is_coroutine:
            plan.coroutines.append(number)
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

    def _merge(self, number: int, node: Any) -> bool:
        """Let an equal pure call that was met before stand for this one, if there is any."""
        plan = self.plan
        first = self.pure.setdefault(node.key, number)
        if first == number:
            return False
        plan.index[node] = first
        plan.given[number] = None
        for user in plan.dependents[number]:
            needs, after = plan.needs[user], plan.after.get(user, [])
            if first not in needs and first not in after:
                plan.add_dependent(first, user)
            needs = tuple(dict.fromkeys(first if n == number else n for n in needs))
            later = dict.fromkeys(first if n == number else n for n in after)
            after[:] = [n for n in later if n not in needs]
            plan.needs[user] = needs
        plan.dependents[number] = ()
        return True

    def _order(self, number: int, node: Any) -> None:
        before = node._after()
        if self.graph is not None:
            before = (*before, *self.graph.added_dependencies(node))
        if not before:
            return
        # By number, as equal pure calls share one.
        data = {self.number(value) for value in node._inputs()}
        numbers = dict.fromkeys(n for n in map(self.number, before) if n not in data)
        if numbers:
            self.plan.after[number] = list(numbers)
            for other in numbers:
                self.plan.add_dependent(other, number)
