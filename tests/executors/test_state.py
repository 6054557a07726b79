"""`RunState`: how long values live, and who waits for them."""

import asyncio
import gc
import threading
import weakref

import pytest

from dask_dispatcher import AsyncExecutor, DataNode, op
from tests.support import eventually

WAIT = 20.0


class Value:
    """Something a weak reference can watch."""


class Watched:
    """Makes values in nodes and knows which of them still live."""

    def __init__(self):
        self.made = {}

    def make(self, name, *_):
        value = Value()
        self.made[name] = weakref.ref(value)
        return value

    @property
    def alive(self):
        return {name for name, value in self.made.items() if value() is not None}


@pytest.fixture
def watched():
    return Watched()


def is_gone(reference):
    """Whether it is; the thread that ended the run may not have left its last frame at once."""
    gc.collect()
    return reference() is None


async def same(value):
    await asyncio.sleep(0)
    return value


def test_a_value_goes_as_soon_as_its_last_user_has_it(executor, watched, release):
    seen = []
    source = op(watched.make)("source")
    middle = op(watched.make)("middle", source)
    last = op(lambda *_: release.wait(WAIT) and seen.append(watched.alive))(
        op(watched.make)("near", middle)
    )
    executor_run = executor.start([last])
    release.set()
    executor_run.results(WAIT)
    assert seen == [{"near"}]


def test_a_value_lives_while_a_node_still_needs_it(executor, watched):
    source = op(watched.make)("source")
    first = op(lambda _: watched.alive)(source)
    second = op(lambda *_: watched.alive)(source, first)
    assert executor.compute([first, second]) == [{"source"}, {"source"}]
    gc.collect()
    assert watched.alive == set()


def test_the_values_of_coroutine_nodes_go_too(executor, watched):
    source = op(same)(op(watched.make)("source"))
    last = op(lambda *_: watched.alive)(op(len)(op(lambda value: [value])(source)))
    assert executor.compute(last) == set()


def test_a_requested_value_lives_as_long_as_its_future(executor, watched):
    (result,) = executor.run([op(watched.make)("requested")])
    future = result.unwrap()
    del result
    gc.collect()
    assert watched.alive == {"requested"}
    del future
    assert watched.alive == set()


def test_release_lets_the_value_go(executor, watched):
    first, second = executor.run([op(watched.make)("first"), op(watched.make)("second")])
    first.unwrap().release()
    assert watched.alive == {"second"}
    assert second.unwrap().fetch() is watched.made["second"]()


def test_one_of_two_results_dropped_keeps_the_other(executor, watched):
    results = executor.run([op(watched.make)("first"), op(watched.make)("second")])
    del results[0]
    assert watched.alive == {"second"}


def test_reset_and_close_let_values_go_that_somebody_still_refers_to(watched):
    with AsyncExecutor() as executor:
        kept = executor.run([op(watched.make)("before reset")])
        executor.reset()
        assert watched.alive == set()
        kept += executor.run([op(watched.make)("before close")])
    assert watched.alive == set()
    assert len(kept) == 2


def test_the_values_of_failed_and_cancelled_runs_go(executor, watched):
    source = op(watched.make)("source")
    bad = op(lambda _: 1 / 0)(source)
    (result,) = executor.run([bad], raise_errors=False)
    del result
    begun = threading.Event()
    release = threading.Event()
    held = op(watched.make)("held")
    run = executor.start([op(lambda _: begun.set() or release.wait(WAIT) and None)(held)])
    assert begun.wait(WAIT)
    run.cancel()
    release.set()
    run.results(WAIT)
    del run
    eventually(lambda: gc.collect() >= 0 and not watched.alive)  # once its thread has left the call


@pytest.mark.parametrize("kind", ["plain", "coroutine", "mixed", "failed"])
def test_the_engine_forgets_a_run_that_is_over(executor, kind):
    function = {"plain": id, "coroutine": same, "mixed": same, "failed": same}[kind]
    data = DataNode(Value())
    nodes = [op(function)(data)]
    if kind == "mixed":
        nodes.append(op(id)(nodes[0]))
    if kind == "failed":
        nodes.append(op(lambda _: 1 / 0)(nodes[0]))
    executor.run(nodes, raise_errors=False)
    gone = weakref.ref(data)
    del data, nodes
    assert eventually(lambda: is_gone(gone))


def test_an_argument_goes_with_its_graph_after_a_cancelled_coroutine(executor):
    begun = threading.Event()

    async def wait(_):
        begun.set()
        await asyncio.Event().wait()

    data = DataNode(Value())
    run = executor.start([op(wait)(data)])
    assert begun.wait(WAIT)
    run.cancel()
    run.results(WAIT)
    gone = weakref.ref(data)
    del data, run
    assert eventually(lambda: is_gone(gone))


def test_an_exception_does_not_keep_the_arguments_of_this_librarys_frames(executor):
    data = DataNode(Value())
    gone = weakref.ref(data)
    (result,) = executor.run([op(lambda _: 1 / 0)(op(id)(data))], raise_errors=False)
    frames = []
    traceback = result.error.__cause__.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame.f_code.co_filename)
        traceback = traceback.tb_next
    assert frames == [__file__]
    del data, result, traceback
    gc.collect()
    assert gone() is None
