"""The engines that are compared.

To add one, write a subclass of `Engine` and name it here: in LOCAL if it needs nothing, in PROCESSES
if local processes work for it (both are called without arguments), in CLUSTER if it runs on a Dask
scheduler (it is called with the address).
"""

from __future__ import annotations

from bench.engines.base import Engine
from bench.engines.delayed import DelayedCluster, DelayedSync, DelayedThreads
from bench.engines.ours import (
    Async,
    AsyncWithLog,
    AsyncWithProgress,
    AsyncWithReader,
    AsyncWithThreads,
    Dask,
    Parallel,
)
from bench.engines.peers import AsyncioTasks, CountingLoop, Graphlib
from bench.engines.processes import (
    DelayedProcesses,
    Executorlib,
    Forked,
    Joblib,
    Loky,
    ProcessPool,
    Ray,
)

LOCAL = (CountingLoop, Async, AsyncioTasks, Graphlib, DelayedSync, DelayedThreads)
PROCESSES = (
    Parallel,
    Forked,
    Joblib,
    ProcessPool,
    Loky,
    Executorlib,
    DelayedProcesses,
    Ray,
)
OBSERVED = (Async, AsyncWithProgress, AsyncWithLog, AsyncWithReader)
CLUSTER = (Dask, DelayedCluster)
SLEEPING = (AsyncWithThreads,)
BOUND = (Forked,)  # what no engine can undercut by much, measured beside those on a cluster

__all__ = ["BOUND", "CLUSTER", "LOCAL", "OBSERVED", "PROCESSES", "SLEEPING", "Engine"]
