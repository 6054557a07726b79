"""Checks of partial runs: values and futures that stand in for nodes, and futures as arguments."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from ...executors.base import Executor
from ...graph import DispatchGraph
from ...ops import op
from ..calls import add, give_back, note
from ..expecting import equal, raises
from ..files import Journal

__all__ = [
    "values_stand_in_for_nodes",
    "any_value_can_stand_in",
    "futures_stand_in_for_nodes",
    "futures_of_another_executor_stand_in",
    "futures_can_be_arguments",
    "declared_inputs_need_values",
    "subgraphs_run_between_inputs_and_outputs",
    "inputs_match_unpickled_nodes_by_key",
]

Factory = Callable[[], Executor]


def values_stand_in_for_nodes(factory: Factory) -> None:
    """A node with a given value does not run, and neither does what only it needed."""
    with Journal() as journal, factory() as executor:
        note_op = op(note)
        shared = note_op(journal, "shared")
        only = note_op(journal, "only", shared)
        replaced = note_op(journal, "replaced", only)
        user = op(give_back)([replaced, shared])
        values = executor.gather(executor.run([user, replaced], inputs={replaced: "given"}))
        equal("values", values, [["given", "shared"], "given"])
        equal("starts", journal.entries(), ["shared"])


def any_value_can_stand_in(factory: Factory) -> None:
    """None, an exception, or a list that holds a node's look-alike stands in as it is."""
    node = op(note)(None, "never runs")
    with factory() as executor:
        for value in (None, [], [1, {"a": 2}], "text", ...):
            (result,) = executor.run([op(give_back)([node])], inputs={node: value})
            equal("the value", executor.gather([result]), [[value]])


def futures_stand_in_for_nodes(factory: Factory) -> None:
    """The future of an earlier run stands in for a node; nothing is computed again."""
    with Journal() as journal, factory() as executor:
        source = op(note)(journal, "source")
        (result,) = executor.run([source])
        user = op(give_back)((source, "user"))
        again = executor.run([user, source], inputs={source: result.unwrap()})
        equal("values", executor.gather(again), [("source", "user"), "source"])
        equal("starts", journal.entries(), ["source"])
        equal("the first run's value", result.unwrap().fetch(), "source")


def futures_of_another_executor_stand_in(factory: Factory) -> None:
    """A future of one executor may be the input, or an argument, of another's run."""
    with factory() as one, factory() as other:
        source = op(add)(1, 2)
        (result,) = one.run([source])
        future = result.unwrap()
        results = other.run([source + 1, op(add)(future, 2)], inputs={source: future})
        equal("values", other.gather(results), [4, 5])
        equal("values of both executors", one.gather([*results, result]), [4, 5, 3])


def futures_can_be_arguments(factory: Factory) -> None:
    """A future may be an argument of a later graph's calls, alone or inside a container."""
    with Journal() as journal, factory() as executor:
        (result,) = executor.run([op(note)(journal, "source")])
        future = result.unwrap()
        nodes = [op(give_back)(future), op(give_back)({"a": [future, 1]})]
        equal("values", executor.compute(nodes), ["source", {"a": ["source", 1]}])
        equal("starts", journal.entries(), ["source"])


def declared_inputs_need_values(factory: Factory) -> None:
    """A graph that declares inputs is refused with a ValueError without values for them."""
    with Journal() as journal, factory() as executor:
        source = op(note)(journal, "source")
        user = op(note)(journal, "user", source)
        graph = DispatchGraph([user, op(give_back)([source])], inputs=[source])
        with raises("a run without the declared input", ValueError):
            executor.run(graph)
        equal("starts", journal.entries(), [])
        values = executor.gather(executor.run(graph, inputs={source: "given"}))
        equal("values", values, ["user", ["given"]])
        equal("starts", journal.entries(), ["user"])


def subgraphs_run_between_inputs_and_outputs(factory: Factory) -> None:
    """A subgraph runs what its outputs need, and nothing that is needed only through inputs."""
    with Journal() as journal, factory() as executor:
        note_op = op(note)
        a = note_op(journal, "a")
        b = note_op(journal, "b", a)
        c = note_op(journal, "c", b)
        aside = note_op(journal, "aside", a)
        graph = DispatchGraph([c, aside])
        graph.add_edge(aside, c)
        equal("the outputs", executor.compute(graph.subgraph([b])), ["b"])
        equal("starts", journal.entries(), ["a", "b"])
        journal.clear()
        part = graph.subgraph([c], [b])
        values: list[Any] = executor.gather(executor.run(part, inputs={b: "given"}))
        equal("the outputs past an input", values, ["c"])
        equal("starts past an input", journal.entries(), ["a", "aside", "c"])


def inputs_match_unpickled_nodes_by_key(factory: Factory) -> None:
    """An input given for a node stands in for an unpickled copy of it, too."""
    with Journal() as journal, factory() as executor:
        source = op(note)(journal, "source")
        user = op(give_back)([source])
        copy = pickle.loads(pickle.dumps(user))
        (result,) = executor.run([copy], inputs={source: "given"})
        equal("the value", executor.gather([result]), [["given"]])
        equal("starts", journal.entries(), [])
