"""`Carriers`: coroutine nodes, on the executor's own loop and on the user's."""

import asyncio
import threading
import time

import pytest

from dask_dispatcher import (
    AsyncExecutor,
    DependencyError,
    ExecutorError,
    NodeTimeoutError,
    RunCancelledError,
    op,
)
from dask_dispatcher.events import NodeFailed
from tests.support import eventually

WAIT = 20.0


def identity(value):
    return value


async def coroutine(value):
    return value


async def suspending(value):
    await asyncio.sleep(0)
    return value


def compute_on(where, executor, nodes):
    """Compute on the executor's own loop, or on one of the user's."""
    if where == "own loop":
        return executor.gather(executor.start(nodes).results(WAIT))

    async def main():
        return await asyncio.wait_for(executor.start(nodes), WAIT)

    return executor.gather(asyncio.run(main()))


both_loops = pytest.mark.parametrize("where", ["own loop", "user's loop"])


# Concurrency


@both_loops
@pytest.mark.parametrize("parties", [2, 1000])
def test_coroutines_are_unbounded(executor, where, parties):
    count, all_there = 0, asyncio.Event()

    async def meet(number):
        nonlocal count
        count += 1
        if count == parties:
            all_there.set()
        await all_there.wait()
        return number

    nodes = [op(meet)(number) for number in range(parties)]
    assert compute_on(where, executor, nodes) == list(range(parties))


@both_loops
def test_chains_trees_and_mixtures(executor, where):
    functions = (identity, coroutine, suspending)
    node = op(identity)(0)
    for number in range(300):
        node = op(functions[number % 3])(node + 1)
    leaves = [op(functions[number % 3])(number) for number in range(81)]
    while len(leaves) > 1:
        add = [op(lambda a, b, c: a + b + c), op(async_sum), op(late_sum)]
        leaves = [
            add[position % 3](*leaves[3 * position : 3 * position + 3])
            for position in range(len(leaves) // 3)
        ]
    assert compute_on(where, executor, [node, *leaves]) == [300, sum(range(81))]


async def async_sum(*values):
    return sum(values)


async def late_sum(*values):
    await asyncio.sleep(0)
    return sum(values)


@both_loops
def test_coroutines_and_threads_wait_for_each_other(executor, where):
    # The thread waits for a coroutine node, which waits for the next thread, and so on.
    events = [threading.Event() for _ in range(4)]

    def plain(number):
        assert events[number].wait(WAIT)
        events[number + 1].set()
        return number

    async def waits(number):
        while not events[number].is_set():
            await asyncio.sleep(0.001)
        events[number + 1].set()
        return number

    async def first():
        events[0].set()

    nodes = [op(waits)(1), op(plain)(2), op(plain)(0), op(first)()]
    assert compute_on(where, executor, nodes) == [1, 2, 0, None]


def test_the_loop_gets_its_turn_between_coroutines_that_never_suspend(executor):
    seen = []

    async def main():
        ticks = 0

        def tick():
            nonlocal ticks
            ticks += 1
            loop.call_soon(tick)

        async def node():
            time.sleep(0.002)  # noqa: ASYNC251 - it keeps the loop from its turn
            seen.append(ticks)

        loop = asyncio.get_running_loop()
        loop.call_soon(tick)
        return await executor.start([op(node)() for _ in range(50)])

    assert len(asyncio.run(main())) == 50
    assert len(set(seen)) > 5


# Slices


@both_loops
@pytest.mark.parametrize("where_it_suspends", [1, 40, 299])
def test_what_follows_a_node_that_suspends_waits_for_it(executor, where, where_it_suspends):
    node = op(coroutine)(0)
    for number in range(300):
        node = op(suspending if number == where_it_suspends else coroutine)(node + 1)
    assert compute_on(where, executor, [node]) == [300]


@both_loops
def test_what_follows_a_node_that_fails_begins_only_once_that_has_succeeded(executor, where):
    async def fails_once(value, number):
        begun.append(number)
        if number in failing:
            failing.discard(number)
            raise ValueError(number)
        return value + 1

    begun, failing = [], {3, 17, 100}
    step = op(fails_once, retries=1, retry_delay=0.001)
    plain = op(fails_once)
    node = 0
    for number in range(120):
        node = (step if number in failing else plain)(node, number)
    assert compute_on(where, executor, [node]) == [120]
    assert sorted([*range(120), 3, 17, 100]) == begun


def test_nodes_that_follow_wait_for_the_resources_of_those_before():
    async def use(number):
        using.append(number)
        await asyncio.sleep(0)
        using.remove(number)
        most.append(len(using))
        return number

    using, most = [], []
    with AsyncExecutor(resources={"GPU": 1}) as executor:
        ends = []
        for number in range(20):
            node = op(coroutine)(number)
            for _ in range(5):
                node = op(coroutine)(op(use, resources={"GPU": 1})(op(coroutine)(node)))
            ends.append(node)
        assert executor.compute(ends) == list(range(20))
    assert max(most) == 0


def test_a_stopped_slice_begins_nothing_more(executor):
    async def stops(value):
        begun.append(value)
        if value == 20:
            raise KeyboardInterrupt
        return value + 1

    begun = []
    node = 0
    for _ in range(60):
        node = op(stops)(node)
    with pytest.raises(KeyboardInterrupt):
        executor.compute(node)
    assert begun == list(range(21))
    assert executor.compute(op(coroutine)(1)) == 1


# What a coroutine node finds around it


@both_loops
def test_a_node_has_a_task_of_its_own_once_it_has_suspended(executor, where):
    async def who(all_there):
        await asyncio.sleep(0)
        task = asyncio.current_task()
        await asyncio.sleep(0)
        assert asyncio.current_task() is task
        tasks.append(task)
        while len(tasks) < 10:
            await asyncio.sleep(0)

    tasks = []
    compute_on(where, executor, [op(who)(n) for n in range(10)])
    assert len(set(tasks)) == 10


@both_loops
def test_timeout_blocks_and_wait_for_work_inside_nodes(executor, where):
    async def gives_up(how):
        try:
            if how == "wait_for":
                await asyncio.wait_for(asyncio.Event().wait(), 0.01)
            elif hasattr(asyncio, "timeout"):
                async with asyncio.timeout(0.01):
                    await asyncio.Event().wait()
            else:
                return "gave up"
        except asyncio.TimeoutError:
            return "gave up"
        return "went on"

    nodes = [op(gives_up)(how) for how in ("wait_for", "timeout") for _ in range(5)]
    assert compute_on(where, executor, nodes) == ["gave up"] * 10


@pytest.mark.skipif(not hasattr(asyncio, "TaskGroup"), reason="Python 3.11 has task groups")
@both_loops
def test_task_groups_work_inside_nodes(executor, where):
    async def children(number):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(suspending(n)) for n in range(number)]
        return [task.result() for task in tasks]

    assert compute_on(where, executor, [op(children)(n) for n in range(5)]) == [
        list(range(n)) for n in range(5)
    ]


