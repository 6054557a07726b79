"""What can befall tiny nodes that travel together: the innocent are not blamed, nothing runs twice
without need, and a large graph is no load on anybody.
"""

import os
import signal
import threading

import distributed
import pytest
from tests.support import eventually

from dask_dispatcher import (
    CollectNode,
    DaskExecutor,
    DependencyError,
    SchedulerLostError,
    WorkerLostError,
    op,
)
from dask_dispatcher.events import NodeFinished

BOUND = 20.0  # seconds in which a run must have ended after a fault
LARGE = 5_000  # items of a value that stays on its worker


def warm(executor, *functions):
    """Let an executor learn that functions are cheap, so that their calls travel together."""
    executor.run([function(-n) for function in functions for n in range(1, 30)])


# Row 6


@pytest.mark.parametrize("shape", ["chain", "wide"])
def test_many_thousand_nodes(shared_cluster, shape):
    step = op(lambda x: x + 1)
    if shape == "wide":
        node = op(sum)([step(n) for n in range(30_000)])
    else:
        node = step(0)
        for _ in range(29_999):
            node = step(node)
    with DaskExecutor(shared_cluster.address) as executor:
        expected = 30_000 if shape == "chain" else sum(range(1, 30_001))
        assert executor.compute(node) == expected


# Row 29


@pytest.mark.timeout(120)
def test_poison_among_innocents(make_cluster, starts_log):
    cluster = make_cluster(workers=5)
    record = starts_log.record

    @op
    def step(n):
        if n == 70:
            record("poison")
            os._exit(1)
        return n

    nodes = [step(n) for n in range(140)]
    after = op(lambda x: x)(nodes[70])
    with DaskExecutor(cluster.address) as executor:
        warm(executor, step)
        *found, last = executor.run([*nodes, after], raise_errors=False)
        for n, result in enumerate(found):
            if n != 70:
                assert result.unwrap().fetch(BOUND) == n
        for result in (found[70], last):
            error = result.unwrap_err()
            assert error.node is nodes[70]
            assert type(error.__cause__) is WorkerLostError
            assert error.attempts == 4
        assert executor.compute(step(3)) == 3
    assert starts_log.counts() == {"poison": 4}


# Row 33


def test_a_stopped_worker_is_given_up_and_its_late_result_ignored(make_cluster, starts_log, gate):
    ttl = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "2s"}
    cluster = make_cluster(workers=2, env=ttl)
    record, passing = starts_log.record, gate.passing
    node = op(lambda: record("node") or passing() or os.getpid())()
    with DaskExecutor(cluster.address) as executor:
        run = executor.start([node])
        (pid,) = gate.wait()
        (stopped,) = [worker for worker in cluster.workers if worker.pid == pid]
        stopped.stop()
        gate.wait(2, timeout=30)
        gate.open()
        (result,) = run.results(BOUND)
        value = result.unwrap().fetch(BOUND)
        stopped.cont()
        assert value != pid
        assert result.unwrap().fetch(BOUND) == value
        assert executor.compute(op(abs)(-3)) == 3
    assert starts_log.counts() == {"node": 2}


# Row 35


def test_a_worker_retires_gracefully_and_takes_nothing_along(cluster, starts_log):
    record = starts_log.record
    make = op(lambda n: record(f"make-{n}") or [n] * LARGE)
    nodes = [make(n) for n in range(8)]
    with (
        DaskExecutor(cluster.address) as executor,
        distributed.Client(cluster.address, set_as_default=False) as other,
    ):
        results = executor.run(nodes)
        other.retire_workers([cluster.workers[0].address])
        total = op(lambda values: sum(value[0] for value in values))
        futures = [result.unwrap() for result in results]
        assert executor.compute(total(futures)) == sum(range(8))
    assert starts_log.counts() == {f"make-{n}": 1 for n in range(8)}


def test_a_worker_retires_in_the_middle_of_a_run(cluster, starts_log, gate):
    """What it made moves, what it has not begun goes elsewhere, and nothing runs twice."""
    first, last = (worker.name for worker in cluster.workers)
    record, passing = starts_log.record, gate.passing
    make = op(lambda n: record(f"make-{n}") or [n] * LARGE)
    made = [make(n) for n in range(6)]
    moving = [op(make.func, workers=first)(n) for n in range(6, 12)]
    held = op(lambda: record("held") or passing() or 1, workers=last)()
    rest = op(lambda value, one: record(f"rest-{value[0]}") or value[0] + one)
    ends = [rest(value, held) for value in (*made, *moving)]
    with (
        DaskExecutor(cluster.address) as executor,
        distributed.Client(cluster.address, set_as_default=False) as other,
    ):
        run = executor.start([*made, *moving, *ends])
        completed = run.as_completed()
        assert {next(completed)[0] for _ in range(12)} == {*made, *moving}
        gate.wait()
        other.retire_workers([cluster.workers[0].address])
        gate.open()
        values = executor.gather(run.results(BOUND))
        assert executor.compute(op(abs)(-3)) == 3
    assert [value[0] for value in values[:12]] == list(range(12))
    assert values[12:] == list(range(1, 13))
    labels = [f"{kind}-{n}" for kind in ("make", "rest") for n in range(12)]
    assert starts_log.counts() == dict.fromkeys([*labels, "held"], 1)
    assert set(starts_log.pids("rest-0")) == {cluster.workers[1].pid}


