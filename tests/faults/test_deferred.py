"""Rows 38 and 39: processes that die with what was put, mid-put, or after get; close with waiters.

And row 31, where nodes wait for references when the scheduler goes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.support import Cluster
from tests.support.waiting import eventually

from dask_dispatcher import (
    ChannelClosed,
    DaskExecutor,
    DeferredChannel,
    DeferredFuture,
    DeferredLostError,
    DependencyError,
    Executor,
    ParallelExecutor,
    SchedulerLostError,
    op,
)

WAIT = 30.0


@pytest.fixture(params=["parallel", "dask"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """Give an executor with two workers to kill."""
    if request.param == "parallel":
        made: Any = ParallelExecutor(2)
    else:
        made = DaskExecutor(request.getfixturevalue("cluster").address)
    with made as executor:
        yield executor


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def state_of(pid: int) -> str:
    """Return what Linux says of a process: "T" is stopped, "Z" and "X" have ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except FileNotFoundError:
        return "X"


def put_and_tell(future: DeferredFuture[Any], value: Any) -> int:
    future.put(value)
    return os.getpid()


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_38_the_holder_is_killed_before_fetch(executor: Executor, size: int) -> None:
    future: DeferredFuture[Any] = DeferredFuture()
    pid = executor.compute(op(put_and_tell)(future, np.ones(size)))
    kill(pid)
    eventually(lambda: state_of(pid) in "ZX", WAIT)
    with pytest.raises(DeferredLostError):
        future.fetch(timeout=WAIT)
    with pytest.raises(DependencyError) as caught:
        executor.compute(op(future.fetch)(timeout=WAIT))
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


def test_39_a_producer_killed_while_its_put_waits_has_put_nothing(executor: Executor) -> None:
    channel: DeferredChannel[str] = DeferredChannel()
    channel.put("there")
    pid: DeferredChannel[int] = DeferredChannel()

    def put() -> None:
        pid.put(os.getpid())
        channel.put("waiting")

    run = executor.start([op(put, max_losses=0)()])
    kill(pid.get(timeout=WAIT))
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


def test_39_a_consumer_that_dies_after_get_has_taken_the_item(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel(0)
    for number in range(3):
        channel.put(number)

    def take() -> int:
        item = channel.get(timeout=WAIT)
        if item == 0:
            kill(os.getpid())
        return item

    assert executor.compute(op(take)()) == 1
    assert channel.get(timeout=0) == 2


def drained(channel: DeferredChannel[int], timeout: float = 0) -> tuple[list[int], int]:
    """Return what can be got from a channel, and how many items of it are lost."""
    found: list[int] = []
    lost = 0
    while True:
        try:
            found.append(channel.get(timeout=timeout))
        except DeferredLostError:
            lost += 1
        except TimeoutError:
            return found, lost


def test_39_an_eager_producer_is_killed(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel(100)

    def put() -> None:
        for number in range(80):
            channel.put(number)
        kill(os.getpid())

    (result,) = executor.run([op(put, max_losses=0)()], raise_errors=False)
    assert result.is_err()
    found, lost = drained(channel)
    assert not lost
    assert found == list(range(len(found)))  # without the last milliseconds, where they are at risk
    assert len(found) == 80 or isinstance(executor, DaskExecutor)
    for number in range(100):  # the places that it had ahead are free
        channel.put(number, timeout=0)


def test_39_an_eager_consumer_is_killed(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel(0)
    for number in range(200):
        channel.put(number)

    def take() -> None:
        for _ in range(51):
            channel.get(timeout=WAIT)
        kill(os.getpid())

    (result,) = executor.run([op(take, max_losses=0)()], raise_errors=False)
    assert result.is_err()
    found, lost = drained(channel)
    assert found == list(range(200 - len(found), 200))
    if isinstance(executor, DaskExecutor):  # nobody knows which of those ahead it has handed out
        assert len(found) <= 149 <= len(found) + lost <= 200
    else:
        assert (len(found), lost) == (149, 0)


def test_39_items_ahead_of_a_process_that_does_nothing_are_not_lost(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel(0)
    for number in range(200):
        channel.put(number)

    def take() -> int:
        for _ in range(50):
            channel.get(timeout=WAIT)
        return os.getpid()

    kill(executor.compute(op(take)()))
    found = [channel.get(timeout=WAIT) for _ in range(150)]
    assert found == list(range(50, 200))


def test_39_a_stopped_consumer_keeps_nobody_waiting_beyond_his_time(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel(0)
    for number in range(200):
        channel.put(number)

    pid: DeferredChannel[int] = DeferredChannel()

    def take() -> None:
        for _ in range(50):
            channel.get(timeout=WAIT)
        pid.put(os.getpid())
        os.kill(os.getpid(), signal.SIGSTOP)

    run = executor.start([op(take)()])
    stopped = pid.get(timeout=WAIT)
    try:
        eventually(lambda: state_of(stopped) == "T", WAIT)
        drained(channel, timeout=0.1)
    finally:
        os.kill(stopped, signal.SIGCONT)
    run.results(timeout=WAIT)
    assert channel.get(timeout=WAIT) > 0


@pytest.mark.parametrize("is_taken", [False, True])
def test_38_a_stopped_holder_keeps_nobody_waiting_beyond_his_time(
    cluster: Cluster, is_taken: bool
) -> None:
    channel: DeferredChannel[Any] = DeferredChannel()

    def put() -> int:
        channel.put(np.ones(100_000))
        return os.getpid()

    with DaskExecutor(cluster.address) as executor:
        stopped = executor.compute(op(put)())
        os.kill(stopped, signal.SIGSTOP)
        try:
            eventually(lambda: state_of(stopped) == "T", WAIT)
            with pytest.raises(TimeoutError, match="does not answer"):
                (channel.get if is_taken else channel.fetch)(timeout=0.1)
            (other,) = [one.address for one in cluster.workers if one.pid != stopped]
            with pytest.raises(DependencyError) as caught:
                executor.compute(op(channel.get, workers=[other])(timeout=0.1))
            assert isinstance(caught.value.__cause__, TimeoutError)
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert channel.get(timeout=WAIT).sum() == 100_000  # it was not taken


def test_39_close_wakes_waiters_in_every_process(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel()
    began: DeferredChannel[int] = DeferredChannel(0)

    def wait() -> str:
        began.put(1)
        try:
            channel.get()
        except ChannelClosed:
            return "closed"
        return "got"

    run = executor.start([op(wait)() for _ in range(4)])
    for _ in range(4):
        began.get(timeout=WAIT)
    channel.close()
    assert [r.unwrap().fetch() for r in run.results(timeout=WAIT)] == ["closed"] * 4


def test_too_late_for_what_closed_with_its_executor(executor: Executor) -> None:
    future: DeferredFuture[int] = DeferredFuture()
    executor.compute(op(future.put)(1))
    executor.close()
    with pytest.raises(DeferredLostError):
        future.fetch(timeout=WAIT)


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
