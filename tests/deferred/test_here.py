"""References in one process: the program and its threads."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import pytest

from dask_dispatcher import (
    AlreadySet,
    ChannelClosed,
    DeferredChannel,
    DeferredError,
    DeferredFuture,
)
from dask_dispatcher.deferred.desk import desk


def test_a_future_is_put_once_and_fetched_often() -> None:
    future: DeferredFuture[int] = DeferredFuture()
    assert not future.ready()
    assert not future.wait(timeout=0)
    future.put(1)
    assert future.ready()
    assert future.wait()
    assert [future.fetch(), future.fetch()] == [1, 1]
    with pytest.raises(AlreadySet):
        future.put(2)
    future.reset()
    with pytest.raises(TimeoutError):
        future.fetch(timeout=0)
    future.put(3)
    assert future.fetch() == 3


def test_a_channel_keeps_order_and_blocks_when_full() -> None:
    channel: DeferredChannel[int] = DeferredChannel(maxsize=2)
    channel.put(1)
    channel.put(2)
    with pytest.raises(TimeoutError, match="nothing was put"):
        channel.put(3, timeout=0.01)
    assert channel.fetch() == 1
    assert [channel.get(), channel.get()] == [1, 2]
    with pytest.raises(TimeoutError):
        channel.get(timeout=0.01)
    assert not channel.ready()


def test_what_is_closed_can_be_emptied_but_not_filled() -> None:
    channel: DeferredChannel[str] = DeferredChannel(3)
    channel.put("a")
    channel.put("b")
    channel.close()
    channel.close()
    with pytest.raises(ChannelClosed):
        channel.put("c")
    assert list(channel) == ["a", "b"]
    with pytest.raises(ChannelClosed):
        channel.get()
    with pytest.raises(ChannelClosed):
        channel.fetch()


@pytest.mark.parametrize("filled", [True, False])
def test_close_wakes_who_waits(filled: bool) -> None:
    channel: DeferredChannel[int] = DeferredChannel()
    if filled:
        channel.put(0)
    wait: Callable[[], object] = (lambda: channel.put(1)) if filled else channel.get
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(wait) for _ in range(3)]
        channel.close()
        for future in waiting:
            assert isinstance(future.exception(timeout=30), ChannelClosed)


def test_many_producers_and_consumers() -> None:
    channel: DeferredChannel[tuple[int, int]] = DeferredChannel(maxsize=3)

    def produce(name: int) -> None:
        for number in range(100):
            channel.put((name, number))

    with ThreadPoolExecutor(6) as pool:
        consumers = [pool.submit(lambda: list(channel)) for _ in range(3)]
        for done in [pool.submit(produce, name) for name in range(3)]:
            done.result(timeout=30)
        channel.close()
        got = [consumer.result(timeout=30) for consumer in consumers]
    assert sorted(item for items in got for item in items) == [
        (name, number) for name in range(3) for number in range(100)
    ]
    for items in got:
        for name in range(3):
            mine = [number for who, number in items if who == name]
            assert mine == sorted(mine)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_pickled_handle_is_the_same_reference(dumps: Callable[[object], bytes]) -> None:
    for handle in (DeferredFuture[int](), DeferredChannel[int](4)):
        copy = pickle.loads(dumps(handle))
        assert copy == handle
        assert hash(copy) == hash(handle)
        copy.put(5)
        assert handle.fetch(timeout=0) == 5
    assert DeferredFuture[int]() != DeferredFuture[int]()


def test_closures_carry_handles() -> None:
    future: DeferredFuture[int] = DeferredFuture()
    pickle.loads(cloudpickle.dumps(lambda: future.put(7)))()
    assert future.fetch(timeout=0) == 7


def test_a_handle_of_another_program_says_so() -> None:
    cls, (kind, key, _, maxsize) = DeferredFuture[int]().__reduce__()
    stranger = cls(kind, key, "elsewhere", maxsize)
    with pytest.raises(DeferredError, match="belongs to another program"):
        stranger.put(1)
    assert "another process" in repr(stranger)


def test_reprs_tell_the_state() -> None:
    future: DeferredFuture[int] = DeferredFuture()
    assert repr(future).endswith(": pending>")
    future.put(1)
    assert repr(future).endswith(": ready>")
    channel: DeferredChannel[int] = DeferredChannel(2)
    channel.put(1)
    channel.close()
    assert repr(channel).endswith(": 1 of 2 items, closed>")


@pytest.mark.parametrize("maxsize", [True, 1.5, "3", None])
def test_a_maxsize_that_is_no_number(maxsize: object) -> None:
    with pytest.raises(TypeError):
        DeferredChannel(maxsize)  # type: ignore[arg-type]


def test_hostile_sizes_and_timeouts() -> None:
    with pytest.raises(ValueError, match="maxsize must be 0"):
        DeferredChannel(-1)
    channel: DeferredChannel[int] = DeferredChannel()
    for timeout in (float("nan"), -1):
        with pytest.raises(ValueError, match="timeout must be 0"):
            channel.get(timeout)
    with pytest.raises(TypeError):
        channel.get("5")  # type: ignore[arg-type]


def test_what_was_put_goes_with_the_last_handle() -> None:
    class Value:
        pass

    gone = threading.Event()
    value = Value()
    weakref.finalize(value, gone.set)
    future: DeferredFuture[Value] = DeferredFuture()
    copy = pickle.loads(pickle.dumps(future))
    future.put(value)
    del value, future
    gc.collect()
    assert not gone.is_set()
    del copy
    gc.collect()
    assert gone.is_set()


def test_no_book_is_left_behind() -> None:
    future: DeferredFuture[int] = DeferredFuture()
    future.put(1)
    key = future._ref.key
    assert key in desk()._books
    del future
    gc.collect()
    assert key not in desk()._books
    assert key not in desk()._handles


def test_coroutines_wait_without_holding_up_the_loop() -> None:
    channel: DeferredChannel[int] = DeferredChannel()
    total: DeferredFuture[int] = DeferredFuture()

    async def produce() -> None:
        for number in range(10):
            await channel.aput(number)
        channel.close()

    async def consume() -> None:
        total.put(sum([item async for item in channel]))

    async def main() -> int:
        answer, _, _ = await asyncio.gather(total.afetch(), consume(), produce())
        with pytest.raises(TimeoutError):
            await DeferredFuture[int]().afetch(timeout=0.01)
        return answer + await total

    assert asyncio.run(main()) == 90