def test_a_node_under_way_on_a_worker_that_retires(cluster, starts_log, gate):
    record, passing = starts_log.record, gate.passing
    nodes = [op(lambda n: record(f"node-{n}") or passing() or n)(n) for n in range(4)]
    with (
        DaskExecutor(cluster.address) as executor,
        distributed.Client(cluster.address, set_as_default=False) as other,
    ):
        run = executor.start(nodes)
        gate.wait(2)
        other.retire_workers([cluster.workers[0].address])
        gate.open()
        assert executor.gather(run.results(BOUND)) == list(range(4))
        assert executor.compute(op(abs)(-3)) == 3
    assert all(starts_log.counts()[f"node-{n}"] in (1, 2) for n in range(4))


def test_a_worker_that_joins_is_used(make_cluster, gate):
    cluster = make_cluster(workers=1)
    passing = gate.passing
    with DaskExecutor(cluster.address) as executor:
        run = executor.start([op(lambda n: passing() or os.getpid())(n) for n in range(4)])
        gate.wait()
        cluster.add_worker()
        pids = gate.wait(2)
        gate.open()
        found = set(executor.gather(run.results(BOUND)))
    assert set(pids[:2]) == {worker.pid for worker in cluster.workers}
    assert found == set(pids[:2])


# Row 37


def test_another_client_retires_all_workers(cluster, gate):
    passing = gate.passing
    with (
        DaskExecutor(cluster.address, worker_timeout=2.0) as executor,
        distributed.Client(cluster.address, set_as_default=False) as other,
    ):
        run = executor.start([op(lambda n: passing() or n)(n) for n in range(4)])
        gate.wait(2)
        other.retire_workers(close_workers=True)
        cluster.add_worker()
        gate.open()
        for n, result in enumerate(run.results(BOUND)):
            assert result.is_err() or result.unwrap().fetch(BOUND) == n


@pytest.mark.timeout(120)
def test_another_client_restarts_the_cluster(scheduler, gate):
    """To the run that is as if the scheduler had been lost; workers without a nanny end."""
    scheduler.add_worker()
    passing = gate.passing
    small, large = op(abs)(-1), op(lambda: [7] * LARGE)()
    held = op(lambda *_: passing())(small, large)
    with (
        DaskExecutor(scheduler.address, worker_timeout=60.0) as executor,
        distributed.Client(scheduler.address, set_as_default=False) as other,
    ):
        run = executor.start([small, large, held])
        gate.wait()
        other.restart(wait_for_workers=False)
        gate.open()
        there, gone, unfinished = run.results(BOUND)
        assert there.unwrap().fetch(BOUND) == 1
        with pytest.raises(SchedulerLostError):
            gone.unwrap().fetch(BOUND)
        with pytest.raises(SchedulerLostError):
            executor.run([op(len)(gone.unwrap())])
        error = unfinished.unwrap_err()
        assert (type(error), error.node) == (SchedulerLostError, held)
        assert "somebody restarted it" in str(error)
        scheduler.add_worker()
        assert executor.compute(op(abs)(there.unwrap())) == 1


# Losses of what many depend on


def test_inputs_that_are_lost_are_computed_again_for_another_run(cluster, starts_log):
    record = starts_log.record
    with DaskExecutor(cluster.address) as executor:
        (result,) = executor.run([op(lambda: record("source") or [7] * LARGE)()])
        (pid,) = starts_log.pids("source")
        (holder,) = [worker for worker in cluster.workers if worker.pid == pid]
        holder.kill()
        eventually(lambda: len(executor._engine.crew.members) == 1)
        assert executor.compute(op(sum)(result.unwrap())) == 7 * LARGE
    assert starts_log.counts() == {"source": 2}


