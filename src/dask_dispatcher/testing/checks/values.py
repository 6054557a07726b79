"""Checks of what graphs give: every kind of node and argument, and the order of things."""

from __future__ import annotations

import operator
from collections.abc import Callable
from random import Random
from typing import Any

from ...errors import CycleError
from ...executors.base import Executor
from ...graph import DispatchGraph
from ...nodes import CollectNode, DataNode, DispatchNode
from ...ops import op
from ...results import Err, Ok
from ..agreement import check_agreement
from ..calls import Hostile, add, give_back, make_hostile, mix, mix_async, note, stuck_together
from ..expecting import equal, is_instance, raises, true
from ..files import Gate, Journal
from ..graphs import RandomGraph

__all__ = [
    "random_graphs_agree_with_the_reference",
    "nodes_of_every_kind_are_computed",
    "nodes_are_found_in_containers",
    "plain_values_arrive_as_they_are",
    "hostile_values_are_never_asked_anything",
    "any_value_may_be_a_result",
    "empty_and_repeated_requests",
    "a_graph_stands_for_its_outputs",
    "only_nodes_can_be_requested",
    "after_and_added_edges_order_without_data",
    "cycles_are_refused_before_anything_starts",
    "equal_pure_calls_start_once",
    "other_calls_start_anew_in_each_run",
    "higher_priority_starts_first",
]

_SEEDS = range(30)

Factory = Callable[[], Executor]


def random_graphs_agree_with_the_reference(factory: Factory) -> None:
    """Random graphs, in part or as a whole, end as the reference interpreter says."""
    with factory() as executor:
        for seed in _SEEDS:
            with Journal() as journal, Gate() as gate:
                graph = RandomGraph(Random(seed), journal, gate)
                inputs = graph.inputs() if seed % 2 else {}
                try:
                    check_agreement(executor, graph, graph.request(), inputs)
                except Exception as error:
                    raise AssertionError(f"random graph with seed {seed}: {error!r}") from error


def nodes_of_every_kind_are_computed(factory: Factory) -> None:
    """Calls, coroutine calls, operators, items, collections and data give their values."""
    a = op(add)(1, 2)
    x, y = a + 3, a + 1
    low, high = op(divmod, nout=2)(17, 5)
    with Journal() as journal, factory() as executor:
        coroutine = op(mix_async)(journal, "coroutine", 0, y, more=x)
        plain = op(mix)(journal, "coroutine", 0, y, more=x)
        nodes = [x * y, -low, high, CollectNode([x, y, x]), DataNode([x]).value[0]]
        values = executor.compute([*nodes, DataNode("text"), DataNode((1,))[0]])
        equal("values", values, [24, -3, 2, [6, 4, 6], 6, "text", 1])
        of_coroutine, of_call = executor.compute([coroutine, plain])
        equal("the value of a coroutine node", of_coroutine, of_call)


def nodes_are_found_in_containers(factory: Factory) -> None:
    """Nodes inside lists, tuples, dicts, sets and slices, at any depth, give way to values."""
    one, two = op(add)(1), op(add)(1, 1)
    filled: list[tuple[Any, Any]] = [
        ([one, [two, 3]], [1, [2, 3]]),
        ((one, (two,)), (1, (2,))),
        ({"a": one, two: [one]}, {"a": 1, 2: [1]}),
        ({one, two}, {1, 2}),
        (frozenset([two]), frozenset([2])),
        (slice(one, two), slice(1, 2)),
        ({"deep": [({"deeper": [one]},)] * 2}, {"deep": [({"deeper": [1]},)] * 2}),
    ]
    with factory() as executor:
        values = executor.compute([op(give_back)(argument) for argument, _ in filled])
        for value, (argument, expected) in zip(values, filled, strict=True):
            equal(f"the call's view of {argument!r}", value, expected)


def plain_values_arrive_as_they_are(factory: Factory) -> None:
    """Values without nodes in them, also ones that look like results, are passed as they are."""
    arguments: list[Any] = [
        None,
        [],
        {},
        (1, [2]),
        {"a": {1}},
        b"bytes",
        ...,
        int,
        Ok(1),
        NotImplemented,
    ]
    with factory() as executor:
        equal("values", executor.compute([op(give_back)(v) for v in arguments]), arguments)
        equal("data", executor.compute([DataNode(v) for v in arguments]), arguments)


def hostile_values_are_never_asked_anything(factory: Factory) -> None:
    """Values that raise when compared, hashed, shown or asked for an attribute are but values."""
    one, two, made = Hostile(1), Hostile(2), op(make_hostile)(3)
    both = op(stuck_together)
    replaced = op(make_hostile)(4)
    nodes = [
        both(one, two),
        both([one], {"k": (two,)}),
        both(made, [DataNode(one)]),
        both([made], replaced),
        both(op(give_back)(made), CollectNode([made])),
    ]
    with factory() as executor:
        results = executor.start(nodes, inputs={replaced: two}).results()
        equal("values", executor.gather(results), [12, 12, 31, 32, 33])
        (hostile,) = executor.compute([made])
        true("a hostile result arrives", type(hostile) is Hostile and hostile.number == 3)
        true("their results can be shown", repr(results))


