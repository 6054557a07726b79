"""ParallelExecutor's targets, against its peers of the same run."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from bench.measure import Comparison
from bench.targets import Row, at_least, at_most
from bench.workloads import SHAPES

FASTER = {"process-pool": (12, "a submit a node"), "ray": (100, "Ray")}
SHARE_OF_FORKED = {"cpu": 0.95, "mixed:random": 0.92, "mixed:adjacent": 0.92}
SHARE_ON_DATA = {"ray": (0.5, "Ray"), "delayed-processes": (0.05, "dask processes")}
MEGABYTE = 1e6


def parallel_rows(comparisons: Iterable[Comparison]) -> list[Row]:
    """ParallelExecutor's time a node, and its times over those of its peers."""
    rows = []
    for c in comparisons:
        if "parallel" not in c.timings:
            continue
        if c.workload.name in SHAPES:
            rows += _tiny_rows(c)
        if c.workload.name in SHARE_OF_FORKED and (share := c.ratio("forked", "parallel")):
            what = f"ParallelExecutor, {c.workload.name}: share of two uncoordinated processes"
            rows.append(at_least(what, share, SHARE_OF_FORKED[c.workload.name]))
        if c.workload.name == "data":
            rows += _data_rows(c)
    return rows


def _tiny_rows(comparison: Comparison) -> list[Row]:
    what = f"ParallelExecutor, {comparison.workload.name}, {comparison.size:,}"
    note = "" if comparison.size >= 10_000 else " (the target is for 10,000)"
    rows = [at_most(what, comparison.timings["parallel"].per_node, 6, "µs/node", note)]
    for peer, (limit, name) in FASTER.items():
        if ratio := comparison.ratio(peer, "parallel"):
            rows.append(at_least(f"{what}: faster than {name}", ratio, limit, "x", note))
    return rows


def _data_rows(comparison: Comparison) -> list[Row]:
    return [
        at_most(f"ParallelExecutor, data: time over that of {name}", ratio, limit, "x")
        for peer, (limit, name) in SHARE_ON_DATA.items()
        if (ratio := comparison.ratio("parallel", peer))
    ]


def first_rows(found: Sequence[Mapping[str, float]]) -> list[Row]:
    """How soon a new executor has its first result."""
    seconds = statistics.median(one["seconds"] for one in found)
    return [at_most("ParallelExecutor(2): first result", seconds, 0.5, "s")]


def growth_rows(found: Mapping[str, float]) -> list[Row]:
    """The controller's memory while large values are about."""
    what = "ParallelExecutor, data: growth of the controller at its peak"
    return [at_most(what, found["growth"] / MEGABYTE, 100, "MB")]


def memory_rows(n: int, found: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """Peak of the controller's memory in a run, graph included, over that of the graph."""
    return [
        at_most(
            f"ParallelExecutor, memory, {shape}, {n:,}: peak, graph included, over the graph's",
            one["peak"] / one["graph"],
            2,
            "x",
            f" ({one['peak']:.0f} / {one['graph']:.0f} bytes a node)",
        )
        for shape, one in found.items()
    ]


def kill_rows(found: Mapping[str, Sequence[float]]) -> list[Row]:
    """What a kill at half time costs."""
    plain, killed = (statistics.median(found[name]) for name in ("plain", "killed"))
    what = f"ParallelExecutor, one of two workers killed at half of {plain:.2g} s: time over that"
    return [at_most(what, killed / plain, 1.6, "x")]
