"""What is measured, in which order, and the page it becomes.

Every section is a function that takes the `Plan`, measures, and adds its tables and target rows
to the `Page`. Progress goes to stderr, one line a workload, for this takes some minutes.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path

from bench import (
    dask_graphs,
    heavy,
    parallel_targets,
    probes,
    report,
    sharing,
    streams,
    targets,
)
from bench.cluster import stock_cluster
from bench.engines import BOUND, CLUSTER, LOCAL, OBSERVED, PROCESSES, SLEEPING, Engine
from bench.instances import load_instance
from bench.measure import Comparison, compare, take_turns, warm_up
from bench.replaying import EXECUTORS, open_players, replay_all
from bench.seed import seed
from bench.targets import Row
from bench.workloads import (
    LONG_SECONDS,
    PLAIN,
    SHAPES,
    SPIN_SECONDS,
    Workload,
    cpu,
    data,
    loops_for,
    mixed,
    tiny,
)

WORKERS = 2
WORKFLOW_SECONDS = 20.0


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Parameters
    ----------
    sizes, cluster_sizes : sequence of int
        The n of the tiny shapes, in this process and on a cluster.
    many : int
        How many Ops are built for the build and size targets.
    observed : int
        The n of the runs that are watched for their memory and by observers.
    share : float
        Of the workloads that do real work: 1 for their full size.
    rounds : int
        Rounds of an engine that is neither very fast nor very slow.
    only, engines : frozenset of str
        Names of workloads (or sections) and of engines; empty means all.
    workflows : sequence of Path
        WfFormat instances to replay.
    """

    sizes: Sequence[int]
    cluster_sizes: Sequence[int]
    many: int
    observed: int
    share: float
    rounds: int
    only: frozenset[str]
    engines: frozenset[str]
    workflows: Sequence[Path]

    def has(self, name: str) -> bool:
        """Whether the workload or section of this name is wanted."""
        return not self.only or name.split(":")[0] in self.only

    def has_graph(self, name: str) -> bool:
        """Whether the graph of a Dask collection is wanted: all are, or its kind, or itself."""
        return not self.only or not self.only.isdisjoint({"collections", name.split(":")[0], name})

    def takes(self, engine: str) -> bool:
        """Whether the engine is wanted."""
        return not self.engines or engine in self.engines

    def open_local(self, stack: ExitStack) -> list[Engine]:
        """Open the wanted engines of this process, warm."""
        kinds = [kind for kind in LOCAL if self.takes(kind.name)]
        return _warm([stack.enter_context(kind()) for kind in kinds])

    def open_processes(self, stack: ExitStack) -> tuple[list[Engine], list[str]]:
        """Open the wanted engines on local processes, warm, and say which could not be opened."""
        engines: list[Engine] = []
        absent: list[str] = []
        for kind in PROCESSES:
            if not self.takes(kind.name):
                continue
            try:
                engines += _warm([stack.enter_context(kind())])
            except Exception as error:  # a peer that is not installed, or does not start here
                absent.append(
                    f"Left out: {kind.name} ({type(error).__name__}: {str(error)[:200]})."
                )
        return engines, absent

    def open_cluster(self, stack: ExitStack, address: str) -> list[Engine]:
        """Open the wanted engines on the cluster at `address`, warm."""
        kinds = [kind for kind in CLUSTER if self.takes(kind.name)]
        return _warm([stack.enter_context(kind(address)) for kind in kinds])


def _warm(engines: list[Engine]) -> list[Engine]:
    warm_up(engines, SHAPES["wide"](100, PLAIN))
    return engines


