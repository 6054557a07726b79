"""What others on a cluster notice of a long run, and what a run notices of theirs.

Ten calls of 100 ms are started while a long run is under way, and timed until all of them have ended.
A long run of ours that is over before they are gives no figure. A plain client's graph usually is: Dask
runs what another client sends behind all of it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import distributed

from bench.report import table
from bench.targets import Row, at_most
from bench.workloads import loops_for, spin
from dask_dispatcher import DaskExecutor, op

CALLS, SECONDS = 10, 0.1
NODES, STEP = 50_000, 1e-4  # of a run of ours that takes 2.5 s on 2 workers
TASKS, TASK = (
    3_000,
    1e-3,
)  # of a plain client's graph: Dask takes 1.5 ms for each task beside its own

_REST = 1.0  # seconds in which scheduler and workers forget what was cancelled

Few = Callable[[], None]
"""Makes the ten calls, and returns when they have ended."""
Found = Mapping[str, list[float]]

ALONE, BESIDE_OURS, PLAIN_ALONE, PLAIN_BESIDE_OURS, BESIDE_PLAIN, PLAIN_BESIDE_PLAIN = (
    "an executor's, alone",
    "an executor's, beside another's run",
    "a plain client's, alone",
    "a plain client's, beside an executor's run",
    "an executor's, beside a plain client's graph",
    "a plain client's, beside another's graph",
)


def measure_sharing(address: str, rounds: int) -> Found:
    """Time the ten calls alone and beside long runs, in turn.

    Parameters
    ----------
    address : str
        Of a scheduler with workers.
    rounds : int
    """
    with ExitStack() as stack:
        ours, others = (stack.enter_context(DaskExecutor(address)) for _ in range(2))
        plain, another = (
            stack.enter_context(distributed.Client(address, set_as_default=False)) for _ in range(2)
        )
        run = _run_of(others, NODES, loops_for(STEP))
        graph = _graph_of(another, TASKS, loops_for(TASK))
        cases = {
            ALONE: (_nothing, _nodes_of(ours)),
            BESIDE_OURS: (run, _nodes_of(ours)),
            PLAIN_ALONE: (_nothing, _tasks_of(plain)),
            PLAIN_BESIDE_OURS: (run, _tasks_of(plain)),
            BESIDE_PLAIN: (graph, _nodes_of(ours)),
            PLAIN_BESIDE_PLAIN: (graph, _tasks_of(plain)),
        }
        found: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(rounds):
            for name, (long, few) in cases.items():
                with long():
                    start = time.perf_counter()
                    few()
                    found[name].append(time.perf_counter() - start)
                time.sleep(_REST)
    return found


def _nodes_of(executor: DaskExecutor) -> Few:
    def few() -> None:
        executor.run([op(time.sleep)(SECONDS) for _ in range(CALLS)])

    return few


def _tasks_of(client: distributed.Client) -> Few:
    def few() -> None:
        client.gather(client.map(time.sleep, [SECONDS] * CALLS, pure=False))

    return few


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _run_of(executor: DaskExecutor, nodes: int, loops: int) -> Any:
    @contextmanager
    def long() -> Iterator[None]:
        run = executor.start([op(spin)(loops) for _ in range(nodes)])
        next(iter(run.as_completed()))
        yield
        if run.done():
            raise RuntimeError("the long run was over before the ten calls beside it had ended")
        run.cancel()

    return long


def _graph_of(client: distributed.Client, tasks: int, loops: int) -> Any:
    @contextmanager
    def long() -> Iterator[None]:
        futures = client.map(spin, [loops] * tasks, pure=False)
        next(iter(distributed.as_completed(futures, loop=client.loop)))
        yield
        client.cancel(futures)

    return long


def sharing_table(found: Found) -> str:
    """Lay out the times."""
    rows = [
        [name, f"{statistics.median(times):.3f} ({min(times):.3f} - {max(times):.3f})"]
        for name, times in found.items()
    ]
    return table([f"{CALLS} calls of {SECONDS:g} s", "s"], rows)


def sharing_rows(found: Found) -> list[Row]:
    """How much longer the ten calls take beside others."""
    seconds = {name: statistics.median(times) for name, times in found.items()}
    what = f"DaskExecutor, {CALLS} calls of 100 ms"
    return [
        at_most(
            f"{what}, beside another executor's run: time over theirs alone",
            seconds[BESIDE_OURS] / seconds[ALONE],
            3,
            "x",
        ),
        at_most(
            f"{what} of a plain client, beside a run: time over theirs alone",
            seconds[PLAIN_BESIDE_OURS] / seconds[PLAIN_ALONE],
            3,
            "x",
        ),
        at_most(
            f"{what}, beside a plain client's graph: time over that of another client's",
            seconds[BESIDE_PLAIN] / seconds[PLAIN_BESIDE_PLAIN],
            1.1,
            "x",
        ),
    ]
