"""Every executor there is keeps every promise of the conformance suite."""

import pytest

from dask_dispatcher import AsyncExecutor, DaskExecutor, ParallelExecutor
from dask_dispatcher.testing import CHECKS
from tests.conformance.executors import ProcessesExecutor, ThreadsExecutor

LOCAL = {
    "async": AsyncExecutor,
    "async-1": lambda: AsyncExecutor(max_workers=1),
    "threads": ThreadsExecutor,
    "threads-1": lambda: ThreadsExecutor(1),
    "processes": ProcessesExecutor,
    "parallel": lambda: ParallelExecutor(2),
    "parallel-1": lambda: ParallelExecutor(1),
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", LOCAL)
def test_local(name, check):
    check(LOCAL[name])


@pytest.mark.parametrize("check", CHECKS)
def test_dask(check, shared_cluster):
    check(lambda: DaskExecutor(shared_cluster.address))
