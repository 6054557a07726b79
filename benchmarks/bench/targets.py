"""The targets: what each must reach, what was measured, and whether that is enough."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.measure import Comparison
from bench.replays import Replay
from bench.workloads import SHAPES

PLAIN = "async, plain functions"  # the timing that those of coroutines are held against


@dataclass(frozen=True)
class Row:
    """One target.

    Parameters
    ----------
    what, target, measured : str
        As printed.
    reached : bool
        Whether the measured figure is within the target.
    """

    what: str
    target: str
    measured: str
    reached: bool


def at_most(what: str, value: float, limit: float, unit: str = "", note: str = "") -> Row:
    """Make the row of a figure that must not be above its limit.

    Examples
    --------
    >>> at_most("import", 30.0, 80.0, "ms")
    Row(what='import', target='≤ 80 ms', measured='30 ms', reached=True)
    """
    return Row(what, _figure("≤ ", limit, unit), _figure("", value, unit) + note, value <= limit)


def at_least(what: str, value: float, limit: float, unit: str = "", note: str = "") -> Row:
    """Make the row of a figure that must not be below its limit."""
    return Row(what, _figure("≥ ", limit, unit), _figure("", value, unit) + note, value >= limit)


def _figure(sign: str, value: float, unit: str) -> str:
    number = f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
    return f"{sign}{number} {unit}".rstrip()


DASK_PEERS = {
    "async": ("sync", "threads"),
    "async-1": ("sync",),  # one thread beside one, as two get in each other's way in some libraries
    "parallel": ("processes",),
    "dask": ("client",),
}
"""Our executors, and Dask's own schedulers of their kind."""
# Where overhead rules.
_LIGHT = ("delayed:tree", "array:tiny-blocks", "bag:tiny-partitions")


def collection_rows(comparisons: Iterable[Comparison]) -> list[Row]:
    """Our executors on graphs of Dask's collections, against Dask's own schedulers."""
    rows = []
    for c in comparisons:
        for ours, peers in DASK_PEERS.items():
            for peer in peers:
                if (ratio := c.ratio(ours, peer)) is not None:
                    what = f"{ours}, {c.workload.name}"
                    rows.append(
                        at_most(f"{what}: time over that of Dask's {peer}", ratio, 1.05, "x")
                    )
                    rows += _faster_rows(f"{what}: faster than Dask's {peer}", c, peer, 1 / ratio)
    return rows


def _faster_rows(what: str, comparison: Comparison, peer: str, factor: float) -> list[Row]:
    if peer == "processes" and comparison.workload.name.startswith("array"):
        # Half of what one thread takes is about what two processes would if nothing had to travel.
        alone = comparison.ratio("processes", "async-1")
        note = "" if alone is None else f" (half of async-1: {2 * alone:.3g})"
        return [at_least(what, factor, 5, "x", note)]
    return [at_least(what, factor, 2, "x")] if comparison.workload.name in _LIGHT else []


def async_rows(comparisons: Iterable[Comparison]) -> list[Row]:
    """AsyncExecutor against the counting loop, against dask threads, and against itself."""
    rows = []
    for c in comparisons:
        what = f"AsyncExecutor, {c.workload.name}, {c.size:,}"
        if c.workload.name in SHAPES and c.size >= 10_000:
            rows += _loop_rows(what, c)
        if c.workload.name.removesuffix(":coroutines") in SHAPES:
            rows += _coroutine_rows(what, c)
    return rows


def _loop_rows(what: str, comparison: Comparison) -> list[Row]:
    rows = []
    if (ratio := comparison.ratio("async", "loop")) is not None:
        rows.append(at_most(f"{what}: time over that of the counting loop", ratio, 4, "x"))
    if (ratio := comparison.ratio("delayed-threads", "async")) is not None:
        rows.append(at_least(f"{what}: faster than dask threads", ratio, 50, "x"))
    return rows


def _coroutine_rows(what: str, comparison: Comparison) -> list[Row]:
    ratio = comparison.ratio("async", PLAIN)
    return [] if ratio is None else [at_most(f"{what}: over plain functions", ratio, 2, "x")]


def seed_rows(comparisons: Iterable[Comparison]) -> list[Row]:
    """AsyncExecutor's time for the sleeping example over its critical path."""
    rows = []
    for c in comparisons:
        if not c.workload.name.startswith("seed:sleeps"):
            continue
        plain = {
            "async": "plain functions, 64 threads",
            "async-128": "plain functions, 128 threads",
        }
        forms = {"async": "coroutines"} if c.workload.coroutines else plain
        for engine, form in forms.items():
            if engine in c.timings:
                ratio = c.timings[engine].median / c.workload.critical_path
                what = f"AsyncExecutor, seed with its sleeps, {form}: time over its critical path"
                rows.append(at_most(what, ratio, 1.10, "x"))
    return rows


