"""What holds for deferred references on every executor."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from dask_dispatcher import (
    AlreadySet,
    AsyncExecutor,
    ChannelClosed,
    DaskExecutor,
    DeferredChannel,
    DeferredError,
    DeferredFuture,
    DependencyError,
    Err,
    Executor,
    Ok,
    ParallelExecutor,
    RunCancelledError,
    op,
)
from tests.support import Cluster
from tests.support.waiting import eventually

WAIT = 30.0


@op
def produce(channel: DeferredChannel[Any], items: list[Any], *, close: bool = True) -> int:
    for item in items:
        channel.put(item, timeout=WAIT)
    if close:
        channel.close()
    return len(items)


@op
def consume(channel: DeferredChannel[Any]) -> list[Any]:
    return list(channel)


def test_a_consumer_that_comes_first_makes_room_for_its_producer(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel()
    first = consume(channel)
    then = produce(channel, [1, 2, 3, 4])
    assert executor.compute([first, then]) == [[1, 2, 3, 4], 4]


def test_a_chain_of_waits_on_one_place(executor: Executor) -> None:
    channels: list[DeferredChannel[int]] = [DeferredChannel() for _ in range(4)]

    @op
    def pass_on(source: DeferredChannel[int], target: DeferredChannel[int]) -> None:
        for item in source:
            target.put(item + 1)
        target.close()

    last = consume(channels[-1])
    stages = [pass_on(a, b) for a, b in zip(channels, channels[1:], strict=False)]
    values = executor.compute([last, *reversed(stages), produce(channels[0], [0, 10, 20])])
    assert values[0] == [3, 13, 23]


def test_a_future_from_node_to_node_and_to_the_program(executor: Executor) -> None:
    future: DeferredFuture[dict[str, int]] = DeferredFuture()
    fetched = op(future.fetch)(timeout=WAIT)
    put = op(future.put)({"a": 1})
    assert executor.compute([fetched, put]) == [{"a": 1}, None]
    assert future.fetch(timeout=WAIT) == {"a": 1}
    assert executor.compute(op(lambda: future.ready())()) is True


def test_the_program_puts_and_nodes_fetch(executor: Executor) -> None:
    future: DeferredFuture[Any] = DeferredFuture()
    future.put(np.arange(100_000.0))
    assert executor.compute(op(lambda f: float(f.fetch().sum()))(future)) == 4_999_950_000.0
    channel: DeferredChannel[int] = DeferredChannel(0)
    for number in range(20):
        channel.put(number)
    channel.close()
    assert executor.compute(consume(channel)) == list(range(20))


def test_large_items_arrive_whole(executor: Executor) -> None:
    channel: DeferredChannel[Any] = DeferredChannel(2)

    @op
    def make() -> None:
        for number in range(4):
            channel.put(np.full(50_000, float(number)))
        channel.close()

    @op
    def add() -> list[float]:
        return [float(array.sum()) for array in channel]

    assert executor.compute([add(), make()])[0] == [50_000.0 * n for n in range(4)]


def test_the_program_takes_while_nodes_put(executor: Executor) -> None:
    progress: DeferredChannel[int] = DeferredChannel()
    run = executor.start([produce(progress, list(range(10)))])
    assert list(progress) == list(range(10))
    (result,) = run.results(timeout=WAIT)
    assert isinstance(result, Ok)


def test_time_is_up_in_a_node(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel()

    def wait() -> str:
        try:
            channel.get(timeout=0.01)
        except TimeoutError:
            return "time up"
        return "got one"

    def fill() -> str:
        channel.put(1)
        try:
            channel.put(2, timeout=0.01)
        except TimeoutError:
            return "full"
        return "put"

    assert executor.compute(op(wait)()) == "time up"
    assert executor.compute(op(fill)()) == "full"
    assert channel.get(timeout=0) == 1
    assert not channel.ready()


def test_errors_reach_the_node_by_their_class(executor: Executor) -> None:
    future: DeferredFuture[int] = DeferredFuture()
    future.put(1)
    channel: DeferredChannel[int] = DeferredChannel()
    channel.close()
    for node, kind in [
        (op(future.put)(2), AlreadySet),
        (op(channel.put)(2), ChannelClosed),
        (op(channel.get)(), ChannelClosed),
    ]:
        with pytest.raises(DependencyError) as caught:
            executor.compute(node)
        assert type(caught.value.__cause__) is kind


def test_a_node_that_is_tried_again_puts_again(executor: Executor) -> None:
    future: DeferredFuture[int] = DeferredFuture()
    tries: DeferredChannel[int] = DeferredChannel(0)
    tries.put(0)
    tries.put(1)

    def put() -> None:
        number = tries.get(timeout=WAIT)
        future.put(number)
        if number == 0:
            raise ValueError("once")
        with pytest.raises(AlreadySet):
            future.put(2)

    executor.compute(op(put, retries=1, retry_delay=0)())
    assert future.fetch(timeout=WAIT) == 1


def test_a_coroutine_node_that_is_tried_again_puts_again(executor: Executor) -> None:
    future: DeferredFuture[int] = DeferredFuture()
    tries: DeferredChannel[int] = DeferredChannel(0)
    tries.put(0)
    tries.put(1)

    async def put() -> None:
        number = await tries.aget(timeout=WAIT)
        future.put(number)
        if number == 0:
            raise ValueError("once")

    executor.compute(op(put, retries=1, retry_delay=0)())
    assert future.fetch(timeout=WAIT) == 1


def test_a_cancelled_run_ends_the_waits_of_its_nodes(executor: Executor) -> None:
    began: DeferredFuture[None] = DeferredFuture()
    channel: DeferredChannel[int] = DeferredChannel()
    seen: DeferredFuture[str] = DeferredFuture()

    def wait() -> None:
        began.put(None)
        try:
            channel.get()
        except RunCancelledError:
            seen.put("cancelled")
            raise

    run = executor.start([op(wait)()])
    assert began.wait(WAIT)
    run.cancel()
    (result,) = run.results(timeout=WAIT)
    assert isinstance(result, Err)
    assert isinstance(result.error, RunCancelledError)
    assert executor.compute(op(abs)(-1)) == 1


def test_early_stopping(executor: Executor) -> None:
    stop: DeferredFuture[bool] = DeferredFuture()
    steps: DeferredChannel[int] = DeferredChannel()

    def work() -> str:
        step = 0
        while not stop.ready():
            steps.put(step)
            step += 1
        return "stopped"

    run = executor.start([op(work)()])
    assert [steps.get(timeout=WAIT) for _ in range(3)] == [0, 1, 2]
    stop.put(True)
    while not run.done():  # what it puts before it looks
        with contextlib.suppress(TimeoutError):
            steps.get(timeout=0.01)
    (result,) = run.results(timeout=WAIT)
    assert result.unwrap().fetch() == "stopped"


def test_coroutine_nodes_await(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel()

    async def put() -> None:
        for number in range(5):
            await channel.aput(number)
        channel.close()

    async def take() -> int:
        return sum([item async for item in channel])

    assert executor.compute([op(take)(), op(put)()]) == [10, None]


@pytest.mark.parametrize("by_program", [False, True], ids=["by-node", "by-program"])
@pytest.mark.parametrize("size", [1, 20_000], ids=["small", "large"])
def test_a_cancelled_get_leaves_its_item_to_others(
    executor: Executor, size: int, by_program: bool
) -> None:
    channel: DeferredChannel[bytes] = DeferredChannel(10)
    blocks = [bytes([number]) * size for number in range(60)]

    if by_program:
        run = executor.start([take_every_other(channel)])
        for block in blocks:
            channel.put(block, timeout=WAIT)
        channel.close()
        (found,) = executor.gather(run.results(timeout=WAIT))
    else:
        found, _ = executor.compute([take_every_other(channel), produce(channel, blocks)])

    eventually(lambda: found.extend(left_in(channel)) or sorted(found) == blocks, WAIT)


@op
async def take_every_other(channel: DeferredChannel[bytes]) -> list[bytes]:
    found = []
    while True:
        unwanted = asyncio.ensure_future(channel.aget())
        await asyncio.sleep(0)  # so that it has asked
        unwanted.cancel()
        try:
            found.append(await channel.aget())
        except ChannelClosed:
            return found


def left_in(channel: DeferredChannel[bytes]) -> Iterator[bytes]:
    """Yield what is in a closed channel; the last may have been given back after the close."""
    with contextlib.suppress(ChannelClosed):
        while True:
            yield channel.get()


@pytest.mark.parametrize("size", [1, 20_000], ids=["small", "large"])
def test_it_does_so_from_processes_of_a_node(executor: Executor, size: int) -> None:
    channel: DeferredChannel[bytes] = DeferredChannel(10)
    blocks = [bytes([number]) * size for number in range(60)]

    def take() -> list[bytes]:
        with ParallelExecutor(1) as nested:
            return nested.compute(take_every_other(channel))

    run = executor.start([op(take)()])
    for block in blocks:
        channel.put(block, timeout=WAIT)
    channel.close()
    (found,) = executor.gather(run.results(timeout=WAIT))
    eventually(lambda: found.extend(left_in(channel)) or sorted(found) == blocks, WAIT)


@pytest.mark.parametrize("size", [1, 20_000], ids=["small", "large"])
def test_it_does_so_from_dask_workers_of_a_node(shared_cluster: Cluster, size: int) -> None:
    channel: DeferredChannel[bytes] = DeferredChannel(10)
    taken: DeferredFuture[list[bytes]] = DeferredFuture()
    all_there: DeferredFuture[bool] = DeferredFuture()
    blocks = [bytes([number]) * size for number in range(20)]
    address = shared_cluster.address

    def take() -> None:
        with DaskExecutor(address) as nested:
            taken.put(nested.compute(take_every_other(channel)))
            all_there.fetch(timeout=WAIT)  # the last may be on its way back yet

    with ParallelExecutor(1) as executor:
        run = executor.start([op(take)()])
        for block in blocks:
            channel.put(block, timeout=WAIT)
        channel.close()
        found = taken.fetch(timeout=WAIT)
        eventually(lambda: found.extend(left_in(channel)) or sorted(found) == blocks, WAIT)
        all_there.put(True)
        run.results(timeout=WAIT)


@pytest.mark.parametrize("size", [1, 20_000], ids=["small", "large"])
def test_a_get_cancelled_once_its_item_is_brought_gives_it_back(
    executor: Executor, size: int
) -> None:
    channel: DeferredChannel[bytes] = DeferredChannel(0)
    blocks = [bytes([number]) * size for number in range(3)]
    for block in blocks:
        channel.put(block)
    assert executor.compute(op(take_after_another)(channel)) == blocks[0]
    assert [channel.get(timeout=WAIT) for _ in range(2)] == blocks[1:]


async def take_after_another(channel: DeferredChannel[bytes]) -> bytes:
    """Take an item after a get was cancelled in the moment in which it had been brought."""
    loop: Any = asyncio.get_running_loop()
    before, loop._default_executor = loop._default_executor, ThreadPoolExecutor(1)
    submit = loop._default_executor.submit

    def submit_and_cancel(*call: Any) -> Any:
        called = submit(*call)
        called.result(WAIT)
        unwanted.cancel()
        return called

    loop._default_executor.submit = submit_and_cancel
    unwanted = asyncio.ensure_future(channel.aget())
    try:
        await asyncio.wait({unwanted})
    finally:
        loop._default_executor.shutdown()
        loop._default_executor = before
    assert unwanted.cancelled()
    return await channel.aget()


def test_a_coroutine_node_that_blocks_is_told_to_await(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel()

    async def block() -> int:
        return channel.get()

    with pytest.raises(DependencyError, match="await the reference") as caught:
        executor.compute(op(block)())
    assert isinstance(caught.value.__cause__, DeferredError)
    channel.put(1)
    assert channel.get(timeout=0) == 1  # nobody else took it


def test_many_items_between_two_nodes(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel(20)
    count = 500
    got, _ = executor.compute([consume(channel), produce(channel, list(range(count)))])
    assert got == list(range(count))


def test_many_large_items_between_two_nodes(executor: Executor) -> None:
    """They stay where they were put, however their requests cross what is sent ahead."""

    @op
    def put_blocks(channel: DeferredChannel[bytes]) -> None:
        for number in range(400):
            channel.put(bytes([number % 256]) * 20_000)
        channel.close()

    @op
    def first_bytes(channel: DeferredChannel[bytes]) -> list[int]:
        return [block[0] for block in channel]

    channel: DeferredChannel[bytes] = DeferredChannel(50)
    found, _ = executor.compute([first_bytes(channel), put_blocks(channel)])
    assert found == [number % 256 for number in range(400)]


def test_what_an_eager_consumer_leaves_is_there_for_others(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel(0)
    for number in range(200):
        channel.put(number)

    def take(count: int) -> list[int]:
        return [channel.get(timeout=WAIT) for _ in range(count)]

    assert executor.compute(op(take)(100)) == list(range(100))
    assert channel.ready()
    assert [channel.get(timeout=0) for _ in range(99)] == list(range(100, 199))
    assert executor.compute(op(take)(1)) == [199]
    assert not channel.ready()


def test_an_eager_producer_leaves_room_for_others(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel(100)
    produced = produce(channel, list(range(50)), close=False)
    assert executor.compute(produced) == 50
    for number in range(50, 100):
        channel.put(number, timeout=0)
    with pytest.raises(TimeoutError):
        channel.put(100, timeout=0)
    channel.close()
    assert list(channel) == list(range(100))


def test_an_eager_producer_hears_of_the_close(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel(0)

    def flood() -> int:
        number = 0
        try:
            while True:
                channel.put(number)
                number += 1
        except ChannelClosed:
            return number

    run = executor.start([op(flood)()])
    first = [channel.get(timeout=WAIT) for _ in range(100)]
    channel.close()
    rest = list(channel)
    (result,) = run.results(timeout=WAIT)
    assert result.unwrap().fetch() == len(first + rest)
    assert first + rest == list(range(len(first + rest)))


def test_what_cannot_be_pickled(executor: Executor) -> None:
    channel: DeferredChannel[Any] = DeferredChannel()
    node = op(lambda: channel.put(threading.Lock()))()
    if executor.in_process:
        executor.compute(node)
        return
    with pytest.raises(DependencyError, match="cannot be pickled"):
        executor.compute(node)
    assert not channel.ready()


def test_a_reference_made_in_a_node_belongs_to_the_program(executor: Executor) -> None:
    future = executor.compute(op(DeferredFuture)())
    executor.compute(op(future.put)(1))
    assert future.fetch(timeout=WAIT) == 1


def test_an_executor_inside_a_node_passes_requests_on(executor: Executor) -> None:
    future: DeferredFuture[int] = DeferredFuture()
    question: DeferredFuture[int] = DeferredFuture()
    question.put(41)

    def inner() -> None:
        with AsyncExecutor() as nested:
            nested.compute(op(lambda: future.put(question.fetch() + 1))())

    executor.compute(op(inner)())
    assert future.fetch(timeout=WAIT) == 42


def test_local_processes_inside_a_node_pass_requests_on(executor: Executor) -> None:
    future: DeferredFuture[Any] = DeferredFuture()
    question: DeferredFuture[int] = DeferredFuture()
    question.put(41)

    def inner() -> Any:
        with ParallelExecutor(1) as nested:
            nested.compute(op(lambda: future.put([question.fetch() + 1]))())
            return future.fetch()

    assert executor.compute(op(inner)()) == [42]


def test_two_executors_share_one_channel(executor: Executor) -> None:
    channel: DeferredChannel[int] = DeferredChannel()
    with ParallelExecutor(1) as other:
        taking = other.start([consume(channel)])
        assert executor.compute(produce(channel, [1, 2, 3])) == 3
        (result,) = taking.results(timeout=WAIT)
        assert result.unwrap().fetch() == [1, 2, 3]
