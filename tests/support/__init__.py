"""Tools the tests share: a real Dask cluster, a look for leaks, waiting, counting starts."""

from tests.support.cluster import Cluster, DaskProcess, WorkerProcess
from tests.support.leaks import leaks_since, snapshot, strays
from tests.support.starts import StartsLog
from tests.support.waiting import eventually

__all__ = [
    "Cluster",
    "DaskProcess",
    "StartsLog",
    "WorkerProcess",
    "eventually",
    "leaks_since",
    "snapshot",
    "strays",
]
