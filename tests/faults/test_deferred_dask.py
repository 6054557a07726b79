"""Rows 38 and 39 on Dask, and what follows when the scheduler goes."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest
from tests.support import Cluster

from dask_dispatcher import (
    ChannelClosed,
    DaskExecutor,
    DeferredChannel,
    DeferredFuture,
    DeferredLostError,
    DependencyError,
    SchedulerLostError,
    op,
)

WAIT = 30.0


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def put_and_tell(future: DeferredFuture[Any], value: Any) -> int:
    future.put(value)
    return os.getpid()


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_38_the_holder_is_killed_before_fetch(cluster: Cluster, size: int) -> None:
    future: DeferredFuture[Any] = DeferredFuture()
    with DaskExecutor(cluster.address) as executor:
        kill(executor.compute(op(put_and_tell)(future, np.ones(size))))
        with pytest.raises(DeferredLostError):
            future.fetch(timeout=WAIT)
        with pytest.raises(DependencyError) as caught:
            executor.compute(op(future.fetch)(timeout=WAIT))
        assert isinstance(caught.value.__cause__, DeferredLostError)
        future.reset()
        executor.compute(op(put_and_tell)(future, 1))
        assert future.fetch(timeout=WAIT) == 1


def test_39_a_producer_killed_while_its_put_waits_has_put_nothing(cluster: Cluster) -> None:
    channel: DeferredChannel[str] = DeferredChannel()
    channel.put("there")
    pid: DeferredChannel[int] = DeferredChannel()

    def put() -> None:
        pid.put(os.getpid())
        channel.put("waiting")

    with DaskExecutor(cluster.address) as executor:
        run = executor.start([op(put, max_losses=0)()])
        kill(pid.get(timeout=WAIT))
        (result,) = run.results(timeout=WAIT)
        assert result.is_err()
        assert channel.get(timeout=WAIT) == "there"
        assert not channel.ready()


def test_39_a_consumer_that_dies_after_get_has_taken_the_item(cluster: Cluster) -> None:
    channel: DeferredChannel[int] = DeferredChannel(0)
    for number in range(3):
        channel.put(number)

    def take() -> int:
        item = channel.get(timeout=WAIT)
        if item == 0:
            kill(os.getpid())
        return item

    with DaskExecutor(cluster.address) as executor:
        assert executor.compute(op(take)()) == 1
    assert channel.get() == 2


def test_39_close_wakes_waiters_in_every_process(cluster: Cluster) -> None:
    channel: DeferredChannel[int] = DeferredChannel()
    began: DeferredChannel[int] = DeferredChannel(0)

    def wait() -> str:
        began.put(1)
        try:
            channel.get()
        except ChannelClosed:
            return "closed"
        return "got"

    with DaskExecutor(cluster.address) as executor:
        run = executor.start([op(wait)() for _ in range(4)])
        for _ in range(4):
            began.get(timeout=WAIT)
        channel.close()
        assert [r.unwrap().fetch() for r in run.results(timeout=WAIT)] == ["closed"] * 4


def test_31_the_scheduler_goes_while_a_node_waits(cluster: Cluster) -> None:
    channel: DeferredChannel[int] = DeferredChannel()
    future: DeferredFuture[int] = DeferredFuture()
    began: DeferredChannel[int] = DeferredChannel()

    def wait() -> int:
        future.put(1)
        began.put(1)
        return channel.get()

    with DaskExecutor(cluster.address) as executor:
        run = executor.start([op(wait)()])
        began.get(timeout=WAIT)
        cluster.kill_scheduler()
        (result,) = run.results(timeout=WAIT)
        assert isinstance(result.unwrap_err(), SchedulerLostError)
        with pytest.raises(DeferredLostError):
            future.fetch(timeout=WAIT)
        channel.put(2, timeout=0)
        assert channel.get(timeout=0) == 2  # nobody who has gone took it


def test_too_late_for_what_closed_with_its_executor(shared_cluster: Cluster) -> None:
    future: DeferredFuture[int] = DeferredFuture()
    with DaskExecutor(shared_cluster.address) as executor:
        executor.compute(op(future.put)(1))
    with pytest.raises(DeferredLostError):
        future.fetch(timeout=WAIT)
