"""References on the other ways to have Dask: an embedded cluster, workers as threads, one client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import distributed
import pytest

import dask_dispatcher.executors.dask.connection as connection
from dask_dispatcher import DaskExecutor, DeferredChannel, DeferredFuture, Ok, op
from tests.support import Cluster

WAIT = 30.0


def produce(channel: DeferredChannel[int], count: int) -> None:
    for number in range(count):
        channel.put(number, timeout=WAIT)
    channel.close()


def consume(channel: DeferredChannel[int]) -> list[int]:
    return list(channel)


@pytest.fixture(params=["embedded", "threads"])
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give an executor on a cluster that belongs to this process."""
    if request.param == "embedded":
        monkeypatch.setattr(connection, "find_scheduler", lambda security: None)
        with DaskExecutor() as executor:
            yield executor
        return
    with (
        distributed.LocalCluster(
            n_workers=2,
            processes=False,
            threads_per_worker=1,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # 8787 may be taken
        ) as cluster,
        DaskExecutor(cluster) as executor,
    ):
        yield executor


@pytest.mark.timeout(240)  # a cluster starts, on a machine that may be busy
def test_nodes_and_the_program_talk(executor: DaskExecutor) -> None:
    channel: DeferredChannel[int] = DeferredChannel(4)
    got, _ = executor.compute([op(consume)(channel), op(produce)(channel, 40)])
    assert got == list(range(40))
    future: DeferredFuture[str] = DeferredFuture()
    run = executor.start([op(future.put)("from a node")])
    assert future.fetch(timeout=WAIT) == "from a node"
    (result,) = run.results(timeout=WAIT)
    assert isinstance(result, Ok)


def test_two_executors_on_one_client(shared_cluster: Cluster) -> None:
    channel: DeferredChannel[int] = DeferredChannel(4)
    with (
        distributed.Client(shared_cluster.address, set_as_default=False) as client,
        DaskExecutor(client) as one,
        DaskExecutor(client) as other,
    ):
        taking = one.start([op(consume)(channel)])
        other.compute(op(produce)(channel, 40))
        (result,) = taking.results(timeout=WAIT)
        assert result.unwrap().fetch() == list(range(40))


def test_producers_of_two_executors_in_one_worker(shared_cluster: Cluster) -> None:
    channel: DeferredChannel[int] = DeferredChannel(0)

    def put(start: int) -> None:
        for number in range(start, start + 40):
            channel.put(number)

    (worker, *_) = shared_cluster.workers
    with (
        distributed.Client(shared_cluster.address, set_as_default=False) as client,
        DaskExecutor(client) as one,
        DaskExecutor(client) as other,
    ):
        for round_ in range(2):
            one.compute(op(put, workers=[worker.address])(round_ * 80))
            other.compute(op(put, workers=[worker.address])(round_ * 80 + 40))
        channel.close()
        assert list(channel) == list(range(160))
