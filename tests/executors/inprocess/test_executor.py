"""`AsyncExecutor`: what its nodes may do to it, and what it does with odd values."""

import asyncio
import gc
import io
import queue
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest

from dask_dispatcher import (
    AsyncExecutor,
    DependencyError,
    Err,
    ExecutorError,
    Ok,
    op,
)
from tests.support import eventually

WAIT = 20.0


def identity(value):
    return value


async def coroutine(value):
    return value


def raising(error):
    def fail():
        raise error

    return fail


def raising_coroutine(error, *, late):
    async def fail():
        if late:
            await asyncio.sleep(0)
        raise error

    return fail


def program(text, *arguments, timeout=30):
    """Run a program of its own; return it when it has ended."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def check_clean(done, output):
    assert done.stderr == ""
    assert done.stdout == output
    assert done.returncode == 0


# What nodes raise


KINDS = ["plain", "coroutine", "late coroutine"]


def failing(kind, error):
    if kind == "plain":
        return op(raising(error))()
    return op(raising_coroutine(error, late=kind.startswith("late")))()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        asyncio.CancelledError("mine"),
        RecursionError("deep"),
        MemoryError("big"),
        GeneratorExit("odd"),
        BaseException("base"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_node_raises_is_its_err_and_no_more(executor, kind, error):
    node = failing(kind, error)
    bad, dependent, good = executor.run([node, node + 1, op(identity)(1)], raise_errors=False)
    assert isinstance(bad.error, DependencyError)
    assert bad.error.node is node
    assert bad.error.__cause__ is error
    assert dependent.error is bad.error
    assert good.unwrap().fetch() == 1
    assert executor.compute(op(coroutine)(2)) == 2
    assert executor.compute(op(identity)(3)) == 3


@pytest.mark.parametrize("error", [StopIteration(1), StopAsyncIteration(1)], ids=repr)
def test_iteration_errors_of_plain_nodes_are_errors_like_others(executor, error):
    (result,) = executor.run([op(raising(error))()], raise_errors=False)
    assert result.error.__cause__ is error


def test_a_real_recursion_error(executor):
    def forever():
        return forever()

    (result,) = executor.run([op(forever)()], raise_errors=False)
    assert isinstance(result.error.__cause__, RecursionError)
    assert executor.compute(op(identity)(1)) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("raise_errors", [True, False])
def test_a_keyboard_interrupt_in_a_node_is_raised_again_after_cleanup(kind, raise_errors):
    log = []
    waiting = threading.Event()

    async def waits():
        try:
            waiting.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("cleaned up")

    interrupt = KeyboardInterrupt("in a node")
    begun = op(waiting.wait)(WAIT)
    bad = failing(kind, interrupt).func
    with AsyncExecutor() as executor:
        nodes = [op(waits)(), op(bad, after=begun)()]
        with pytest.raises(KeyboardInterrupt) as raised:
            executor.run(nodes, raise_errors=raise_errors)
        assert raised.value is interrupt
        assert log == ["cleaned up"]
        assert executor.compute(op(identity)(1)) == 1


def test_a_keyboard_interrupt_is_raised_to_whoever_waits_for_a_started_run(executor):
    run = executor.start([op(raising(KeyboardInterrupt()))()])
    with pytest.raises(KeyboardInterrupt):
        run.results(WAIT)
    with pytest.raises(KeyboardInterrupt):
        list(run.as_completed())


class Unpicklable(Exception):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class Mute(Exception):
    def __str__(self):
        raise ZeroDivisionError

    __repr__ = __str__


def cyclic():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [Unpicklable, Mute, cyclic], ids=["unpicklable", "mute", "cyclic"])
def test_hostile_exceptions_are_errors_with_safe_text(executor, kind, make):
    error = make()
    node = failing(kind, error)
    (result,) = executor.run([node], raise_errors=False)
    assert result.error.__cause__ is error
    for text in (str(result.error), repr(result), result.error.traceback):
        assert type(error).__name__ in text
        assert len(text) < 30_000


def test_a_huge_message_is_cut(executor):
    def fail():
        raise ValueError("x" * 100_000_000)

    (result,) = executor.run([op(fail)()], raise_errors=False)
    assert len(str(result.error)) < 1_000
    assert len(result.error.traceback) < 30_000
    assert "ValueError" in result.error.traceback


def test_an_exception_shared_by_two_nodes(executor):
    error = ValueError("shared")
    nodes = [op(raising(error))(), op(raising(error))()]
    first, second = executor.run(nodes, raise_errors=False)
    assert (first.error.node, second.error.node) == tuple(nodes)
    assert first.error.__cause__ is second.error.__cause__ is error


# What nodes take and give


@pytest.mark.parametrize("function", [identity, coroutine])
@pytest.mark.parametrize(
    "make",
    [
        lambda: None,
        lambda: ValueError("a value"),
        lambda: Ok(1),
        lambda: Err(ValueError("a value")),
        lambda: (n for n in range(3)),
        threading.Lock,
        queue.Queue,
        lambda: io.StringIO("text"),
        lambda: NotImplemented,
        lambda: identity,
    ],
)
def test_any_value_passes_as_it_is(executor, function, make):
    value = make()
    assert executor.compute(op(function)(op(identity)(value))) is value


def test_a_coroutine_object_as_a_value_is_not_awaited(executor):
    made = coroutine(1)
    assert executor.compute(op(identity)(made)) is made
    made.close()


class Unhashable:
    """A callable that compares by value, and so has no hash."""

    def __eq__(self, other):
        raise AssertionError("compared")

    __hash__ = None

    def __init__(self, function):
        self.function = function

    def __call__(self, *args):
        return self.function(*args)


def test_a_callable_without_a_hash(executor, release):
    # One of them blocks until another one has run: the slow one is noticed and told apart.
    slow = op(Unhashable(lambda: release.wait(WAIT)))()
    fast = op(Unhashable(release.set))
    run = executor.start([*[fast() for _ in range(5)], slow, *[fast() for _ in range(5)]])
    assert all(result.is_ok() for result in run.results(WAIT))
    assert executor.compute(op(Unhashable(identity), timeout=WAIT)(3)) == 3


# Context variables


def test_nodes_see_the_context_of_whoever_started_the_run(executor):
    import contextvars

    variable = contextvars.ContextVar("variable", default="unset")

    async def seen():
        before = variable.get()
        await asyncio.sleep(0)
        return before, variable.get()

    nodes = [op(variable.get)(), op(seen)(), op(lambda _: variable.get())(1)]
    assert executor.compute(nodes) == ["unset", ("unset", "unset"), "unset"]
    variable.set("outer")
    assert executor.compute(nodes) == ["outer", ("outer", "outer"), "outer"]


def test_what_a_node_sets_is_seen_by_no_other(executor):
    import contextvars

    variable = contextvars.ContextVar("variable", default="unset")

    def change(_):
        before = variable.get()
        variable.set("changed")
        return before

    async def change_late(_):
        variable.set("first")
        await asyncio.sleep(0)
        before = variable.get()
        variable.set("changed")
        return before

    plain, late = op(change), op(change_late)
    node = plain(0)
    for _ in range(10):
        node = plain(late(node))
    assert executor.compute(node) == "unset"
    assert executor.compute([plain(n) for n in range(10)]) == ["unset"] * 10
    assert executor.compute([late(n) for n in range(10)]) == ["first"] * 10
    assert variable.get() == "unset"


def test_a_node_sees_its_own_changes_across_its_awaits(executor):
    import contextvars

    variable = contextvars.ContextVar("variable", default=0)

    async def count():
        for _ in range(3):
            variable.set(variable.get() + 1)
            await asyncio.sleep(0)
        child = await asyncio.create_task(coroutine(variable.get()))
        return child, variable.get()

    assert executor.compute([op(count)(), op(count)()]) == [(3, 3), (3, 3)]


# Running inside a node


@pytest.mark.parametrize("max_workers", [1, None])
def test_a_plain_node_may_run_a_graph(max_workers):
    with AsyncExecutor(max_workers) as executor:

        def outer(value):
            return executor.compute(op(identity)(value) + 1) + executor.compute(op(coroutine)(1))

        assert executor.compute([op(outer)(n) for n in range(5)]) == [n + 2 for n in range(5)]


@pytest.mark.parametrize("max_workers", [1, 2])
def test_runs_nest_deeply(max_workers):
    with AsyncExecutor(max_workers) as executor:

        def down(depth):
            return depth and 1 + executor.compute(op(down)(depth - 1))

        assert executor.compute(op(down)(30)) == 30


def test_a_plain_node_may_await_a_run_on_a_loop_of_its_own():
    with AsyncExecutor(max_workers=1) as executor:

        async def several():
            runs = [executor.start([op(identity)(n)]) for n in range(3)]
            return [await run for run in runs]

        results = executor.start([op(lambda: asyncio.run(several()))()]).results(WAIT)
        (inner,) = [result.unwrap().fetch() for result in results]
        assert executor.gather(r for (r,) in inner) == [0, 1, 2]


def test_a_plain_node_may_wait_for_a_run_that_was_started_before(executor, release):
    with AsyncExecutor(max_workers=1) as executor:
        run = None
        has_run = threading.Event()

        def waits():
            assert has_run.wait(WAIT)
            return executor.gather(run.results(WAIT))

        outer = executor.start([op(waits)()])
        run = executor.start([op(identity)(1), op(identity)(2)])
        has_run.set()
        assert executor.gather(outer.results(WAIT)) == [[1, 2]]


def test_a_blocking_run_in_a_coroutine_node_is_refused_with_the_remedy(executor):
    async def blocks():
        return executor.compute(op(identity)(1))

    (result,) = executor.run([op(blocks)()], raise_errors=False)
    assert type(result.error.__cause__).__name__ == "NestedRunError"
    assert "await executor.start" in str(result.error.__cause__)
    assert executor.compute(op(coroutine)(1)) == 1


def test_a_coroutine_node_may_await_a_run(executor):
    async def awaits(depth):
        if not depth:
            return 0
        (result,) = await executor.start([op(awaits)(depth - 1)])
        return 1 + await result.unwrap()

    assert executor.compute(op(awaits)(10)) == 10


def test_a_node_may_use_another_executor(executor):
    with AsyncExecutor() as other:

        async def blocks():
            return other.compute(op(coroutine)(1))

        def computes():
            return other.compute(op(identity)(2))

        assert executor.compute([op(blocks)(), op(computes)()]) == [1, 2]


# Its end


def test_close_waits_for_the_calls_under_way():
    begun, release, log = threading.Event(), threading.Event(), []

    def slow():
        begun.set()
        assert release.wait(WAIT)
        log.append("returned")

    executor = AsyncExecutor()
    executor.start([op(slow)()])
    assert begun.wait(WAIT)
    closing = threading.Thread(target=executor.close)
    closing.start()
    eventually(lambda: "closed" in repr(executor), WAIT)
    assert closing.is_alive()
    release.set()
    closing.join(WAIT)
    assert not closing.is_alive()
    assert log == ["returned"]


def test_close_lets_coroutines_unwind():
    begun, log = threading.Event(), []

    async def waits():
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            log.append("unwound")

    executor = AsyncExecutor()
    run = executor.start([op(waits)()])
    assert begun.wait(WAIT)
    executor.close()
    assert log == ["unwound"]
    assert isinstance(run.results(WAIT)[0].error, ExecutorError)


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_a_node_may_close_its_own_executor(is_coroutine):
    executor = AsyncExecutor()

    async def close():
        executor.close()

    run = executor.start([op(close if is_coroutine else executor.close)()])
    assert isinstance(run.results(WAIT)[0].error, ExecutorError)
    with pytest.raises(ExecutorError, match="closed"):
        executor.compute(op(identity)(1))


def test_an_executor_nobody_refers_to_leaves_no_thread():
    before = our_threads()
    executor = AsyncExecutor()
    executor.compute([op(identity)(1), op(coroutine)(2)])
    gone = weakref.ref(executor)
    del executor
    assert gone() is None
    eventually(lambda: our_threads() <= before, WAIT)


def test_an_executor_collected_in_a_cycle_does_not_wait_for_the_call_under_way(release):
    before = our_threads()
    begun, later = threading.Event(), threading.Event()

    class Owner:
        pass

    owner = Owner()
    owner.executor = AsyncExecutor()
    owner.self = owner
    call = op(lambda: begun.set() or release.wait(WAIT))()
    owner.executor.start([op(later.set, after=call)()])
    assert begun.wait(WAIT)
    del owner
    gc.collect()
    release.set()
    eventually(lambda: our_threads() <= before, WAIT)
    assert not later.is_set()


def test_a_run_keeps_its_executor_alive():
    run = AsyncExecutor().start([op(identity)(1), op(coroutine)(2)])
    gc.collect()
    assert [result.unwrap().fetch() for result in run.results(WAIT)] == [1, 2]
    pairs = AsyncExecutor().start([op(identity)(3)]).as_completed()
    assert [result.unwrap().fetch() for _, result in pairs] == [3]


def our_threads():
    # Those of executors that other tests share may be among them.
    return {t for t in threading.enumerate() if t.name.startswith("dask-dispatcher-")}


def test_a_program_may_end_without_close():
    done = program(
        """
        import asyncio
        from dask_dispatcher import AsyncExecutor, op

        async def double(x):
            await asyncio.sleep(0)
            return 2 * x

        executor = AsyncExecutor()
        print(executor.compute(op(double)(op(int)("4"))))
        """
    )
    check_clean(done, "8\n")


def test_a_program_may_end_while_a_run_is_under_way():
    done = program(
        """
        import asyncio, threading
        from dask_dispatcher import AsyncExecutor, op

        begun = threading.Barrier(3)
        def blocks():
            begun.wait()
            threading.Event().wait()
        async def waits():
            await asyncio.to_thread(begun.wait)
            await asyncio.Event().wait()

        executor = AsyncExecutor()
        run = executor.start([op(blocks)(), op(waits)()])
        begun.wait()
        print("end")
        """
    )
    check_clean(done, "end\n")


def test_a_forked_process_uses_an_executor_of_its_own():
    done = program(
        """
        import os, sys, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of every fork
        from dask_dispatcher import AsyncExecutor, ExecutorError, op

        release = threading.Event()
        executor = AsyncExecutor()
        executor.compute(op(int)("1"))
        run = executor.start([op(release.wait)(20)])
        child = os.fork()
        if not child:
            try:
                executor.compute(op(int)("2"))
            except ExecutorError as error:
                assert "fork" in str(error), error
            with AsyncExecutor() as own:
                assert own.compute(op(int)("3")) == 3
            executor.close()
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        release.set()
        print(run.results(20)[0].unwrap().fetch(), executor.compute(op(int)("4")))
        executor.close()
        """
    )
    check_clean(done, "True 4\n")
