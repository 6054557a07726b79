"""`ThreadEngine`: how plain calls share threads, time and resources."""

import asyncio
import threading
import time

import pytest

from dask_dispatcher import AsyncExecutor, DependencyError, NodeTimeoutError, NoWorkersError, op
from dask_dispatcher.executors.inprocess import member
from dask_dispatcher.executors.inprocess.clocks import HAS_CPU_CLOCKS, is_runnable
from tests.support import eventually

WAIT = 20.0


def identity(value):
    return value


def meet(barrier):
    """Pass only if as many calls as the barrier has parties are under way at once."""
    return barrier.wait(WAIT) >= 0


# Overlap


@pytest.mark.parametrize("parties", [2, 10, 64])
def test_blocking_calls_overlap_by_default_up_to_64(executor, parties):
    barrier = threading.Barrier(parties)
    assert executor.compute([op(meet)(barrier) for _ in range(parties)]) == [True] * parties


def test_calls_that_wait_for_milliseconds_overlap(executor):
    running, most = set(), []

    def wait_for_an_answer(number):
        running.add(number)
        most.append(len(running))
        time.sleep(0.003)
        running.discard(number)

    for _ in range(3):  # in the first of them, threads have to be found out
        executor.compute([op(wait_for_an_answer)(number) for number in range(400)])
    assert max(most) > 8


def test_no_more_than_64_threads_by_default(executor):
    release, running, most = threading.Event(), set(), []

    def block(number):
        running.add(number)
        most.append(len(running))
        if len(running) == 64:
            release.set()
        assert release.wait(WAIT)
        running.discard(number)

    executor.compute([op(block)(number) for number in range(200)])
    assert max(most) == 64


@pytest.mark.parametrize("max_workers", [1, 2, 5, 70])
def test_max_workers_calls_overlap_and_no_more(max_workers):
    barrier = threading.Barrier(max_workers)
    running, most = set(), []

    def block(number):
        running.add(number)
        most.append(len(running))
        barrier.wait(WAIT)
        running.discard(number)

    with AsyncExecutor(max_workers) as executor:
        executor.compute([op(block)(number) for number in range(3 * max_workers)])
    assert max(most) == max_workers


def test_calls_of_several_runs_overlap(executor):
    barrier = threading.Barrier(6)
    runs = [executor.start([op(meet)(barrier) for _ in range(2)]) for _ in range(3)]
    assert [executor.gather(run.results(WAIT)) for run in runs] == [[True, True]] * 3


def test_threads_that_wait_inside_for_others_are_noticed_anew_in_each_run(executor):
    for _ in range(5):
        barrier = threading.Barrier(4)
        executor.compute([op(meet)(barrier) for _ in range(4)])


# A slow call does not hold the others up


@pytest.mark.parametrize("position", [0, 1, 100, 499])
def test_a_blocked_call_among_tiny_ones_holds_none_up(executor, position):
    # It blocks until the node that would come right behind it, and all others, have run.
    left = threading.Semaphore(0)

    def tiny(value):
        left.release()
        return value

    def blocked():
        for _ in range(499):
            assert left.acquire(timeout=WAIT)
        return "blocked"

    nodes = [op(tiny)(number) for number in range(499)]
    nodes.insert(position, op(blocked)())
    values = executor.compute(nodes)
    assert values.pop(position) == "blocked"
    assert values == list(range(499))


def test_a_blocked_call_in_the_middle_of_a_chain_keeps_what_came_before(executor):
    # What the blocked call's slice has finished so far is given out while it is blocked.
    release = threading.Event()
    chain = [op(identity)(0)]
    for _ in range(50):
        chain.append(chain[-1] + 1)
    blocked = op(lambda _: release.wait(WAIT))(chain[-1])
    free = op(lambda _: release.set())(chain[25])
    assert executor.compute([blocked, free]) == [True, None]


def test_a_blocked_function_is_known_in_the_next_run(executor):
    for _ in range(3):
        event = threading.Event()
        executor.compute([op(identity)(1), op(event.wait)(WAIT), op(event.set)()])


def test_many_chains_with_blocking_links_go_on_side_by_side(executor):
    barriers = [threading.Barrier(8) for _ in range(3)]
    chains = []
    for number in range(8):
        node = op(identity)(number)
        for barrier in barriers:
            node = op(lambda value, barrier: meet(barrier) and value)(node, barrier)
        chains.append(node)
    assert executor.compute(chains) == list(range(8))


# Timeouts


def test_a_thread_that_outlives_its_timeout_is_left_behind(executor, release):
    stuck = op(release.wait, timeout=0.01)(WAIT)
    bad, dependent, good = executor.run([stuck, stuck + 1, op(identity)(1)], raise_errors=False)
    assert isinstance(bad.error, DependencyError)
    assert isinstance(bad.error.__cause__, NodeTimeoutError)
    assert isinstance(bad.error.__cause__, TimeoutError)
    assert "wait did not end within 0.01 s" in str(bad.error)
    assert dependent.error is bad.error
    assert good.unwrap().fetch() == 1