@pytest.mark.skipif(not hasattr(asyncio, "TaskGroup"), reason="Python 3.11 has task groups")
def test_a_task_that_was_cancelled_once_carries_no_other_node(executor):
    # Of a hundred nodes that time out, no task goes on to carry a node that fails with a group of
    # its own, which would take the old cancellation for a new one.
    async def waits():
        await asyncio.Event().wait()

    async def child():
        raise ValueError("child")

    async def group(_):
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            await asyncio.Event().wait()

    async def raises(_):
        raise asyncio.CancelledError

    async def waits_and_unwinds(pause):
        try:
            await asyncio.Event().wait()
        finally:
            unwinding.append(1)

    unwinding = []
    stuck = [op(waits_and_unwinds, timeout=0.01)(0) for _ in range(20)]

    async def until_unwinding():
        while not unwinding:
            await asyncio.sleep(0)

    begin = [op(until_unwinding)() for _ in range(20)]
    nodes = [op(group)(one) for one in begin] + [op(raises)(one) for one in begin]
    results = executor.start([*stuck, *nodes]).results(WAIT)
    causes = [type(result.error.__cause__).__name__ for result in results]
    assert causes == ["NodeTimeoutError"] * 20 + ["ExceptionGroup"] * 20 + ["CancelledError"] * 20


def test_a_node_that_cancels_its_own_task_harms_no_other_run(executor):
    async def cancels(number):
        if number == 3:
            asyncio.current_task().cancel()
        time.sleep(0.002)  # noqa: ASYNC251 - longer than a turn of the loop, all together
        return number

    results = executor.start([op(cancels)(n) for n in range(10)]).results(WAIT)
    assert len(results) == 10
    assert executor.start([op(cancels)(4)]).results(WAIT)[0].unwrap().fetch() == 4


