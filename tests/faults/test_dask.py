"""What can befall a run on a Dask cluster: the rows of the fault matrix, each set off by an event.

What holds after each of them is checked by `outcome` (one Ok or Err a requested node, in order, and
the values of an oracle), by the log of starts, and by the fixture that looks for what was left.
"""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from operator import add

import distributed
import psutil
import pytest
from tests.support import Cluster, eventually
from tests.support.outcomes import outcome

from dask_dispatcher import (
    DaskExecutor,
    DependencyError,
    ExecutorError,
    NodeTimeoutError,
    NoWorkersError,
    RunCancelledError,
    SchedulerLostError,
    WorkerLostError,
    op,
)

# A client that loses its scheduler tries once more; tornado, stopped in the middle of that, leaves
# the new socket to the cycle collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
    pytest.mark.reconnects,
]

BOUND = 15.0  # seconds in which a run must have ended after a fault: noticing it, and 10 more
LARGE = 5_000  # items of a value that stays on its worker; smaller ones come back with the report


def check_works(executor):
    """The executor is as good as new."""
    assert executor.compute(op(add)(1, 2)) == 3


def process_of(cluster, pid):
    (worker,) = (worker for worker in cluster.workers if worker.pid == pid)
    return worker


def tasks_on(address):
    """Return the keys of all tasks that a scheduler knows, and of all data on its workers."""
    with distributed.Client(address, set_as_default=False, timeout=30) as client:
        keys = client.run_on_scheduler(
            lambda dask_scheduler: sorted(map(str, dask_scheduler.tasks))
        )
        data = client.run(lambda dask_worker: sorted(map(str, dask_worker.data)))
    return keys, [key for held in data.values() for key in held]


# Row 1


def test_half_the_nodes_raise(shared_cluster, starts_log):
    record = starts_log.record

    @op
    def half(n):
        record(f"half-{n}")
        if n % 2:
            raise ValueError(n)
        return n

    @op
    def double(x, n):
        record(f"double-{n}")
        return 2 * x

    halves = [half(n) for n in range(20)]
    doubles = [double(node, n) for n, node in enumerate(halves)]
    with DaskExecutor(shared_cluster.address) as executor:
        found = outcome(executor.run(doubles, raise_errors=False))
        check_works(executor)
    assert len(found) == 20
    assert found[::2] == [2 * n for n in range(0, 20, 2)]
    for n, error in zip(range(1, 20, 2), found[1::2], strict=True):
        assert type(error) is DependencyError
        assert error.node is halves[n]
        assert (type(error.__cause__), error.__cause__.args) == (ValueError, (n,))
    assert starts_log.counts() == {
        **{f"half-{n}": 1 for n in range(20)},
        **{f"double-{n}": 1 for n in range(0, 20, 2)},
    }


# Row 4


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_a_node_outlives_its_timeout(shared_cluster, starts_log, gate, kind):
    record, passing, passing_async = starts_log.record, gate.passing, gate.passing_async

    def slow():
        record("slow")
        passing()

    async def slow_async():
        record("slow")
        await passing_async()

    late = op(slow if kind == "plain" else slow_async, timeout=0.3)()
    after = op(lambda x: record("after"))(late)
    others = [op(lambda n: record(f"other-{n}") or n)(n) for n in range(6)]
    with DaskExecutor(shared_cluster.address) as executor:
        first, second, *rest = outcome(executor.run([late, after, *others], raise_errors=False))
        check_works(executor)
    for error in (first, second):
        assert type(error) is DependencyError
        assert error.node is late
        assert type(error.__cause__) is NodeTimeoutError
        assert "0.3 s" in str(error)
    assert rest == list(range(6))
    assert starts_log.counts() == {"slow": 1, **{f"other-{n}": 1 for n in range(6)}}


# Row 5


def test_two_runs_of_one_graph_at_once(shared_cluster, starts_log, gate):
    record, passing = starts_log.record, gate.passing

    @op
    def step(n, *before):
        record(f"step-{n}")
        passing()
        return n + sum(before)

    nodes = [step(0), step(1)]
    for n in range(2, 12):
        nodes.append(step(n, nodes[-1], nodes[-2]))
    oracle = [0, 1]
    for n in range(2, 12):
        oracle.append(n + oracle[-1] + oracle[-2])
    found = {}
    with DaskExecutor(shared_cluster.address) as executor:

        def run(name):
            found[name] = outcome(executor.run(nodes))

        threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        gate.wait(2)
        eventually(lambda: executor._describe().endswith("2 runs under way"))
        gate.open()
        for thread in threads:
            thread.join(30)
    assert found == {"a": oracle, "b": oracle}
    assert starts_log.counts() == {f"step-{n}": 2 for n in range(12)}


