"""`Client` on real scheduler and worker processes."""

import pytest

from dask_dispatcher import Client, DaskExecutor, ExecutorError, RunCancelledError, Worker, op
from tests.support.waiting import eventually


@pytest.fixture
def client(shared_cluster):
    with Client(shared_cluster.address) as client:
        yield client


def test_submit_sends_a_node_with_its_dependencies(client):
    a = op(int)("3")
    assert client.submit(a + 4).fetch(30) == 7


def test_what_is_there_already_is_not_computed_again(client, starts_log):
    mark = starts_log.record
    source = op(lambda: mark("source") or 5)()
    first = client.submit(source + 1)
    second = client.submit(source + 2)
    assert client.gather([first, second]) == [6, 7]
    assert client.submit(source).fetch(30) == 5
    assert starts_log.counts()["source"] == 1


def test_the_same_node_gives_the_same_future(client):
    node = op(int)("1")
    assert client.submit(node) is client.submit(node)


def test_a_failed_node_is_sent_again(client, tmp_path):
    flag = tmp_path / "flag"
    node = op(lambda: flag.read_text())()
    assert client.submit(node).wait(30)
    flag.write_text("now")
    assert client.submit(node).fetch(30) == "now"


def test_workers_binds_this_node_only(client, shared_cluster):
    from distributed import get_worker

    here = op(lambda *_: get_worker().address)
    for worker in shared_cluster.workers:
        assert client.submit(here(here()), workers=worker.address).fetch(30) == worker.address


def test_futures_of_one_client_are_gathered_by_another(client, shared_cluster):
    future = client.submit(op(int)("8"))
    with Client(shared_cluster.address) as other:
        assert other.gather([future]) == [8]


def test_cancel_ends_a_running_node(client, tmp_path):
    begun = tmp_path / "begun"
    release = tmp_path / "release"

    def wait():
        import time

        begun.touch()
        while not release.exists():
            time.sleep(0.01)

    future = client.submit(op(wait)())
    eventually(begun.exists)
    client.cancel([future])
    with pytest.raises(RunCancelledError):
        future.fetch(10)
    release.touch()


def test_cancel_lets_a_finished_value_go(client):
    future = client.submit(op(int)("2"))
    assert future.fetch(30) == 2
    client.cancel([future])
    with pytest.raises(RunCancelledError):
        future.fetch(10)


def test_replicated_copies_outlast_the_memory_manager(cluster):
    with Client(cluster.address) as client:
        future = client.submit(op(bytes)(100))
        client.replicate([future])

        def copies():
            return sorted(len(holders) for holders in client.dask.who_has().values())

        assert copies() == [2]
        # What would drop the copy, were it not stopped, drops it now.
        if client.dask.amm.running():
            client.dask.amm.run_once()
        assert copies() == [2]


def test_close_disconnects_and_lets_values_go(cluster):
    client = Client(cluster.address)
    future = client.submit(op(int)("2"))
    assert future.fetch(30) == 2
    client.close()
    client.close()
    with pytest.raises(ExecutorError):
        client.submit(op(int)("2"))
    with pytest.raises(ExecutorError):
        future.fetch(5)
    with Client(cluster.address) as other:
        eventually(lambda: not other.dask.who_has())


def test_a_closed_client_says_that_it_is(shared_cluster):
    with Client(shared_cluster.address) as client:
        pass
    for use in (
        lambda: client.submit(op(int)("2")),
        lambda: client.gather([]),
        lambda: client.dask,
    ):
        with pytest.raises(ExecutorError, match="this Client is closed"):
            use()


def test_copies_are_counted_from_one(client):
    future = client.submit(op(int)("2"))
    with pytest.raises(ValueError, match="n must be at least 1"):
        client.replicate([future], n=0)


def test_an_executor_outlives_its_client(shared_cluster):
    with DaskExecutor(shared_cluster.address) as executor:
        own = executor.run([op(int)("3")])
        with executor.client as client:
            future = client.submit(op(int)("2"))
            assert future.fetch(30) == 2
        assert "closed" in repr(client)
        with pytest.raises(ExecutorError, match="client is closed"):
            future.fetch(5)
        with pytest.raises(ExecutorError, match="this Client is closed"):
            client.submit(op(int)("2"))
        assert executor.gather(own) == [3]
        assert executor.client.submit(op(int)("4")).fetch(30) == 4


def test_an_executor_has_a_client(shared_cluster):
    with DaskExecutor(shared_cluster.address) as executor:
        node = op(int)("4") * 2
        assert executor.client.submit(node).fetch(30) == 8
        assert executor.client is executor.client


def test_only_nodes_can_be_submitted(client):
    with pytest.raises(TypeError, match="only nodes"):
        client.submit(3)


def test_worker_in_this_process_runs_nodes(scheduler):
    with (
        Worker(scheduler.address, name="here", resources={"GPU": 1}) as worker,
        DaskExecutor(scheduler.address) as executor,
    ):
        import os

        pid = op(os.getpid)
        assert executor.compute(pid()) == os.getpid()
        assert executor.compute(pid.options(workers="here", resources={"GPU": 1})()) == os.getpid()
        assert worker.address.startswith("tcp://127.0.0.1:")
    worker.close()


def test_worker_without_scheduler_says_so(tmp_path):
    with pytest.raises(ExecutorError, match="cannot reach a Dask scheduler"):
        Worker("127.0.0.1:1")
    with pytest.raises(ValueError, match="no scheduler address"):
        Worker("http://127.0.0.1")
    with pytest.raises(ExecutorError, match="no scheduler for the worker"):
        Worker()