@dataclass
class Page:
    """What was found: Markdown sections, target rows, and the comparisons for the picture."""

    sections: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    pictured: list[Comparison] = field(default_factory=list)

    def add(self, title: str, *parts: str) -> None:
        """Add a section."""
        self.sections.append("\n\n".join([f"## {title}", *parts]))

    def text(self, command: str, title: str = "Measured") -> str:
        """Lay out the whole page."""
        head = f"# {title}\n\nWritten by `{command}`. {report.machine_line()}."
        how = (
            "Every figure is the median of its rounds, with the fastest and slowest round in "
            "brackets; engines took turns, every result was checked. µs/node is the time to build "
            "**and** run the graph over the number of its nodes, pools and clusters being warm. "
            "The machine is shared: compare figures of one row, not of two runs."
        )
        reached = sum(row.reached for row in self.rows)
        count = f"## Targets: {reached} of {len(self.rows)} reached"
        goals = [count, report.target_table(self.rows)] if self.rows else []
        return "\n\n".join([head, how, *goals, *self.sections]) + "\n"


def measure_all(plan: Plan) -> Page:
    """Measure everything the plan asks for."""
    page = Page()
    for section in (
        probing,
        in_process,
        observing,
        on_processes,
        on_cluster,
        on_shared_cluster,
        on_collections,
        on_streams,
        replaying,
    ):
        section(plan, page)
    return page


def probing(plan: Plan, page: Page) -> None:
    """Start-up, building and memory, each in a fresh interpreter."""
    if plan.has("startup"):
        _say("startup")
        page.rows += targets.startup_rows(probes.startup(max(5, plan.rounds)))
        firsts = [probes.control("first") for _ in range(max(5, plan.rounds))]
        page.rows += parallel_targets.first_rows(firsts)
    if plan.has("build"):
        _say(f"build {plan.many:,}")
        times = probes.probe("build", plan.many, max(5, plan.rounds))
        sizes = probes.probe("size", plan.many)
        page.rows += targets.build_rows(plan.many, times, sizes)
    if plan.has("memory"):
        _say(f"memory {plan.observed:,}")
        found = {shape: probes.probe("memory", shape, plan.observed) for shape in SHAPES}
        page.rows += targets.memory_rows(plan.observed, found)
        found = {shape: probes.control("memory", shape, plan.observed) for shape in SHAPES}
        page.rows += parallel_targets.memory_rows(plan.observed, found)


def in_process(plan: Plan, page: Page) -> None:
    """Tiny nodes, and real work, on the engines of this process."""
    with ExitStack() as stack:
        engines = plan.open_local(stack)
        small = _compare_all(plan, _tiny_workloads(plan.sizes), engines)
        coroutines = _compare_forms(plan, engines)
        seeds = [seed(sleeps=True), seed(sleeps=True, coroutines=True)]
        takers = [engine for engine in engines if engine.name in ("async", "asyncio")]
        if plan.has("seed") and plan.takes("async"):
            takers += _warm([stack.enter_context(kind()) for kind in SLEEPING])
        sleepers = _compare_all(plan, [(w, w.nodes) for w in seeds], takers)
        work = _compare_all(plan, _working(plan), [e for e in engines if e.name != "graphlib"])
    if small:
        own = report.build_share_table(small, "async")
        page.add("Tiny nodes in this process", report.per_node_table(small, "loop"), own)
    if coroutines:
        page.add("Coroutines that never suspend", report.per_node_table(coroutines, targets.PLAIN))
    if sleepers + work:
        page.add("Real work in this process", report.seconds_table(sleepers + work))
    page.rows += targets.async_rows(small + coroutines) + targets.seed_rows(sleepers)
    page.pictured += [c for c in small if c.size == min(plan.sizes, key=lambda n: abs(n - 10_000))]


def observing(plan: Plan, page: Page) -> None:
    """What observers cost on AsyncExecutor."""
    if not plan.has("observers") or not plan.takes("async"):
        return
    with ExitStack() as stack, redirect_stderr(_Terminal()):
        engines = _warm([stack.enter_context(kind()) for kind in OBSERVED])
        workloads = [tiny(shape, plan.observed) for shape in ("wide", "chain")]
        found = [compare(w, plan.observed, engines, plan.rounds) for w in workloads]
    page.add("Observers", report.per_node_table(found, "async"))
    page.rows += targets.observer_rows(found)


class _Terminal(io.StringIO):
    """A terminal to show progress on, which nobody looks at."""

    def isatty(self) -> bool:
        return True