# Row 25


def test_worker_killed_in_the_middle_of_a_node(cluster, starts_log, gate):
    record, passing = starts_log.record, gate.passing

    @op
    def work(n):
        record(f"work-{n}")
        if n == 0:
            passing()
        return n

    nodes = [work(n) for n in range(5)]
    total = op(sum)(nodes)
    with DaskExecutor(cluster.address) as executor:
        run = executor.start([*nodes, total])
        (pid,) = gate.wait()
        gate.open()
        process_of(cluster, pid).kill()
        assert outcome(run.results(BOUND)) == [0, 1, 2, 3, 4, 10]
        counts = starts_log.counts()
        assert counts["work-0"] <= 2
        assert all(counts[f"work-{n}"] in (1, 2) for n in range(5))
        assert set(starts_log.pids("work-0")) <= {worker.pid for worker in cluster.workers}
        check_works(executor)


def test_a_node_that_takes_its_workers_along_ends_when_its_losses_are_used_up(
    make_cluster, starts_log
):
    cluster = make_cluster(workers=3)
    record = starts_log.record

    def kill_worker():
        record("killer")
        os.kill(os.getpid(), signal.SIGKILL)

    killer = op(kill_worker, max_losses=1)()
    with DaskExecutor(cluster.address) as executor:
        run = executor.start([killer, op(lambda x: x)(killer)])
        found = outcome(run.results(30))
        for error in found:
            assert type(error) is DependencyError
            assert error.node is killer
            assert error.attempts == 2
            assert type(error.__cause__) is WorkerLostError
        check_works(executor)  # on the third worker, which was spared
    assert starts_log.counts() == {"killer": 2}


def test_losses_beyond_what_dask_allows(make_cluster, starts_log, tmp_path):
    """Dask gives a task up at the fourth death; a node with more losses to spare goes on."""
    cluster = make_cluster(workers=6)
    record, log = starts_log.record, starts_log.path

    def kill_five():
        record("killer")
        if len(log.read_text().splitlines()) < 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return "survived"

    with DaskExecutor(cluster.address, max_losses=5) as executor:
        run = executor.start([op(kill_five)()])
        assert outcome(run.results(40)) == ["survived"]
        check_works(executor)
    assert starts_log.counts() == {"killer": 6}


def test_losses_that_nobody_told_of_count_as_well(make_cluster, starts_log):
    """A worker that dies as soon as it has joined is gone before we listen to it."""
    cluster = make_cluster(workers=5)
    record = starts_log.record

    def kill_worker():
        record("killer")
        os.kill(os.getpid(), signal.SIGKILL)

    killer = op(kill_worker)()
    with DaskExecutor(cluster.address) as executor:
        executor._engine.worker_removed = lambda worker, message: None
        (error,) = outcome(executor.run([killer], raise_errors=False))
        assert type(error.__cause__) is WorkerLostError
        assert error.attempts == 4
        check_works(executor)
    assert starts_log.counts() == {"killer": 4}


def test_run_stops_at_a_node_that_was_lost_too_often(make_cluster, starts_log, gate):
    """Fail-fast, with resources, and another run beside it: all that a loss touches at once."""
    cluster = make_cluster()
    cluster.add_worker("doomed", resources={"slot": 1})
    cluster.add_worker("other")
    record, passing = starts_log.record, gate.passing

    def wait():
        record("node")
        passing()

    node = op(wait, max_losses=0, resources={"slot": 1})
    unaffected = op(lambda: passing() or "fine", workers="other")
    with DaskExecutor(cluster.address) as executor:
        other = executor.start([unaffected()])
        failed = []

        def run():
            with pytest.raises(DependencyError) as caught:
                executor.run([node(), node()])
            failed.append(caught.value)

        thread = threading.Thread(target=run)
        thread.start()
        gate.wait(2)
        cluster.workers[0].kill()
        thread.join(BOUND)
        assert type(failed[0].__cause__) is WorkerLostError
        gate.open()
        assert outcome(other.results(BOUND)) == ["fine"]
        check_works(executor)
    assert starts_log.counts() == {"node": 1}


