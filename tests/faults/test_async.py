"""What can befall a run in this process: rows 1 to 6 of the fault matrix, each set off by an event.

What holds after each of them is checked by `outcome` (one Ok or Err a requested node, in order, and
the values of an oracle), by counts of starts, and by the fixture that looks for what was left.
"""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter

import pytest
from tests.support import eventually
from tests.support.outcomes import outcome

from dask_dispatcher import (
    AsyncExecutor,
    DependencyError,
    NodeTimeoutError,
    RunCancelledError,
    op,
)
from dask_dispatcher.plan import compile_plan

BOUND = 20.0  # seconds in which a run must have ended after a fault: noticing it, and 10 more


@pytest.fixture
def executor():
    with AsyncExecutor() as executor:
        yield executor
        # V7: whatever befell it, the executor is as good as new.
        assert executor.start([op(pow)(2, 10), op(later)(1)]).results(BOUND)[0].is_ok()


def identity(value):
    return value


async def coroutine(value):
    return value


async def later(value):
    await asyncio.sleep(0)
    return value


FUNCTIONS = (identity, coroutine, later)


# Row 1


@pytest.mark.parametrize("kind", ["plain", "coroutines", "mixed"])
@pytest.mark.parametrize("retries", [0, 2])
def test_half_the_nodes_raise(executor, kind, retries):
    starts = Counter()
    functions = {"plain": FUNCTIONS[:1], "coroutines": FUNCTIONS[1:], "mixed": FUNCTIONS}[kind]

    def load(number):
        starts[number] += 1
        if number % 2:
            raise ValueError(number)
        return number

    async def load_async(number):
        await asyncio.sleep(0)
        return load(number)

    sources, users, pairs = [], [], []
    for number in range(100):
        loader = load_async if functions[number % len(functions)] is later else load
        sources.append(op(loader, retries=retries, retry_delay=0)(number))
        users.append(op(functions[number % len(functions)])(sources[-1]))
    for number in range(0, 100, 4):
        pairs.append(op(identity)([users[number], users[(number + 2) % 100]]))
    nodes = [*sources, *users, *pairs]
    found = outcome(executor.start(nodes).results(BOUND))
    assert len(found) == len(nodes)
    for number in range(100):
        for value in (found[number], found[100 + number]):
            if number % 2:
                assert isinstance(value, DependencyError)
                assert value.node is sources[number]
                assert value.__cause__.args == (number,)
                assert value.attempts == 1 + retries
            else:
                assert value == number
    assert found[200:] == [[n, (n + 2) % 100] for n in range(0, 100, 4)]
    assert all(starts[n] == (1 + retries if n % 2 else 1) for n in range(100))


# Row 2


INTERRUPTED = """
import asyncio, os, signal, sys, threading
from dask_dispatcher import AsyncExecutor, op

begun = threading.Semaphore(0)
release = threading.Event()
log = []

async def child(number):
    try:
        begun.release()
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        log.append(number)

def blocks():
    begun.release()
    release.wait()

def tell(_):
    for _ in range(6):
        begun.acquire()
    print("begun", flush=True)

started = []
first = op(int)(1)
nodes = [op(child)(n) for n in range(5)] + [op(blocks)()]
later = op(started.append, after=nodes)(1)
nodes = [*nodes, later, op(tell)(first)]
"""

BLOCKING = """
count = 0
with AsyncExecutor() as executor:
    try:
        executor.run(nodes, raise_errors={raise_errors})
    except KeyboardInterrupt:
        count += 1
    release.set()
    assert sorted(log) == list(range(5)), log
    assert executor.compute(op(int)("7")) == 7
assert started == []
print("interrupts", count, flush=True)
"""

AWAITING = """
async def main():
    async with AsyncExecutor() as executor:
        try:
            await executor.start(nodes)
        finally:
            release.set()
            log.append("awaiting")

try:
    asyncio.run(main())
except KeyboardInterrupt:
    assert log[-1] == "awaiting", log
    assert sorted(log[:-1]) == list(range(5)), log
    assert started == []
    print("interrupts", 1, flush=True)
"""

UNCAUGHT = """
with AsyncExecutor() as executor:
    try:
        executor.run(nodes)
    finally:
        release.set()
"""


class Program:
    """A program of its own, that says ``begun`` once its nodes have begun."""

    def __init__(self, text):
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", INTERRUPTED + text],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self):
        assert self.process.stdout.readline() == "begun\n"
        return self.process

    def __exit__(self, *exc_info):
        self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize(
    "text",
    [
        BLOCKING.format(raise_errors=True),
        BLOCKING.format(raise_errors=False),
        AWAITING,
    ],
    ids=["run", "run, errors as values", "await"],
)
def test_sigint_gives_one_keyboard_interrupt_and_cancels_the_children(text):
    with Program(text) as process:
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=BOUND)
    assert err == ""
    assert out == "interrupts 1\n"
    assert process.returncode == 0


