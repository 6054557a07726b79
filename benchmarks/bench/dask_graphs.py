"""Graphs of Dask's own collections, on Dask's own schedulers and on ours.

Each graph is optimised once, by Dask, and then run as it is: what is measured is a scheduler's
`get`. Its value is one number or a short list, known from Dask's synchronous scheduler.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import dask.multiprocessing
import dask.threaded
from dask.base import collections_to_expr
from dask.core import flatten
from dask.local import get_sync
from dask.multiprocessing import initialize_worker_process
from distributed import Client

from bench.engines import Engine
from bench.workloads import Build, Workload
from dask_dispatcher import AsyncExecutor, DaskExecutor, ParallelExecutor

Get = Callable[..., Any]

WORKERS = 2


def delayed_tree(n: int) -> Any:
    """Add n numbers two by two, each addition a task of no weight."""
    level: list[Any] = [dask.delayed(abs)(-number) for number in range(n)]
    while len(level) > 1:
        level = [dask.delayed(sum)(level[i : i + 2]) for i in range(0, len(level), 2)]
    return level[0]


def array_sum(side: int, chunk: int) -> Any:
    """Reduce the sum of a matrix and its transpose."""
    x = da.ones((side, side), chunks=chunk)
    return (x + x.T).sum()


def array_rechunk(side: int, chunk: int) -> Any:
    """Turn columns into rows, and reduce."""
    x = da.ones((side, side), chunks=(side, chunk))
    return x.rechunk((chunk, side)).max(axis=1).sum()


def array_tensordot(side: int, chunk: int) -> Any:
    """Multiply two matrices, block by block."""
    x = da.ones((side, side), chunks=chunk)
    return da.tensordot(x, x, axes=1).sum()


def array_svd(rows: int, columns: int, chunk: int) -> Any:
    """Decompose a tall matrix, and count its singular values.

    Its blocks are to be tall, too: what they come to is decomposed by one call, which with square
    blocks would have as much to do as all others together.
    """
    x = da.random.default_rng(0).random((rows, columns), chunks=(chunk, columns))
    _, s, _ = da.linalg.svd(x)
    return (s > 0).sum()


def bag_frequencies(n: int, partitions: int) -> Any:
    """Count words by their first letter."""
    words = db.range(n, npartitions=partitions).map(str)
    counted = words.map(operator.itemgetter(0)).frequencies()
    return counted.map(operator.itemgetter(1)).sum()


def frame_groupby(rows: int, partitions: int) -> Any:
    """Sum by group."""
    return frame(rows, partitions).groupby("key").value.sum().sum()


def frame_merge(rows: int, partitions: int) -> Any:
    """Join two frames by shuffling both."""
    left, right = frame(rows, partitions), frame(rows // 10, partitions // 2)
    return left.merge(right, on="key", shuffle_method="tasks").value_x.sum()


def frame(rows: int, partitions: int) -> Any:
    """Return a frame of whole numbers."""
    import dask.dataframe as dd
    import numpy as np
    import pandas as pd

    values = np.arange(rows)
    return dd.from_pandas(
        pd.DataFrame({"key": values % 100, "value": values}), npartitions=partitions
    )


def graphs(share: float) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Return the collections, and their names; `share` of 1 gives their full size."""

    def part(whole: int, least: int = 1) -> int:
        return max(least, round(whole * share))

    yield "delayed:tree", partial(delayed_tree, part(2_000, 8))
    yield "array:tiny-blocks", partial(array_sum, part(1_000, 100), 25)
    yield "array:sum", partial(array_sum, part(4_000, 500), 500)
    yield "array:rechunk", partial(array_rechunk, part(2_000, 200), 50)
    yield "array:tensordot", partial(array_tensordot, part(1_500, 250), 125)
    yield "array:svd", partial(array_svd, part(40_000, 2_000), 50, 1_000)
    yield "bag:tiny-partitions", partial(bag_frequencies, part(2_000, 100), part(1_000, 50))
    yield "bag:frequencies", partial(bag_frequencies, part(100_000, 1_000), 50)
    if find_spec("pandas") is not None and find_spec("pyarrow") is not None:
        yield "frame:groupby", partial(frame_groupby, part(500_000, 1_000), 40)
        yield "frame:merge", partial(frame_merge, part(100_000, 1_000), 16)


def workload(name: str, make: Callable[[], Any]) -> Workload:
    """Return the workload of a collection, optimised, with the value that Dask gets for it."""
    expression = collections_to_expr(make()).optimize()
    graph, keys = dict(expression.__dask_graph__()), list(flatten(expression.__dask_keys__()))
    expected = get_sync(graph, keys)
    return Workload(name, len(graph), lambda *_: (graph, keys), expected)


_NAMES = [name for name, _ in graphs(1)]
GRAPHS = frozenset(_NAMES) | {name.split(":")[0] for name in _NAMES}
"""What a graph of a collection can be asked for by: its name, and its kind."""


class Scheduler(Engine):
    """A Dask scheduler.

    Parameters
    ----------
    name : str
    get : callable
    """

    def __init__(self, name: str, get: Get) -> None:
        self.name = name
        self._get = get

    def run(self, build: Build) -> Any:
        graph, keys = build(None, None)  # the whole graph is there already
        return tuple(self._get(graph, keys))


KINDS = {
    "async": "AsyncExecutor beside Dask's synchronous and threaded schedulers",
    "parallel": "ParallelExecutor beside Dask's processes",
    "dask": "DaskExecutor beside Dask's client",
}
"""Our executors, and what each is measured beside."""

NOTES = {
    "async": "`async` has two threads, as Dask's `threads`; `async-1` has one, as `sync`.",
    "parallel": (
        "Two processes each. `async-1` is one thread of the program: half of it is about what two "
        "processes would take if nothing had to travel."
    ),
    "dask": "Both on one stock scheduler with two stock workers of one thread.",
}


@contextmanager
def schedulers(kind: str, address: str = "") -> Iterator[list[Scheduler]]:
    """Open an executor of ours, and Dask's schedulers of its kind; `address` is the cluster's."""
    with ExitStack() as stack:
        found: dict[str, Get] = {}
        if kind == "async":
            threads = stack.enter_context(ThreadPoolExecutor(WORKERS))
            found |= {"sync": get_sync, "threads": partial(dask.threaded.get, pool=threads)}
            found["async"] = stack.enter_context(AsyncExecutor(WORKERS)).get
        elif kind == "parallel":
            pool = ProcessPoolExecutor(WORKERS, get_context("spawn"), initialize_worker_process)
            found["processes"] = partial(
                dask.multiprocessing.get, pool=stack.enter_context(pool), optimize_graph=False
            )
            found["parallel"] = stack.enter_context(ParallelExecutor(WORKERS)).get
        else:
            client = stack.enter_context(Client(address, set_as_default=False))
            found["client"] = client.get
            found["dask"] = stack.enter_context(DaskExecutor(address)).get
        if kind != "dask":
            found["async-1"] = stack.enter_context(AsyncExecutor(1)).get
        yield [Scheduler(name, get) for name, get in found.items()]