def test_call_with_side_effects_is_not_started_again(cluster, starts_log, gate):
    record, passing = starts_log.record, gate.passing

    def transfer():
        record("transfer")
        passing()

    node = op(transfer, max_losses=0)()
    with DaskExecutor(cluster.address) as executor:
        run = executor.start([node])
        (pid,) = gate.wait()
        process_of(cluster, pid).kill()
        (error,) = outcome(run.results(BOUND))
        gate.open()
        check_works(executor)
    assert error.node is node
    assert type(error.__cause__) is WorkerLostError
    assert starts_log.counts() == {"transfer": 1}


def test_lost_value_of_a_call_with_side_effects_is_not_computed_again(
    make_cluster, starts_log, gate
):
    cluster = make_cluster(workers=3)
    names = [worker.name for worker in cluster.workers]
    record, passing = starts_log.record, gate.passing
    source = op(lambda: record("source") or [5] * LARGE, max_losses=0, workers=names[:1])()
    blocked = op(lambda: passing() or 1, workers=names[1:2])()
    total = op(lambda x, y: record("total") or x[0] + y, workers=names[1:])(source, blocked)
    with DaskExecutor(cluster.address) as executor:
        run = executor.start([total, source])
        node, result = next(run.as_completed())
        assert node is source
        gate.wait()
        cluster.workers[0].kill()
        eventually(lambda: len(executor.client.dask.scheduler_info(n_workers=-1)["workers"]) == 2)
        gate.open()
        total_result, _ = run.results(BOUND)
        error = total_result.unwrap_err()
        assert error.node is source
        assert type(error.__cause__) is WorkerLostError
        with pytest.raises((DependencyError, WorkerLostError)):
            result.unwrap().fetch(BOUND)
        check_works(executor)
    assert starts_log.counts() == {"source": 1}


# Row 26


def test_holder_of_a_finished_input_is_killed(make_cluster, starts_log, gate):
    cluster = make_cluster(workers=3)
    *sources, last = (worker.name for worker in cluster.workers)
    record, passing = starts_log.record, gate.passing
    root = op(lambda: record("root") or 20, workers=sources)()
    source = op(lambda x: record("source") or [x + 1] * LARGE, workers=sources)(root)
    blocked = op(lambda: record("blocked") or passing() or 2, workers=last)()
    total = op(lambda x, y: record("total") or x[0] * y, workers=last)(source, blocked)
    with DaskExecutor(cluster.address) as executor:
        run = executor.start([total, source])
        node, _ = next(run.as_completed())
        assert node is source
        gate.wait()
        (pid,) = starts_log.pids("source")
        process_of(cluster, pid).kill()
        gate.open()
        assert outcome(run.results(BOUND)) == [42, [21] * LARGE]
        check_works(executor)
    counts = starts_log.counts()
    assert (counts["source"], counts["blocked"], counts["total"]) == (2, 1, 1)
    assert counts["root"] <= 2


def test_lost_input_that_no_worker_can_compute_again(make_cluster, starts_log, gate):
    cluster = make_cluster(workers=2)
    first, last = (worker.name for worker in cluster.workers)
    passing = gate.passing
    source = op(lambda: [20] * LARGE, workers=first)()
    blocked = op(lambda: passing() or 2, workers=last)()
    total = op(lambda x, y: x[0] * y)(source, blocked)
    with DaskExecutor(cluster.address, worker_timeout=1.0) as executor:
        run = executor.start([total, source, blocked])
        node, result = next(run.as_completed())
        assert node is source
        gate.wait()
        cluster.workers[0].kill()
        gate.open()
        for error in outcome(run.results(BOUND))[:2]:
            assert type(error) is NoWorkersError
            assert error.node is source
            assert first in str(error)
        with pytest.raises(NoWorkersError):
            result.unwrap().fetch(BOUND)
        check_works(executor)


def test_result_that_no_worker_can_compute_again(make_cluster):
    cluster = make_cluster(workers=2)
    name = cluster.workers[0].name
    with DaskExecutor(cluster.address, worker_timeout=1.0) as executor:
        (result,) = executor.run([op(list, workers=name)("ab" * LARGE)])
        cluster.workers[0].kill()
        with pytest.raises(NoWorkersError, match=name):
            result.unwrap().fetch()
        check_works(executor)


