"""dask.delayed: in this thread, on threads, and on a Dask cluster."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dask import delayed
from dask.system import CPU_COUNT
from distributed import Client

from bench.engines.base import Engine
from bench.workloads import Build


class Delayed(Engine):
    """dask.delayed with the scheduler, and the options for it, that a subclass sets."""

    most_nodes = 10_000  # building and ordering its graphs takes more than linear time
    scheduler: Any

    def run(self, build: Build) -> Any:
        return build(delayed, delayed).compute(scheduler=self.scheduler, **self.options())

    def options(self) -> dict[str, Any]:
        """Further arguments of `compute`."""
        return {}


class DelayedSync(Delayed):
    """dask.delayed in the calling thread."""

    name = "delayed-sync"
    scheduler = "sync"
    most_nodes = 1_000  # the targets are held against threads


class DelayedThreads(Delayed):
    """dask.delayed on as many threads as are its default; the pool is ours, so that it ends."""

    name = "delayed-threads"
    scheduler = "threads"

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(CPU_COUNT)

    def options(self) -> dict[str, Any]:
        return {"pool": self._pool}

    def close(self) -> None:
        self._pool.shutdown()


class DelayedCluster(Delayed):
    """dask.delayed on a running cluster.

    Parameters
    ----------
    address : str
        Address of the scheduler.
    """

    name = "delayed-cluster"

    def __init__(self, address: str) -> None:
        self.scheduler = Client(address, set_as_default=False)

    def close(self) -> None:
        self.scheduler.close()
