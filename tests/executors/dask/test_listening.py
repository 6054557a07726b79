"""Hearing reports, and of workers that went: one listener a client, whoever shares it."""

import queue

import distributed
import pytest
from tests.support import eventually

from dask_dispatcher.executors.dask import listening
from dask_dispatcher.executors.dask.listening import listen, unlisten


class Heard:
    """Stands where an engine does: notes which workers it is told of."""

    def __init__(self):
        self.workers = queue.Queue()
        self.reports = queue.Queue()

    def post(self, function):
        function()

    def worker_removed(self, worker, message):
        assert message["action"] == "remove-worker"
        self.workers.put(worker)

    def reported(self, name, message):
        self.reports.put((name, message))


def listen_to(client, engine, addresses, scheduler="scheduler"):
    """Listen, and wait until the scheduler knows."""
    listen(client, engine, addresses, scheduler)
    me = client.id

    def subscribed(dask_scheduler):
        topics = dask_scheduler._broker._topics
        return all(me in topics[address].subscribers for address in addresses)

    eventually(lambda: client.run_on_scheduler(subscribed))


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster.address, set_as_default=False) as client:
        yield client
    # The client is gone, and the listener does not keep it.
    assert client not in listening._listeners


def test_every_engine_on_a_client_is_told(cluster, client):
    engines = [Heard(), Heard()]
    addresses = [worker.address for worker in cluster.workers]
    for engine in engines:
        listen_to(client, engine, addresses)
    cluster.workers[0].kill()
    for engine in engines:
        assert engine.workers.get(timeout=10) == addresses[0]
    unlisten(client, engines[0])
    cluster.workers[1].kill()
    assert engines[1].workers.get(timeout=10) == addresses[1]
    assert engines[0].workers.empty()
    unlisten(client, engines[1])


def test_workers_may_be_added_and_named_twice(cluster, client):
    engine = Heard()
    first, second = (worker.address for worker in cluster.workers)
    listen_to(client, engine, [first])
    listen_to(client, engine, [first, second])
    cluster.workers[1].kill()
    cluster.workers[0].kill()
    assert {engine.workers.get(timeout=10) for _ in "ab"} == {first, second}
    unlisten(client, engine)
    assert engine.workers.empty()


def test_an_engine_that_is_gone_is_not_kept(cluster, client):
    engine = Heard()
    listen_to(client, engine, [cluster.workers[0].address])
    del engine
    eventually(lambda: not listening._listeners[client].engines)
    unlisten(client, Heard())
    unlisten(client, Heard())


def test_listening_after_the_last_has_left(cluster, client):
    engine = Heard()
    address = cluster.workers[0].address
    listen_to(client, engine, [address])
    unlisten(client, engine)
    listen_to(client, engine, [address])
    cluster.workers[0].kill()
    assert engine.workers.get(timeout=10) == address
    unlisten(client, engine)


def test_reports_are_heard_and_other_events_passed_over(cluster, client):
    engine = Heard()
    listen_to(client, engine, [cluster.workers[0].address])
    client.log_event(client.id, {"action": "something else"})
    client.log_event(client.id, "no dict")
    client.log_event(client.id, {"group": "a", "report": b"x"})
    assert engine.reports.get(timeout=10) == ("a", {"group": "a", "report": b"x"})
    assert engine.reports.empty()
    unlisten(client, engine)


def test_another_scheduler_is_listened_to_anew(cluster, client):
    engine = Heard()
    address = cluster.workers[0].address
    listen_to(client, engine, [address])
    client.unsubscribe_topic(address)  # as if the scheduler had been started again
    listen_to(client, engine, [address], "another scheduler")
    cluster.workers[0].kill()
    assert engine.workers.get(timeout=10) == address
    unlisten(client, engine)