def test_holder_of_a_result_is_killed_before_the_fetch(cluster, starts_log):
    record = starts_log.record
    root = op(lambda: record("root") or 6)()
    node = op(lambda x: record("node") or [x * 7] * LARGE)(root)
    with DaskExecutor(cluster.address) as executor:
        (result,) = executor.run([node])
        (pid,) = starts_log.pids("node")
        process_of(cluster, pid).kill()
        assert result.unwrap().fetch(BOUND) == [42] * LARGE
        assert starts_log.counts()["node"] == 2
        assert starts_log.counts()["root"] <= 2
        check_works(executor)


def test_fetched_value_outlives_all_workers(cluster):
    with DaskExecutor(cluster.address) as executor:
        (result,) = executor.run([op(list)("abc")])
        assert result.unwrap().fetch(BOUND) == ["a", "b", "c"]
        for worker in cluster.workers:
            worker.kill()
        assert result.unwrap().fetch(BOUND) == ["a", "b", "c"]
        assert executor.gather([result]) == [["a", "b", "c"]]


def test_fetch_of_a_lost_value_without_workers_ends(cluster):
    with DaskExecutor(cluster.address, worker_timeout=1.0) as executor:
        (result,) = executor.run([op(list)("abc" * LARGE)])
        for worker in cluster.workers:
            worker.kill()
        with pytest.raises(NoWorkersError, match="no worker came"):
            result.unwrap().fetch()
        with pytest.raises(TimeoutError):
            result.unwrap().fetch(0.1)
        cluster.add_worker()
        assert result.unwrap().fetch(BOUND) == list("abc" * LARGE)
        check_works(executor)


# Row 27


def test_all_workers_die_and_one_joins_later(cluster, starts_log, gate):
    record, passing = starts_log.record, gate.passing
    early = op(lambda: record("early") or 1)()
    late = op(lambda x: record("late") or passing() or x + 1)(early)
    total = op(add)(early, late)
    with DaskExecutor(cluster.address) as executor:
        run = executor.start([early, late, total])
        gate.wait()
        for worker in cluster.workers:
            worker.kill()
        gate.open()
        with pytest.raises(TimeoutError):
            run.results(5)  # the five seconds without a worker are the fault
        cluster.add_worker()
        assert outcome(run.results(BOUND)) == [1, 2, 3]
        check_works(executor)
    # Once, and again for each of the two that died, which they did one after the other.
    assert all(count <= 3 for count in starts_log.counts().values())


# Row 28


def test_no_worker_ever(scheduler):
    nodes = [op(int)("3"), op(int)("4")]
    with DaskExecutor(scheduler.address, worker_timeout=1.0) as executor:
        for _ in range(2):  # the second run has its own deadline
            run = executor.start(nodes)
            found = outcome(run.results(BOUND))
            for node, error in zip(nodes, found, strict=True):
                assert type(error) is NoWorkersError
                assert (error.node, error.label) == (node, "int")
                assert "no worker" in str(error)
                assert scheduler.address in str(error)
        with pytest.raises(NoWorkersError):
            executor.run(nodes)
        assert tasks_on(scheduler.address) == ([], [])
        scheduler.add_worker()
        check_works(executor)


@pytest.mark.parametrize("raise_errors", [True, False])
@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"resources": {"GPU": 1}}, "GPU"),
        ({"resources": {"slot": 3}}, "slot"),
        ({"workers": "nobody"}, "nobody"),
        ({"workers": ["tcp://127.0.0.1:1"]}, "tcp://127.0.0.1:1"),
        ({"workers": "first", "resources": {"GPU": 2}}, "GPU.*first"),
    ],
)
def test_no_worker_has_what_a_node_needs(two_kinds, options, missing, raise_errors):
    node = op(int, **options)("3")
    twin = op(int, **options)("4")
    with DaskExecutor(two_kinds.address, worker_timeout=0.6) as executor:
        if raise_errors:
            with pytest.raises(NoWorkersError, match=missing) as caught:
                executor.run([op(int)("5"), node, twin])
            assert caught.value.node in (node, twin)
        else:
            run = executor.start([op(int)("5"), node, twin, op(add)(node, 1)])
            five, *errors = outcome(run.results(BOUND))
            assert five == 5
            assert [type(error) for error in errors] == [NoWorkersError] * 3
            assert [error.node for error in errors] == [node, twin, node]
            assert all(missing.split(".*")[0] in str(error) for error in errors)
        check_works(executor)
    assert tasks_on(two_kinds.address) == ([], [])