def test_to_thread_and_executors_of_the_loop(executor):
    async def elsewhere():
        return await asyncio.to_thread(threading.get_ident)

    assert executor.compute(op(elsewhere)()) != threading.get_ident()


@both_loops
def test_async_callables_of_every_kind(executor, where):
    import functools

    class Callable:
        async def __call__(self, value):
            return value

        async def method(self, value):
            await asyncio.sleep(0)
            return value

    nodes = [
        op(Callable())(1),
        op(Callable().method)(2),
        op(functools.partial(suspending, 3))(),
        op(suspending, timeout=WAIT)(value=4),
        op(suspending)([op(coroutine)(5)]),
    ]
    assert compute_on(where, executor, nodes) == [1, 2, 3, 4, [5]]


# Timeouts, failures, priorities


@both_loops
def test_a_coroutine_that_outlives_its_timeout_unwinds(executor, where):
    log = []

    async def waits():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("unwound")

    async def main():
        return await executor.start(nodes)

    nodes = [op(waits, timeout=0.01)(), op(suspending)(1)]
    if where == "own loop":
        bad, good = executor.start(nodes).results(WAIT)
    else:
        bad, good = asyncio.run(main())
    assert isinstance(bad.error.__cause__, NodeTimeoutError)
    assert good.unwrap().fetch() == 1
    assert log == ["unwound"]


def test_a_coroutine_that_keeps_the_loop_beyond_its_timeout(executor):
    async def blocks():
        time.sleep(0.02)  # noqa: ASYNC251 - on purpose

    (result,) = executor.run([op(blocks, timeout=0.01)()], raise_errors=False)
    assert isinstance(result.error.__cause__, NodeTimeoutError)


def test_a_coroutine_that_swallows_its_cancellation_has_timed_out_all_the_same(executor):
    async def stubborn():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "still here"

    (result,) = executor.run([op(stubborn, timeout=0.01)()], raise_errors=False)
    assert isinstance(result.error.__cause__, NodeTimeoutError)


@pytest.mark.parametrize("function", [coroutine, suspending])
def test_after_a_failure_no_coroutine_begins(executor, function):
    begun = []

    async def bad():
        begun.append("bad")
        raise ValueError

    async def record(number):
        begun.append(number)
        return await function(number)

    half = [op(record)(n) for n in range(150)]
    with pytest.raises(DependencyError):
        executor.run([*half, op(bad)(), *[op(record)(n) for n in range(150)]])
    assert begun[-1] == "bad"


@pytest.mark.parametrize("raise_errors", [False, True])
def test_a_run_is_not_over_while_a_coroutine_is_in_its_first_step(executor, raise_errors):
    # The failure comes while the loop's thread is inside the coroutine, before it suspends.
    begun, failed, log = threading.Event(), threading.Event(), []

    async def waits():
        begun.set()
        assert failed.wait(WAIT)  # noqa: ASYNC251 - a thread sets it
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("unwound")

    def fails():
        assert begun.wait(WAIT)
        raise KeyboardInterrupt

    class Observer:
        def on_events(self, batch):
            if any(type(event) is NodeFailed for event in batch):
                failed.set()

    nodes = [op(waits)(), op(fails)()]
    with pytest.raises(KeyboardInterrupt):
        executor.run(nodes, raise_errors=raise_errors, observers=[Observer()])
    assert log == ["unwound"]


@pytest.mark.parametrize("mixed", [False, True])
def test_coroutines_begin_by_priority(mixed):
    order = []

    async def record(priority):
        order.append(priority)

    with AsyncExecutor(max_workers=1) as executor:
        priorities = [3, 1, 5, 0, 2, 4]
        nodes = [op(record, priority=p)(p) for p in priorities]
        if mixed:
            first = op(identity)(0)
            nodes = [op(record, priority=p, after=first)(p) for p in priorities]
        executor.compute(nodes)
    assert order == [5, 4, 3, 2, 1, 0]


# The user's loop


def test_coroutine_nodes_run_on_the_loop_they_were_started_on(executor):
    async def where():
        return asyncio.get_running_loop(), threading.current_thread()

    async def main():
        (result,) = await executor.start([op(where)()])
        return result.unwrap().fetch(), asyncio.get_running_loop(), threading.current_thread()

    inside, *outside = asyncio.run(main())
    assert inside == tuple(outside)
    assert executor.compute(op(where)())[1].name == "dask-dispatcher-loop"


