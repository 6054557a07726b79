"""Graphs of ordinary Python calls, run in process, on all cores, or on a Dask cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .deferred import DeferredChannel, DeferredFuture
from .errors import (
    AlreadySet,
    ChannelClosed,
    CycleError,
    DeferredError,
    DeferredLostError,
    DependencyError,
    DispatcherError,
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
from .executors.base import Executor
from .executors.inprocess.executor import AsyncExecutor
from .executors.run import Run
from .futures import NodeFuture
from .graph import DispatchGraph
from .nodes import CollectNode, DataNode, DispatchNode, IndexNode
from .ops import Op, OpFactory, op
from .results import Err, Ok, Result

if TYPE_CHECKING:
    from .client import Client
    from .executors.dask.executor import DaskExecutor
    from .executors.parallel.executor import ParallelExecutor
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

# Loaded on first use, since they import Dask, or rich, or what not every program needs.
_LAZY = {
    "ChromeTrace": ".report",
    "Client": ".client",
    "DaskExecutor": ".executors.dask.executor",
    "EventLog": ".report",
    "ParallelExecutor": ".executors.parallel.executor",
    "ProgressBar": ".progress",
    "Report": ".report",
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