@pytest.fixture(scope="module")
def two_kinds(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("two-kinds")) as cluster:
        cluster.add_worker("first", resources={"slot": 2})
        cluster.add_worker("second")
        yield cluster


# Rows 31 and 32


def start_three(executor, starts_log, gate):
    """Start a run of three: one fetched, one only finished, one that waits at the gate."""
    record, passing = starts_log.record, gate.passing
    fetched = op(lambda: record("fetched") or [1, 2])()
    finished = op(lambda: record("finished") or [2] * LARGE)()
    blocked = op(lambda: record("blocked") or passing())()
    run = executor.start([fetched, finished, blocked, op(lambda x: x)(blocked)])
    completed = run.as_completed()
    there = dict(next(completed) for _ in range(2))
    assert there[fetched].unwrap().fetch(BOUND) == [1, 2]
    gate.wait()
    return run


def check_lost(run, blocked_starts):
    first, second, *unfinished = run.results(BOUND)
    assert first.unwrap().fetch(1) == [1, 2]
    with pytest.raises(SchedulerLostError):
        second.unwrap().fetch(BOUND)
    for result in unfinished:
        error = result.unwrap_err()
        assert type(error) is SchedulerLostError
        assert error.label in str(error)
        assert error.node is not None
    assert blocked_starts() == 1


def test_scheduler_killed_in_the_middle_of_a_run(cluster, starts_log, gate):
    with DaskExecutor(cluster.address) as executor:
        run = start_three(executor, starts_log, gate)
        cluster.kill_scheduler()
        check_lost(run, lambda: starts_log.counts()["blocked"])
        for _ in range(2):
            with pytest.raises(SchedulerLostError, match="none answers"):
                executor.run([op(int)("3")])
        assert run.results(1)[0].unwrap().fetch(1) == [1, 2]
        assert "lost" in repr(executor)


def test_scheduler_comes_back_on_the_same_port(cluster, starts_log, gate):
    with DaskExecutor(cluster.address) as executor:
        run = start_three(executor, starts_log, gate)
        cluster.kill_scheduler()
        gate.open()
        check_lost(run, lambda: starts_log.counts()["blocked"])
        cluster.restart_scheduler()
        cluster.add_worker()
        check_works(executor)
        first, second, *_ = run.results(1)
        assert first.unwrap().fetch(1) == [1, 2]
        with pytest.raises(SchedulerLostError):
            second.unwrap().fetch(BOUND)
        # What was fetched can go on being used; what was not cannot, and says so.
        node = op(len)(first.unwrap())
        assert executor.compute(node) == 2
        with pytest.raises(SchedulerLostError):
            executor.run([op(len)(second.unwrap())])
        check_works(executor)
    assert starts_log.counts()["blocked"] == 1


def test_scheduler_back_at_once_is_lost_all_the_same(cluster, starts_log, gate):
    """The client reconnects by itself; its tasks are gone, and are not sent a second time."""
    with DaskExecutor(cluster.address) as executor:
        run = start_three(executor, starts_log, gate)
        port = cluster.address.rpartition(":")[2]
        command = [sys.executable, "-c", _IMPATIENT_SCHEDULER, port]
        env = {**os.environ, "TMPDIR": str(cluster.directory)}
        successor = subprocess.Popen(command, stdout=subprocess.PIPE, env=env)
        try:
            assert successor.stdout.readline() == b"ready\n"
            cluster.kill_scheduler()
            check_lost(run, lambda: starts_log.counts()["blocked"])
            gate.open()
            with (
                DaskExecutor(cluster.address, worker_timeout=0.5) as other,
                pytest.raises(NoWorkersError),
            ):
                other.run([op(int)("3")])
        finally:
            successor.kill()
            successor.wait()
            successor.stdout.close()
    assert starts_log.counts()["blocked"] == 1


