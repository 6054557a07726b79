"""Large arguments on a Dask cluster whose workers come and go."""

import contextlib
import sys
from pathlib import Path

import distributed
import numpy
import pytest
from tests.support import eventually
from tests.support.gates import Gate
from tests.support.trials import Trial

from dask_dispatcher import DaskExecutor, DataNode, op
from dask_dispatcher.executors.dask.connection import Connection
from dask_dispatcher.executors.dask.embedded import EmbeddedCluster

pytestmark = pytest.mark.usefixtures("nothing_unseen")

BOUND = 30.0
ITEMS = 50_000  # 400 kB


def big():
    return numpy.arange(ITEMS)


@pytest.fixture
def gates(tmp_path):
    gates = [Gate(tmp_path, name) for name in ("holder", "other")]
    yield gates
    for gate in gates:
        gate.open()


@pytest.fixture
def taking(starts_log):
    """A function that takes an array: notes that it starts, waits for a gate, and gives an item."""
    record = starts_log.record

    def take(name, array, number, passing=lambda: None, *_):
        record(name)
        passing()
        return int(array[number])

    return take


def literals(address):
    """Return where large arguments are: by key of the scheduler's the workers that have it."""
    with distributed.Client(address, set_as_default=False, timeout=30) as client:
        return client.run_on_scheduler(
            lambda dask_scheduler: {
                str(key): [worker.address for worker in task.who_has or ()]
                for key, task in dask_scheduler.tasks.items()
                if not task.run_spec
            }
        )


def test_the_only_holder_is_killed(make_cluster, starts_log, gates, taking):
    cluster = make_cluster(workers=1)
    gate = gates[0]
    array = big()
    nodes = [op(taking, label=f"n{n}")(f"n{n}", array, n, gate.passing) for n in range(6)]
    with DaskExecutor(cluster.address, max_losses=20) as executor:
        trial = Trial(executor, starts_log)
        run = trial.start(nodes)
        gate.wait()
        (holder,) = cluster.workers
        assert list(literals(cluster.address).values()) == [[holder.address]]
        holder.kill()
        cluster.add_worker()
        gate.open()
        trial.check(run, list(range(6)), BOUND)
        eventually(lambda: not literals(cluster.address))


def test_nodes_that_wait_for_a_value_whose_holder_dies_are_not_to_blame(
    make_cluster, starts_log, gates, taking
):
    cluster = make_cluster()
    holder, other = cluster.add_worker("holder"), cluster.add_worker("other")
    array = big()
    held, opener = gates
    first = op(taking, label="first", workers=["holder"])("first", array, 1, held.passing)
    ready = op(opener.passing, label="ready", workers=["other"])()
    waiting = op(taking, label="waiting", workers=["other"], max_losses=0)
    second = waiting("waiting", array, 2, lambda: None, ready)
    with DaskExecutor(cluster.address) as executor:
        trial = Trial(executor, starts_log)
        run = trial.start([first, second])
        held.wait()
        opener.wait()
        assert list(literals(cluster.address).values()) == [[holder.address]]
        holder.stop()  # so that the other one asks for the value in vain
        opener.open()
        eventually(lambda: is_fetching(cluster.address, other.address), BOUND)
        holder.kill()
        held.open()
        cluster.add_worker("holder")
        trial.check(run, [1, 2], BOUND)
        assert trial.losses == {"first": 1}
        assert starts_log.counts()["waiting"] == 1


def test_a_result_is_computed_again_though_what_it_took_was_let_go(make_cluster, starts_log):
    cluster = make_cluster(workers=1)
    array = big()
    record = starts_log.record

    def twice(array):
        record("twice")
        return array * 2

    with DaskExecutor(cluster.address) as executor:
        (result,) = executor.run([op(twice)(array)])
        eventually(lambda: not literals(cluster.address))
        cluster.workers[0].kill()  # to Dask its result has no recipe any more
        cluster.add_worker()
        assert numpy.array_equal(result.unwrap().fetch(BOUND), array * 2)
        assert starts_log.counts()["twice"] == 2
        length = op(len)(result.unwrap())
        assert executor.compute(length) == ITEMS


def is_fetching(scheduler, worker):
    """Return whether a worker is about to fetch a large argument from another one."""
    with distributed.Client(scheduler, set_as_default=False, timeout=30) as client:
        states = client.run(
            lambda dask_worker: {
                str(key): task.state for key, task in dask_worker.state.tasks.items()
            },
            workers=[worker],
        )[worker]
    return "flight" in states.values()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory in /proc")
def test_the_schedulers_memory_does_not_grow_with_what_nodes_take(cluster, starts_log, taking):
    array = numpy.arange(6_000_000)  # 48 MB
    nodes = [op(taking)(f"n{n}", array, n) for n in range(8)]
    with DaskExecutor(cluster.address) as executor:
        executor.compute(op(abs)(-1))
        before = peak(cluster.scheduler.pid)
        assert executor.compute(nodes) == list(range(8))
        assert peak(cluster.scheduler.pid) - before < array.nbytes / 2


def peak(pid):
    (line,) = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("way", ["argument", "inputs", "data node", "in a list"])
@pytest.mark.parametrize("reaches", [True, False])
def test_it_is_sent_once_however_it_is_given(shared_cluster, taking, monkeypatch, way, reaches):
    async def answers(*_):
        return reaches

    sent = []
    scatter = Connection.scatter

    def counted(connection, key, value, address):
        sent.append(key)
        return scatter(connection, key, value, address)

    monkeypatch.setattr(Connection, "_reaches", answers)
    monkeypatch.setattr(Connection, "scatter", counted)
    array = big()
    given = {"argument": array, "inputs": op(list)(), "data node": DataNode(array)}
    inputs = {given["inputs"]: array} if way == "inputs" else None
    item = op(lambda array, n: int(numpy.asarray(array).flat[n]))
    value = [array] if way == "in a list" else given[way]
    nodes = [item(value, n) for n in range(5)]
    with DaskExecutor(shared_cluster.address) as executor:
        results = executor.run(nodes, inputs=inputs)
        assert executor.gather(results) == list(range(5))
        eventually(lambda: not literals(shared_cluster.address))
    assert len(sent) == 1


@pytest.mark.parametrize("end", ["cancel", "reset", "close"])
def test_it_is_let_go_with_its_run(shared_cluster, gates, taking, end):
    gate = gates[0]
    with contextlib.closing(
        distributed.Client(shared_cluster.address, set_as_default=False, timeout=30)
    ) as client:
        executor = DaskExecutor(client)
        run = executor.start([op(taking)("n", big(), 1, gate.passing)])
        gate.wait()
        assert len(literals(shared_cluster.address)) == 1
        getattr(run if end == "cancel" else executor, end)()
        eventually(lambda: not literals(shared_cluster.address))
        executor.close()


def test_on_an_embedded_cluster(taking):
    cluster = EmbeddedCluster()
    try:
        with DaskExecutor(cluster.address) as executor:
            array = big()
            assert executor.compute([op(taking)(f"n{n}", array, n) for n in range(4)]) == [
                0,
                1,
                2,
                3,
            ]
    finally:
        cluster.close()
