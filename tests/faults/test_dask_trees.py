"""Workers killed in the middle of nodes that went together, each taking the large value before it."""

import numpy
import pytest
from tests.support import eventually
from tests.support.gates import Gate
from tests.support.trials import Trial

from dask_dispatcher import DaskExecutor, op

pytestmark = pytest.mark.usefixtures("nothing_unseen")

BOUND = 30.0
ITEMS = 200_000  # 1.6 MB: a value that stays on its worker, in a task of its own
CHAINS = 4


@pytest.fixture
def chains(starts_log):
    """Chains of three calls that give large values; the last calls wait for a gate."""
    record = starts_log.record

    def make(name, number):
        record(name)
        return numpy.full(ITEMS, number)

    def twice(name, array):
        record(name)
        return array * 2

    def last(name, array, passing):
        record(name)
        passing()
        return array + 1

    make, twice, last = op(make), op(twice), op(last)

    def build(name, count, passing=lambda: None):
        def labelled(call, label, *arguments):
            node = call(label, *arguments)
            node.label = label
            return node

        return [
            labelled(
                last,
                f"{name}-last-{n}",
                labelled(twice, f"{name}-twice-{n}", labelled(make, f"{name}-make-{n}", n)),
                passing,
            )
            for n in range(count)
        ]

    return build


def learned(executor, starts_log, chains):
    """Return a trial of an executor that knows which calls give large values, and so sends them together."""
    trial = Trial(executor, starts_log)
    trial.counts_late = True
    trial.start(chains("learn", 2)).results(BOUND)
    return trial


def values(count):
    return [numpy.full(ITEMS, 2 * n + 1) for n in range(count)]


def test_a_worker_is_killed_in_the_last_node_of_a_tree(make_cluster, starts_log, gate, chains):
    cluster = make_cluster(workers=2)
    with DaskExecutor(cluster.address) as executor:
        trial = learned(executor, starts_log, chains)
        run = trial.start(chains("n", CHAINS, gate.passing))
        pid = gate.wait()[0]
        (victim,) = (worker for worker in cluster.workers if worker.pid == pid)
        engine = executor._engine
        with engine.lock:
            trees = [group for group in engine._groups.values() if len(group.batch.numbers) > 1]
            assert victim.address in {group.member.address for group in trees}
            assert {len(group.numbers) for group in trees} == {3}
        victim.kill()
        cluster.add_worker()
        gate.open()
        trial.check(run, values(CHAINS), BOUND)


def test_the_value_of_a_tree_is_lost_after_all_else_was_used_up(make_cluster, starts_log, chains):
    cluster = make_cluster(workers=1)
    with DaskExecutor(cluster.address) as executor:
        trial = learned(executor, starts_log, chains)
        run = trial.start(chains("n", CHAINS))
        results = run.results(BOUND)
        cluster.workers[0].kill()
        cluster.add_worker()
        for result, value in zip(results, values(CHAINS), strict=True):
            assert numpy.array_equal(result.unwrap().fetch(BOUND), value)
        trial.check(run, values(CHAINS), BOUND)
        assert starts_log.counts()["n-make-0"] == 2


def test_all_workers_are_killed_one_after_the_other_between_trees_that_meet(
    make_cluster, starts_log, tmp_path, chains
):
    cluster = make_cluster(workers=2)
    record = starts_log.record
    gates = [Gate(tmp_path, name) for name in ("first", "second")]

    def add(name, left, right, *passings):
        record(name)
        for passing in passings:
            passing()
        return left + right

    with DaskExecutor(cluster.address) as executor:
        trial = learned(executor, starts_log, chains)
        ends = chains("n", 4)
        left = op(add, label="left")("left", *ends[:2], gates[0].passing)
        right = op(add, label="right")("right", *ends[2:])
        root = op(add, label="root")("root", left, right, gates[1].passing)
        run = trial.start([root])
        for gate in gates:
            pid = gate.wait()[0]
            (victim,) = (worker for worker in cluster.workers if worker.pid == pid)
            cluster.add_worker()
            victim.kill()
            cluster.workers.remove(victim)
            eventually(lambda: len(executor._engine.crew.members) == 2, BOUND)
            gate.open()
        trial.check(run, [numpy.full(ITEMS, sum(2 * n + 1 for n in range(4)))], BOUND)