def any_value_may_be_a_result(factory: Factory) -> None:
    """A node that returns None, an exception, a Result or a class is Ok with that value."""
    kept: list[Any] = [None, False, (), int, NotImplemented]
    with factory() as executor:
        equal("values", executor.compute([op(give_back)(value) for value in kept]), kept)
        error, ok, err = executor.compute(
            [op(give_back)(value) for value in (ValueError("no"), Ok(1), Err(KeyError("k")))]
        )
        is_instance("a returned exception", error, ValueError)
        equal("a returned Ok", ok, Ok(1))
        is_instance("the error in a returned Err", err.error, KeyError)


def empty_and_repeated_requests(factory: Factory) -> None:
    """No node gives no result; a node that is requested twice gives two, and starts once."""
    with Journal() as journal, factory() as executor:
        equal("the results of no nodes", executor.run([]), [])
        equal("the results of an empty graph", executor.run(DispatchGraph()), [])
        equal("the values of no nodes", executor.compute([]), [])
        equal("a run of no nodes", executor.start([]).results(), [])
        node = op(note)(journal, "once")
        results = executor.run([node, node + "!", node])
        equal("values", executor.gather(results), ["once", "once!", "once"])
        equal("starts", journal.entries(), ["once"])


def a_graph_stands_for_its_outputs(factory: Factory) -> None:
    """Running a graph gives one result an output, in order; those not given are the last nodes."""
    a = op(add)(1)
    b, c = a + 1, a + 2
    with factory() as executor:
        equal("given outputs", executor.compute(DispatchGraph([c, a])), [3, 1])
        graph = DispatchGraph()
        graph.add_node(b)
        graph.add_node(c)
        equal("the last nodes", executor.compute(graph), [2, 3])
        equal("a generator of nodes", executor.compute(node for node in (c, b)), [3, 2])


def only_nodes_can_be_requested(factory: Factory) -> None:
    """Whatever is no node is refused with a TypeError before anything starts."""
    wrong: Any = [3]
    with Journal() as journal, factory() as executor:
        node: Any = op(note)(journal, "started")
        with raises("a request of a number", TypeError):
            executor.run([node, *wrong])
        with raises("a request of a bare node", TypeError):
            executor.run(node)
        with raises("an input that is no node", TypeError):
            executor.start([node], inputs={3: 3})  # type: ignore[dict-item]  # that is the point
        equal("starts", journal.entries(), [])


def after_and_added_edges_order_without_data(factory: Factory) -> None:
    """`after` and a graph's added edges let a node start only when others have finished."""
    with Journal() as journal, factory() as executor:
        note_op = op(note)
        first = note_op(journal, "first")
        others = [note_op(journal, f"other {n}", first) for n in range(3)]
        last = note_op.options(after=others)(journal, "last")
        equal("the value", executor.compute(last), "last")
        equal("the first start", journal.entries()[0], "first")
        equal("the last start", journal.entries()[-1], "last")
        journal.clear()
        graph = DispatchGraph([first, note_op(journal, "second")])
        graph.add_edge(graph.outputs[1], first)
        equal("values", executor.compute(graph), ["first", "second"])
        equal("starts", journal.entries(), ["second", "first"])


def cycles_are_refused_before_anything_starts(factory: Factory) -> None:
    """A graph whose added edges close a cycle raises CycleError, which names the nodes."""
    with Journal() as journal, factory() as executor:
        first = op(note)(journal, "first")
        second = op(note)(journal, "second", first)
        third = op(note)(journal, "third", second)
        graph = DispatchGraph([third])
        graph.add_edge(third, second)
        with raises("a run of a cycle", CycleError) as caught:
            executor.run(graph)
        true("the cycle is named", {second, third} == set(caught.error.cycle))
        equal("starts", journal.entries(), [])


def equal_pure_calls_start_once(factory: Factory) -> None:
    """Equal pure calls are computed once a graph, and each still has its own result."""
    with Journal() as journal, factory() as executor:
        pure = op(note, pure=True)
        nodes = [pure(journal, "equal"), pure(journal, "other"), pure(journal, "equal")]
        user = op(give_back)(nodes)
        results = executor.run([*nodes, user])
        names = ["equal", "other", "equal"]
        equal("values", executor.gather(results), [*names, names])
        equal("starts", sorted(journal.entries()), ["equal", "other"])


def other_calls_start_anew_in_each_run(factory: Factory) -> None:
    """A graph can run many times; what is not pure is computed anew each time."""
    with Journal() as journal, factory() as executor:
        source = op(note)(journal, "source")
        node: DispatchNode[Any] = op(operator.mul)(source, 2)
        for _ in range(3):
            equal("the value", executor.compute(node), "sourcesource")
        equal("starts", journal.entries(), ["source"] * 3)


def higher_priority_starts_first(factory: Factory) -> None:
    """Of many nodes that are ready at once, the more urgent half starts first."""
    count = 100
    order = list(range(count))
    Random(0).shuffle(order)
    with Journal() as journal, factory() as executor:
        executor.compute([op(note, priority=n)(journal, str(n)) for n in order])
        started = [int(entry) for entry in journal.entries()]
        urgent = sum(n >= count // 2 for n in started[: count // 2])
    # Not all of them: what a worker has begun, it may note late.
    true(f"starts in the order of priority, not {started}", urgent >= 40)