def on_processes(plan: Plan, page: Page) -> None:
    """ParallelExecutor and its peers on local processes."""
    if plan.takes("parallel"):
        page.rows += _control_rows(plan)
    with ExitStack() as stack:
        engines, absent = plan.open_processes(stack)
        small = _compare_all(plan, _tiny_workloads(plan.sizes), engines)
        work = _compare_all(plan, _working(plan), engines)
    if small:
        page.add("Tiny nodes on two processes", report.per_node_table(small, "parallel"), *absent)
    if work:
        page.add("Real work on two processes", report.seconds_table(work), *absent)
    page.rows += parallel_targets.parallel_rows(small + work)


def _control_rows(plan: Plan) -> list[Row]:
    """ParallelExecutor's memory while others hold large values, and a kill."""
    rows = []
    if plan.has("data"):
        _say("memory of data's controller")
        rows += parallel_targets.growth_rows(probes.control("data", max(1, round(50 * plan.share))))
    if plan.has("kill"):
        _say("a kill at half time")
        calls = max(20, round(400 * plan.share))
        rows += parallel_targets.kill_rows(probes.control("kill", calls, plan.rounds))
    return rows


def on_cluster(plan: Plan, page: Page) -> None:
    """DaskExecutor and dask.delayed on one stock cluster."""
    workloads = _tiny_workloads(plan.cluster_sizes)
    if not any(map(plan.takes, ("dask", "delayed-cluster"))):
        return
    if not any(plan.has(name) for name in (*SHAPES, "seed", "cpu", "mixed", "data")):
        return
    with ExitStack() as stack:
        address = stack.enter_context(stock_cluster(WORKERS))
        engines = plan.open_cluster(stack, address)
        small = _compare_all(plan, workloads, engines)
        sleeping = seed(sleeps=True)
        bound = [kind() for kind in BOUND if plan.takes(kind.name)]
        work = _compare_all(plan, [(sleeping, sleeping.nodes), *_working(plan)], engines + bound)
    title = f"On a stock Dask cluster, {WORKERS} workers x 1 thread"
    page.add(title, report.per_node_table(small, "dask"), report.seconds_table(work))
    page.rows += targets.dask_rows(small + work, WORKERS)


def on_shared_cluster(plan: Plan, page: Page) -> None:
    """Heavy nodes with arrays, and ten calls beside a long run, on a stock cluster."""
    if not plan.takes("dask"):
        return
    if plan.has("heavy"):
        _say("heavy")
        with ExitStack() as stack:
            address = stack.enter_context(stock_cluster(WORKERS))
            arrays = max(2, round(16 * plan.share))
            engines = plan.open_cluster(stack, address)
            loads = heavy.measure_heavy(engines, address, plan.rounds, arrays)
        page.add("Heavy nodes on a stock Dask cluster", heavy.heavy_table(loads))
        page.rows += heavy.heavy_rows(loads)
    if plan.has("fairness"):
        _say("fairness")
        with stock_cluster(WORKERS) as address:
            found = sharing.measure_sharing(address, plan.rounds)
        page.add("Beside others on a stock Dask cluster", sharing.sharing_table(found))
        page.rows += sharing.sharing_rows(found)


def on_collections(plan: Plan, page: Page) -> None:
    """Graphs of Dask's collections on our executors and on Dask's own schedulers."""
    graphs = [(name, make) for name, make in dask_graphs.graphs(plan.share) if plan.has_graph(name)]
    kinds = [kind for kind in dask_graphs.KINDS if graphs and plan.takes(kind)]
    workloads = [dask_graphs.workload(name, make) for name, make in graphs if kinds]
    for kind in kinds:
        with ExitStack() as stack:
            address = stack.enter_context(stock_cluster(WORKERS)) if kind == "dask" else ""
            engines = stack.enter_context(dask_graphs.schedulers(kind, address))
            found = [_compare_collection(plan, kind, graph, engines) for graph in workloads]
        beside = report.peers_table(found, targets.DASK_PEERS)
        page.add(dask_graphs.KINDS[kind], dask_graphs.NOTES[kind], beside)
        page.rows += targets.collection_rows(found)


