"""Runs of `DaskExecutor`'s own engine on a simulated cluster.

What decides is the code that decides for users: `Schedule`, `Job`, `Costs`, `Crew`, `Feeder`,
`Sender`, `Inbox`, `Watch`, turn by turn of the drive loop. Only the cluster is `bench.simulated`, and
the clock. The drive thread is a server like the scheduler: a turn takes the seconds that its tasks
and nodes are charged, and the next one begins after it.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.instances import Instance
from bench.simulated import Model, SimulatedConnection, World
from dask_dispatcher import op
from dask_dispatcher.executors.dask.engine import DaskEngine
from dask_dispatcher.executors.policy import Policy
from dask_dispatcher.executors.state import RunState
from dask_dispatcher.plan import compile_plan

_POLICY = "dask_dispatcher.executors"


@contextlib.contextmanager
def clock(world: World) -> Iterator[None]:
    """Let the engine's modules read simulated time; nothing else may use them meanwhile."""
    modules = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith(_POLICY) and getattr(module, "time", None) is time
    ]
    for module in modules:
        module.time = world  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in modules:
            module.time = time  # type: ignore[attr-defined]


class SimulatedEngine(DaskEngine):
    """The engine, whose drive thread is whoever steps the world."""

    def __init__(self, connection: SimulatedConnection) -> None:
        super().__init__(Policy(), connection, worker_timeout=30.0)  # type: ignore[arg-type]
        self._world = connection.world
        self._thread = threading.current_thread()
        self._free_at = 0.0
        self._turn_at: float | None = None

    def post(self, function: Callable[[], None]) -> None:
        super().post(function)
        self._wake(self._world.now)

    def later(self, delay: float, function: Callable[[], None]) -> None:
        super().later(delay, function)
        self._wake(self._world.monotonic() + delay)

    def reported(self, name: str, message: dict[str, Any]) -> None:
        self._world.charge(self._world.model.client_task / 4)
        super().reported(name, message)

    def _wake(self, when: float) -> None:
        when = max(when, self._free_at)
        if self._turn_at is None or when < self._turn_at:
            self._turn_at = when
            self._world.at(when, lambda: self._drive(when))

    def _drive(self, when: float) -> None:
        if self._turn_at != when:
            return
        self._turn_at = None
        try:
            post = self._posts.get_nowait()
        except queue.Empty:
            post = None
        began = time.thread_time()
        self._turn(post)
        self._world.counts["client really"] += time.thread_time() - began
        self._world.counts["turns"] += 1
        self._free_at = self._world.monotonic()
        self._world.charged = 0.0
        if not self._posts.empty():
            self._wake(self._free_at)
        elif self._timers:
            self._wake(self._timers[0][0])


@dataclass(frozen=True)
class Outcome:
    """What one simulated run came to.

    Parameters
    ----------
    seconds : float
        From its start until the program knows of its end.
    most_there : int
        Tasks that the scheduler had at once, at most.
    counts : Counter
        What the run added to `World.counts`.
    """

    seconds: float
    most_there: int
    counts: Counter[str]


class Simulation:
    """An executor on a simulated cluster, for any number of runs.

    Parameters
    ----------
    workers : int
    model : Model
    """

    def __init__(self, workers: int, model: Model | None = None) -> None:
        self.world = World(model or Model())
        self.cluster = SimulatedConnection(self.world, workers)
        self.engine = SimulatedEngine(self.cluster)
        self._functions: dict[str, Any] = {}

    def run(self, instance: Instance) -> Outcome:
        """Run an instance; what is learned of its functions holds for the next one."""
        state = self._state(instance)
        with clock(self.world):
            before, start = self.world.counts.copy(), self.world.now
            self.cluster.most_there = 0
            self.engine.launch(state, blocking=True)
            while not state.schedule.is_over:
                if not self.world.step():
                    raise RuntimeError(f"{instance.name} hangs: nothing is left to happen")
            seconds = self.engine._free_at - start
            counts = Counter({key: n - before[key] for key, n in self.world.counts.items()})
            while self.world.step():  # what is still on its way when the run is over
                pass
        assert state.schedule.done == len(instance.tasks)
        return Outcome(seconds, self.cluster.most_there, counts)

    def _state(self, instance: Instance) -> RunState:
        nodes: dict[str, Any] = {}
        for id_, task in instance.tasks.items():
            nodes[id_] = self._function(task.category)(*[nodes[p] for p in task.parents])
        plan = compile_plan([nodes[id_] for id_ in instance.sinks])
        seconds, sizes = [0.0] * len(plan.nodes), [0] * len(plan.nodes)
        for id_, node in nodes.items():
            number = plan.index[node]
            seconds[number] = instance.tasks[id_].seconds
            sizes[number] = instance.tasks[id_].size
        self.cluster.seconds, self.cluster.sizes = seconds, sizes
        return RunState(self.engine, plan, fail_fast=False)

    def _function(self, category: str) -> Any:
        found = self._functions.get(category)
        if found is None:
            found = self._functions[category] = op(_called(category))
        return found


def _called(category: str) -> Callable[..., None]:
    """Make the function of a category; nobody calls it."""

    def function(*inputs: Any) -> None:
        """Stand for a task."""

    function.__name__ = category
    return function
