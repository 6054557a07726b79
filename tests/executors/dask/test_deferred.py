"""Deferred references in nodes on Dask workers."""

from collections.abc import Iterator

import numpy
import pytest
from tests.support import Cluster

from dask_dispatcher import (
    AlreadySet,
    AsyncExecutor,
    ChannelClosed,
    DaskExecutor,
    DeferredChannel,
    DeferredFuture,
    DeferredLostError,
    DependencyError,
    RunCancelledError,
    op,
)


@pytest.fixture
def executor(shared_cluster: Cluster) -> Iterator[DaskExecutor]:
    with DaskExecutor(shared_cluster.address) as executor:
        yield executor


@op
def put(reference, value):
    reference.put(value)


@op
def fetch(reference):
    return reference.fetch(timeout=30)


@op
def produce(channel, count):
    for number in range(count):
        channel.put(number)
    channel.close()


@op
def consume(channel):
    return list(channel)


@op
def total(reference):
    return float(reference.fetch(timeout=30).sum())


def test_a_future_put_by_a_node_is_fetched_by_the_program(executor):
    future = DeferredFuture()
    executor.run([put(future, "x")])
    assert future.ready()
    assert future.fetch(timeout=30) == "x"
    with pytest.raises(DependencyError) as caught:
        executor.run([put(future, "y")])
    assert isinstance(caught.value.__cause__, AlreadySet)


def test_a_future_put_by_the_program_wakes_a_waiting_node(executor):
    future = DeferredFuture()
    run = executor.start([fetch(future)])
    future.put([1, 2])
    assert run.results(timeout=30)[0].unwrap().fetch() == [1, 2]


def test_large_values_pass_between_nodes(executor):
    future = DeferredFuture()
    array = numpy.ones(1_000_000)
    assert executor.compute([total(future), put(future, array)])[0] == 1e6
    assert future.fetch(timeout=30).sum() == 1e6


def test_a_channel_between_nodes_keeps_order(executor):
    channel = DeferredChannel(maxsize=2)
    assert executor.compute([consume(channel), produce(channel, 30)])[0] == list(range(30))
    with pytest.raises(ChannelClosed):
        channel.get(timeout=5)


def test_a_channel_from_a_node_to_the_program(executor):
    channel = DeferredChannel(maxsize=2)
    run = executor.start([produce(channel, 20)])
    assert list(channel) == list(range(20))
    run.results(timeout=30)


def test_waiting_nodes_make_room_for_their_producers(executor):
    futures = [DeferredFuture() for _ in range(8)]
    nodes = [*map(fetch, futures), *(put(f, n) for n, f in enumerate(futures))]
    assert executor.compute(nodes)[:8] == list(range(8))


def test_a_chain_of_waits_backwards(executor):
    futures = [DeferredFuture() for _ in range(6)]

    @op
    def pass_on(there, here):
        here.put(there.fetch(timeout=30) + 1)

    nodes = [pass_on(futures[n + 1], futures[n]) for n in range(5)]
    executor.run([*nodes, put(futures[5], 0)])
    assert futures[0].fetch(timeout=30) == 5


def test_coroutines_wait_without_a_thread(executor):
    channel = DeferredChannel()

    @op
    async def gather():
        return [item async for item in channel]

    @op
    async def spread():
        for number in range(5):
            await channel.aput(number)
        channel.close()

    assert executor.compute([gather(), spread()])[0] == list(range(5))


def test_handles_made_in_nodes_belong_to_the_program(executor):
    @op
    def make():
        future = DeferredFuture()
        future.put("inside")
        return future

    assert executor.compute(make()).fetch(timeout=30) == "inside"


def test_two_executors_of_one_program(executor):
    channel = DeferredChannel(maxsize=3)
    with AsyncExecutor() as other:
        run = other.start([consume(channel)])
        executor.run([produce(channel, 10)])
        assert run.results(timeout=30)[0].unwrap().fetch() == list(range(10))


def test_cancelling_a_run_ends_its_waits(executor):
    channel, said = DeferredChannel(), DeferredChannel(maxsize=0)

    @op
    def wait():
        said.put("begun")
        try:
            channel.get()
        except RunCancelledError:
            return
        said.put("got something")

    run = executor.start([wait()])
    assert said.get(timeout=30) == "begun"
    run.cancel()
    assert isinstance(run.results(timeout=30)[0].unwrap_err(), RunCancelledError)
    channel.put("for another")
    assert channel.get(timeout=5) == "for another"  # nobody who has gone took it
    assert not said.ready()


def test_a_node_that_runs_again_puts_again(executor, tmp_path):
    future = DeferredFuture()
    mark = str(tmp_path / "mark")

    @op(retries=1, retry_delay=0.01)
    def put_twice():
        import os

        again = os.path.exists(mark)
        future.put(again)
        if not again:
            open(mark, "w").close()
            raise OSError("once more")

    executor.run([put_twice()])
    assert future.fetch(timeout=30) is True


def test_timeouts_mean_nothing_was_taken(executor):
    channel = DeferredChannel()

    @op
    def try_get():
        try:
            channel.get(timeout=0.05)
        except TimeoutError as error:
            return str(error)

    assert "nothing was there to get" in executor.compute(try_get())
    channel.put(1)
    assert channel.get(timeout=1) == 1


def test_a_killed_holder_loses_its_value(cluster):
    with DaskExecutor(cluster.address) as executor:
        future, channel = DeferredFuture(), DeferredChannel(maxsize=3)

        @op
        def put_and_tell():
            import os

            future.put("x")
            channel.put(numpy.ones(100_000))
            channel.put("small")
            return os.getpid()

        pid = executor.compute(put_and_tell())
        next(worker for worker in cluster.workers if worker.pid == pid).kill()
        with pytest.raises(DeferredLostError):
            future.fetch(timeout=20)
        with pytest.raises(DeferredLostError):
            channel.get(timeout=20)
        assert channel.get(timeout=20) == "small"


def test_a_killed_consumer_takes_nothing_more(cluster):
    with DaskExecutor(cluster.address) as executor:
        channel, pids = DeferredChannel(), DeferredChannel(maxsize=0)

        @op
        def get():
            import os

            pids.put(os.getpid())
            return channel.get(timeout=40)

        run = executor.start([get()])
        pid = pids.get(timeout=30)
        next(worker for worker in cluster.workers if worker.pid == pid).kill()
        assert pids.get(timeout=30) != pid
        channel.put("item", timeout=5)
        assert run.results(timeout=30)[0].unwrap().fetch() == "item"