def test_dask_computes_nothing_of_ours_again_by_itself(make_cluster, starts_log):
    """Not even on a worker that lives, when the only copy of its result has gone elsewhere and is lost."""
    cluster = make_cluster(workers=2, env=NO_MEMORY_MANAGER)  # which moves and drops copies, too
    maker, other = cluster.workers
    record = starts_log.record
    node = op(lambda: record("node") or [7] * LARGE, workers=maker.name)()
    with (
        DaskExecutor(cluster.address) as executor,
        distributed.Client(cluster.address, set_as_default=False) as client,
    ):
        (result,) = executor.run([node])
        future = result.unwrap()
        key = future._state.values[future._number].future.key
        copied = client.submit(type, distributed.Future(key, client), workers=[other.address])
        copied.result(BOUND)
        client.run_on_scheduler(drop_copy, maker.address, key)
        eventually(lambda: client.run_on_scheduler(holders, key) == [other.address])
        other.kill()
        eventually(lambda: client.run_on_scheduler(holders, key) == [maker.address])
        assert starts_log.counts() == {"node": 1}
        assert future.fetch(BOUND) == [7] * LARGE
    assert starts_log.counts() == {"node": 2}


NO_MEMORY_MANAGER = {"DASK_DISTRIBUTED__SCHEDULER__ACTIVE_MEMORY_MANAGER__START": "False"}


def drop_copy(address, key, dask_scheduler):
    dask_scheduler.request_remove_replicas(address, [key], stimulus_id="test")


def holders(key, dask_scheduler):
    return [worker.address for worker in dask_scheduler.tasks[key].who_has or ()]


def test_a_killed_worker_costs_only_what_it_had(cluster, starts_log, gate):
    record, passing = starts_log.record, gate.passing
    step = op(lambda n: record(n) or n)
    first = [step(n) for n in range(200)]
    held = op(lambda values: passing() or sum(values))(first)
    with DaskExecutor(cluster.address) as executor:
        run = executor.start([held])
        (pid,) = gate.wait()
        gate.open()
        os.kill(pid, signal.SIGKILL)
        (result,) = run.results(BOUND)
        assert result.unwrap().fetch(BOUND) == sum(range(200))
    assert set(starts_log.counts().values()) == {1}  # small values were here already


def test_what_was_used_up_is_made_again_if_the_worker_dies_with_what_used_it(
    cluster, starts_log, gate
):
    record, passing = starts_log.record, gate.passing

    def make(n):
        record(f"make {n}")
        return bytes(1_000_000)

    def use(values, n):
        record(f"use {n}")
        return values[1:]

    def wait(values, n):
        record(f"wait {n}")
        n and passing()
        return len(values)

    def chain(n):
        return op(wait)(op(use)(op(make)(n), n), n)

    with DaskExecutor(cluster.address) as executor:
        executor.run([chain(0)])  # from here on they go together
        run = executor.start([chain(1)])
        (pid,) = gate.wait()
        os.kill(pid, signal.SIGKILL)
        gate.open()
        (result,) = run.results(BOUND)
        assert result.unwrap().fetch(BOUND) == 999_999
    counts = starts_log.counts()  # on a busy machine they may seem to take too long to go together
    assert {counts[f"{name} 1"] for name in ("make", "use")} <= {1, 2}
    assert counts["wait 1"] == 2


def test_what_was_told_to_be_used_up_is_made_again_with_what_used_it(cluster, starts_log, gate):
    record, passing = starts_log.record, gate.passing
    finished = threading.Event()

    class Observer:
        def on_events(self, batch):
            if any(isinstance(e, NodeFinished) and e.label == "make" for e in batch):
                finished.set()

    @op
    def make(n):
        record(f"make {n}")
        return bytes(1_000_000)

    @op
    def use(values, n):
        record(f"use {n}")
        return values[n:]

    @op
    def wait(values, n):
        record(f"wait {n}")
        n and passing()
        return len(values)

    def chain(n):
        return wait(use(make(n), n), n)

    with DaskExecutor(cluster.address) as executor:
        executor.run([chain(0)])  # from here on they go together
        run = executor.start([chain(1)], observers=[Observer()])
        (pid,) = gate.wait()
        assert finished.wait(BOUND)  # the worker has said of `make` what there is to say
        os.kill(pid, signal.SIGKILL)
        gate.open()
        (result,) = run.results(BOUND)
        assert result.unwrap().fetch(BOUND) == 999_999
    assert starts_log.counts()["wait 1"] == 2


# What a node raises


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_a_node_in_a_group_that_raises_what_ends_programs(shared_cluster, kind):
    def step(n):
        if n == 5:
            raise kind("on purpose")
        return n

    step = op(step)
    with DaskExecutor(shared_cluster.address) as executor:
        warm(executor, step)
        results = executor.run([step(n) for n in range(20)], raise_errors=False)
        error = results.pop(5).unwrap_err()
        assert type(error) is DependencyError
        assert type(error.__cause__) is kind
        assert executor.gather(results) == [n for n in range(20) if n != 5]
        assert executor.compute(CollectNode([step(1), step(2)])) == [1, 2]
