"""`run_all`: the coroutines of a parcel at once, each heard of, and gone when nobody wants them."""

import asyncio
import contextlib
import threading
from types import SimpleNamespace

import pytest

from dask_dispatcher import NodeTimeoutError
from dask_dispatcher.deferred.links import NODE
from dask_dispatcher.executors.dask import coroutines
from dask_dispatcher.executors.dask.coroutines import run_all
from dask_dispatcher.executors.slices.carrying import load
from dask_dispatcher.executors.slices.failures import load_failure
from dask_dispatcher.executors.slices.running import SliceRunner, Values

WAIT = 20.0


@pytest.fixture(autouse=True)
def _loop_of_its_own():
    """End the loop with the test; in a worker it ends with the process."""
    yield
    shared, coroutines._shared = coroutines._shared, None
    if shared is not None:
        shared.loop.call_soon_threadsafe(shared.loop.stop)
        for thread in threading.enumerate():
            if thread.name == "dask-dispatcher-coroutines":
                thread.join(WAIT)
        shared.loop.close()


class Running:
    """Coroutines under way, numbered from 0, and what is noted of them."""

    def __init__(self, *functions, args=(), values=None, timeouts=None, observed=False, names=()):
        where = tuple(range(len(args)))
        parcel = SimpleNamespace(
            entries=lambda: [(n, n, args, where, names) for n in range(len(functions))],
            run="run",
            group="group",
            timeouts=timeouts or {},
            is_observed=observed,
        )
        runner = SliceRunner(functions, lambda *_: ("its place", "kept"), "a worker", [-1, 0])
        self.outbox = runner.outbox
        self.values = values or Values({}, {})
        self._has_ended = threading.Event()
        self.cancel = run_all(runner, parcel, self.values, self._end)

    def _end(self, back):
        assert back == []
        self._has_ended.set()

    def wait(self):
        """Wait for the end of all; return what was noted."""
        assert self._has_ended.wait(WAIT)
        return self.outbox

    @property
    def is_over(self):
        return self._has_ended.is_set()


def done(outbox):
    return dict(zip(outbox.numbers, outbox.atoms, strict=True))


def causes(outbox):
    return {number: load_failure(data).cause for number, data in outbox.failed}


async def answer():
    await asyncio.sleep(0)
    return 42


def test_values_of_all_kinds():
    async def small():
        return [1]

    async def large():
        return "x" * 10_000

    running = Running(answer, small, large)
    outbox = running.wait()
    assert done(outbox) == {0: 42}
    assert [(number, load(data)) for number, data in outbox.pickled] == [(1, [1])]
    assert outbox.large == [(2, "its place")]
    assert running.values == {0: 42, 1: [1], 2: "kept"}
    assert sorted(cost[:2] for cost in outbox.costs) == [(0, 1), (1, 1), (2, 1)]
    assert outbox.times == []


def test_arguments_by_place_and_by_name():
    async def call(*args, **kwargs):
        return repr((args, kwargs))

    running = Running(call, args=(10, 11), values=Values({10: "a", 11: "b"}, {}), names=("last",))
    assert done(running.wait()) == {0: repr((("a",), {"last": "b"}))}


def test_they_wait_for_each_other():
    event = asyncio.Event()

    async def waits():
        await event.wait()

    async def sets():
        event.set()

    assert done(Running(waits, waits, sets).wait()) == dict.fromkeys(range(3))


def test_parcels_share_one_loop():
    async def loop():
        return id(asyncio.get_running_loop())

    assert len({done(Running(loop).wait())[0] for _ in range(3)}) == 1


def test_each_knows_who_it_is():
    async def who():
        return repr(NODE.get())

    first, second = done(Running(who, who).wait()).values()
    assert "('run', 0)" in first
    assert "('run', 1)" in second


def test_times_are_noted_where_somebody_observes():
    ((number, began, ended, moved),) = Running(answer, observed=True).wait().times
    assert (number, moved) == (0, 0)
    assert began <= ended


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError("own")]
)
def test_whatever_one_raises_the_others_end_well(error):
    async def fails():
        raise error

    outbox = Running(fails, answer).wait()
    (cause,) = causes(outbox).values()
    assert (type(cause), cause.args) == (type(error), error.args)
    assert done(outbox) == {1: 42}


def test_what_gives_no_coroutine_fails():
    def raises():
        raise LookupError("before it was one")

    assert type(causes(Running(raises).wait())[0]) is LookupError


def test_a_missing_input_is_no_failure():
    async def call(value):
        return value

    outbox = Running(call, args=(10,)).wait()
    assert (outbox.skipped, outbox.failed) == ([0], [])


def test_one_whose_time_is_up_is_cancelled():
    cleaned = threading.Event()

    async def for_ever():
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    outbox = Running(for_ever, answer, timeouts={0: 0.01}).wait()
    assert type(causes(outbox)[0]) is NodeTimeoutError
    assert "0.01 s" in str(causes(outbox)[0])
    assert done(outbox) == {1: 42}
    assert cleaned.wait(WAIT)


def test_those_that_nobody_wants_clean_up_and_say_nothing():
    begun, cleaned = threading.Event(), threading.Event()

    async def for_ever():
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        cleaned.set()

    running = Running(for_ever)
    assert begun.wait(WAIT)
    running.cancel()
    assert cleaned.wait(WAIT)
    assert done(Running(answer).wait()) == {0: 42}  # the loop goes on, and has been round since
    assert not running.is_over
    assert (running.outbox.numbers, running.outbox.failed) == ([], [])
    running.cancel()  # once more is harmless
