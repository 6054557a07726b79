"""A Dask cluster that is not there: scheduler, workers and client as events in simulated time.

`SimulatedConnection` stands where `DaskEngine` has its `Connection`. What the engine submits are the
bytes that would travel; they are opened here, and each node "takes" the seconds it was given. The
model of what a stock cluster costs is `Model`; the policy of the worker's side (how long a group runs,
when it gives back what it has not begun, what it reports) is restated in `Worker.run`, with the
constants of `Runner`, which itself cannot run without threads and a real worker.

Nothing here sleeps or reads a clock.
"""

from __future__ import annotations

import concurrent.futures
import heapq
import itertools
import pickle
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from dask.utils import apply as dask_apply

from dask_dispatcher.executors.dask import marks, running
from dask_dispatcher.executors.dask.parcels import Parcel
from dask_dispatcher.executors.slices.carrying import SMALL
from dask_dispatcher.executors.slices.passing import Passing
from dask_dispatcher.executors.slices.running import Outbox


@dataclass(frozen=True)
class Model:
    """What a stock cluster and our client cost, in seconds; docs/decisions/at-scale.md has sources.

    Parameters
    ----------
    hop : float
        One message on its way, waiting to be batched included.
    scheduler_task : float
        Of the scheduler's one thread, a task: half as it comes, half as it ends.
    scheduler_event : float
        Of the same thread, a report that it passes on.
    worker_task : float
        Of the worker, a task: half before its nodes run, half after.
    worker_node : float
        Of the worker, a node.
    client_task : float
        Of our drive thread, a task.
    client_node : float
        Of our drive thread, a node, there and back.
    move : float
        A value on its way between workers, however small.
    bytes_a_second : float
        From one worker to another.
    """

    hop: float = 1.2e-3
    scheduler_task: float = 0.5e-3
    scheduler_event: float = 0.05e-3
    worker_task: float = 1.4e-3
    worker_node: float = 2e-6
    client_task: float = 0.3e-3
    client_node: float = 4e-6
    move: float = 5e-3
    bytes_a_second: float = 1e9