def test_sigint_that_nobody_catches_ends_the_program_with_one_traceback():
    with Program(UNCAUGHT) as process:
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=BOUND)
    assert out == ""
    assert err.count("Traceback") == 1
    assert err.endswith("KeyboardInterrupt\n")
    assert "Exception ignored" not in err
    assert "never" not in err
    assert process.returncode == -signal.SIGINT


# One that comes in a finalizer of the interpreter's own, a weak set's say, is lost there.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_keyboard_interrupt_after_any_call_leaves_the_executor_usable():
    # One that comes while a future is dropped comes once more, as a SIGINT.
    sigint = signal.signal(signal.SIGINT, lambda *_: None)
    moments = itertools.count(1)
    try:
        with AsyncExecutor(max_workers=1) as executor:  # which cannot spare a thread
            nodes = [op(later)(1), op(identity)(op(later)(2)), op(time.sleep)(0.001)]
            executor.run(nodes)
            # All moments at which CPython looks for signals, but for the ends of loops.
            while (place := interrupted(next(moments), lambda: executor.run(nodes))) is not None:
                results = executor.start([op(identity)(3), op(later)(4)]).results(BOUND)
                assert outcome(results) == [3, 4], f"after an interrupt in {place}"
            eventually(lambda: "0 runs" in repr(executor), BOUND)
    finally:
        signal.signal(signal.SIGINT, sigint)
    assert next(moments) > 100
    assert compile_plan([op(identity)(5)]).index.table is None  # nobody counts as compiling


def interrupted(moment, call):
    """Interrupt a call when it enters a function, or one in C returns, for the nth time.

    Returns where that was, or None if there were fewer such moments.
    """
    place = None

    def profile(frame, event, arg):
        nonlocal moment, place
        if event in ("call", "c_return"):
            moment -= 1
            if moment == 0:
                place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                sys.setprofile(None)
                raise KeyboardInterrupt

    sys.setprofile(profile)
    try:
        call()
    except KeyboardInterrupt:
        assert place is not None
    finally:
        sys.setprofile(None)
    return place


# One that comes in a finalizer of the interpreter's own, a weak set's say, is lost there.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_keyboard_interrupts_at_any_moment_leave_the_executor_usable():
    def interrupt(signum, frame):
        raise KeyboardInterrupt

    alarm = signal.signal(signal.SIGALRM, interrupt)
    # One that comes while a future is dropped comes once more, as a SIGINT.
    sigint = signal.signal(signal.SIGINT, lambda *_: None)
    interrupts = 0
    try:
        with AsyncExecutor() as executor:
            nodes = [op(later)(1), op(identity)(op(later)(2)), op(time.sleep)(0.001)]
            executor.run(nodes)
            for attempt in range(300):
                try:
                    # Sooner or later in the run; the real moment is the machine's to choose.
                    signal.setitimer(signal.ITIMER_REAL, 1e-5 * (attempt + 1))
                    executor.run(nodes)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    interrupts += 1
                results = executor.start([op(identity)(3), op(later)(4)]).results(BOUND)
                assert outcome(results) == [3, 4], f"after {interrupts} interrupts"
            eventually(lambda: "0 runs" in repr(executor), BOUND)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        signal.signal(signal.SIGINT, sigint)
    assert interrupts > 50


def test_sigterm_handled_as_an_exit_ends_the_program_cleanly():
    text = """
def leave(*_):
    release.set()
    sys.exit(5)
signal.signal(signal.SIGTERM, leave)
with AsyncExecutor() as executor:
    executor.run(nodes)
"""
    with Program(textwrap.dedent(text)) as process:
        os.kill(process.pid, signal.SIGTERM)
        out, err = process.communicate(timeout=BOUND)
    assert (out, err, process.returncode) == ("", "", 5)


def test_sigterm_unhandled_ends_the_program():
    with Program("AsyncExecutor().run(nodes)") as process:
        os.kill(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=BOUND)
    assert (err, process.returncode) == ("", -signal.SIGTERM)


# Row 3


@pytest.mark.parametrize("wait", ["await", "async for", "wait_for"])
def test_the_awaiting_task_is_cancelled(executor, wait):
    log, started = [], []
    release = threading.Event()

    async def waits(number):
        try:
            begun.append(number)
            if len(begun) == 10:
                all_begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append(number)

    begun = []

    async def consume(run):
        try:
            if wait == "async for":
                async for _ in run.as_completed():
                    pytest.fail("nothing ends")
            else:
                await run
        finally:
            log.append("awaiting")

    async def main():
        nodes = [op(waits)(number) for number in range(10)]
        blocked = op(release.wait)(BOUND)
        run = executor.start([*nodes, op(started.append)(blocked)])
        if wait == "wait_for":
            await all_begun.wait()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(consume(run), 0.01)
        else:
            task = asyncio.create_task(consume(run))
            await all_begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        if wait == "async for":  # it only looks on: whoever started the run ends it
            assert not run.done()
            run.cancel()
            await run
        assert run.done()
        return run

    all_begun = asyncio.Event()
    results = asyncio.run(main()).results(BOUND)
    release.set()
    assert {type(error) for error in outcome(results)} == {RunCancelledError}
    assert sorted(log, key=str) == [*range(10), "awaiting"]
    executor.compute(op(identity)(1))
    assert started == []


