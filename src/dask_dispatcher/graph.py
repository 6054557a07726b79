"""`DispatchGraph`: some outputs and all they need, as one thing to look at, cut and run.

A graph holds nodes, and only those edges that were added by hand; the edges that nodes have by
themselves are read off them. It is closed: with a node it has all that the node depends on, except
past `inputs`, whose values are given when the graph runs.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from . import drawing, svg
from .errors import CycleError
from .nesting import PLACEHOLDERS
from .nodes import DispatchNode

__all__ = ["DispatchGraph"]

Node = DispatchNode[Any]

_LONGEST_CYCLE = 20  # nodes that an error names


class DispatchGraph:
    """The outputs and all they need, not looking past the inputs.

    Parameters
    ----------
    outputs : iterable of DispatchNode
    inputs : iterable of DispatchNode
        Nodes whose values are given when the graph runs; what only they need is left out.

    Examples
    --------
    >>> from dask_dispatcher import DispatchGraph, op
    >>> a = op(int)("1")
    >>> graph = DispatchGraph([a + 1])
    >>> len(graph), a in graph
    (2, True)
    """

    def __init__(self, outputs: Iterable[Node] = (), inputs: Iterable[Node] = ()) -> None:
        self._outputs = tuple(dict.fromkeys(_nodes("outputs", outputs)))
        self._inputs = frozenset(_nodes("inputs", inputs))
        self._nodes: dict[Node, None] = {}
        self._added: dict[Node, dict[Node, None]] = {}  # dependent -> its added dependencies
        self._dependents: dict[Node, tuple[Node, ...]] | None = None
        for node in self._outputs:
            self.add_node(node)

    def add_node(self, node: Node) -> None:
        """Add a node and all that it needs.

        Raises
        ------
        TypeError
            If `node` is not a node.
        """
        (node,) = _nodes("a graph's nodes", (node,))
        self._dependents = None
        found = [node]
        for current in found:
            if current not in self._nodes:
                self._nodes[current] = None
                if current not in self._inputs:
                    found.extend(current.dependencies)

    def add_edge(self, dependency: Node, dependent: Node) -> None:
        """Let `dependent` start only after `dependency`; adds what is missing of the two.

        An edge orders, as ``after`` does; it gives no data.
        """
        self.add_node(dependency)
        self.add_node(dependent)
        if dependency not in dependent.dependencies:
            self._added.setdefault(dependent, {})[dependency] = None

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the graph."""
        return tuple(self._nodes)

    @property
    def edges(self) -> tuple[tuple[Node, Node], ...]:
        """The edges, each as (dependency, dependent)."""
        return tuple((d, node) for node in self._nodes for d in self.dependencies(node))

    @property
    def inputs(self) -> frozenset[Node]:
        """The declared inputs."""
        return self._inputs

    @property
    def outputs(self) -> tuple[Node, ...]:
        """The outputs that were given, else the nodes on which nothing depends."""
        return self._outputs or tuple(node for node in self._nodes if not self.dependents(node))

    def dependencies(self, node: Node) -> tuple[Node, ...]:
        """Return the nodes in the graph that `node` depends on."""
        self._check_member(node)
        own = (d for d in node.dependencies if d in self._nodes)
        return (*own, *self._added.get(node, ()))

    def dependents(self, node: Node) -> tuple[Node, ...]:
        """Return the nodes in the graph that depend on `node`."""
        self._check_member(node)
        if self._dependents is None:
            found: dict[Node, list[Node]] = {}
            for dependency, dependent in self.edges:
                found.setdefault(dependency, []).append(dependent)
            self._dependents = {node: tuple(them) for node, them in found.items()}
        return self._dependents.get(node, ())

    def added_dependencies(self, node: Node) -> tuple[Node, ...]:
        """Return the nodes that an added edge puts before `node`."""
        return tuple(self._added.get(node, ()))

    def subgraph(self, outputs: Iterable[Node] = (), inputs: Iterable[Node] = ()) -> DispatchGraph:
        """Return the part of the graph between some inputs and some outputs.

        Parameters
        ----------
        outputs : iterable of DispatchNode
            With none: everything is kept except what only served to make the inputs.
        inputs : iterable of DispatchNode
            Kept, without what is needed only through them.

        Returns
        -------
        DispatchGraph
            Edges into inputs are kept where both ends are.
        """
        outputs, inputs = _nodes("outputs", outputs), _nodes("inputs", inputs)
        for node in (*outputs, *inputs):
            self._check_member(node)
        part = DispatchGraph()
        part._outputs = tuple(dict.fromkeys(outputs))
        part._inputs = self._inputs | frozenset(inputs)
        found = list(part._outputs) or self._serving_more_than(inputs)
        for node in found:
            if node not in part._nodes:
                part._nodes[node] = None
                if node not in part._inputs:
                    found.extend(self.dependencies(node))
        part._nodes.update(dict.fromkeys(inputs))
        for node, dependencies in self._added.items():
            kept = {d: None for d in dependencies if d in part._nodes}
            if kept and node in part._nodes:
                part._added[node] = kept
        return part

    def _serving_more_than(self, inputs: Iterable[Node]) -> list[Node]:
        """Return the nodes that nothing in `inputs` depends on."""
        serving = {d: None for node in inputs for d in self.dependencies(node)}
        pending = list(serving)
        for node in pending:
            new = [d for d in self.dependencies(node) if d not in serving]
            serving.update(dict.fromkeys(new))
            pending.extend(new)
        return [node for node in self._nodes if node not in serving]

    def check_acyclic(self, given: Container[Node] = ()) -> None:
        """Raise CycleError if the added edges close a cycle.

        Parameters
        ----------
        given : container of DispatchNode
            Nodes whose values are there already, so that nothing has to come before them.
        """
        if not self._added:
            return
        before = {n: () if n in given else self.dependencies(n) for n in self._nodes}
        waiting = {node: len(nodes) for node, nodes in before.items()}
        ready = [node for node, count in waiting.items() if not count]
        for node in ready:
            for user in self.dependents(node):
                waiting[user] -= 1
                if not waiting[user]:
                    ready.append(user)
        if len(ready) < len(self):
            raise _cycle_error(before, waiting)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    def __contains__(self, node: object) -> bool:
        return type(node) in PLACEHOLDERS and node in self._nodes

    def __len__(self) -> int:
        return len(self._nodes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DispatchGraph):
            return NotImplemented
        return self._nodes.keys() == other._nodes.keys() and set(self.edges) == set(other.edges)

    __hash__ = None  # type: ignore[assignment]  # a graph changes, and is equal by what it holds

    def __repr__(self) -> str:
        return f"<DispatchGraph: {len(self)} nodes, {len(self.outputs)} outputs>"

    def to_mermaid(self, states: Mapping[Node, str] | None = None) -> str:
        """Return the graph as a Mermaid flowchart, coloured by `states`, as of `Run.states`."""
        return drawing.to_mermaid(self._nodes, self.edges, states)

    def to_dot(self, states: Mapping[Node, str] | None = None) -> str:
        """Return the graph in Graphviz' DOT language, coloured by `states`, as of `Run.states`."""
        return drawing.to_dot(self._nodes, self.edges, states)

    def to_svg(self, states: Mapping[Node, str] | None = None) -> str:
        """Return a picture of the graph, coloured by `states`, as of `Run.states`.

        A graph of more than a few hundred nodes has one box a label.
        """
        return svg.to_svg(self._nodes, self.edges, states)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {
            "text/plain": repr(self),
            "image/svg+xml": self.to_svg(),
            "text/vnd.mermaid": self.to_mermaid(),
        }

    def _check_member(self, node: Node) -> None:
        if node not in self:
            raise KeyError(f"{node!r} is not in {self!r}")


def _nodes(what: str, nodes: Iterable[Node]) -> tuple[Node, ...]:
    found = (nodes,) if isinstance(nodes, DispatchNode) else tuple(nodes)
    for node in found:
        if not isinstance(node, DispatchNode):
            raise TypeError(f"{what} must be nodes, not {type(node).__name__}")
    return found


def _cycle_error(before: Mapping[Node, Iterable[Node]], waiting: Mapping[Node, int]) -> CycleError:
    # Each node left waits for another one left: follow those until one comes up again.
    node = next(node for node, count in waiting.items() if count > 0)
    path: dict[Node, None] = {}
    while node not in path:
        path[node] = None
        node = next(other for other in before[node] if waiting[other] > 0)
    loop = list(path)[list(path).index(node) :]
    cycle = [node, *reversed(loop)]
    shown = [drawing.shown_label(node.label) for node in cycle]
    if len(shown) > _LONGEST_CYCLE:
        shown[_LONGEST_CYCLE // 2 : -_LONGEST_CYCLE // 2] = ["…"]
    return CycleError(f"the graph has a cycle: {' -> '.join(shown)}", cycle)
