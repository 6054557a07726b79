"""Rows 38 and 39: processes that die with what was put, mid-put, or after get; close with waiters."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest

from dask_dispatcher import (
    ChannelClosed,
    DeferredChannel,
    DeferredFuture,
    DeferredLostError,
    DependencyError,
    ParallelExecutor,
    op,
)

WAIT = 30.0


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def put_and_tell(future: DeferredFuture[Any], value: Any) -> int:
    future.put(value)
    return os.getpid()


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_38_the_holder_is_killed_before_fetch(size: int) -> None:
    future: DeferredFuture[Any] = DeferredFuture()
    with ParallelExecutor(1) as executor:
        kill(executor.compute(op(put_and_tell)(future, np.ones(size))))
        executor.compute(op(abs)(-1))  # by another process: the death is known
        with pytest.raises(DeferredLostError):
            future.fetch(timeout=WAIT)
        with pytest.raises(DependencyError) as caught:
            executor.compute(op(future.fetch)())
        assert isinstance(caught.value.__cause__, DeferredLostError)
        future.reset()
        executor.compute(op(put_and_tell)(future, 1))
        assert future.fetch(timeout=WAIT) == 1


def test_38_a_node_that_runs_again_puts_again() -> None:
    future: DeferredFuture[int] = DeferredFuture()
    lives: DeferredChannel[bool] = DeferredChannel(0)
    lives.put(False)
    lives.put(True)

    def put() -> None:
        survives = lives.get(timeout=WAIT)
        future.put(os.getpid())
        if not survives:
            kill(os.getpid())

    with ParallelExecutor(1) as executor:
        executor.compute(op(put)())
        assert future.fetch(timeout=WAIT) > 0


def test_39_a_producer_killed_while_its_put_waits_has_put_nothing() -> None:
    channel: DeferredChannel[str] = DeferredChannel()
    channel.put("there")
    pid: DeferredFuture[int] = DeferredFuture()

    def put() -> None:
        pid.put(os.getpid())
        channel.put("waiting")

    with ParallelExecutor(1) as executor:
        run = executor.start([op(put, max_losses=0)()])
        kill(pid.fetch(timeout=WAIT))
        (result,) = run.results(timeout=WAIT)
        assert result.is_err()
        assert channel.get(timeout=WAIT) == "there"
        assert not channel.ready()


def test_39_items_of_a_dead_producer_are_whole_or_lost_once_each() -> None:
    channel: DeferredChannel[Any] = DeferredChannel(0)

    def put() -> int:
        channel.put(7)
        channel.put(np.ones(100_000))
        channel.put(np.ones(100_000))
        channel.put(8)
        channel.close()
        return os.getpid()

    with ParallelExecutor(1) as executor:
        kill(executor.compute(op(put)()))
        executor.compute(op(abs)(-1))  # by another process: the death is known
        assert channel.get() == 7
        for _ in range(2):
            with pytest.raises(DeferredLostError):
                channel.get(timeout=WAIT)
        assert list(channel) == [8]


def test_39_a_consumer_that_dies_after_get_has_taken_the_item() -> None:
    channel: DeferredChannel[int] = DeferredChannel(0)
    for number in range(3):
        channel.put(number)

    def take() -> int:
        item = channel.get(timeout=WAIT)
        if item == 0:
            kill(os.getpid())
        return item

    with ParallelExecutor(1) as executor:
        assert executor.compute(op(take)()) == 1
    assert channel.get() == 2


def test_39_close_wakes_waiters_in_every_process() -> None:
    channel: DeferredChannel[int] = DeferredChannel()
    began: DeferredChannel[int] = DeferredChannel(0)

    def wait() -> str:
        began.put(1)
        try:
            channel.get()
        except ChannelClosed:
            return "closed"
        return "got"

    with ParallelExecutor(2) as executor:
        run = executor.start([op(wait)() for _ in range(4)])
        for _ in range(4):
            began.get(timeout=WAIT)
        channel.close()
        assert [r.unwrap().fetch() for r in run.results(timeout=WAIT)] == ["closed"] * 4


def test_too_late_for_what_closed_with_its_executor() -> None:
    future: DeferredFuture[int] = DeferredFuture()
    with ParallelExecutor(1) as executor:
        executor.compute(op(future.put)(1))
    with pytest.raises(DeferredLostError):
        future.fetch(timeout=WAIT)