FASTER_THAN_DELAYED = {"wide": 60, "chain": 60, "tree": 15, "layered": 20}
SHARE_OF_DELAYED = {"cpu": 0.85, "seed:sleeps": 0.92, "data": 0.8}


def dask_rows(comparisons: Iterable[Comparison], workers: int) -> list[Row]:
    """DaskExecutor against dask.delayed on the same cluster."""
    rows = []
    for c in comparisons:
        name = c.workload.name
        if (ratio := c.ratio("dask", "delayed-cluster")) is None:
            continue
        if name in FASTER_THAN_DELAYED:
            what = f"DaskExecutor, {name}, {c.size:,}: faster than dask.delayed"
            note = "" if c.size >= 10_000 else " (the target is for 10,000)"
            rows.append(at_least(what, 1 / ratio, FASTER_THAN_DELAYED[name], "x", note))
        if name in SHARE_OF_DELAYED:
            what = f"DaskExecutor, {name}: time over that of dask.delayed"
            note = _ideal(c, "delayed-cluster", workers)
            rows.append(at_most(what, ratio, SHARE_OF_DELAYED[name], "x", note))
        if name.startswith("mixed") and (share := c.ratio("forked", "dask")):
            peer = c.ratio("forked", "delayed-cluster")
            alone = c.workload.seconds / workers / c.timings["dask"].median
            note = f" (dask.delayed {peer:.2g}; of what one process alone would take, halved, {alone:.2g})"
            what = f"DaskExecutor, {name}: share of two uncoordinated processes"
            rows.append(at_least(what, share, 0.75, "", note))
    return rows


def _ideal(c: Comparison, peer: str, workers: int) -> str:
    """Say how little of a peer's time could be enough, if all but the calls themselves took none."""
    bound = max(c.workload.seconds / workers, c.workload.critical_path)
    return f" (ideal {bound / c.timings[peer].median:.3g})" if bound else ""


def observer_rows(comparisons: Iterable[Comparison]) -> list[Row]:
    """What progress and a full event log add to a run."""
    rows = []
    for c in comparisons:
        plain, what = c.timings["async"], f"{c.workload.name}, {c.size:,}"
        share = c.timings["async+progress"].median / plain.median - 1
        rows.append(at_most(f"progress, {what}: time added", share * 100, 2, "%"))
        cost = c.timings["async+log"].per_node - plain.per_node
        rows.append(
            at_most(f"full event log, kept unread, {what}: time added a node", cost, 1, "µs")
        )
    return rows


def build_rows(
    n: int, times: Mapping[str, Mapping[str, float]], sizes: Mapping[str, float]
) -> list[Row]:
    """Building many Ops: time and bytes each, and how the time grows."""
    rows = []
    for form, time in times.items():
        what = f"build {n:,} Ops, {form}"
        rows.append(at_most(f"{what}: time each", time["many"] * 1e6, 2, "µs"))
        rows.append(at_most(f"{what}: bytes each", sizes[form], 300))
        growth = time["many"] / time["few"]
        rows.append(at_most(f"{what}: time each over that of 10,000", growth, 1.3, "x"))
    return rows


def startup_rows(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Importing the package in a fresh interpreter."""
    milliseconds = statistics.median(one["seconds"] for one in found) * 1e3
    cpu = statistics.median(one["cpu"] for one in found) * 1e3
    heavy = sorted({name for one in found for name in one["heavy"]})
    return [
        at_most("import dask_dispatcher", milliseconds, 80, "ms", f" ({cpu:.3g} ms of CPU)"),
        Row(
            "import dask_dispatcher: dask or distributed loaded",
            "none",
            ", ".join(heavy) or "none",
            not heavy,
        ),
    ]


def memory_rows(n: int, found: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """Peak of the controller's memory in a run, graph included, over that of the graph."""
    return [
        at_most(
            f"memory, {shape}, {n:,}: peak of the run, graph included, over the graph's",
            one["peak"] / one["graph"],
            2,
            "x",
            f" ({one['peak']:.0f} / {one['graph']:.0f} bytes a node)",
        )
        for shape, one in found.items()
    ]


WORKFLOW_LIMITS = {"AsyncExecutor": 1.10, "ParallelExecutor": 1.10, "DaskExecutor": 1.15}


def workflow_rows(replays: Iterable[Replay]) -> list[Row]:
    """Makespans of replayed workflows over that of the ideal list schedule."""
    return [
        at_most(f"{player}, {r.instance.name}: makespan over ideal", r.ratio(player), limit, "x")
        for r in replays
        for player, limit in WORKFLOW_LIMITS.items()
        if player in r.makespans
    ]