class World:
    """Simulated time, and what happens in it.

    Attributes
    ----------
    now : float
        Seconds.
    charged : float
        What the drive thread has used of the turn under way, in seconds.
    counts : Counter
        Tasks, reports, turns and bytes so far, and the seconds of each server.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.now = 1.0
        self.charged = 0.0
        self.counts: Counter[str] = Counter()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()

    def monotonic(self) -> float:
        """Return the time, as `time.monotonic` would."""
        return self.now + self.charged

    time = monotonic

    def charge(self, seconds: float) -> None:
        """Let the drive thread work for so long."""
        self.charged += seconds
        self.counts["client seconds"] += seconds

    def at(self, when: float, function: Callable[[], None]) -> None:
        """Call `function` at a time."""
        heapq.heappush(self._events, (when, next(self._serial), function))

    def hop(self, function: Callable[[], None]) -> None:
        """Call `function` where a message that is sent now arrives."""
        self.at(self.monotonic() + self.model.hop, function)

    def step(self) -> bool:
        """Let the next thing happen; return whether there was one."""
        if not self._events:
            return False
        self.now, _, function = heapq.heappop(self._events)
        function()
        return True


class SimulatedFuture:
    """A Dask task, as the client sees it, and where its result is."""

    def __init__(self, cluster: SimulatedConnection, key: Any) -> None:
        self.key = key
        self.status = "pending"
        self.client = cluster.client
        self.watchers: list[Callable[[], None]] = []
        self.is_wanted = True
        self.copies: set[str] = set()
        self.size = 0
        self.kept = SimpleNamespace(reports=[])
        self._there = cluster.there
        self._state = None  # of which `distributed` could tell why it ended

    def release(self) -> None:
        self.is_wanted = False
        self._there.discard(self.key)

    def finish(self) -> None:
        """Note, on the client, that the task has ended."""
        self.status = "finished"
        for watcher in self.watchers:
            watcher()


@dataclass
class Task:
    """A group on its way to, or on, a worker."""

    future: SimulatedFuture
    parcel: Parcel
    inputs: Sequence[SimulatedFuture]


class Worker:
    """One thread that runs groups in the order in which they are ready."""

    def __init__(self, cluster: SimulatedConnection, address: str) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self.address = address
        self._queue: deque[Task] = deque()
        self._is_busy = False

    def take(self, task: Task) -> None:
        """Bring a task's inputs here; then it is ready."""
        there = [future for future in task.inputs if self.address not in future.copies]
        if not there:
            self._ready(task)
            return
        size = sum(future.size for future in there)
        self._world.counts["bytes moved"] += size
        for future in there:
            future.copies.add(self.address)
        model = self._world.model
        arrives = self._world.now + model.move + size / model.bytes_a_second
        self._world.at(arrives, lambda: self._ready(task))

    def _ready(self, task: Task) -> None:
        self._queue.append(task)
        self._next()

    def _next(self) -> None:
        while self._queue and not self._is_busy:
            task = self._queue.popleft()
            if task.future.is_wanted:
                self._is_busy = True
                delay = self._world.model.worker_task / 2
                self._world.at(self._world.now + delay, lambda task=task: self.run(task))

    def revoke(self, names: Sequence[str]) -> list[str]:
        """Keep groups from beginning; return those that had not."""
        found = [task for task in self._queue if task.parcel.group in names]
        for task in found:
            self._queue.remove(task)
        return [task.parcel.group for task in found]

    def run(self, task: Task) -> None:
        """Run a group as `Runner` does: until the budget is used up, a node under way to its end."""
        start, elapsed, kept = self._world.now, 0.0, 0
        box, todo = Outbox(), deque(task.parcel.entries())
        passing = Passing(task.parcel.passing)
        used_up: list[int] = []
        while todo:
            number, target, *_ = todo.popleft()
            before = elapsed
            elapsed += self._cluster.seconds[number] + self._world.model.worker_node
            if before < task.parcel.budget < elapsed:
                back = [entry[0] for entry in todo]
                todo.clear()
                when = start + task.parcel.budget
                self._report(when, task, box, used_up, back, under_way=[number])
                used_up = []
            size = self._cluster.sizes[number]
            used_up += filter(passing.is_last_use, passing.taken_by(number))
            if size > SMALL:
                kept += 0 if number in passing else size
                box.large.append((number, size))
            else:
                box.numbers.append(number)
                box.atoms.append(None)
            box.costs.append((target, 1, elapsed - before))
            if kept >= running.ENOUGH:
                break
        self._world.counts["work"] += elapsed
        task.future.size = kept
        task.future.copies.add(self.address)
        self._report(start + elapsed, task, box, used_up, [entry[0] for entry in todo])
        ends = start + elapsed + self._world.model.worker_task / 2
        self._world.at(ends, lambda: self._end(task))

    def _end(self, task: Task) -> None:
        self._is_busy = False
        self._cluster.ended(task.future)
        self._next()

    def _report(
        self,
        when: float,
        task: Task,
        box: Outbox,
        used_up: list[int],
        back: list[int],
        under_way: Sequence[int] = (),
    ) -> None:
        report: bytes | None = pickle.dumps((*_merged(box.take()), used_up), protocol=5)
        if len(report or b"") > running._LONGEST_REPORT:
            task.future.kept.reports.append(report)
            report = None
        message = {
            "group": task.parcel.group,
            "report": report,
            "back": back,
            "under_way": list(under_way),
            "is_final": not under_way,
            "is_late": bool(under_way),
            "waits": False,
        }
        self._world.at(when, lambda: self._cluster.tell(task.parcel.topic, message))


def _merged(report: tuple[Any, ...]) -> tuple[Any, ...]:
    """Add up the costs of calls of one function that follow each other, as `SliceRunner` does."""
    costs: list[tuple[int, int, float]] = []
    for target, group in itertools.groupby(report[6], key=lambda cost: cost[0]):
        found = list(group)
        costs.append((target, len(found), sum(cost[2] for cost in found)))
    return (*report[:6], costs, report[7])


