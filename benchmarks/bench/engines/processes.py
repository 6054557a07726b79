"""Peers on local processes: pools with a submit a node, joblib, Ray, and two forks."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from bench.engines.base import Engine
from bench.engines.delayed import Delayed
from bench.engines.peers import LoopNode, pack
from bench.workloads import Build, Workload

WORKERS = 2
FLAT = ("wide", "cpu", "mixed:random", "mixed:adjacent")  # independent calls and one collect
HERE = Path(__file__).resolve().parents[2]


def _pool() -> ProcessPoolExecutor:
    # Not forked from here: other engines have threads.
    return ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn"))


class SubmitEach(Engine):
    """A pool that is given each node as soon as its arguments are there; these pass through here.

    Parameters
    ----------
    pool : concurrent.futures.Executor
    """

    most_nodes = 10_000

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def run(self, build: Build) -> Any:
        ready: list[LoopNode] = []
        ended: queue.SimpleQueue[tuple[LoopNode, Any]] = queue.SimpleQueue()
        output = build(
            lambda func: partial(LoopNode, ready, func),
            lambda handles: LoopNode(ready, pack, *handles),
        )
        running = 0
        while ready or running:
            while ready:
                self._submit(ready.pop(), ended)
                running += 1
            node, future = ended.get()
            node.value = future.result()
            running -= 1
            for dependent in node.dependents:
                dependent.waiting -= 1
                if not dependent.waiting:
                    ready.append(dependent)
        return output.value

    def _submit(self, node: LoopNode, ended: queue.SimpleQueue[tuple[LoopNode, Any]]) -> None:
        args = [arg.value if type(arg) is LoopNode else arg for arg in node.args]
        future = self._pool.submit(node.func, *args)
        future.add_done_callback(lambda done: ended.put((node, done)))

    def close(self) -> None:
        self._pool.shutdown()


class ProcessPool(SubmitEach):
    """The standard library's pool."""

    name = "process-pool"

    def __init__(self) -> None:
        super().__init__(_pool())


class Loky(SubmitEach):
    """loky's pool."""

    name = "loky"

    def __init__(self) -> None:
        import loky

        super().__init__(loky.ProcessPoolExecutor(WORKERS))


class Executorlib(SubmitEach):
    """executorlib's executor for one machine, which keeps its workers.

    It is made for calls that take long; with tiny ones it would only make one wait.
    """

    name = "executorlib"

    def __init__(self) -> None:
        from executorlib import SingleNodeExecutor

        # Its workers import the functions of the workloads from here.
        os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        options = {"block_allocation": True, "hostname_localhost": True}
        super().__init__(SingleNodeExecutor(max_workers=WORKERS, **options))

    def accepts(self, workload: Workload) -> bool:
        return workload.name in ("cpu", "data")


class DelayedProcesses(Delayed):
    """dask.delayed on processes; every value passes through this one."""

    name = "delayed-processes"
    scheduler = "processes"
    most_nodes = 1_000

    def __init__(self) -> None:
        self._pool = _pool()

    def options(self) -> dict[str, Any]:
        return {"pool": self._pool}

    def close(self) -> None:
        self._pool.shutdown()


class OnlyFlat(Engine):
    """An engine for independent calls."""

    def accepts(self, workload: Workload) -> bool:
        return workload.name in FLAT


class Joblib(OnlyFlat):
    """joblib with its usual back end, loky, and its own batches."""

    name = "joblib"

    def __init__(self) -> None:
        import joblib

        self._delayed = joblib.delayed
        self._parallel = joblib.Parallel(WORKERS).__enter__()

    def run(self, build: Build) -> Any:
        return self._parallel(build(self._delayed, list))

    def close(self) -> None:
        from joblib.externals.loky import get_reusable_executor

        self._parallel.__exit__(None, None, None)
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


class Forked(OnlyFlat):
    """Two forked processes with half of the calls each, which hear of nobody until they end.

    Hardly any engine can undercut what such a run takes, the two forks included: nothing is sent but
    the values, and nothing is scheduled.
    """

    name = "forked"

    def run(self, build: Build) -> Any:
        calls = build(lambda func: partial(partial, func), list)
        values: list[Any] = [None] * len(calls)
        with ExitStack() as stack:
            halves = [stack.enter_context(_forked(calls[i::WORKERS])) for i in range(WORKERS)]
            for start, stream in enumerate(halves):
                values[start::WORKERS] = pickle.load(stream)
        return values


@contextmanager
def _forked(calls: list[Callable[[], Any]]) -> Iterator[BinaryIO]:
    """Run calls in a fork; their values can be read from what is yielded."""
    pipe, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        _run_and_exit(calls, theirs)
    os.close(theirs)
    try:
        with os.fdopen(pipe, "rb") as stream:
            yield stream
    finally:
        os.waitpid(pid, 0)


def _run_and_exit(calls: list[Callable[[], Any]], pipe: int) -> NoReturn:
    try:
        with os.fdopen(pipe, "wb") as stream:
            pickle.dump([call() for call in calls], stream)
    finally:
        os._exit(0)


class Ray(Engine):
    """Ray, with a cluster of its own on this machine."""

    name = "ray"
    most_nodes = 10_000

    def __init__(self) -> None:
        import ray

        self._ray = ray
        ray.init(
            num_cpus=WORKERS,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": {"PYTHONPATH": str(HERE)}},
        )
        self._pack = ray.remote(pack).remote

    def run(self, build: Build) -> Any:
        collect = self._pack
        output = build(
            lambda func: self._ray.remote(func).remote, lambda handles: collect(*handles)
        )
        return self._ray.get(output)

    def close(self) -> None:
        self._ray.shutdown()
