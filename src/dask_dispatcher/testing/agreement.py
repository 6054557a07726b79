"""Whether an executor does with a random graph what the reference interpreter does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import DependencyError, NodeTimeoutError
from ..executors.base import Executor
from ..executors.run import Run
from ..nodes import DispatchNode
from ..ops import Op
from .calls import Boom
from .expecting import equal, is_instance, true
from .graphs import RandomGraph
from .oracle import Failed, interpret

__all__ = ["check_agreement"]

Node = DispatchNode[Any]


def check_agreement(
    executor: Executor, graph: RandomGraph, requested: list[Node], inputs: Mapping[Node, Any]
) -> None:
    """Raise AssertionError unless the executor and the reference interpreter agree.

    That is: on every value, on which nodes fail and because of which, and on how often a node may
    start.

    Parameters
    ----------
    executor : Executor
    graph : RandomGraph
    requested : list of DispatchNode
        Nodes of the graph.
    inputs : mapping of DispatchNode to object
    """
    graph.journal.clear()
    ends = interpret(requested, inputs)
    limits = graph.journal.counts()
    graph.journal.clear()
    run = executor.start(requested, inputs=inputs)
    _let_pass(run, graph)
    results = run.results()
    equal("the number of results", len(results), len(requested))
    succeeded = iter(executor.gather(result for result in results if result.is_ok()))
    for node, result in zip(requested, results, strict=True):
        end = ends[node]
        if isinstance(end, Failed):
            true(f"{node.label} should be Err, not {result!r}", result.is_err())
            _check_error(node, result.unwrap_err(), end)
        else:
            true(f"{node.label} should be {end!r}, not {result!r}", result.is_ok())
            equal(f"the value of {node.label}", next(succeeded), end.value)
    for name, starts in graph.journal.counts().items():
        true(f"{name} started {starts} times, not {limits[name]}", starts <= limits[name])


def _let_pass(run: Run, graph: RandomGraph) -> None:
    """Open the graph's gate once the node that waits there counts as failed."""
    for node, _ in run.as_completed():
        if node is graph.stalling:
            graph.gate.open()


def _check_error(node: Node, error: Any, end: Failed) -> None:
    is_instance(f"the error of {node.label}", error, DependencyError)
    labels = sorted(root.label for root in end.roots)
    true(f"{node.label} names {error.label}, not one of {labels}", error.node in end.roots)
    equal("the label of the node that failed first", error.label, error.node.label)
    assert isinstance(error.node, Op)
    equal(f"attempts of {error.label}", error.attempts, 1 + (error.node.options.retries or 0))
    is_instance(f"the cause of {error.label}", error.__cause__, (Boom, NodeTimeoutError))
