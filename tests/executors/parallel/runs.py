"""A run as the controller sees it, and workers to place it on, with no process started."""

from dataclasses import dataclass, field
from typing import Any

from dask_dispatcher.executors.parallel.engine import ParallelEngine
from dask_dispatcher.executors.parallel.job import Job
from dask_dispatcher.executors.policy import Policy
from dask_dispatcher.executors.slices.costs import Costs
from dask_dispatcher.executors.state import RunState
from dask_dispatcher.plan import compile_plan


def make_job(
    *nodes: Any,
    costs: Costs | None = None,
    sizes: Costs | None = None,
    inputs: Any = None,
    **policy: Any,
) -> Job:
    """Return the job of a run of these nodes."""
    engine = ParallelEngine(Policy(**policy), 2, None)
    state = RunState(engine, compile_plan(nodes, inputs), fail_fast=False)
    return Job(state, 7, costs or Costs(), sizes or Costs())


def known(seconds: dict[Any, float]) -> Costs:
    """Return costs by callee: ``known({node._callee: 0.001})``."""
    costs = Costs()
    for callee, mean in seconds.items():
        costs.add(callee, 1, mean)
    return costs


@dataclass(eq=False)
class Somebody:
    """What the controller looks at of a worker.

    Attributes
    ----------
    current : int or None
        What its cell says.
    seconds : float
        How long the node under way has been running.
    sent : list of tuple
        The messages to it.
    kills : int
        How often it was killed.
    kept : int
        How many values it holds.
    """

    is_open: bool = True
    slices: dict[int, Any] = field(default_factory=dict)
    coroutines: dict[Any, Any] = field(default_factory=dict)
    timed_out: tuple[int, int] | None = None
    current: int | None = None
    seconds: float = 0.0
    since: float = 0.0
    is_gone: bool = False
    kills: int = 0
    kept: int = 0
    sent: list[tuple[Any, ...]] = field(default_factory=list)
    name: str = "somebody"
    reason: str = "killed by SIGKILL"

    @property
    def is_idle(self) -> bool:
        return self.is_open and not self.slices

    def node_of(self, serial: int) -> int | None:
        return self.current

    def send(self, *message: Any) -> None:
        self.sent.append(message)

    def seconds_in_node(self) -> float:
        return self.seconds

    def kill(self) -> None:
        self.kills += 1
