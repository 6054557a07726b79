"""`DaskEngine` on real scheduler and worker processes: where values are, and what nodes may do."""

import asyncio
import gc
import os
import pickle
import sys
import threading

import cloudpickle
import distributed
import numpy
import psutil
import pytest
from tests.support import eventually
from tests.support.moved import run_and_note_moved

from dask_dispatcher import (
    DaskExecutor,
    DataNode,
    DependencyError,
    Err,
    ExecutorError,
    NodeTimeoutError,
    NoWorkersError,
    RunCancelledError,
    SerializationError,
    WorkerLostError,
    op,
)
from dask_dispatcher.errors import RemoteError

cloudpickle.register_pickle_by_value(sys.modules[__name__])

WAIT = 20.0  # seconds
BULKY = 1_000_000  # bytes of a value that is made alone, or beside whoever takes it
LARGE = "content" * 1_000  # stays on its worker; smaller values come back with the report


@pytest.fixture
def executor(shared_cluster):
    with DaskExecutor(shared_cluster.address) as executor:
        yield executor


@pytest.fixture
def spy(shared_cluster):
    """A client of its own, to see what scheduler and workers have."""
    with distributed.Client(shared_cluster.address, set_as_default=False) as client:
        yield client


def tasks(spy):
    return spy.run_on_scheduler(lambda dask_scheduler: sorted(map(str, dask_scheduler.tasks)))


def data(spy):
    held = spy.run(lambda dask_worker: sorted(map(str, dask_worker.data)))
    return sorted(key for keys in held.values() for key in keys)


def is_empty(spy):
    return not tasks(spy) and not data(spy)


def spans(spy):
    """Return the names of Dask's spans, and of all that a worker has measured of them."""
    known = spy.run_on_scheduler(
        lambda dask_scheduler: [
            span.name for span in dask_scheduler.extensions["spans"].spans.values()
        ]
    )
    measured = spy.run(lambda dask_worker: list(dask_worker.digests_total))
    return known, {key[1] for keys in measured.values() for key in keys if key[0] == "execute"}


class Recorded:
    """A value that notes each process in which it is unpickled."""

    def __init__(self, log, content):
        self.log = str(log)
        self.content = content

    def __reduce__(self):
        return _unpickle_recorded, (self.log, self.content)


def _unpickle_recorded(log, content):
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\n")
    return Recorded(log, content)


@pytest.fixture
def unpickled_in(tmp_path):
    log = tmp_path / "unpickled"
    log.touch()
    return log, lambda: {int(pid) for pid in log.read_text().split()}


# Where values are


def test_a_value_stays_on_its_worker_until_fetched(executor, spy, unpickled_in):
    log, pids = unpickled_in
    (result,) = executor.run([op(lambda: Recorded(log, LARGE))()])
    eventually(lambda: len(data(spy)) == 1)
    assert os.getpid() not in pids()
    assert result.unwrap().fetch(WAIT).content == LARGE
    assert os.getpid() in pids()


def test_a_value_that_stays_costs_this_process_no_memory(executor):
    before = psutil.Process().memory_info().rss
    (result,) = executor.run([op(numpy.ones)(20_000_000)])
    (length,) = executor.run([op(len)(result.unwrap())])
    assert length.unwrap().fetch(WAIT) == 20_000_000
    assert psutil.Process().memory_info().rss - before < 80_000_000


def test_a_fetched_value_is_fetched_once(executor):
    (result,) = executor.run([op(object)()])
    assert result.unwrap().fetch(WAIT) is result.unwrap().fetch(WAIT)
    assert executor.gather([result])[0] is result.unwrap().fetch(WAIT)


@pytest.mark.parametrize("way", ["inputs", "argument"])
def test_inputs_may_be_futures_whose_values_stay_there(executor, unpickled_in, way):
    log, pids = unpickled_in
    source = op(lambda: Recorded(log, LARGE))()
    (result,) = executor.run([source])
    if way == "inputs":
        length = op(lambda value: len(value.content))(source)
        (other,) = executor.run([length], inputs={source: result.unwrap()})
    else:
        length = op(lambda values: len(values[0].content))([result.unwrap()])
        (other,) = executor.run([length])
    assert other.unwrap().fetch(WAIT) == len(LARGE)
    assert os.getpid() not in pids()


