"""`NodeFuture`: a handle on one node's value."""

import asyncio
import copy
import gc
import pickle
import subprocess
import sys
import textwrap
import threading

import pytest

from dask_dispatcher import (
    AsyncExecutor,
    DependencyError,
    ExecutorError,
    NodeFuture,
    RunCancelledError,
    op,
)

WAIT = 20.0


def identity(value):
    return value


def fail():
    raise ValueError("boom")


@pytest.fixture
def executor():
    with AsyncExecutor() as executor:
        yield executor


@pytest.fixture
def release(executor):
    event = threading.Event()
    yield event
    event.set()


def future_of(run):
    """Return the future of a run's first node, ended or not, as `Client.submit` gives it."""
    number = run._state.plan.requested[0]
    return run._futures.setdefault(number, NodeFuture(run._state, number, run._requested[0]))


@pytest.mark.parametrize("value", [None, 0, ValueError("a value"), [1, [2]], print], ids=repr)
def test_fetch_gives_the_value_as_it_is(executor, value):
    node = op(lambda: value)()
    future = executor.run([node])[0].unwrap()
    assert future.node is node
    assert future.fetch() is value
    assert future.fetch(timeout=1) is value
    assert future.ready()
    assert future.wait(0)


def test_a_future_that_is_not_ready(executor, release):
    run = executor.start([op(release.wait)(WAIT)])
    future = future_of(run)
    assert not future.ready()
    assert not future.wait(0.01)
    with pytest.raises(TimeoutError, match="wait"):
        future.fetch(timeout=0.01)
    assert repr(future) == "<NodeFuture <Op 'wait'>: pending>"
    release.set()
    assert future.wait(WAIT)
    assert future.fetch() is True
    assert repr(future) == "<NodeFuture <Op 'wait'>: ready>"


def test_fetch_waits_from_another_thread(executor, release):
    future = future_of(executor.start([op(release.wait)(WAIT)]))
    got = []
    waiting = threading.Event()

    def fetch():
        waiting.set()
        got.append(future.fetch(WAIT))

    thread = threading.Thread(target=fetch)
    thread.start()
    assert waiting.wait(WAIT)
    release.set()
    thread.join(WAIT)
    assert got == [True]


def test_a_failed_node_raises_at_every_fetch(executor):
    run = executor.start([op(fail)()])
    run.results(WAIT)
    future = future_of(run)
    for _ in range(2):
        with pytest.raises(DependencyError, match="boom") as raised:
            future.fetch()
        assert isinstance(raised.value.__cause__, ValueError)
    assert future.ready()
    assert repr(future).endswith("error>")


def test_a_cancelled_node_raises_run_cancelled(executor, release):
    run = executor.start([op(release.wait)(WAIT)])
    future = future_of(run)
    run.cancel()
    with pytest.raises(RunCancelledError):
        future.fetch(WAIT)


def test_a_released_future_says_so(executor):
    future = executor.run([op(identity)(1)])[0].unwrap()
    future.release()
    future.release()
    for use in (future.fetch, future.wait, future.ready):
        with pytest.raises(ExecutorError, match="released"):
            use()
    assert repr(future).endswith("released>")


def test_a_future_from_before_a_reset_says_so(executor):
    future = executor.run([op(identity)(1)])[0].unwrap()
    executor.reset()
    with pytest.raises(ExecutorError, match="reset"):
        future.fetch()
    assert future.ready()
    assert repr(future).endswith("gone>")


def test_a_future_whose_executor_was_reset_while_somebody_waits_wakes_them(executor, release):
    future = future_of(executor.start([op(release.wait)(WAIT)]))
    caught = []
    waiting = threading.Event()

    def fetch():
        waiting.set()
        with pytest.raises(ExecutorError) as raised:
            future.fetch(WAIT)
        caught.append(raised.value)

    thread = threading.Thread(target=fetch)
    thread.start()
    assert waiting.wait(WAIT)
    executor.reset()
    thread.join(WAIT)
    assert len(caught) == 1


def test_a_future_can_be_awaited(executor, release):
    run = executor.start([op(release.wait)(WAIT)])
    future = future_of(run)

    async def main():
        asyncio.get_running_loop().call_soon(release.set)
        return await future, await future

    assert asyncio.run(main()) == (True, True)


def test_awaiting_a_failed_node_raises(executor):
    async def main():
        run = executor.start([op(fail)()])
        await future_of(run)

    with pytest.raises(DependencyError, match="boom"):
        asyncio.run(main())


def test_a_future_inside_the_arguments_of_a_later_graph(executor):
    first, second = (result.unwrap() for result in executor.run([op(int)("1"), op(int)("2")]))
    node = op(identity)({"a": [first], "b": (second, first)})
    assert executor.compute(node) == {"a": [1], "b": (2, 1)}


def test_a_future_dropped_while_a_later_run_uses_it(executor, release):
    (result,) = executor.run([op(identity)([7])])
    future = result.unwrap()
    run = executor.start([op(lambda value, _: value)(future, op(release.wait)(WAIT))])
    del result, future
    gc.collect()
    release.set()
    assert run.results(WAIT)[0].unwrap().fetch() == [7]


def test_a_future_cannot_be_pickled_and_says_what_to_do(executor):
    future = executor.run([op(identity)(1)])[0].unwrap()
    with pytest.raises(TypeError, match="fetch"):
        pickle.dumps(future)
    with pytest.raises(TypeError, match="fetch"):
        copy.copy(future)


def test_reprs_are_short_and_safe(executor):
    node = op(identity, label="x" * 10**6)(1)
    future = executor.run([node])[0].unwrap()
    assert len(repr(future)) < 200


def test_ctrl_c_while_a_future_is_dropped_is_not_lost():
    program = """
        import signal, sys, time
        from dask_dispatcher import AsyncExecutor, NodeFuture, op

        def interrupt(frame, event, argument):
            if frame.f_code is NodeFuture.release.__code__:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)

        with AsyncExecutor() as executor:
            results = executor.run([op(int)("1")])
            try:
                sys.settrace(interrupt)
                del results
                while True:
                    time.sleep(1)
            except KeyboardInterrupt:
                print("interrupted", executor.compute(op(int)("2")))
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=WAIT,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted 2\n", "", 0)
