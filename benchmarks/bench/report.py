"""Write what was measured as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from bench.measure import Comparison, Timing
from bench.replays import Replay
from bench.targets import Row

PACKAGES = ("dask", "distributed", "numpy")


def machine_line() -> str:
    """Describe what the figures depend on, without names of hosts or users."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [f"{cores} cores", f"{platform.system()} {platform.machine()}"]
    parts.append(f"{platform.python_implementation()} {platform.python_version()}")
    return ", ".join(parts + [f"{name} {_version(name)}" for name in PACKAGES])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a Markdown table; all columns but the first are right-aligned.

    Examples
    --------
    >>> print(table(["shape", "µs"], [["wide", "1.5"]]))
    | shape | µs |
    |---|---:|
    | wide | 1.5 |
    """
    lines = [head, *rows]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    text.insert(1, "|---" + "|---:" * (len(head) - 1) + "|")
    return "\n".join(text)


def number(value: float) -> str:
    """Round to three figures.

    Examples
    --------
    >>> number(1234.5), number(12.345), number(0.5)
    ('1,234', '12.3', '0.50')
    """
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def per_node_table(comparisons: Sequence[Comparison], base: str) -> str:
    """Microseconds a node, spread in brackets, and the ratio to the engine `base`."""
    names = _engines(comparisons)
    head = ["workload", "n", *[f"{name}, µs/node" for name in names]]
    head += [f"{name} ÷ {base}" for name in names if name != base]
    rows = []
    for c in comparisons:
        row = [c.workload.name, f"{c.size:,}"]
        row += [_per_node(c.timings.get(name)) for name in names]
        row += [_ratio(c.ratio(name, base)) for name in names if name != base]
        rows.append(row)
    return table(head, rows)


def peers_table(comparisons: Sequence[Comparison], peers_of: Mapping[str, Sequence[str]]) -> str:
    """Milliseconds of whole runs, spread in brackets, and the ratio of ours to each of its peers."""
    names = _engines(comparisons)
    pairs = [(ours, peer) for ours in names for peer in peers_of.get(ours, ()) if peer in names]
    head = ["graph", "tasks", *[f"{name}, ms" for name in names]]
    head += [f"{ours} ÷ {peer}" for ours, peer in pairs]
    rows = []
    for c in comparisons:
        times = [_milliseconds(c.timings.get(name)) for name in names]
        ratios = [_ratio(c.ratio(ours, peer)) for ours, peer in pairs]
        rows.append([c.workload.name, f"{c.size:,}", *times, *ratios])
    return table(head, rows)


def _milliseconds(timing: Timing | None) -> str:
    if timing is None:
        return "-"
    low, high = min(timing.seconds) * 1e3, max(timing.seconds) * 1e3
    return f"{number(timing.median * 1e3)} ({number(low)}-{number(high)})"


def _engines(comparisons: Iterable[Comparison]) -> list[str]:
    return list(dict.fromkeys(name for c in comparisons for name in c.timings))


def _per_node(timing: Timing | None) -> str:
    if timing is None:
        return "-"
    low, high = timing.spread
    return f"{number(timing.per_node)} ({number(low)}-{number(high)})"


def _ratio(value: float | None) -> str:
    return "-" if value is None else number(value)


def seconds_table(comparisons: Sequence[Comparison]) -> str:
    """Seconds of workloads that do real work, beside the work itself and its critical path."""
    names = _engines(comparisons)
    head = ["workload", "work, s", "critical path, s", *[f"{name}, s" for name in names]]
    rows = []
    for c in comparisons:
        known = (c.workload.seconds, c.workload.critical_path)
        row = [c.workload.name, *[f"{x:.3f}" if x else "-" for x in known]]
        rows.append(row + [_seconds(c.timings.get(name)) for name in names])
    return table(head, rows)


def _seconds(timing: Timing | None) -> str:
    if timing is None:
        return "-"
    return f"{timing.median:.3f} ({min(timing.seconds):.3f}-{max(timing.seconds):.3f})"


def build_share_table(comparisons: Sequence[Comparison], name: str) -> str:
    """Where one engine's time goes: building the graph, and running it."""
    rows = []
    for c in comparisons:
        if timing := c.timings.get(name):
            built = timing.build_per_node
            row = [c.workload.name, f"{c.size:,}", number(built), number(timing.per_node - built)]
            rows.append(row)
    return table(["workload", "n", "build, µs/node", "run, µs/node"], rows)


def target_table(rows: Iterable[Row]) -> str:
    """List the targets, reached or not."""
    return table(
        ["what", "target", "measured", "reached"],
        [[r.what, r.target, r.measured, "yes" if r.reached else "**no**"] for r in rows],
    )


def workflow_table(replays: Sequence[Replay]) -> str:
    """Makespans of the replayed workflows beside what they could be."""
    players = list(replays[0].makespans)
    head = ["workflow", "tasks", "edges", "MB", "work, s", "critical path, s"]
    head += ["lower bound, s", "ideal, s"]
    for player in players:
        head += [f"{player}, s", "÷ ideal", "÷ bound"]
    return table(head, [_workflow_row(replay, players) for replay in replays])


def _workflow_row(replay: Replay, players: Iterable[str]) -> list[str]:
    instance = replay.instance
    edges = sum(len(task.parents) for task in instance.tasks.values())
    row = [instance.name, f"{len(instance.tasks):,}", f"{edges:,}", number(instance.size / 1e6)]
    work = sum(instance.seconds.values())
    row += [number(x) for x in (work, replay.critical_path, replay.lower_bound, replay.ideal)]
    for player in players:
        makespan = replay.makespan(player)
        row += [number(makespan), f"{replay.ratio(player):.3f}"]
        row.append(f"{makespan / replay.lower_bound:.3f}")
    return row
