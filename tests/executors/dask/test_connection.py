"""`Connection`: which scheduler it is, plain errors in time, and leaving alone what is not ours."""

import asyncio
import itertools
import logging
import socket
import threading
from unittest.mock import Mock, PropertyMock

import dask.config
import distributed
import pytest
from tests.executors.dask.ports import closed_port, port_that
from tests.executors.dask.test_addresses import BAD
from tests.support import eventually

from dask_dispatcher import DaskExecutor, ExecutorError, SchedulerLostError, op
from dask_dispatcher.executors.dask import connection as module
from dask_dispatcher.executors.dask.connection import Connection

# A client that loses its scheduler tries once more; tornado, stopped in the middle of that, leaves
# the new socket to the cycle collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")

DEFAULT_PORT = 8786


@pytest.fixture
def unreachable_default():
    """Keep others' schedulers on the default port out of tests that fall through to it."""
    if _is_taken():
        pytest.skip(f"port {DEFAULT_PORT} of this machine is taken, by no process of this test")


def _is_taken():
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", DEFAULT_PORT)) == 0


@pytest.fixture
def messages(caplog):
    caplog.set_level(logging.INFO, "dask_dispatcher")

    def of_the_connection():
        texts = [r.getMessage() for r in caplog.records if r.name == "dask_dispatcher"]
        return [text for text in texts if not text.startswith("run ")]

    return of_the_connection


# Addresses


@pytest.mark.parametrize("address", [bad for bad in BAD if bad])
def test_what_is_no_address_is_refused_before_connecting(address):
    with pytest.raises(ValueError, match="no scheduler address"):
        DaskExecutor(address)


@pytest.mark.parametrize("address", [7, b"127.0.0.1:8786", ["127.0.0.1:8786"], object()])
def test_other_types_are_refused(address):
    with pytest.raises(TypeError, match=f"not {type(address).__name__}"):
        DaskExecutor(address)


@pytest.mark.parametrize("form", ["tcp://{}", "{}"])
def test_both_forms_of_an_address(shared_cluster, form):
    address = form.format(shared_cluster.address.removeprefix("tcp://"))
    with DaskExecutor(address) as executor:
        assert executor._engine.connection.address == shared_cluster.address
        assert executor.compute(op(int)("3")) == 3


# Errors of connecting


@pytest.mark.parametrize("does", ["is silent", "hangs up", "answers HTTP", "sends zeros"])
def test_a_port_that_is_not_dasks_is_an_error_in_plain_words(does):
    with (
        port_that(does) as address,
        pytest.raises(
            ExecutorError, match=f"cannot connect to a Dask scheduler at tcp://{address}"
        ),
    ):
        DaskExecutor(address)


def test_nobody_answers():
    with closed_port() as address, pytest.raises(ExecutorError, match=address):
        DaskExecutor(f"tcp://{address}")


def test_connecting_is_bounded():
    assert module.CONNECT_TIMEOUT < 5


def test_address_of_a_worker(shared_cluster):
    with pytest.raises(ExecutorError, match="a Dask Worker answers there"):
        DaskExecutor(shared_cluster.workers[0].address)


# What is not ours


def test_users_client_is_used_and_left_alone(shared_cluster):
    with distributed.Client(shared_cluster.address, set_as_default=False) as client:
        own = client.submit(int, "7")
        with DaskExecutor(client) as executor:
            assert executor._engine.connection.client is client
            assert executor.compute(op(int)("3")) == 3
        assert client.status == "running"
        assert own.result(10) == 7
        eventually(lambda: list(client.futures) == [own.key])  # nothing of ours is kept there


def test_two_executors_on_one_client(cluster, starts_log):
    record = starts_log.record
    with distributed.Client(cluster.address, set_as_default=False) as client:
        first, second = DaskExecutor(client), DaskExecutor(client)
        assert first.compute(op(int)("3")) == second.compute(op(int)("3")) == 3
        first.close()
        (result,) = second.run([op(lambda: record("node") or 5)()])
        (pid,) = starts_log.pids("node")
        next(w for w in cluster.workers if w.pid == pid).kill()
        assert result.unwrap().fetch(20) == 5
        second.close()


def test_users_cluster_is_used_and_left_alone():
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        host="127.0.0.1",
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    ) as cluster:
        with DaskExecutor(cluster) as executor:
            assert executor._engine.connection.address == cluster.scheduler_address
            assert executor.compute(op(int)("3")) == 3
        assert cluster.status.name == "running"
        assert len(cluster.scheduler_info["workers"]) == 1


def test_our_clients_are_never_the_default(shared_cluster):
    with DaskExecutor(shared_cluster.address) as executor:
        assert executor.compute(op(int)("3")) == 3
        with pytest.raises(ValueError, match="No global client"):
            distributed.get_client()
        with distributed.Client(shared_cluster.address) as client:
            assert distributed.get_client() is client
            with DaskExecutor(shared_cluster.address):
                assert distributed.get_client() is client