# Row 4


@pytest.mark.parametrize("retries", [0, 1])
def test_nodes_outlive_their_timeouts(executor, retries):
    release, unwound, starts = threading.Event(), [], Counter()

    def thread(number):
        starts[number] += 1
        release.wait(BOUND)

    async def waits(number):
        starts[number] += 1
        try:
            await asyncio.Event().wait()
        finally:
            unwound.append(number)

    options = {"timeout": 0.05, "retries": retries, "retry_delay": 0}
    stuck = [op(waits if n % 2 else thread, **options)(n) for n in range(10)]
    fine = [op(FUNCTIONS[n % 3])(n) for n in range(30)]
    dependents = [op(identity)(node) for node in stuck]
    run = executor.start([*stuck, *fine, *dependents])
    found = outcome(run.results(BOUND))
    release.set()
    assert found[10:40] == list(range(30))
    for node, error, dependent in zip(stuck, found[:10], found[40:], strict=True):
        assert isinstance(error, DependencyError)
        assert isinstance(error.__cause__, NodeTimeoutError)
        assert isinstance(error.__cause__, TimeoutError)
        assert (error.node, error.attempts) == (node, 1 + retries)
        assert dependent is error
    assert starts == Counter(dict.fromkeys(range(10), 1 + retries))
    assert Counter(unwound) == Counter(dict.fromkeys(range(1, 10, 2), 1 + retries))


# Row 5


@pytest.mark.parametrize("kind", ["plain", "coroutines", "mixed"])
def test_two_runs_of_one_graph_at_once(executor, kind):
    functions = {"plain": FUNCTIONS[:1], "coroutines": FUNCTIONS[1:], "mixed": FUNCTIONS}[kind]
    starts, lock = Counter(), threading.Lock()

    def count(label):
        with lock:
            starts[label] += 1

    meet = threading.Barrier(2)
    first = op(lambda: meet.wait(BOUND) and 0)()  # both are under way
    nodes = [first]
    for number in range(300):
        function = functions[number % len(functions)]
        if function is identity:
            node = op(lambda n, *_: count(n) or n)(number, nodes[-1], nodes[number // 2])
        else:

            async def step(n, *_, function=function):
                count(n)
                return await function(n)

            node = op(step)(number, nodes[-1], nodes[number // 2])
        nodes.append(node)
    found = {}

    def run(name):
        found[name] = executor.gather(executor.run(nodes[1:]))

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    assert found == {"a": list(range(300)), "b": list(range(300))}
    assert starts == Counter(dict.fromkeys(range(300), 2))


# Row 6


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_chain_of_100_000(executor, function):
    step = op(function)
    node = step(5)
    for _ in range(99_999):
        node = step(node)
    assert executor.compute(node) == 5


@pytest.mark.parametrize("function", FUNCTIONS)
def test_100_000_side_by_side(executor, function):
    step = op(function)
    total = op(sum)([step(number) for number in range(100_000)])
    assert executor.compute(total) == sum(range(100_000))


@pytest.mark.parametrize("function", [identity, coroutine])
def test_100_000_requested(executor, function):
    step = op(function)
    nodes = [step(number) for number in range(100_000)]
    results = executor.run(nodes)
    assert executor.gather(results) == list(range(100_000))


@pytest.mark.parametrize("function", [identity, coroutine])
def test_a_failure_at_the_root_of_100_000(executor, function):
    # Each of a chain carries the same root failure, with no RecursionError on the way.
    def fail():
        raise ValueError("root")

    step = op(function)
    node = root = op(fail)()
    for _ in range(100_000):
        node = step(node)
    (error,) = outcome(executor.run([node], raise_errors=False))
    assert error.node is root
    (error,) = outcome(executor.start([node]).results(BOUND))
    assert str(error.__cause__) == "root"


def test_100_000_cancelled(executor):
    release, begun = threading.Event(), threading.Event()
    node = op(lambda: begun.set() or release.wait(BOUND))()
    step = op(identity)
    nodes = [step(node) for _ in range(100_000)]
    run = executor.start(nodes)
    assert begun.wait(BOUND)
    run.cancel()
    errors = outcome(run.results(BOUND))
    release.set()
    assert len(errors) == 100_000
    assert {type(error) for error in errors} == {RunCancelledError}