def test_a_blocking_run_on_a_running_loop_uses_the_executors_own(executor):
    async def where():
        await asyncio.sleep(0)
        return threading.current_thread()

    async def main():
        return executor.compute([op(where)(), op(threading.current_thread)()])

    for thread in asyncio.run(main()):
        assert thread is not threading.current_thread()


def test_a_blocked_users_loop_holds_up_its_own_coroutines_only(executor):
    begun = threading.Event()

    async def node():
        await asyncio.sleep(0)
        return 1

    async def main():
        run = executor.start([op(node)(), op(begun.set)()])
        assert begun.wait(WAIT)
        assert executor.compute(op(node)()) == 1
        return await run

    assert asyncio.run(main())[0].unwrap().fetch() == 1


@pytest.mark.parametrize("state", ["suspended", "between nodes", "not begun"])
def test_asyncio_run_ends_while_a_run_is_under_way(executor, state):
    log = []

    async def waits():
        try:
            await asyncio.Event().wait()
        finally:
            log.append("unwound")

    async def spins(begun, number):
        if not begun.done():
            begun.set_result(None)
        time.sleep(0.006)  # noqa: ASYNC251 - more than a turn

    async def main():
        begun = asyncio.get_running_loop().create_future()
        if state == "between nodes":
            run = executor.start([op(spins)(begun, number) for number in range(20)])
            await begun
            return run
        run = executor.start([op(waits)() for _ in range(20)])
        while state == "suspended" and len(run._state.owner._carriers[run._state].suspended) < 20:
            await asyncio.sleep(0)
        return run

    run = asyncio.run(main())
    results = run.results(WAIT)
    assert any(result.is_err() for result in results)
    for result in results:
        if result.is_err():
            assert isinstance(result.error, ExecutorError)
    if state == "suspended":
        assert log == ["unwound"] * 20
        assert {type(result.error) for result in results} == {RunCancelledError}
    assert executor.compute(op(suspending)(1)) == 1


def test_a_loop_that_was_closed_before_its_nodes_began(executor):
    release = threading.Event()

    async def main():
        run = executor.start([op(suspending)(op(release.wait)(WAIT)), op(identity)(1)])
        async for _ in run.as_completed():
            return run

    run = asyncio.run(main())
    release.set()
    late, good = run.results(WAIT)
    assert isinstance(late.error, ExecutorError)
    assert good.unwrap().fetch() == 1


def test_nodes_of_one_run_fail_alone_when_their_siblings_cancel(executor):
    async def raises_late():
        await asyncio.sleep(0)
        raise asyncio.CancelledError("by itself")

    bad, good = executor.run([op(raises_late)(), op(suspending)(1)], raise_errors=False)
    assert isinstance(bad.error.__cause__, asyncio.CancelledError)
    assert good.unwrap().fetch() == 1


# Cancelling


@both_loops
def test_cancel_lets_every_finally_run_before_the_run_is_over(executor, where):
    log, begun = [], threading.Semaphore(0)

    async def waits(number):
        try:
            begun.release()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append(number)

    nodes = [op(waits)(number) for number in range(20)]

    async def main():
        run = executor.start(nodes)
        while len(run._state.owner._carriers[run._state].suspended) < 20:
            await asyncio.sleep(0)
        run.cancel()
        return await run

    if where == "own loop":
        run = executor.start(nodes)
        for _ in nodes:
            assert begun.acquire(timeout=WAIT)
        run.cancel()
        results = run.results(WAIT)
    else:
        results = asyncio.run(main())
    assert {type(result.error) for result in results} == {RunCancelledError}
    assert sorted(log) == list(range(20))


def test_a_run_over_leaves_no_task_on_the_users_loop(executor):
    async def main():
        nodes = [op(suspending)(n) for n in range(50)] + [op(coroutine)(n) for n in range(50)]
        await executor.start(nodes)
        for _ in range(3):
            await asyncio.sleep(0)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(main()) == set()


def test_observed_coroutines_have_their_times(executor):
    events = []

    class Recorder:
        def on_events(self, batch):
            events.extend(batch)

    async def slow_start():
        time.sleep(0.01)  # noqa: ASYNC251 - the first step takes long
        await asyncio.sleep(0)

    executor.run([op(slow_start)()], observers=[Recorder()])
    (started,) = [event for event in events if type(event).__name__ == "NodeStarted"]
    (finished,) = [event for event in events if type(event).__name__ == "NodeFinished"]
    assert finished.started == started.time
    eventually(lambda: "0 runs" in repr(executor), WAIT)