class SimulatedConnection:
    """A connection to a scheduler with workers of one thread each.

    Parameters
    ----------
    world : World
    workers : int

    Attributes
    ----------
    seconds, sizes : sequence
        What each node of the run under way takes, and the bytes of its value.
    there : set
        The keys of the tasks that the scheduler has and that have not ended.
    most_there : int
        How many of them there were at most.
    """

    is_alive = True
    address = "sim://scheduler"
    name = "simulated"

    def __init__(self, world: World, workers: int) -> None:
        self.world = world
        self.client = SimulatedClient(self)
        self.there: set[Any] = set()
        self.most_there = 0
        addresses = [f"sim://{number}" for number in range(workers)]
        self.workers = {address: Worker(self, address) for address in addresses}
        self.seconds: Sequence[float] = ()
        self.sizes: Sequence[int] = ()
        self._free_at = 0.0  # when the scheduler has nothing more to do
        self._futures: dict[Any, SimulatedFuture] = {}

    # What the engine asks

    def identity(self) -> concurrent.futures.Future[dict[str, Any]]:
        common = {
            "nthreads": 1,
            "status": "running",
            "resources": {},
            "metrics": {"bandwidth": {"total": self.world.model.bytes_a_second}},
        }
        told = {address: {"name": address, **common} for address in self.workers}
        return self._answer(lambda: {"id": "sim", "workers": told})

    def collect(self, keys: list[Any]) -> concurrent.futures.Future[dict[str, Any]]:
        data = {key: self._futures[key].kept for key in keys}
        return self._answer(lambda: {"status": "OK", "data": data}, hops=4)

    def ask_worker(
        self, address: str, function: Callable[..., Any], names: list[str]
    ) -> concurrent.futures.Future[Any]:
        assert function is marks.revoke
        return self._answer(lambda: self.workers[address].revoke(names), hops=4)

    def when_done(self, future: SimulatedFuture, callback: Callable[[], None]) -> None:
        future.watchers.append(callback)

    def has_lost(self, future: SimulatedFuture) -> bool:
        return False

    def _answer(self, ask: Callable[[], Any], hops: int = 2) -> concurrent.futures.Future[Any]:
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        delay = hops * self.world.model.hop
        self.world.at(self.world.monotonic() + delay, lambda: answer.set_result(ask()))
        return answer

    # What travels

    def submit(self, function: Any, *args: Any, **options: Any) -> SimulatedFuture:
        return self.client.submit(function, *args, **options)

    def send(self, future: SimulatedFuture, task: Task | None, address: str) -> None:
        """Send a task through the scheduler to a worker; None ends as soon as it is there."""
        model, counts = self.world.model, self.world.counts
        self._futures[future.key] = future
        counts["tasks"] += 1
        self.there.add(future.key)
        self.most_there = max(self.most_there, len(self.there))

        def passed_on() -> None:
            if task is None:
                self.world.hop(lambda: self.ended(future))
            else:
                self.world.hop(lambda: self.workers[address].take(task))

        self.world.hop(lambda: self._serve(model.scheduler_task / 2, passed_on))

    def tell(self, topic: str, message: dict[str, Any]) -> None:
        """Bring a report to whoever listens."""
        self.world.counts["reports"] += 1
        self.world.counts["bytes reported"] += len(message["report"] or b"")
        cost = self.world.model.scheduler_event

        def heard() -> None:
            self.client.handlers[topic]((self.world.now, message))

        self.world.hop(lambda: self._serve(cost, lambda: self.world.hop(heard)))

    def ended(self, future: SimulatedFuture) -> None:
        """Bring word of a task's end to the scheduler, and to the client."""
        cost = self.world.model.scheduler_task / 2

        def known() -> None:
            self.there.discard(future.key)
            self.world.hop(future.finish)

        self.world.hop(lambda: self._serve(cost, known))

    def _serve(self, seconds: float, then: Callable[[], None]) -> None:
        self._free_at = max(self._free_at, self.world.now) + seconds
        self.world.counts["scheduler seconds"] += seconds
        self.world.at(self._free_at, then)


class SimulatedClient:
    """What `Sender` and `listen` want of a ``distributed.Client``."""

    id = "simulated-client"
    status = "running"

    def __init__(self, cluster: SimulatedConnection) -> None:
        self._cluster = cluster
        self.handlers: dict[str, Callable[[tuple[float, Any]], None]] = {}

    def subscribe_topic(self, topic: str, handler: Callable[[tuple[float, Any]], None]) -> None:
        self.handlers[topic] = handler

    def unsubscribe_topic(self, topic: str) -> None:
        del self.handlers[topic]

    def submit(self, function: Any, *args: Any, key: Any, **options: Any) -> SimulatedFuture:
        cluster, world = self._cluster, self._cluster.world
        future = SimulatedFuture(cluster, key)
        task, address = None, ""
        world.charge(world.model.client_task)
        if function is dask_apply:
            load, inputs = args
            (payload,) = load.args
            task = Task(future, pickle.loads(payload), inputs)
            (address,) = options["workers"]
            world.counts["bytes sent"] += len(payload)
            world.charge(world.model.client_node * len(task.parcel.numbers))
        cluster.send(future, task, address)
        return future
