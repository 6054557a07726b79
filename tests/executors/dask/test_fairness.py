"""A long run makes room for others on its workers, as soon as these have something to do there."""

import queue
import sys

import cloudpickle
import distributed
import pytest
from tests.support.gates import Gate

from dask_dispatcher import DaskExecutor, op
from dask_dispatcher.executors.dask import sending
from dask_dispatcher.executors.dask.engine import DaskEngine

cloudpickle.register_pickle_by_value(sys.modules[__name__])

WAIT = 20.0  # seconds
LONG = 50  # nodes


@pytest.fixture
def given_back(monkeypatch):
    """How many nodes groups have given back, each time; none does because it is late."""
    monkeypatch.setattr(sending, "_PATIENCE", 1e6)
    said = queue.Queue()
    hear = DaskEngine.reported

    def reported(engine, name, message):
        hear(engine, name, message)
        if message["back"]:
            said.put(len(message["back"]))

    monkeypatch.setattr(DaskEngine, "reported", reported)
    return said


@pytest.fixture(params=["plain client", "executor"])
def somebody_else(request, cluster_of_one):
    """Return a function that lets a call wait for its turn; it returns how to wait for its value."""
    if request.param == "executor":
        with DaskExecutor(cluster_of_one.address) as executor:
            yield lambda call: executor.start([op(call)()]).results
    else:
        with distributed.Client(cluster_of_one.address, set_as_default=False) as client:
            yield lambda call: client.submit(call, pure=False).result


@pytest.fixture
def cluster_of_one(make_cluster):
    return make_cluster(workers=1)


def test_others_are_next_and_not_after_the_run(
    cluster_of_one, given_back, somebody_else, starts_log, tmp_path
):
    record, gate = starts_log.record, Gate(tmp_path)
    passing = gate.passing

    def step(number):
        record("ours")
        passing()
        return number

    with DaskExecutor(cluster_of_one.address) as executor:
        run = executor.start([op(step)(number) for number in range(LONG)])
        gate.wait()
        wait = somebody_else(lambda: record("theirs"))
        assert given_back.get(timeout=WAIT) == LONG - 1  # all but the one that is under way
        gate.open()
        wait(WAIT)
        assert [result.unwrap().fetch(WAIT) for result in run.results(WAIT)] == list(range(LONG))
    assert [start.label for start in starts_log.starts()].index("theirs") == 1