def test_the_executors_timeout_holds_for_nodes_that_say_nothing():
    release = threading.Event()

    async def waits():
        await asyncio.Event().wait()

    with AsyncExecutor(timeout=0.05) as executor:
        nodes = [
            op(release.wait)(WAIT),
            op(waits)(),
            op(release.wait, timeout=WAIT)(0.1),
            op(identity)(1),
        ]
        results = executor.run(nodes, raise_errors=False)
        causes = [type(result.error.__cause__) for result in results[:2]]
        assert causes == [NodeTimeoutError, NodeTimeoutError]
        assert executor.gather(results[2:]) == [False, 1]
        release.set()


def test_one_worker_goes_on_behind_a_call_that_timed_out(release):
    with AsyncExecutor(max_workers=1) as executor:
        stuck = op(release.wait, timeout=0.01)(WAIT)
        run = executor.start([stuck, *[op(identity)(n) for n in range(20)]])
        bad, *good = run.results(WAIT)
        assert bad.is_err()
        assert executor.gather(good) == list(range(20))
        release.set()


@pytest.mark.parametrize("timeout", [1e-9, 1e-4])
def test_a_timeout_that_is_over_before_the_call_begins(executor, release, timeout):
    for _ in range(20):
        (result,) = executor.start([op(release.wait, timeout=timeout)(WAIT)]).results(WAIT)
        assert isinstance(result.error.__cause__, NodeTimeoutError)


def test_a_call_that_ends_too_late_has_timed_out_even_if_nobody_saw(executor):
    # sleep(0.02) gives up the interpreter, but the look at the threads may come after it.
    nodes = [op(time.sleep, timeout=0.0199)(0.02) for _ in range(5)]
    results = executor.run(nodes, raise_errors=False)
    assert {type(result.error.__cause__) for result in results} == {NodeTimeoutError}


def test_each_attempt_has_the_whole_timeout(executor):
    attempts, release = [], threading.Event()

    def second_time():
        attempts.append(1)
        if len(attempts) == 1:
            release.wait(WAIT)
            return "late"
        release.set()
        return "in time"

    node = op(second_time, timeout=0.2, retries=1, retry_delay=0)()
    assert executor.compute(node) == "in time"


def test_a_nested_run_counts_as_part_of_its_nodes_time(executor, release):
    def outer():
        return executor.run([op(release.wait)(WAIT)])

    (result,) = executor.run([op(outer, timeout=0.05)()], raise_errors=False)
    assert isinstance(result.error.__cause__, NodeTimeoutError)
    release.set()


# Resources


@pytest.mark.parametrize("amount", [1, 3])
def test_resources_bound_the_calls_at_once(amount):
    running, most = set(), []
    barrier = threading.Barrier(amount)

    def use(number):
        running.add(number)
        most.append(len(running))
        barrier.wait(WAIT)
        running.discard(number)

    with AsyncExecutor(resources={"GPU": amount}) as executor:
        executor.compute([op(use, resources={"GPU": 1})(n) for n in range(4 * amount)])
    assert max(most) == amount


def test_calls_without_resources_pass_those_that_wait_for_them():
    passed = threading.Event()
    with AsyncExecutor(resources={"GPU": 1}) as executor:
        users = [op(passed.wait, resources={"GPU": 1})(WAIT) for _ in range(3)]
        assert executor.compute([*users, op(passed.set)()])[:3] == [True] * 3


def test_resources_are_shared_by_all_runs_and_by_coroutines():
    running, most = set(), []

    def use(number):
        running.add(number)
        most.append(len(running))
        time.sleep(0.0005)  # long enough that others get the interpreter meanwhile
        running.discard(number)

    async def use_async(number):
        running.add(number)
        most.append(len(running))
        await asyncio.sleep(0.0005)
        running.discard(number)

    with AsyncExecutor(resources={"GPU": 2, "RAM": 10}) as executor:
        demand = {"GPU": 1, "RAM": 4}
        nodes = [op(use, resources=demand)(n) for n in range(10)]
        nodes += [op(use_async, resources=demand)(n) for n in range(10, 20)]
        runs = [executor.start(nodes), executor.start(nodes)]
        assert all(result.is_ok() for run in runs for result in run.results(WAIT))
    assert 1 <= max(most) <= 2


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_missing_resources_are_named(executor, is_coroutine):
    async def coroutine(value):
        return value

    function = coroutine if is_coroutine else identity
    node = op(function, resources={"GPU": 1}, label="needs a GPU")(1)
    bad, dependent, good = executor.run([node, node + 1, op(function)(1)], raise_errors=False)
    assert type(bad.error) is NoWorkersError
    assert bad.error.node is node
    assert "needs a GPU needs {'GPU': 1}" in str(bad.error)
    assert dependent.error is bad.error
    assert good.unwrap().fetch() == 1
    with pytest.raises(NoWorkersError, match="GPU"):
        executor.compute(node)