def test_an_unfinished_future_is_waited_for(executor, gate):
    passing = gate.passing
    future = executor.client.submit(op(lambda: passing() or 4)())
    gate.wait()
    run = executor.start([op(lambda x: x + 1)(future)])
    assert not run.done()
    gate.open()
    assert run.results(WAIT)[0].unwrap().fetch(WAIT) == 5


def test_an_intermediate_value_is_freed_when_nobody_needs_it(executor, spy, gate):
    passing = gate.passing
    first = op(list)(LARGE)
    second = op(lambda x: x[::-1])(first)
    last = op(lambda x: passing() or len(x))(second)
    run = executor.start([last])
    gate.wait()
    eventually(lambda: len(data(spy)) == 1)  # only what the last node is working on
    gate.open()
    assert run.results(WAIT)[0].unwrap().fetch(WAIT) == len(LARGE)


def test_dropped_futures_release_their_keys(executor, spy):
    results = executor.run([op(list)(LARGE), op(tuple)(LARGE)])
    eventually(lambda: len(data(spy)) == 2)
    results.pop()
    gc.collect()
    eventually(lambda: len(data(spy)) == 1)
    results.pop().unwrap().release()
    eventually(lambda: is_empty(spy))


def test_reset_empties_scheduler_and_workers(executor, spy, gate, starts_log):
    record, passing = starts_log.record, gate.passing
    kept = executor.run([op(int)("3"), op(numpy.zeros)(100_000)])
    unfinished = executor.start([op(lambda: passing())(), op(lambda: record("later"))()])
    gate.wait()
    executor.reset()
    eventually(lambda: not tasks(spy))
    gate.open()
    eventually(lambda: is_empty(spy))
    assert spy.who_has() == {}
    for result in kept:
        with pytest.raises(ExecutorError, match="reset"):
            result.unwrap().fetch(WAIT)
    for result in unfinished.results(WAIT):
        assert isinstance(result, Err)
    assert executor.compute(op(int)("5")) == 5


def test_a_scheduler_remembers_one_span_however_many_runs(executor, spy):
    """Of tasks without a span it makes one for each burst, and workers measure each by itself."""
    known, measured = spans(spy)
    larger = op(lambda n, one, two: n + len(one) - len(two))
    for n in range(5):
        assert executor.compute(op(abs)(-n)) == n
        assert executor.compute(larger(n, numpy.zeros(20_000), numpy.zeros(20_000))) == n
        eventually(lambda: is_empty(spy))
    known_now, measured_now = spans(spy)
    assert known_now[len(known) :] == [("dask-dispatcher",)]
    assert measured_now - measured == {executor.client.dask.id}


def test_large_literals_travel_once(executor, shared_cluster, unpickled_in):
    log, pids = unpickled_in
    big = DataNode((Recorded(log, "x"), numpy.zeros(2_000_000)))  # 16 MB
    size = op(lambda value, n: len(value[1]) + n)
    assert executor.compute([size(big, n) for n in range(4)]) == [2_000_000 + n for n in range(4)]
    assert os.getpid() not in pids()


def test_a_large_closure_travels_without_a_warning(executor):
    array = numpy.ones(2_000_000)
    assert executor.compute(op(lambda: array.sum())()) == 2_000_000


def test_futures_of_another_executor_are_brought_over(executor, cluster):
    with DaskExecutor(cluster.address) as other:
        (result,) = other.run([op(list)("abc")])
        assert executor.compute(op(len)(result.unwrap())) == 3


# What the scheduler and the workers need


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    """An environment in which this package cannot be imported."""
    folder = tmp_path_factory.mktemp("poisoned")
    package = folder / "dask_dispatcher"
    package.mkdir()
    (package / "__init__.py").write_text(
        "raise ModuleNotFoundError('poisoned', name='dask_dispatcher')\n"
    )
    return {"PYTHONPATH": str(folder)}