def _compare_collection(
    plan: Plan, kind: str, graph: Workload, engines: Sequence[Engine]
) -> Comparison:
    _say(f"collections on {kind}, {graph.name}")
    warm_up(engines, graph.build)
    return compare(graph, graph.nodes, engines, plan.rounds)


def on_streams(plan: Plan, page: Page) -> None:
    """Channels between nodes beside the peers' queues, and a large array between workers."""
    if not plan.has("channels"):
        return
    _say("channels")
    with ExitStack() as stack:
        address = stack.enter_context(stock_cluster(WORKERS)) if plan.takes("dask") else ""
        opened, absent = streams.open_streams(stack, address, plan.takes)
        found = streams.measure_streams(opened, plan.rounds, plan.share)
    parts = [streams.stream_table(found), *absent]
    page.rows += streams.stream_rows(found)
    if plan.takes("parallel"):
        megabytes = max(1, round(streams.MEGABYTES * plan.share))
        arrays = streams.measure_arrays(plan.rounds, megabytes)
        parts.append(streams.array_table(arrays, megabytes))
        page.rows += streams.array_rows(arrays, megabytes)
    page.add("Channels", *parts)


def replaying(plan: Plan, page: Page) -> None:
    """Real workflows on our executors."""
    if not plan.workflows or not plan.has("workflows"):
        return
    instances = [load_instance(path) for path in plan.workflows]
    with ExitStack() as stack:
        players = open_players(stack, EXECUTORS, WORKERS, scheduler=None, peer=True)
        found = list(replay_all(instances, players, WORKERS, WORKFLOW_SECONDS))
    page.add(f"Workflows on {WORKERS} workers", report.workflow_table(found))
    page.rows += targets.workflow_rows(found)


def _tiny_workloads(
    sizes: Iterable[int], *, coroutines: bool = False
) -> Iterator[tuple[Workload, int]]:
    for n in sizes:
        for shape in SHAPES:
            yield tiny(shape, n, coroutines=coroutines), n
    example = seed(sleeps=False, coroutines=coroutines)
    yield example, example.nodes


def _working(plan: Plan) -> list[tuple[Workload, int]]:
    def part(whole: int) -> int:
        return max(1, round(whole * plan.share))

    short, long = part(5_000), part(40)
    wanted = [
        cpu(loops_for(SPIN_SECONDS), part(200)),
        mixed("random", loops_for(LONG_SECONDS), short, long),
        mixed("adjacent", loops_for(LONG_SECONDS), short, long),
        data(megabytes=part(50)),
    ]
    return [(workload, workload.nodes) for workload in wanted]


def _compare_all(
    plan: Plan, workloads: Iterable[tuple[Workload, int]], engines: Sequence[Engine]
) -> list[Comparison]:
    found = []
    for workload, size in workloads:
        if plan.has(workload.name) and engines:
            _say(f"{workload.name} {size:,}")
            found.append(compare(workload, size, engines, plan.rounds))
    return found


def _compare_forms(plan: Plan, engines: Sequence[Engine]) -> list[Comparison]:
    """Coroutines on the engines that take them, in turn with plain functions on ours."""
    found = []
    takers = [engine for engine in engines if engine.coroutines]
    forms = [_tiny_workloads(plan.sizes, coroutines=form) for form in (False, True)]
    for (plain, size), (coroutines, _) in zip(*forms, strict=True):
        if plan.has(plain.name) and takers:
            _say(f"{coroutines.name} {size:,}")
            turns = [(engine.name, (coroutines, engine)) for engine in takers]
            turns += [(targets.PLAIN, (plain, e)) for e in takers if e.name == "async"]
            found.append(Comparison(coroutines, size, take_turns(dict(turns), plan.rounds)))
    return found


def _say(what: str) -> None:
    print(f"measuring {what}", file=sys.stderr, flush=True)
