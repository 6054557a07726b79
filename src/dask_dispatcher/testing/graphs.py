"""Random graphs of every kind of node, the same for the same random numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from ..nodes import CollectNode, DataNode, DispatchNode
from ..ops import Op, op
from .calls import halves, mix, mix_async, stall, stall_async
from .files import Gate, Journal

__all__ = ["RandomGraph"]

Node = DispatchNode[Any]

_KINDS = (
    *("call", "call", "call", "coroutine", "flaky", "failing"),
    *("stalling", "half", "operator", "collect", "data", "pure"),
)
_MOMENT = 0.05  # seconds; the timeout of a node that waits for ever
_LONG = 60.0  # seconds; the timeout of nodes that end by themselves


@dataclass
class RandomGraph:
    """A graph that grows by random choices.

    Calls note their starts in `journal` under their labels. At most one node waits for ever, at
    `gate`, until its timeout ends it. It is not retried: where a call cannot be killed, it holds
    its worker, which may be the only one, until the gate opens.
    """

    random: Random
    journal: Journal
    gate: Gate
    size: int = 25
    nodes: list[Node] = field(default_factory=list)
    numbers: list[Node] = field(default_factory=list)
    """The nodes whose values are numbers, and thus may be hashed."""
    stalling: Node | None = None

    def __post_init__(self) -> None:
        self._add(DataNode(1), is_number=True)
        for serial in range(self.random.randint(1, self.size)):
            self._grow(f"n{serial}", self.random.choice(_KINDS))

    def request(self) -> list[Node]:
        """Return some of the nodes, perhaps one of them twice; always the one that stalls."""
        count = self.random.randint(0, len(self.nodes))
        requested = [self.random.choice(self.nodes) for _ in range(count)]
        return requested if self.stalling is None else [*requested, self.stalling]

    def inputs(self) -> dict[Node, Any]:
        """Return values that stand in for some of the nodes."""
        # A value for a pure node would stand in for all that equal it.
        calls = [node for node in self.numbers if node.label != "pure"]
        chosen = [self.random.choice(calls) for _ in range(self.random.randint(0, 2))]
        return {node: self.random.randint(0, 9) for node in chosen}

    def _add(self, node: Node, *, is_number: bool) -> None:
        self.nodes.append(node)
        if is_number:
            self.numbers.append(node)

    def _grow(self, name: str, kind: str) -> None:
        random = self.random
        if kind == "data":
            self._add(DataNode([random.randint(0, 9), name]), is_number=False)
        elif kind == "collect":
            self._add(CollectNode(self._some(4)), is_number=False)
        elif kind == "pure":
            pure = op(mix, pure=True, label="pure")
            self._add(
                pure(self.journal, "pure", 0, random.choice(self.numbers[:3])), is_number=True
            )
        elif kind == "half":
            both = op(halves)(random.choice(self.numbers))
            self._add(both[random.randint(0, 1)], is_number=True)
        elif kind == "operator":
            self._add(self._call(name) + random.choice(self.numbers), is_number=True)
        elif kind == "stalling":
            if self.stalling is None:
                self.stalling = self._stalling_call(name)
                self._add(self.stalling, is_number=False)
        else:
            self._add(self._call(name, kind), is_number=True)

    def _call(self, name: str, kind: str = "call") -> Op[Any]:
        random = self.random
        retries = random.randint(0, 2) if kind in ("flaky", "failing") else 0
        failures = {"flaky": retries, "failing": retries + 1}.get(kind, 0)
        call = op(
            mix_async if kind == "coroutine" or random.randint(0, 5) == 0 else mix,
            label=name,
            retries=retries,
            retry_delay=0.0,
            after=self._some(2) if random.randint(0, 3) == 0 else (),
            priority=random.randint(0, 3),
            timeout=_LONG if random.randint(0, 3) == 0 else None,
        )
        args = [self._argument() for _ in range(random.randint(0, 3))]
        kwargs = {"more": self._argument()} if random.randint(0, 3) == 0 else {}
        return call(self.journal, name, failures, *args, **kwargs)

    def _stalling_call(self, name: str) -> Op[Any]:
        function = self.random.choice((stall, stall_async))
        return op(function, label=name, timeout=_MOMENT)(self.gate, *self._some(2))

    def _some(self, most: int) -> list[Node]:
        return [self.random.choice(self.nodes) for _ in range(self.random.randint(0, most))]

    def _argument(self) -> Any:
        node, number = self.random.choice(self.nodes), self.random.choice(self.numbers)
        forms = (
            *(node, node, node, 7, "text", [1, 2]),
            *([node, 2], (node,), {"k": node}, {number: 3}, {number, 4}),
            [{"deep": ({"deeper": [node, number]},)}],
        )
        return self.random.choice(forms)
