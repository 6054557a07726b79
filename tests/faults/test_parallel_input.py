"""Bad input: refused as early as it can be, or harmless; the workers live on."""

import asyncio
import concurrent.futures
import queue
import socket
import sys
import threading
from pathlib import Path

import cloudpickle
import numpy
import pytest
from tests.support.trials import BOUND, Fails

from dask_dispatcher import ParallelExecutor, SerializationError, op
from dask_dispatcher.testing.calls import Hostile

cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.mark.parametrize("workers", [0, -1, True, 1.5, "3"])
def test_numbers_of_workers_that_make_no_sense(workers):
    with pytest.raises((ValueError, TypeError)):
        ParallelExecutor(workers)


@pytest.mark.parametrize(
    "options",
    [
        *({"retries": value} for value in (-1, True, 1.5, "3")),
        *({"timeout": value} for value in (float("nan"), -1, "5")),
        *({"max_losses": value} for value in (-1, True, 1.5, "3")),
    ],
    ids=str,
)
def test_options_that_make_no_sense(options):
    with pytest.raises((ValueError, TypeError)):
        ParallelExecutor(1, **options)


def generator():
    yield 1


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (generator, "DeferredChannel"),
        (queue.Queue, "DeferredChannel"),
        (queue.SimpleQueue, "DeferredChannel"),
        (asyncio.Queue, "DeferredChannel"),
        (concurrent.futures.Future, "DeferredFuture"),
        (threading.Lock, "cannot leave"),
        (threading.Event, "cannot leave"),
        (socket.socket, "cannot leave"),
        (Path(__file__).open, "cannot leave"),
    ],
    ids=[
        "generator",
        "Queue",
        "SimpleQueue",
        "asyncio",
        "Future",
        "Lock",
        "Event",
        "socket",
        "file",
    ],
)
@pytest.mark.parametrize("is_nested", [False, True])
def test_what_makes_sense_here_only(steady_trial, make, remedy, is_nested):
    """It is refused before anything starts."""
    value, record = make(), steady_trial.log.record
    first = op(lambda: record("first"), label="first")()
    node = op(lambda *a, **k: record("taker"), label="taker")
    node = node(first, [{"deep": value}]) if is_nested else node(first, key=value)
    with pytest.raises(SerializationError, match=remedy) as caught:
        steady_trial.executor.start([first, node])
    if hasattr(value, "close"):
        value.close()
    assert caught.value.node is node
    assert "taker" in str(caught.value)
    assert ("argument 1" if is_nested else "argument 'key'") in str(caught.value)
    assert not steady_trial.log.starts()


def test_values_that_refuse_to_be_asked(steady_trial):
    array = numpy.arange(3)
    nodes = [op(lambda x: type(x).__name__)(value) for value in (array, Hostile(1), [Hostile(2)])]
    steady_trial.check(steady_trial.start(nodes), ["ndarray", "Hostile", "list"])


def test_nodes_in_sets_keys_and_closures(steady_trial):
    """Found and run; in a closure refused, never pickled silently."""
    one = op(abs)(-1)
    found = [op(sorted)({one, 2}), op(dict)({one: 3})]
    steady_trial.check(steady_trial.start(found), [[1, 2], {1: 3}])
    with pytest.raises(TypeError, match="closure"):
        steady_trial.executor.start([op(lambda: one)()])


def test_a_list_that_contains_itself(steady_trial):
    endless = [1]
    endless.append(endless)
    node = op(lambda x: x[1] is x)(endless)
    steady_trial.check(steady_trial.start([node]), [True])


def test_nesting_too_deep_to_pickle(steady_trial):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    node = op(len)(deep)
    others = [op(abs)(-n) for n in range(20)]
    run = steady_trial.start([node, *others])
    steady_trial.check(run, [Fails(node, SerializationError), *range(20)])


def test_a_result_nested_too_deep(steady_trial):
    def dig():
        deep = []
        for _ in range(100_000):
            deep = [deep]
        return deep

    node = op(dig)()
    steady_trial.check(steady_trial.start([node]), [Fails(node, SerializationError)])


@pytest.mark.parametrize(
    "label",
    ["<b>", "\x1b[31m", "a\0b", "\u202egnp", "../../etc", "x" * 1_000_000],
    ids=["HTML", "ANSI", "NUL", "bidi", "path", "1 MB"],
)
def test_labels_of_all_kinds(steady_trial, label):
    good = op(abs, label=label)(-1)
    bad = op(int, label=label)("no")
    steady_trial.check(steady_trial.start([good, bad]), [1, Fails(bad, ValueError)])
    (result,) = steady_trial.start([bad]).results(BOUND)
    text = str(result.unwrap_err())
    assert text.isprintable()
    assert len(text) < 2_000


def test_nothing_and_the_same_twice(steady_trial):
    assert steady_trial.executor.run([]) == []
    node = op(abs)(-7)
    steady_trial.check(steady_trial.start([node, node]), [7, 7])


def test_results_that_look_like_something_else(steady_trial):
    nodes = [op(lambda: None)(), op(lambda: [ValueError("fine")])()]
    first, second = (r.unwrap().fetch(BOUND) for r in steady_trial.start(nodes).results(BOUND))
    assert first is None
    assert type(second[0]) is ValueError