_IMPATIENT_SCHEDULER = """
import asyncio, sys
from distributed import Scheduler

async def main():
    print("ready", flush=True)
    while True:
        try:
            async with Scheduler(
                host="127.0.0.1", port=int(sys.argv[1]), dashboard=False,
                dashboard_address="127.0.0.1:0",
            ) as scheduler:
                await scheduler.finished()
        except (OSError, RuntimeError):
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


def test_waiting_fetch_ends_with_the_scheduler(cluster, gate):
    passing = gate.passing
    with DaskExecutor(cluster.address) as executor:
        run = executor.start([op(passing)()])
        gate.wait()
        caught = []

        def wait():
            (_, result) = next(run.as_completed())
            caught.append(result)

        thread = threading.Thread(target=wait)
        thread.start()
        cluster.kill_scheduler()
        thread.join(BOUND)
        assert type(caught[0].unwrap_err()) is SchedulerLostError


def test_users_client_that_lost_its_scheduler(cluster, gate):
    with distributed.Client(cluster.address, set_as_default=False, timeout=5) as client:
        executor = DaskExecutor(client)
        run = executor.start([op(gate.passing)()])
        gate.wait()
        cluster.kill_scheduler()
        (result,) = run.results(BOUND)
        assert type(result.unwrap_err()) is SchedulerLostError
        with pytest.raises(SchedulerLostError, match="not connected"):
            executor.run([op(int)("3")])
        executor.close()
        eventually(lambda: client.status == "closed")
        client._loop_runner.stop()  # which Dask forgets here


def test_close_after_the_client_gave_up(cluster):
    """Dask's client closes by itself when it cannot reconnect; ours is cleaned up all the same."""
    executor = DaskExecutor(cluster.address)
    check_works(executor)
    cluster.kill_scheduler()
    eventually(lambda: executor._engine.connection.client.status == "closed")
    executor.close()


# Row 36


