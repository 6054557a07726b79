"""`Run`: a run under way, waited for, iterated over, awaited, cancelled, forgotten."""

import asyncio
import gc
import threading

import pytest

from dask_dispatcher import (
    AsyncExecutor,
    DependencyError,
    Err,
    NestedRunError,
    Ok,
    RunCancelledError,
    op,
)
from tests.support import eventually

WAIT = 20.0


def identity(value):
    return value


def fail(message="boom"):
    raise ValueError(message)


def test_results_come_in_order_and_again(executor):
    run = executor.start([op(identity)(1), op(fail)(), op(identity)(3)])
    first = run.results(WAIT)
    assert [result.is_ok() for result in first] == [True, False, True]
    assert run.results() == first
    assert run.done()


def test_start_returns_while_nodes_still_run(executor, release):
    run = executor.start([op(release.wait)(WAIT)])
    assert not run.done()
    with pytest.raises(TimeoutError, match="not over"):
        run.results(timeout=0.01)
    assert "running" in repr(run)
    release.set()
    (result,) = run.results(WAIT)
    assert result.unwrap().fetch() is True
    assert repr(run) == "<Run: over, 1 done, 0 failed>"


def test_as_completed_yields_nodes_as_they_end(executor, release):
    fast, slow = op(identity)("fast"), op(release.wait)(WAIT)
    bad = op(fail, after=slow)()
    pairs = executor.start([bad, slow, fast, fast]).as_completed()
    node, result = next(pairs)
    assert node is fast
    assert result.unwrap().fetch() == "fast"
    release.set()
    rest = dict(pairs)
    assert list(rest) == [slow, bad]
    assert isinstance(rest[bad].error, DependencyError)


def test_as_completed_may_be_asked_twice_and_late(executor):
    nodes = [op(identity)(number) for number in range(5)]
    run = executor.start(nodes)
    run.results(WAIT)
    first, second = dict(run.as_completed()), dict(run.as_completed())
    assert first == second
    assert set(first) == set(nodes)
    assert list(executor.start([]).as_completed()) == []


def test_as_completed_ends_when_the_executor_is_reset(executor, release):
    run = executor.start([op(release.wait)(WAIT), op(identity)(1)])
    pairs = run.as_completed()
    next(pairs)
    executor.reset()
    assert [type(result) for _, result in pairs] == [Err]


def test_cancel_lets_nothing_new_start(executor, release):
    begun = threading.Event()
    started = []

    def wait():
        begun.set()
        assert release.wait(WAIT)

    node = op(wait)()
    finished = op(identity)(1)
    run = executor.start([finished, node, *[op(started.append, after=node)(n) for n in range(3)]])
    assert begun.wait(WAIT)
    assert next(run.as_completed())[0] is finished
    run.cancel()
    first, *rest = run.results(WAIT)
    assert first.unwrap().fetch() == 1
    assert [type(result.error) for result in rest] == [RunCancelledError] * 4
    assert rest[0].error.node is node
    assert rest[0].error.label == "wait"
    release.set()
    assert executor.compute(op(identity)(2)) == 2
    assert started == []
    run.cancel()  # once more is harmless


def test_cancel_after_the_end_changes_nothing(executor):
    run = executor.start([op(identity)(1)])
    run.results(WAIT)
    run.cancel()
    assert run.results(WAIT)[0].unwrap().fetch() == 1


def test_a_dropped_run_goes_on(executor, release):
    done = threading.Event()
    executor.start([op(done.set, after=op(release.wait)(WAIT))()])
    gc.collect()
    release.set()
    assert done.wait(WAIT)


def test_a_dropped_run_whose_node_fails_is_quiet(executor, capfd):
    executor.start([op(fail)()])
    eventually(lambda: "0 runs" in repr(executor), WAIT)
    gc.collect()
    assert capfd.readouterr() == ("", "")


# In coroutines


def test_await_gives_the_results(executor):
    async def main():
        return await executor.start([op(identity)(1), op(fail)()])

    good, bad = asyncio.run(main())
    assert isinstance(good, Ok)
    assert isinstance(bad.error, DependencyError)


def test_await_after_the_end_and_by_two_tasks(executor):
    async def main():
        run = executor.start([op(identity)(1)])
        first, second = await asyncio.gather(run._wait(), run._wait())
        return first, second, await run

    first, second, third = asyncio.run(main())
    assert first == second == third


def test_async_for_over_what_ends(executor):
    release = threading.Event()

    async def main():
        slow, fast = op(release.wait)(WAIT), op(identity)("fast")
        found = []
        async for node, result in executor.start([slow, fast]).as_completed():
            found.append(result.unwrap().fetch())
            if node is fast:
                release.set()
        return found

    assert asyncio.run(main()) == ["fast", True]


def test_the_loop_stays_free_while_a_run_is_awaited(executor):
    release = threading.Event()

    async def main():
        run = executor.start([op(release.wait)(WAIT)])
        asyncio.get_running_loop().call_soon(release.set)
        return await run

    (result,) = asyncio.run(main())
    assert result.unwrap().fetch() is True


def test_wait_for_gives_up_and_cancels_the_run(executor, release):
    async def main():
        run = executor.start([op(release.wait)(WAIT)])
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(run, 0.01)
        return run

    (result,) = asyncio.run(main()).results(WAIT)
    assert isinstance(result.error, RunCancelledError)


def test_a_blocking_wait_on_the_loop_that_runs_the_nodes_is_refused(executor):
    async def node():
        await asyncio.sleep(0)
        return 5

    async def main():
        run = executor.start([op(node)()])
        with pytest.raises(NestedRunError, match="await"):
            run.results()
        return await run

    (result,) = asyncio.run(main())
    assert result.unwrap().fetch() == 5


def test_a_blocking_wait_for_plain_nodes_is_fine_on_a_loop(executor):
    async def main():
        return executor.start([op(identity)(4)]).results(WAIT)

    (result,) = asyncio.run(main())
    assert result.unwrap().fetch() == 4


def test_waiting_loops_that_were_closed_disturb_nobody(executor, release):
    run = executor.start([op(release.wait)(WAIT)])
    loop = asyncio.new_event_loop()
    waiting = run._wait()

    async def begin():
        task = asyncio.ensure_future(waiting)
        await asyncio.sleep(0)
        return task

    task = loop.run_until_complete(begin())
    assert run._state.watchers  # it waits
    loop.close()
    release.set()
    (result,) = run.results(WAIT)
    assert result.unwrap().fetch() is True
    task._log_destroy_pending = False  # the loop was closed on purpose before the task could end
    waiting.close()


def test_async_with_closes_the_executor():
    async def main():
        async with AsyncExecutor() as executor:
            (result,) = await executor.start([op(identity)(1)])
            return executor, await result.unwrap()

    executor, value = asyncio.run(main())
    assert value == 1
    assert "closed" in repr(executor)