@pytest.mark.parametrize("end", ["return", "raise", "time out", "cancel"])
@pytest.mark.parametrize("is_coroutine", [False, True])
def test_resources_come_back_however_a_node_ends(end, is_coroutine):
    begun, release = threading.Event(), threading.Event()

    def call():
        begun.set()
        if end == "raise":
            raise ValueError
        if end != "return":
            assert release.wait(WAIT)

    async def coroutine():
        begun.set()
        await asyncio.sleep(0)
        if end == "raise":
            raise ValueError
        if end != "return":
            await asyncio.Event().wait()

    demand = {"GPU": 1}
    with AsyncExecutor(resources=demand) as executor:
        timeout = 0.02 if end == "time out" else None
        function = coroutine if is_coroutine else call
        node = op(function, resources=demand, timeout=timeout)()
        run = executor.start([node])
        assert begun.wait(WAIT)
        if end == "cancel":
            run.cancel()
        run.results(WAIT)
        release.set()
        again = executor.start([op(identity, resources=demand)(1)])
        assert again.results(WAIT)[0].unwrap().fetch() == 1


def test_a_cancelled_run_gives_up_its_place_in_the_queue():
    release = threading.Event()
    demand = {"GPU": 1}
    with AsyncExecutor(resources=demand) as executor:
        first = executor.start([op(release.wait, resources=demand)(WAIT)])
        waiting = executor.start([op(identity, resources=demand)(n) for n in range(3)])
        waiting.cancel()
        assert all(result.is_err() for result in waiting.results(WAIT))
        release.set()
        first.results(WAIT)
        assert executor.compute(op(identity, resources=demand)(4)) == 4


# Retries


@pytest.mark.parametrize("is_coroutine", [False, True])
@pytest.mark.parametrize("how", ["node", "executor"])
def test_a_node_starts_as_often_as_its_retries_allow(is_coroutine, how):
    attempts = []

    def fail():
        attempts.append(1)
        raise ConnectionError(len(attempts))

    async def fail_async():
        fail()

    options = {"retries": 2, "retry_on": (ConnectionError,), "retry_delay": 0}
    defaults, own = ({}, options) if how == "node" else (options, {})
    with AsyncExecutor(**defaults) as executor:
        node = op(fail_async if is_coroutine else fail, **own)()
        (result,) = executor.run([node], raise_errors=False)
    assert len(attempts) == result.error.attempts == 3
    assert result.error.__cause__.args == (3,)
    assert "after 3 attempts" in str(result.error)


def test_others_run_while_a_retry_is_delayed(executor):
    attempts, passed = [], threading.Event()

    def fails_until_others_have_passed():
        attempts.append(1)
        if not passed.is_set():
            raise ValueError
        return "passed"

    flaky = op(fails_until_others_have_passed, retries=10**6, retry_delay=0.001)()
    nodes = [op(identity)(n) for n in range(100)]
    last = op(lambda *_: passed.set())(*nodes)
    assert executor.compute([flaky, last])[0] == "passed"


def test_a_cancelled_run_does_not_retry(executor):
    attempts, failed = [], threading.Event()

    def fail():
        attempts.append(1)
        failed.set()
        raise ValueError

    run = executor.start([op(fail, retries=10, retry_delay=0.02)()])
    assert failed.wait(WAIT)
    run.cancel()
    run.results(WAIT)
    count = len(attempts)
    executor.compute(op(time.sleep)(0.05))  # longer than the delay
    assert len(attempts) == count


# Internals that must not leak


def test_an_executor_at_rest_looks_at_nothing(executor):
    async def coroutine():
        await asyncio.sleep(0)

    executor.compute([op(identity)(1), op(coroutine)()])
    engine = executor._engine
    eventually(lambda: not engine._lookout.is_looking, WAIT)
    assert not engine._jobs
    assert not engine._carriers
    assert not engine._job_of


# What is slow


@pytest.fixture
def stuck(executor):
    """A member whose thread waits, as one does that has no processor or no interpreter's lock."""
    release, begun = threading.Event(), threading.Event()

    def block():
        begun.set()
        assert release.wait(WAIT)

    run = executor.start([op(block)()])
    assert begun.wait(WAIT)
    waiting = next(m for m in executor._engine.crew.members if m.job is not None)
    eventually(lambda: not is_runnable(waiting.thread), WAIT)
    yield waiting
    release.set()
    run.results(WAIT)


@pytest.mark.skipif(not HAS_CPU_CLOCKS, reason="there is no telling what a thread computes")
def test_a_call_is_not_slow_because_its_thread_had_no_processor(stuck, monkeypatch):
    computed = 0.0
    monkeypatch.setattr(member, "cpu_seconds", lambda thread: computed)
    with stuck._lock:
        stuck._seen, stuck.is_waiting = -1, False
        assert not stuck.is_stalled(10.0, busy=2)
        assert stuck.is_stalled(10.003, busy=2)
        assert not stuck.is_slow
        computed = 0.002
        assert stuck.is_stalled(10.005, busy=2)
        assert stuck.is_slow


@pytest.mark.skipif(not HAS_CPU_CLOCKS, reason="there is no telling what a thread computes")
def test_a_call_that_waits_is_slow_at_once_if_nothing_else_computes(stuck):
    with stuck._lock:
        stuck._seen, stuck.is_waiting = -1, False
        assert not stuck.is_stalled(10.0, busy=1)
        assert stuck.is_stalled(10.003, busy=1)
        assert stuck.is_slow