# Without an address


@pytest.mark.parametrize("address", [None, ""])
def test_first_the_current_client(shared_cluster, messages, address):
    with (
        dask.config.set(scheduler_address="tcp://127.0.0.1:1"),
        distributed.Client(shared_cluster.address) as client,
    ):
        with DaskExecutor(address) as executor:
            assert executor._engine.connection.client is client
        assert client.status == "running"
    assert messages() == [f"using the current distributed.Client, {shared_cluster.address}"]


@pytest.mark.parametrize("address", [None, ""])
def test_then_the_configured_address(shared_cluster, messages, address):
    with dask.config.set(scheduler_address=shared_cluster.address), DaskExecutor(address) as found:
        assert found._engine.connection.address == shared_cluster.address
    assert messages() == [f"using the configured scheduler-address, {shared_cluster.address}"]


def test_a_configured_address_where_nobody_answers_is_an_error():
    with (
        closed_port() as address,
        dask.config.set(scheduler_address=f"tcp://{address}"),
        pytest.raises(ExecutorError, match=address),
    ):
        DaskExecutor()


def test_a_configured_address_that_is_none_is_an_error():
    with (
        dask.config.set(scheduler_address="http://127.0.0.1"),
        pytest.raises(ValueError, match="no scheduler address"),
    ):
        DaskExecutor()


def test_then_a_scheduler_on_the_default_port(make_cluster, messages, unreachable_default):
    cluster = make_cluster()
    cluster.address = f"tcp://127.0.0.1:{DEFAULT_PORT}"
    cluster.restart_scheduler()
    cluster.add_worker()
    with DaskExecutor() as executor:
        assert executor._engine.connection.address == cluster.address
        assert executor.compute(op(int)("3")) == 3
    assert messages() == [
        f"using the scheduler on this machine's default port, 127.0.0.1:{DEFAULT_PORT}"
    ]


def test_at_last_an_embedded_cluster(messages, unreachable_default):
    with DaskExecutor() as executor:
        address = executor._engine.connection.address
        assert executor.compute(op(int)("3")) == 3
    assert messages() == [f"started an embedded local cluster, {address}"]


def test_what_is_no_scheduler_on_the_default_port_does_not_count(messages, unreachable_default):
    with port_that("answers HTTP", DEFAULT_PORT):
        assert module.find_scheduler() is None
    (message,) = messages()
    assert "not using what listens on this machine's default port" in message
    assert "is not Dask" in message


# Connecting again


@pytest.mark.reconnects
def test_renewed_once_by_many_threads(cluster):
    connection = Connection(cluster.address)
    try:
        first = connection.client
        cluster.kill_scheduler()
        eventually(lambda: not connection.is_alive)
        cluster.restart_scheduler()
        seen = []

        def renew():
            connection.ensure()
            seen.append(connection.client)

        threads = [threading.Thread(target=renew) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert seen == [connection.client] * 4
        # Dask's own attempt to connect again may have been the faster one.
        assert first is connection.client or first.status == "closed"
    finally:
        connection.close()


def client_that_is(*states):
    """Return a stand-in for a client, which is in each state once, and stays in the last."""
    client = Mock(spec=distributed.Client)
    seen = itertools.chain(states, itertools.repeat(states[-1]))
    type(client).status = PropertyMock(side_effect=lambda: next(seen))
    return client


class Worker:
    """A client's way to a worker, which answers if it has the time."""

    has_time = False
    asked = 0

    def rpc(self, _address):
        return self

    async def identity(self):
        self.asked += 1
        if not self.has_time:
            raise OSError


def test_a_worker_that_did_not_answer_is_asked_again_after_a_while(monkeypatch):
    connection, worker = Connection(client_that_is("running")), Worker()

    def is_reached():
        return asyncio.run(connection._reaches(worker, "tcp://worker"))

    monkeypatch.setattr(module, "_SILENCE", 0.0)
    assert not is_reached()
    monkeypatch.setattr(module, "_SILENCE", 1000.0)
    assert not is_reached()
    worker.has_time = True
    assert not is_reached()  # not asked, for now
    assert worker.asked == 2
    connection._silent_until["tcp://worker"] = 0.0
    assert is_reached()
    assert is_reached()
    assert worker.asked == 3


def test_a_client_that_reconnects_by_itself_is_given_the_time():
    connection = Connection(client_that_is("closed", "connecting", "connecting", "running"))
    connection.ensure()
    assert connection.is_alive


def test_a_client_that_gives_up_is_not_waited_for():
    connection = Connection(client_that_is("connecting", "connecting", "closed"))
    with pytest.raises(SchedulerLostError, match="passed in"):
        connection.ensure()
