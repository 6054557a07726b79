"""Nodes of 60 ms that make and take arrays: their time, and the bytes that move between workers."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import distributed
import numpy as np

from bench.engines.base import Engine
from bench.measure import Timing, measure
from bench.report import table
from bench.targets import Row, at_most
from bench.workloads import Collect, Handle, Workload, Wrap

SECONDS = 0.06  # of each call
MEGABYTES = 4


def load(index: int, length: int) -> np.ndarray[Any, Any]:
    time.sleep(SECONDS)
    return np.full(length, float(index))


def clean(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    time.sleep(SECONDS)
    return array + 1


def join(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    time.sleep(SECONDS)
    return one + other


def total(array: np.ndarray[Any, Any]) -> float:
    time.sleep(SECONDS)
    return float(array.sum())


def heavy(arrays: int) -> Workload:
    """Arrays loaded, each cleaned, each compared with its neighbour, and all comparisons joined."""
    length = MEGABYTES * 1_000_000 // 8

    def build(wrap: Wrap, _collect: Collect) -> Handle:
        loads, cleans, joins = wrap(load), wrap(clean), wrap(join)
        level = [cleans(loads(index, length)) for index in range(arrays)]
        level = [joins(a, b) for a, b in itertools.pairwise(level)]
        while len(level) > 1:
            pairs = [joins(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
            level = pairs + level[2 * len(pairs) :]
        return wrap(total)(level[0])

    values = [index + 1.0 for index in range(arrays)]
    expected = sum(a + b for a, b in itertools.pairwise(values)) * length
    nodes = 2 * arrays + (arrays - 1) + (arrays - 2) + 1
    return Workload("heavy", nodes, build, expected, seconds=nodes * SECONDS)


class Heavy(NamedTuple):
    """What one engine took, and the bytes it moved, in each round."""

    timing: Timing
    moved: list[int]


def measure_heavy(
    engines: Sequence[Engine], address: str, rounds: int, arrays: int
) -> dict[str, Heavy]:
    """Run the workload on engines on one cluster, in turn."""
    workload = heavy(arrays)
    found = {engine.name: Heavy(Timing(workload.nodes), []) for engine in engines}
    with distributed.Client(address, set_as_default=False) as client:
        for _ in range(rounds):
            for engine in engines:
                before = _moved(client)
                measure(workload, engine, found[engine.name].timing)
                found[engine.name].moved.append(_moved(client) - before)
    return found


def _moved(client: distributed.Client) -> int:
    """Return the bytes that workers have had from each other so far."""

    def received(dask_worker: Any) -> int:
        return sum(one["total"] for one in dask_worker.transfer_incoming_log)

    return sum(client.run(received).values())


def heavy_table(found: Mapping[str, Heavy]) -> str:
    """Lay out times and bytes."""
    rows = [
        [name, f"{one.timing.median:.3f}", f"{statistics.median(one.moved) / 1e6:.1f}"]
        for name, one in found.items()
    ]
    return table(["heavy", "s", "MB moved"], rows)


def heavy_rows(found: Mapping[str, Heavy]) -> list[Row]:
    """DaskExecutor beside dask.delayed."""
    if not {"dask", "delayed-cluster"} <= found.keys():
        return []
    ours, theirs = found["dask"], found["delayed-cluster"]
    ratio = ours.timing.median / theirs.timing.median
    # Whole arrays move, so the few bytes around them are no difference.
    moved, limit = (round(statistics.median(one.moved) / 1e6, 1) for one in (ours, theirs))
    what = "DaskExecutor, nodes of 60 ms with arrays of 4 MB"
    return [
        at_most(f"{what}: time over that of dask.delayed", ratio, 1.05, "x"),
        at_most(f"{what}: moved, beside dask.delayed's", moved, limit, "MB"),
    ]
