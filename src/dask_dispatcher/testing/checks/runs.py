"""Checks of runs under way: results as they come, waiting, cancelling, futures, many at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from ...errors import DependencyError, ExecutorError, RunCancelledError
from ...executors.base import Executor
from ...executors.run import Run
from ...nodes import CollectNode, DispatchNode
from ...ops import op
from ..calls import add, boom, halves, note, stall, stall_async
from ..expecting import equal, is_instance, raises, true
from ..files import Gate, Journal

__all__ = [
    "start_returns_a_run_under_way",
    "as_completed_yields_each_node_when_it_ends",
    "runs_can_be_awaited",
    "compute_gives_values_or_raises",
    "gather_takes_results_and_futures",
    "futures_are_handles_on_values",
    "a_released_future_has_no_value",
    "a_cancelled_run_starts_nothing_more",
    "cancelling_ends_coroutine_nodes",
    "one_graph_runs_twice_at_once",
    "a_run_leaves_its_nodes_as_they_were",
]

Factory = Callable[[], Executor]


def start_returns_a_run_under_way(factory: Factory) -> None:
    """`start` returns at once; `done` and `results(timeout)` tell whether the run is over."""
    with factory() as executor, Gate() as gate:
        run = executor.start([op(stall)(gate)])
        true("the run is not done", not run.done())
        with raises("results that do not come in time", TimeoutError):
            run.results(timeout=0.01)
        gate.open()
        equal("values", executor.gather(run.results(60.0)), ["passed"])
        true("the run is done", run.done())
        equal("the same results again", executor.gather(run.results()), ["passed"])


def as_completed_yields_each_node_when_it_ends(factory: Factory) -> None:
    """Each requested node comes once, with its result, and does not wait for slower ones."""
    with factory() as executor, Gate() as gate:
        first = op(add, priority=1)(1)
        held, bad = op(stall)(gate, first), op(boom, priority=1, after=first)("as planned")
        requested: list[DispatchNode[Any]] = [held, first, bad, first]
        run = executor.start(requested)
        came = []
        for node, result in run.as_completed():
            came.append(node)
            equal("ends", result.is_ok(), node is not bad)
            if len(came) == 2:
                gate.open()
        equal("the order", came, [first, bad, held])
        true("an iteration that comes late", {n for n, _ in run.as_completed()} == set(came))


def runs_can_be_awaited(factory: Factory) -> None:
    """`await run`, `async for`, `await future` and `async with` serve programs with a loop."""
    nodes: list[DispatchNode[Any]] = [op(add)(1), op(boom)("as planned"), op(add)(2)]

    async def program() -> None:
        async with factory() as executor:
            results = await executor.start(nodes)
            equal("ends", [result.is_ok() for result in results], [True, False, True])
            equal("the value", await results[0].unwrap(), 1)
            came = [node async for node, _ in executor.start(nodes).as_completed()]
            true("each node comes once", set(came) == set(nodes) and len(came) == 3)

    asyncio.run(program())


def compute_gives_values_or_raises(factory: Factory) -> None:
    """`compute` of a node is its value, of several the list of theirs; a failure is raised."""
    with factory() as executor:
        node = op(add)(1, 2)
        equal("the value of a node", executor.compute(node), 3)
        equal("the values of a list", executor.compute([node, node + 1]), [3, 4])
        equal("the value of a collection", executor.compute(CollectNode([node])), [3])
        with raises("compute of a failure", DependencyError):
            executor.compute([node, op(boom)("as planned")])


def gather_takes_results_and_futures(factory: Factory) -> None:
    """`gather` gives the values in order, of results and futures alike; a failure is raised."""
    with factory() as executor:
        results = executor.run([op(add)(n) for n in range(5)])
        futures = [result.unwrap() for result in results]
        equal("values of results", executor.gather(results), [0, 1, 2, 3, 4])
        equal("values of both", executor.gather([futures[4], results[0], futures[4]]), [4, 0, 4])
        equal("values of nothing", executor.gather([]), [])
        bad = op(boom)("as planned")
        with raises("a gathered failure", DependencyError) as caught:
            executor.gather([*results, *executor.run([bad], raise_errors=False)])
        true("the failure", caught.error.node is bad)


def futures_are_handles_on_values(factory: Factory) -> None:
    """A future knows its node, is ready, and can be fetched more than once."""
    with factory() as executor:
        node = op(halves)(5)
        (result,) = executor.run([node])
        future = result.unwrap()
        true("the node", future.node is node)
        true("ready", future.ready() and future.wait() and future.wait(0.0))
        equal("the value", future.fetch(), (2, 3))
        equal("the value, once more", future.fetch(timeout=60.0), (2, 3))
        true("a short repr", 0 < len(repr(future)) < 500)


def a_released_future_has_no_value(factory: Factory) -> None:
    """After `release`, `fetch` raises ExecutorError; other futures keep their values."""
    with factory() as executor:
        one, other = (result.unwrap() for result in executor.run([op(add)(1), op(add)(2)]))
        one.release()
        with raises("fetch of a released future", ExecutorError):
            one.fetch()
        equal("the other value", other.fetch(), 2)


def a_cancelled_run_starts_nothing_more(factory: Factory) -> None:
    """After `cancel` nothing starts; unfinished nodes are Err(RunCancelledError)."""
    with Journal() as journal:
        with factory() as executor, Gate() as gate:
            done = op(note)(journal, "done")
            held = op(stall)(gate, done)
            late = op(note)(journal, "late", held)
            run = executor.start([done, held, late])
            gate.wait_for(1)
            next(iter(run.as_completed()))  # the executor knows of `done`, too
            run.cancel()
            gate.open()
            results = run.results()
            equal("what had finished", executor.gather(results[:1]), ["done"])
            for node, result in zip((held, late), results[1:], strict=True):
                _check_cancelled(node, result.unwrap_err())
            true("the run is done", run.done())
            run.cancel()
            equal("the next run", executor.compute(op(add)(1)), 1)
        equal("starts", journal.entries(), ["done"])


def _check_cancelled(node: Any, error: Any) -> None:
    is_instance("the error", error, RunCancelledError)
    true(f"{error!r} names its node", error.node is node)
    equal("the label", error.label, node.label)


def cancelling_ends_coroutine_nodes(factory: Factory) -> None:
    """A run of coroutine nodes ends when it is cancelled, although they never would."""
    with factory() as executor, Gate() as gate:
        nodes = [op(stall_async)(gate) for _ in range(3)]
        run: Run = executor.start(nodes)
        gate.wait_for(1)
        run.cancel()
        for node, result in zip(nodes, run.results(), strict=True):
            _check_cancelled(node, result.unwrap_err())


def one_graph_runs_twice_at_once(factory: Factory) -> None:
    """Two threads may run one graph on one executor: each run is complete, and computes anew."""
    with Journal() as journal, factory() as executor:
        source = op(note)(journal, "source")
        middle = [op(note)(journal, f"middle {n}", source) for n in range(5)]
        last = op(note)(journal, "last", middle)
        values: list[Any] = []

        def compute() -> None:
            values.append(executor.compute([last, *middle]))

        threads = [threading.Thread(target=compute) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal("values", values, [["last", *(f"middle {n}" for n in range(5))]] * 2)
        equal("starts", set(journal.counts().values()), {2})
        equal("nodes that started", len(journal.counts()), 7)


def a_run_leaves_its_nodes_as_they_were(factory: Factory) -> None:
    """Running a graph changes neither its nodes nor the containers they were given."""
    given: list[Any] = [1, [2]]
    node = op(add)(*given[:1])
    user = op(note, after=node)(None, "fails", given)
    before = (user.label, user.key, user.dependencies, user.args, node.args)
    with factory() as executor:
        executor.run([user, node], raise_errors=False)
    after = (user.label, user.key, user.dependencies, user.args, node.args)
    equal("the nodes", after, before)
    equal("the list", given, [1, [2]])