def test_the_scheduler_needs_neither_this_package_nor_the_users(
    make_cluster, poisoned, tmp_path, monkeypatch
):
    (tmp_path / "users_own.py").write_text(
        "class Oops(Exception): pass\n"
        "class Thing: pass\n"
        "def make(x): return Thing()\n"
        "def fail(x): raise Oops(x)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import users_own

    cluster = make_cluster(env=poisoned)
    root = os.getcwd()
    for _ in range(2):
        cluster.add_worker(env={"PYTHONPATH": f"{root}{os.pathsep}{tmp_path}"})
    try:
        with DaskExecutor(cluster.address, retries=1, retry_delay=0.001) as executor:
            things = [op(users_own.make)(n) for n in range(3)]
            bad = op(users_own.fail)(things[0])
            kind = op(lambda x: type(x).__name__)
            nodes = [kind(things[0]), things[1], bad, kind(bad), op(users_own.make)(bad)]
            first, second, *failed = executor.run(nodes, raise_errors=False)
            assert first.unwrap().fetch(WAIT) == "Thing"
            assert isinstance(second.unwrap().fetch(WAIT), users_own.Thing)
            for result in failed:
                error = result.unwrap_err()
                assert error.node is bad
                assert error.attempts == 2
                assert type(error.__cause__) is users_own.Oops
    finally:
        del sys.modules["users_own"]
    assert "Traceback" not in cluster.scheduler.log


def test_a_worker_without_this_package_is_told_in_plain_words(make_cluster, poisoned):
    cluster = make_cluster()
    cluster.add_worker(env=poisoned)
    with DaskExecutor(cluster.address) as executor:
        (result,) = executor.run([op(int)("3")], raise_errors=False)
    error = result.unwrap_err()
    assert isinstance(error.__cause__, ModuleNotFoundError)
    assert "a worker has no dask-dispatcher; install it there" in str(error)


# Retries, timeouts, coroutines, priority


def test_a_failing_node_is_tried_again(executor, starts_log):
    record, log = starts_log.record, starts_log.path

    def flaky():
        record("flaky")
        if len(log.read_text().splitlines()) < 3:
            raise ConnectionError("not yet")
        return "at last"

    node = op(flaky, retries=5, retry_on=ConnectionError, retry_delay=0.001)()
    assert executor.compute(node) == "at last"
    assert starts_log.counts() == {"flaky": 3}


def test_a_node_that_fails_is_tried_again_with_what_was_made_beside_it(executor, starts_log):
    record, log = starts_log.record, starts_log.path

    def make(n):
        record("make")
        return bytes(BULKY)

    def flaky(values):
        record("flaky")
        if log.read_text().count("flaky") == 3:  # after two runs that were warmed up with
            raise ConnectionError("not yet")
        return values[:-1]

    again = op(flaky, retries=1, retry_delay=0.001)
    for _ in range(2):
        executor.compute(op(len)(again(op(make)(1))))
    assert executor.compute(op(len)(again(op(make)(2)))) == BULKY - 1
    assert starts_log.counts() == {"make": 3, "flaky": 4}


def test_retries_come_to_an_end(executor, starts_log):
    record = starts_log.record

    def fail():
        record("fail")
        raise ConnectionError("never")

    node = op(fail, retries=2, retry_delay=0.001)()
    other = op(fail, retries=2, retry_on=ValueError)()
    first, second = executor.run([node, other], raise_errors=False)
    assert first.unwrap_err().attempts == 3
    assert second.unwrap_err().attempts == 1
    assert starts_log.counts() == {"fail": 4}


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_a_timeout_is_tried_again_and_leaves_the_worker_free(
    scheduler, gate, starts_log, is_coroutine
):
    scheduler.add_worker()  # with one thread
    record, passing, passing_async = starts_log.record, gate.passing, gate.passing_async

    def slow():
        record("slow")
        passing()

    async def slow_async():
        record("slow")
        await passing_async()

    node = op(slow_async if is_coroutine else slow, timeout=0.2, retries=1, retry_delay=0.001)()
    with DaskExecutor(scheduler.address) as executor:
        (result,) = executor.run([node], raise_errors=False)
        error = result.unwrap_err()
        assert (type(error.__cause__), error.attempts) == (NodeTimeoutError, 2)
        assert executor.compute(op(int)("3")) == 3
    assert starts_log.counts() == {"slow": 2}


def test_coroutine_nodes_run_concurrently_on_a_worker_of_one_thread(scheduler, gate):
    scheduler.add_worker()
    passing_async = gate.passing_async

    async def meet(n):
        await passing_async()
        return n

    with DaskExecutor(scheduler.address) as executor:
        run = executor.start([op(meet)(n) for n in range(12)])
        gate.wait(12)  # all of them are under way at once
        assert executor.compute(op(int)("3")) == 3
        gate.open()
        assert executor.gather(run.results(WAIT)) == list(range(12))


def test_a_coroutine_that_is_slow_to_wait_keeps_its_context(executor):
    async def nested():
        results = await asyncio.gather(*(asyncio.sleep(0, n) for n in range(3)))
        return sum(results)

    assert executor.compute(op(nested)()) == 3


def test_higher_priority_runs_first(scheduler, gate, starts_log):
    scheduler.add_worker()
    record, passing = starts_log.record, gate.passing
    with DaskExecutor(scheduler.address) as executor:
        first = executor.start([op(passing)()])
        gate.wait()
        node = op(lambda n: record(n))
        second = executor.start([node.options(priority=p)(p) for p in (0, -1, 3, 1, 2)])
        gate.open()
        first.results(WAIT)
        second.results(WAIT)
    assert [int(start.label) for start in starts_log.starts()] == [3, 2, 1, 0, -1]


def test_resources_and_workers_are_honoured(make_cluster):
    cluster = make_cluster()
    gpu = cluster.add_worker("with-gpu", resources={"GPU": 1})
    plain = cluster.add_worker("plain")
    pid = op(os.getpid)
    with DaskExecutor(cluster.address) as executor:
        on_gpu = [pid.options(resources={"GPU": 1})() for _ in range(5)]
        on_plain = [
            pid.options(workers=name)() for name in ("plain", plain.address, ["nobody", "plain"])
        ]
        assert set(executor.compute(on_gpu)) == {gpu.pid}
        assert set(executor.compute(on_plain)) == {plain.pid}


def test_a_node_waits_for_a_worker_that_has_what_it_needs(scheduler):
    scheduler.add_worker()
    with DaskExecutor(scheduler.address, worker_timeout=WAIT) as executor:
        run = executor.start([op(os.getpid, resources={"GPU": 1})()])
        worker = scheduler.add_worker(resources={"GPU": 1})
        assert run.results(WAIT)[0].unwrap().fetch(WAIT) == worker.pid


def test_a_busy_resource_is_no_missing_one(make_cluster, gate):
    cluster = make_cluster()
    cluster.add_worker(resources={"slot": 1}, nthreads=2)
    passing = gate.passing
    node = op(lambda n: passing() or n, resources={"slot": 1})
    with DaskExecutor(cluster.address, worker_timeout=0.6) as executor:
        run = executor.start([node(1), node(2)])
        gate.wait()
        with pytest.raises(TimeoutError):
            run.results(2.0)  # well beyond worker_timeout
        gate.open()
        assert executor.gather(run.results(WAIT)) == [1, 2]


# What nodes may do to hurt


class Unpicklable:
    def __reduce__(self):
        raise ValueError("not me")


class UnpicklableElsewhere:
    """Is unpickled only in the process that made it."""

    def __init__(self):
        self.pid = os.getpid()

    def __reduce__(self):
        return _only_in, (self.pid,)


def _only_in(pid):
    if os.getpid() != pid:
        raise RuntimeError("not in this process")
    return UnpicklableElsewhere()


class UnpicklableError(Exception):
    __reduce__ = Unpicklable.__reduce__


class TextlessError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def error_of(executor, node):
    """Run a node that fails, beside one that does not; return its error."""
    good = op(lambda: "good")()
    bad, fine = executor.run([node, good], raise_errors=False)
    assert fine.unwrap().fetch(WAIT) == "good"
    error = bad.unwrap_err()
    assert type(error) is DependencyError
    assert error.node is node
    assert error.label == node.label
    assert node.label in str(error)
    assert len(str(error)) < 5_000
    assert len(error.traceback) < 50_000
    pickle.loads(pickle.dumps(error))
    return error


@pytest.mark.parametrize(
    ("function", "cause", "words"),
    [
        (threading.Lock, SerializationError, "the result, a lock, cannot be pickled"),
        (Unpicklable, SerializationError, "cannot be pickled: ValueError: not me"),
    ],
)
def test_a_result_that_cannot_be_pickled(executor, function, cause, words):
    error = error_of(executor, op(lambda: function(), label="maker")())
    assert type(error.__cause__) is cause
    assert words in str(error)


def test_a_result_that_cannot_be_unpickled_here(executor):
    node = op(lambda: UnpicklableElsewhere(), label="maker")()
    ok = op(lambda x: x.pid)(node)
    made, pid = executor.run([node, op(lambda: 1)()])
    assert pid.unwrap().fetch(WAIT) == 1
    for _ in range(2):
        with pytest.raises(SerializationError, match="maker: a value cannot be unpickled"):
            made.unwrap().fetch(WAIT)
    assert isinstance(executor.run([ok], raise_errors=False), list)


def test_an_argument_that_cannot_be_pickled(executor):
    error = error_of(executor, op(lambda x, y: x, label="user")(1, y=Unpicklable()))
    assert type(error.__cause__) is SerializationError
    assert "argument 'y' of user, an Unpicklable, cannot be pickled" in str(error)


def test_an_argument_that_cannot_be_unpickled(executor, shared_cluster):
    error = error_of(executor, op(lambda x: x, label="user")(UnpicklableElsewhere()))
    assert type(error.__cause__) is SerializationError
    assert "a value cannot be unpickled: RuntimeError: not in this process" in str(error)
    assert error.worker in [worker.address for worker in shared_cluster.workers]


def test_a_literal_that_cannot_be_pickled(executor):
    node = op(lambda x: x, label="user")(DataNode(Unpicklable()))
    error = error_of(executor, node)
    assert type(error.__cause__) is SerializationError


@pytest.mark.parametrize("is_coroutine", [False, True])
@pytest.mark.parametrize(
    "kind", [SystemExit, KeyboardInterrupt, RecursionError, MemoryError, asyncio.CancelledError]
)
def test_whatever_a_node_raises_the_worker_lives(executor, shared_cluster, kind, is_coroutine):
    def plain():
        raise kind("on purpose")

    async def coroutine():
        raise kind("on purpose")

    pids = {worker.pid for worker in shared_cluster.workers}
    for _ in range(2):
        error = error_of(executor, op(coroutine if is_coroutine else plain)())
        assert type(error.__cause__) is kind
        assert error.__cause__.args == ("on purpose",)
        assert "on purpose" in error.traceback
    assert {executor.compute(op(os.getpid)()) for _ in range(4)} <= pids


def test_sys_exit_and_real_recursion(executor):
    def recurse():
        return recurse()

    assert type(error_of(executor, op(sys.exit)(3)).__cause__) is SystemExit
    assert type(error_of(executor, op(recurse)()).__cause__) is RecursionError


def test_an_exception_that_cannot_be_pickled(executor):
    def fail():
        raise UnpicklableError("the text")

    error = error_of(executor, op(fail)())
    assert type(error.__cause__) is RemoteError
    assert error.__cause__.type_name == "UnpicklableError"
    assert "the text" in str(error)
    assert "raise UnpicklableError" in error.traceback


def test_an_exception_whose_text_raises(executor):
    def fail():
        raise TextlessError

    error = error_of(executor, op(fail)())
    assert "TextlessError" in str(error)
    assert "raise TextlessError" in error.traceback


def test_a_failure_of_many_kilobytes_arrives_whole(executor):
    """Dask itself replaces exceptions whose text is longer than 10,000 characters."""

    def fail():
        raise ValueError("x" * 50_000, list(range(20_000)))

    error = error_of(executor, op(fail)())
    assert type(error.__cause__) is ValueError
    assert error.__cause__.args == ("x" * 50_000, list(range(20_000)))


def test_an_exception_with_a_huge_message(executor):
    def fail():
        raise ValueError("x" * 100_000_000)

    error = error_of(executor, op(fail)())
    assert "ValueError" in str(error)
    assert "xxx" in error.traceback


def test_an_exception_with_a_cyclic_cause(executor):
    def fail():
        first, second = ValueError("first"), ValueError("second")
        first.__cause__, second.__cause__ = second, first
        raise first

    assert "first" in str(error_of(executor, op(fail)()))


@pytest.mark.parametrize("value", [None, ValueError("a value"), [], NotImplemented])
def test_a_node_may_return_anything(executor, value):
    found = executor.compute(op(lambda: value)())
    assert found is value or found == value or repr(found) == repr(value)


HOSTILE = [
    "",
    " ",
    "-" * 50,
    "x" * 1_000_000,
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b[0m",
    "nul\0byte",
    "‮bidi",
    "../../etc/passwd",
    "line\nbreak",
    "日本語",
    "('tuple', 0)",
    "finalize-",
    "\ud800",
]


@pytest.mark.parametrize("label", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_labels(executor, label):
    node = op(lambda x: x + 1, label=label, timeout=WAIT)(1)
    twin = op(lambda x: x + 2, label=label)(node)
    assert executor.compute([node, twin]) == [2, 4]

    def fail():
        raise ValueError("no")

    (result,) = executor.run([op(fail, label=label)()], raise_errors=False)
    assert result.unwrap_err().label == label
    assert len(str(result.unwrap_err())) < 5_000


# Runs


def test_max_losses_0_runs_once_where_nothing_is_lost(executor, starts_log):
    record = starts_log.record
    node = op(lambda: record("once") or 3, max_losses=0)()
    assert executor.compute([node, op(lambda x: x + 1)(node)]) == [3, 4]
    assert starts_log.counts() == {"once": 1}


def test_retries_of_a_node_that_must_not_be_lost(executor, starts_log):
    record, log = starts_log.record, starts_log.path

    def flaky():
        record("flaky")
        if len(log.read_text().splitlines()) < 2:
            raise ConnectionError("not yet")
        return 3

    assert executor.compute(op(flaky, max_losses=0, retries=1, retry_delay=0.001)()) == 3


def test_somebody_else_cancels_a_task_on_the_scheduler(executor, shared_cluster, gate):
    passing = gate.passing
    with distributed.Client(shared_cluster.address, set_as_default=False) as vandal:
        run = executor.start([op(passing)(), op(lambda: "fine")()])
        gate.wait()
        groups = executor._engine._groups
        (key,) = eventually(lambda: len(groups) == 1 and list(groups))
        vandal.run_on_scheduler(
            lambda dask_scheduler: dask_scheduler.stimulus_cancel(
                keys=[(key, 0)],
                client=next(iter(dask_scheduler.tasks[(key, 0)].who_wants)).client_key,
                force=True,
                reason="vandalism",
                msg="",
            )
        )
        bad, fine = run.results(WAIT)
    assert fine.unwrap().fetch(WAIT) == "fine"
    assert type(bad.unwrap_err().__cause__) is WorkerLostError
    assert "cancelled on the scheduler" in str(bad.unwrap_err())


def test_a_second_failure_of_a_stopped_run_is_nobodys_business(executor, gate):
    passing = gate.passing

    def fail(n):
        passing()
        raise ValueError(n)

    nodes = [op(fail)(n) for n in range(2)]
    run_errors = []

    def run():
        with pytest.raises(DependencyError) as caught:
            executor.run(nodes)
        run_errors.append(caught.value)

    thread = threading.Thread(target=run)
    thread.start()
    gate.wait(2)
    gate.open()
    thread.join(WAIT)
    (error,) = run_errors
    assert [type(result.unwrap_err()) for result in error.results] in (
        [DependencyError, RunCancelledError],
        [RunCancelledError, DependencyError],
    )
    assert executor.compute(op(int)("3")) == 3


def test_no_workers_is_per_node(make_cluster):
    cluster = make_cluster(workers=1)
    missing = op(int, resources={"GPU": 1})("1")
    with DaskExecutor(cluster.address, worker_timeout=0.6) as executor:
        results = executor.run([op(int)("2"), missing, op(int)("3")], raise_errors=False)
        assert executor.gather([results[0], results[2]]) == [2, 3]
        assert type(results[1].unwrap_err()) is NoWorkersError


def test_a_run_of_nothing_and_of_one_node_twice(executor):
    node = op(int)("3")
    assert executor.run([]) == []
    assert executor.compute([node, node]) == [3, 3]


def test_observers_hear_how_much_was_moved(executor, shared_cluster):
    first, second = (
        op(numpy.zeros, workers=[worker.address])(100_000) for worker in shared_cluster.workers
    )
    total = op(lambda a, b: float(a.sum() + b.sum()))(first, second)
    moved = run_and_note_moved(executor, total)
    assert moved[first] == moved[second] == 0
    assert 800_000 <= moved[total] < 1_000_000
