"""`CoroutineRunner`: all at once on one loop, each reported when it ends."""

import asyncio
import contextvars
import queue
import threading

import pytest

from dask_dispatcher import NodeTimeoutError
from dask_dispatcher.executors.parallel.coroutines import CoroutineRunner
from dask_dispatcher.executors.slices.carrying import load
from dask_dispatcher.executors.slices.failures import load_failure
from dask_dispatcher.executors.slices.running import Values

WAIT = 20.0


class Running:
    """A runner, and the reports it sends."""

    def __init__(self):
        self.reports = queue.SimpleQueue()
        self.runner = CoroutineRunner("here", self.report)

    def report(self, run, outbox):
        assert run == 5
        self.reports.put(outbox.take())

    def start(self, *functions, args=(), values=None, timeouts=None, observed=False, names=()):
        """Begin one node a function, numbered from 0, with places for references in `args`."""
        where = tuple(range(len(args))) if values is not None else ()
        entries = [(n, n, tuple(args), where, names) for n in range(len(functions))]
        self.runner.start(
            5,
            entries,
            values if values is not None else Values({}, {}),
            functions,
            lambda number, pickled, buffers, value: (f"place of {number}", value),
            timeouts or {},
            observed=observed,
        )

    def collect(self, count):
        """Wait for the reports of so many nodes; return all they said, by kind."""
        found = {key: [] for key in KINDS}
        while (
            sum(len(found[key]) for key in ("numbers", "pickled", "large", "failed", "skipped"))
            < count
        ):
            for key, items in zip(KINDS, self.reports.get(timeout=WAIT), strict=True):
                found[key] += items
        return found

    def close(self):
        loop = self.runner._loop
        loop.call_soon_threadsafe(loop.stop)
        for thread in threading.enumerate():
            if thread.name == "dask-dispatcher-coroutines":
                thread.join(WAIT)
        loop.close()


KINDS = ("numbers", "atoms", "pickled", "large", "failed", "skipped", "costs", "times", "used_up")


@pytest.fixture
def running():
    """Give the test a runner; in a worker its loop ends with the process."""
    running = Running()
    yield running
    running.close()


async def answer():
    await asyncio.sleep(0)
    return 42


async def for_ever():
    await asyncio.Event().wait()


def values_of(found):
    return {number: load(data) for number, data in found["pickled"]}


def causes(found):
    return {number: load_failure(data).cause for number, data in found["failed"]}


def test_values_small_and_large(running):
    async def small():
        return [1]

    async def large():
        return "x" * 10_000

    running.start(answer, small, large)
    found = running.collect(3)
    assert values_of(found) == {0: 42, 1: [1]}
    assert found["large"] == [(2, "place of 2")]
    assert found["times"] == []


def test_arguments_by_place_and_by_name(running):
    async def call(*args, **kwargs):
        return repr((args, kwargs))

    running.start(
        call, args=(10, 11), values=Values({10: "ten", 11: "eleven"}, {}), names=("last",)
    )
    assert values_of(running.collect(1)) == {0: repr((("ten",), {"last": "eleven"}))}


def test_they_wait_for_each_other(running):
    event = asyncio.Event()

    async def waits():
        await event.wait()
        return "waited"

    async def sets():
        event.set()
        return "set"

    running.start(waits, waits, sets)
    assert values_of(running.collect(3)) == {0: "waited", 1: "waited", 2: "set"}


def test_those_that_end_in_one_turn_come_in_few_reports(running):
    async def at_once():
        return 1

    running.start(*[at_once] * 1_000)
    assert values_of(running.collect(1_000)) == dict.fromkeys(range(1_000), 1)
    assert running.reports.qsize() < 10


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]
)
def test_whatever_one_raises_the_loop_goes_on(running, error):
    async def raising():
        raise error

    running.start(raising, answer)
    found = running.collect(2)
    assert type(causes(found)[0]) is type(error)
    assert values_of(found) == {1: 42}


def test_a_call_that_is_wrong_before_it_is_a_coroutine(running):
    def not_yet():
        raise TypeError("never awaited")

    running.start(not_yet)
    assert str(causes(running.collect(1))[0]) == "never awaited"


def test_a_missing_input_is_skipped(running):
    async def call(x):
        return x

    running.start(call, args=(9,), values=Values({}, {}))
    assert running.collect(1)["skipped"] == [0]


def test_a_timeout_ends_one_and_lets_it_clean_up(running):
    cleaned = threading.Event()

    async def slow():
        try:
            await for_ever()
        finally:
            cleaned.set()

    running.start(slow, answer, timeouts={0: (0.01, "the slow one")})
    found = running.collect(2)
    cause = causes(found)[0]
    assert type(cause) is NodeTimeoutError
    assert str(cause) == "the slow one did not end within 0.01 s"
    assert values_of(found) == {1: 42}
    assert cleaned.wait(WAIT)


def test_a_cancelled_one_cleans_up_and_says_that_it_is_over(running):
    begun, cleaned = threading.Event(), threading.Event()

    async def slow():
        try:
            begun.set()
            await for_ever()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    running.start(slow)
    assert begun.wait(WAIT)
    running.runner.cancel(5, [0, 77])
    assert cleaned.wait(WAIT)
    assert type(causes(running.collect(1))[0]) is asyncio.CancelledError


def test_times_for_observers(running):
    running.start(answer, observed=True)
    ((number, began, ended, moved),) = running.collect(1)["times"]
    assert number == 0
    assert began <= ended
    assert moved == 0


def test_each_has_context_variables_of_its_own(running):
    variable = contextvars.ContextVar("variable", default="unset")

    async def sets():
        variable.set("set")
        await asyncio.sleep(0)
        return variable.get()

    async def reads():
        await asyncio.sleep(0)
        return variable.get()

    running.start(sets, reads)
    assert values_of(running.collect(2)) == {0: "set", 1: "unset"}
