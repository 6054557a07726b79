"""`PoolDrive`: a third party's executor, which gives one hook and gets all the rest."""

import asyncio
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from dask_dispatcher import (
    DependencyError,
    Executor,
    ExecutorError,
    NodeTimeoutError,
    NoWorkersError,
    RunCancelledError,
    op,
)
from dask_dispatcher.events import NodeFinished, NodeStarted, RunEnded
from tests.support import eventually

WAIT = 20.0


class PoolExecutor(Executor):
    """The example of the manual, with a count of what was submitted."""

    def __init__(self, max_workers=4, **options):
        super().__init__(max_workers, **options)
        self.submitted = 0
        self.pool = ThreadPoolExecutor(8)

    def submit(self, call):
        self.submitted += 1
        return self.pool.submit(call)

    def close(self):
        super().close()
        self.pool.shutdown()


@pytest.fixture
def executor():
    with PoolExecutor() as executor:
        yield executor


@pytest.fixture
def release(executor):
    event = threading.Event()
    yield event
    event.set()


def identity(value):
    return value


def fail():
    raise ValueError("boom")


def test_a_graph_runs_through_the_hook(executor):
    numbers = [op(identity)(number) for number in range(20)]
    total = op(sum)(numbers) + numbers[0]
    assert executor.compute([total, numbers[3]]) == [190, 3]
    assert executor.submitted == 22


def test_coroutine_nodes_run_in_the_pool(executor):
    async def double(value):
        await asyncio.sleep(0)
        return value * 2

    assert executor.compute(op(double)(op(double)(1))) == 4


def test_no_more_nodes_are_submitted_than_there_are_workers(release):
    with PoolExecutor(max_workers=2) as executor:
        run = executor.start([op(release.wait)(WAIT) for _ in range(5)])
        eventually(lambda: executor.submitted == 2, WAIT)
        release.set()
        assert all(result.is_ok() for result in run.results(WAIT))
        assert executor.submitted == 5


def test_failures_are_errors_that_show_the_users_lines(executor):
    bad = op(fail)()
    first, second, good = executor.run([bad, bad + 1, op(identity)(1)], raise_errors=False)
    assert first.error is second.error
    assert first.error.node is bad
    assert "in fail" in first.error.traceback
    assert "dask_dispatcher" not in first.error.traceback
    assert good.unwrap().fetch() == 1


def test_retries(executor):
    attempts = []

    def third_time():
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError
        return len(attempts)

    assert executor.compute(op(third_time, retries=2, retry_delay=0)()) == 3


def test_a_node_that_outlives_its_timeout_fails_in_time(executor, release):
    stuck = op(release.wait, timeout=0.01)(WAIT)
    bad, good = executor.run([stuck, op(identity)(1)], raise_errors=False)
    assert isinstance(bad.error.__cause__, NodeTimeoutError)
    assert good.unwrap().fetch() == 1


def test_the_late_end_of_a_timed_out_attempt_does_not_count(executor):
    attempts, begun, second = [], threading.Event(), threading.Event()

    def slow():
        attempts.append(1)
        if len(attempts) == 1:
            second.wait(WAIT)
            return "late"
        begun.set()
        second.set()
        return "in time"

    assert executor.compute(op(slow, retries=1, retry_delay=0, timeout=1.0)()) == "in time"
    assert begun.is_set()


def test_resources_bound_what_runs_at_once():
    running, most = [], []

    def use(number):
        running.append(number)
        most.append(len(running))
        running.remove(number)

    with PoolExecutor(resources={"GPU": 1}) as executor:
        executor.compute([op(use, resources={"GPU": 1})(n) for n in range(20)])
        assert max(most) == 1
        with pytest.raises(NoWorkersError, match="TPU"):
            executor.compute(op(use, resources={"TPU": 1})(1))
        with pytest.raises(NoWorkersError, match="GPU.*2"):
            executor.compute(op(use, resources={"GPU": 2})(1))


def test_priority_orders_what_is_ready():
    order = []
    with PoolExecutor(max_workers=1) as executor:
        nodes = [op(order.append, priority=p)(p) for p in (3, 1, 5, 2, 4)]
        executor.compute(nodes)
    assert order == [5, 4, 3, 2, 1]


def test_a_hook_that_raises_fails_the_node_alone():
    class Refusing(PoolExecutor):
        def submit(self, call):
            self.submitted += 1
            if self.submitted == 1:
                raise OSError("no room")
            return super().submit(call)

    with Refusing(max_workers=1) as executor:
        results = executor.run([op(identity)(1), op(identity)(2)], raise_errors=False)
    failed = [result.error for result in results if result.is_err()]
    assert [str(error.__cause__) for error in failed] == ["no room"]


def test_cancel_leaves_what_has_not_started_unstarted(release):
    with PoolExecutor(max_workers=1) as executor:
        run = executor.start([op(release.wait)(WAIT) for _ in range(3)])
        eventually(lambda: executor.submitted == 1, WAIT)
        run.cancel()
        assert {type(result.error) for result in run.results(WAIT)} == {RunCancelledError}
        release.set()
        assert executor.compute(op(identity)(1)) == 1
        assert executor.submitted == 2


def test_a_future_that_never_ends_does_not_keep_close_from_returning():
    class Forgetful(Executor):
        def submit(self, call):
            return Future()

    executor = Forgetful()
    run = executor.start([op(identity)(1)])
    executor.close()
    (result,) = run.results(WAIT)
    assert isinstance(result.error, ExecutorError)


def test_an_executor_without_the_hook_says_so():
    with Executor() as executor, pytest.raises(DependencyError, match="must define submit"):
        executor.compute(op(identity)(1))


class ByHand(Executor):
    """One worker, that does a call when it is told to."""

    def __init__(self):
        super().__init__(max_workers=1)
        self.calls = queue.SimpleQueue()

    def submit(self, call):
        future = Future()
        self.calls.put((call, future))
        return future

    def do_next(self):
        call, future = self.calls.get(timeout=WAIT)
        future.set_result(call())


def test_short_runs_do_not_wait_behind_long_ones():
    order = []
    with ByHand() as executor:
        long_run = executor.start([op(order.append)(n) for n in range(20)])
        short_run = executor.start([op(order.append)("short")])
        for _ in range(21):
            executor.do_next()
        long_run.results(WAIT)
        short_run.results(WAIT)
    assert order.index("short") <= 2  # the long run's first two may begin before it is there


def test_events_of_each_attempt(executor):
    batches = []

    class Recorder:
        def on_events(self, batch):
            batches.extend(batch)

    node = op(identity)(1)
    executor.run([node], observers=[Recorder()])
    started = [event for event in batches if isinstance(event, NodeStarted)]
    finished = [event for event in batches if isinstance(event, NodeFinished)]
    assert [event.node for event in started] == [event.node for event in finished] == [node]
    assert isinstance(batches[-1], RunEnded)