def test_worker_lacks_a_module(cluster, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    node = op(only_here.double)(3)
    try:
        with DaskExecutor(cluster.address) as executor:
            error, five = outcome(executor.run([node, op(int)("5")], raise_errors=False))
            check_works(executor)
    finally:
        del sys.modules["only_here"]
    assert five == 5
    assert type(error) is DependencyError
    assert error.node is node
    assert isinstance(error.__cause__, ModuleNotFoundError)
    assert error.__cause__.name == "only_here"
    addresses = [worker.address for worker in cluster.workers]
    assert error.worker in addresses
    assert "only_here" in str(error)
    assert error.worker in str(error)


# Row 40


def test_close_twice_and_use_after_close(cluster):
    executor = DaskExecutor(cluster.address)
    (result,) = executor.run([op(int)("3")])
    assert result.unwrap().fetch(BOUND) == 3
    executor.close()
    executor.close()
    for use in (
        lambda: executor.run([op(int)("3")]),
        lambda: executor.start([op(int)("3")]),
        lambda: executor.compute(op(int)("3")),
        lambda: executor.client,
        lambda: executor.reset(),
        lambda: executor.__enter__(),
        lambda: result.unwrap().fetch(1),
        lambda: executor.gather([result]),
    ):
        with pytest.raises(ExecutorError, match="closed"):
            use()
    assert repr(executor) == "<DaskExecutor: closed>"
    eventually(lambda: tasks_on(cluster.address) == ([], []))


def test_close_in_the_middle_of_a_run(cluster, gate):
    executor = DaskExecutor(cluster.address)
    run = executor.start([op(gate.passing)()])
    gate.wait()
    executor.close()
    (result,) = run.results(BOUND)
    assert isinstance(result.unwrap_err(), ExecutorError)
    gate.open()
    eventually(lambda: tasks_on(cluster.address) == ([], []))


def run_script(script, *arguments, timeout=45):
    """Run a program of a user's; it must be over in time, and say nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize("state", ["idle", "finished", "running", "running, its result waited for"])
def test_exit_without_close(cluster, gate, tmp_path, state):
    script = """
        import sys, time, pathlib
        from dask_dispatcher import DaskExecutor, op
        sys.path.insert(0, sys.argv[4])
        from tests.support.gates import Gate

        address, state, folder = sys.argv[1:4]
        executor = DaskExecutor(address)
        if state == "finished":
            (result,) = executor.run([op(int)("3")])
            print(result.unwrap().fetch())
        elif state.startswith("running"):
            gate = Gate(pathlib.Path(folder))
            run = executor.start([op(gate.passing)()])
            gate.wait()
            if state != "running":
                import threading
                threading.Thread(target=run.results, daemon=True).start()
        print("end")
    """
    found = run_script(script, cluster.address, state, tmp_path, os.getcwd())
    assert found[-1] == "end"
    gate.open()
    eventually(lambda: tasks_on(cluster.address) == ([], []))


def test_exit_without_close_ends_the_embedded_cluster():
    script = """
        from dask_dispatcher import DaskExecutor, op
        executor = DaskExecutor()
        print(executor.compute(op(int)("3")))
        print(executor._engine.connection._embedded._process.pid)
    """
    three, pid = run_script(script)
    assert three == "3"
    eventually(lambda: not psutil.pid_exists(int(pid)))


FORKING = """
    import os, sys, warnings
    warnings.filterwarnings("ignore", message=".*fork.*")
    from dask_dispatcher import DaskExecutor, ExecutorError, op
    executor = DaskExecutor(sys.argv[1] if sys.argv[1:] else None)
    (result,) = executor.run([op(int)("3")])
    pid = os.fork()
    if not pid:
        uses = [
            lambda: executor.run([op(int)("4")]),
            lambda: executor.compute(op(int)("4")),
            lambda: result.unwrap().fetch(),
            lambda: executor.client,
            lambda: executor.reset(),
        ]
        for use in uses:
            try:
                print("used:", use())
            except ExecutorError as error:
                assert "fork" in str(error), error
                print("refused", flush=True)
        executor.close()
        sys.exit(0)
    _, status = os.waitpid(pid, 0)
    print(status)
    print(result.unwrap().fetch(), executor.compute(op(int)("5")), flush=True)
    executor.close()
"""


def test_fork_after_connect(cluster):
    assert run_script(FORKING, cluster.address) == ["refused"] * 5 + ["0", "3", "5"]


def test_fork_does_not_end_the_embedded_cluster():
    assert run_script(FORKING) == ["refused"] * 5 + ["0", "3", "5"]


# Beyond the matrix


def test_cancelled_run_leaves_no_tasks(cluster, gate, starts_log):
    record, passing = starts_log.record, gate.passing
    blocked = [op(lambda n: record(n) or passing())(n) for n in range(2)]
    later = [op(lambda x: record("later"))(node) for node in blocked]
    with DaskExecutor(cluster.address) as executor:
        run = executor.start([*blocked, *later])
        gate.wait(2)
        run.cancel()
        for error in outcome(run.results(BOUND)):
            assert type(error) is RunCancelledError
        eventually(lambda: tasks_on(cluster.address)[0] == [])
        gate.open()
        check_works(executor)
    assert starts_log.counts() == {"0": 1, "1": 1}


def test_ctrl_c_in_the_middle_of_a_run(cluster, gate, starts_log):
    record, passing = starts_log.record, gate.passing
    blocked = op(lambda: record("blocked") or passing())()
    later = op(lambda x: record("later"))(blocked)

    def interrupt():
        gate.wait()
        os.kill(os.getpid(), signal.SIGINT)

    with DaskExecutor(cluster.address) as executor:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            executor.run([later])
        thread.join()
        eventually(lambda: tasks_on(cluster.address)[0] == [])
        gate.open()
        check_works(executor)
    assert starts_log.counts() == {"blocked": 1}


def test_two_runs_lose_a_worker_at_once(make_cluster, starts_log, gate):
    cluster = make_cluster()
    cluster.add_worker("doomed", nthreads=2)
    record, passing = starts_log.record, gate.passing
    nodes = {name: op(lambda name: record(name) or passing() or name)(name) for name in "ab"}
    found = {}
    with DaskExecutor(cluster.address) as executor:

        def run(name):
            found[name] = outcome(executor.run([nodes[name]]))

        threads = [threading.Thread(target=run, args=name) for name in nodes]
        for thread in threads:
            thread.start()
        gate.wait(2)
        cluster.workers[0].kill()
        gate.open()
        cluster.add_worker()
        for thread in threads:
            thread.join(BOUND)
    assert found == {"a": ["a"], "b": ["b"]}
    assert starts_log.counts() == {"a": 2, "b": 2}


def test_port_that_is_taken_by_another_program_after_the_scheduler_died(cluster):
    with DaskExecutor(cluster.address) as executor:
        check_works(executor)
        cluster.kill_scheduler()
        host, port = cluster.address.removeprefix("tcp://").split(":")
        with socket.socket() as silent:
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            silent.bind((host, int(port)))
            silent.listen()
            eventually(lambda: not executor._engine.connection.is_alive)
            with pytest.raises(SchedulerLostError):
                executor.run([op(int)("3")])
