"""The executors that deferred references are tried on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dask_dispatcher import AsyncExecutor, DaskExecutor, Executor, ParallelExecutor
from tests.support import Cluster

EXECUTORS: dict[str, Callable[[], Any]] = {
    "async": lambda: AsyncExecutor(max_workers=1),
    "parallel-1": lambda: ParallelExecutor(1),
    "parallel-2": lambda: ParallelExecutor(2),
}
"""By name: what makes an executor; Dask's needs a cluster."""


@pytest.fixture(params=[*EXECUTORS, "dask"])
def executor(request: pytest.FixtureRequest, shared_cluster: Cluster) -> Iterator[Executor]:
    """Give an executor that is closed after the test."""
    if request.param == "dask":
        made: Any = DaskExecutor(shared_cluster.address)
    else:
        made = EXECUTORS[request.param]()
    with made as executor:
        yield executor
