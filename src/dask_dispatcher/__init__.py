"""Graphs of ordinary Python calls, run in process, on all cores, or on a Dask cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import (
    AlreadySet,
    ChannelClosed,
    CycleError,
    DeferredError,
    DeferredLostError,
    DependencyError,
    DispatcherError,
    ExecutorClosedError,
    ExecutorError,
    NestedRunError,
    NodeTimeoutError,
    NoWorkersError,
    RemoteError,
    RunCancelledError,
    SchedulerLostError,
    SerializationError,
    WorkerLostError,
)
from .events import Observer
from .graph import DispatchGraph
from .nodes import CollectNode, DataNode, DispatchNode, IndexNode
from .ops import Op, OpFactory, op
from .results import Err, Ok, Result

if TYPE_CHECKING:
    from .client import Client
    from .deferred import DeferredChannel, DeferredFuture
    from .executors.base import Executor
    from .executors.dask.executor import DaskExecutor
    from .executors.inprocess.executor import AsyncExecutor
    from .executors.parallel.executor import ParallelExecutor
    from .executors.run import Run
    from .futures import NodeFuture
    from .interop.collections import from_dask, from_dask_keys
    from .progress import ProgressBar
    from .report import ChromeTrace, EventLog, Report
    from .worker import Worker

__all__ = [
    "AlreadySet",
    "AsyncExecutor",
    "ChannelClosed",
    "ChromeTrace",
    "Client",
    "CollectNode",
    "CycleError",
    "DaskExecutor",
    "DataNode",
    "DeferredChannel",
    "DeferredError",
    "DeferredFuture",
    "DeferredLostError",
    "DependencyError",
    "DispatchGraph",
    "DispatchNode",
    "DispatcherError",
    "Err",
    "EventLog",
    "Executor",
    "ExecutorClosedError",
    "ExecutorError",
    "IndexNode",
    "NestedRunError",
    "NoWorkersError",
    "NodeFuture",
    "NodeTimeoutError",
    "Observer",
    "Ok",
    "Op",
    "OpFactory",
    "ParallelExecutor",
    "ProgressBar",
    "RemoteError",
    "Report",
    "Result",
    "Run",
    "RunCancelledError",
    "SchedulerLostError",
    "SerializationError",
    "Worker",
    "WorkerLostError",
    "from_dask",
    "from_dask_keys",
    "op",
]

# Loaded on first use: what describes a graph is here at once; what runs one imports asyncio, Dask or
# rich, and takes as long again, which a process that only unpickles nodes need not wait for.
_LAZY = {
    "AsyncExecutor": ".executors.inprocess.executor",
    "ChromeTrace": ".report",
    "Client": ".client",
    "DaskExecutor": ".executors.dask.executor",
    "DeferredChannel": ".deferred",
    "DeferredFuture": ".deferred",
    "EventLog": ".report",
    "Executor": ".executors.base",
    "NodeFuture": ".futures",
    "ParallelExecutor": ".executors.parallel.executor",
    "ProgressBar": ".progress",
    "Report": ".report",
    "Run": ".executors.run",
    "Worker": ".worker",
    "from_dask": ".interop.collections",
    "from_dask_keys": ".interop.collections",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return __all__
