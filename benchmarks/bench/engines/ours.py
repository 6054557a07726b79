"""dask-dispatcher's own executors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.engines.base import Engine
from bench.workloads import Build
from dask_dispatcher import AsyncExecutor, CollectNode, DaskExecutor, ParallelExecutor, op


class ExecutorEngine(Engine):
    """Any executor of ours; per-node results, errors as values and limits are all on."""

    coroutines = True

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    def run(self, build: Build) -> Any:
        (result,) = self._executor.run([build(op, CollectNode)], **self.options())
        return result.unwrap().fetch()

    def options(self) -> dict[str, Any]:
        """Further arguments of `executor.run`."""
        return {}

    def close(self) -> None:
        self._executor.close()


class Async(ExecutorEngine):
    """AsyncExecutor with its defaults."""

    name = "async"

    def __init__(self) -> None:
        super().__init__(AsyncExecutor())


class AsyncWithThreads(Async):
    """AsyncExecutor with as many threads as a graph has calls that wait at once; 64 by default."""

    name = "async-128"

    def __init__(self) -> None:
        ExecutorEngine.__init__(self, AsyncExecutor(max_workers=128))


class AsyncWithProgress(Async):
    """AsyncExecutor showing its progress."""

    name = "async+progress"

    def options(self) -> dict[str, Any]:
        return {"progress": True}


class EventLog:
    """Observer that keeps every event, to be read later: records are made when one looks at them."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Any]] = []

    def on_events(self, batch: Sequence[Any]) -> None:
        """Keep a batch."""
        self.batches.append(batch)


class EventReader(EventLog):
    """Observer that looks at every event as it comes, and keeps it."""

    def on_events(self, batch: Sequence[Any]) -> None:
        """Look at a batch."""
        self.batches.append(list(batch))


class AsyncWithLog(Async):
    """AsyncExecutor with a full event log."""

    name = "async+log"

    def options(self) -> dict[str, Any]:
        return {"observers": [EventLog()]}


class AsyncWithReader(Async):
    """AsyncExecutor with an observer that looks at every event."""

    name = "async+read"

    def options(self) -> dict[str, Any]:
        return {"observers": [EventReader()]}


class Parallel(ExecutorEngine):
    """ParallelExecutor on two processes."""

    name = "parallel"

    def __init__(self) -> None:
        super().__init__(ParallelExecutor(2))


class Dask(ExecutorEngine):
    """DaskExecutor on a running cluster.

    Parameters
    ----------
    address : str
        Address of the scheduler.
    """

    name = "dask"

    def __init__(self, address: str) -> None:
        super().__init__(DaskExecutor(address))
