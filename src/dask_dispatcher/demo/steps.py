"""An observer of one's own: how each step of the census went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..events import Event, NodeFailed, NodeFinished
from ..nodes import DispatchNode


@dataclass
class Step:
    """What became of the nodes of one step, and how long they took in all."""

    nodes: int = 0
    ok: int = 0
    err: int = 0
    not_run: int = 0  # since what they depend on had failed
    seconds: float = 0.0
    slowest: str = ""
    slowest_seconds: float = 0.0


class StepCounter:
    """Sums up the events of a run by step; the first word of a node's label is its step.

    Anything with a method `on_events` can observe a run. It is called on a thread of the run's
    own, with one batch at a time, so that no lock is needed here.
    """

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}

    @property
    def nodes(self) -> int:
        """How many nodes there are in all steps."""
        return sum(step.nodes for step in self._steps.values())

    def expect(self, nodes: Iterable[DispatchNode[Any]]) -> None:
        """Take account of nodes that are about to run."""
        for node in nodes:
            self._step(node.label).nodes += 1

    def on_events(self, batch: Sequence[Event]) -> None:
        """Count what finished and what failed."""
        for event in batch:
            if isinstance(event, NodeFinished):
                self._finished(event)
            elif isinstance(event, NodeFailed):
                self._step(event.label).err += 1

    def as_record(self) -> dict[str, dict[str, Any]]:
        """Return the sums by step."""
        for step in self._steps.values():
            step.not_run = step.nodes - step.ok - step.err
        return {name: asdict(step) for name, step in self._steps.items()}

    def _finished(self, event: NodeFinished) -> None:
        step = self._step(event.label)
        seconds = event.time - event.started
        step.ok += 1
        step.seconds += seconds
        if seconds > step.slowest_seconds:
            step.slowest, step.slowest_seconds = event.label, seconds

    def _step(self, label: str) -> Step:
        return self._steps.setdefault(label.partition(" ")[0], Step())
