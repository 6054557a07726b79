"""A node as a Dask collection, so that Dask computes, draws and takes nodes as it does its own.

Each node becomes one Dask task under the node's key. Of its options those that Dask knows go along,
as annotations; the others (`timeout`, `retry_on`, `retry_delay`, `max_losses`) mean nothing to
Dask's schedulers. To `Executor.get` the task is the node it was made of, options and all.

The value of a `NodeFuture` is fetched when the graph is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dask.threaded
from dask.delayed import optimize, single_key
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import DataNode as Literal
from dask.task_spec import GraphNode, Task, TaskRef

from ..call import Call
from ..identity import ancestors
from ..nodes import DataNode, DispatchNode
from ..ops import Op
from ..options import Options
from .futures import future_node, is_future
from .getting import nodes_for
from .tasks import Step

__all__ = ["DEFAULT_GET", "OPTIMIZE", "graph_of", "postcompute", "postpersist"]

DEFAULT_GET = dask.threaded.get
"""Who computes nodes if nobody is named."""

OPTIMIZE = optimize
"""Leaves out what is not wanted, and nothing else, as for ``dask.delayed``."""


def graph_of(node: DispatchNode[Any]) -> HighLevelGraph:
    """Return the Dask graph of a node and all that it needs."""
    nodes = [*ancestors(node), node]
    tasks: dict[Any, GraphNode] = {}
    for current in nodes:
        tasks.update(_tasks(current))
    annotations = {current.key: found for current in nodes if (found := _annotations(current))}
    if not annotations:
        return HighLevelGraph.from_collections(node.key, tasks, dependencies=())
    layers = {
        key: MaterializedLayer({key: task}, annotations=annotations.get(key))
        for key, task in tasks.items()
    }
    return HighLevelGraph(layers, {key: set(task.dependencies) for key, task in tasks.items()})


def _tasks(node: DispatchNode[Any]) -> dict[str, GraphNode]:
    """Return the task of a node, and those of the futures among its arguments."""
    if type(node) is DataNode:
        return {node.key: Literal(node.key, node.value)}
    needs = list(dict.fromkeys(node._inputs()))
    call = Call.of(node, range(len(needs)), {need: place for place, need in enumerate(needs)})
    # Whatever it only waits for comes last: the call does not look there.
    before = [*needs, *(other for other in node._after() if other not in needs)]
    futures = [other for other in before if not isinstance(other, DispatchNode)]
    step = Step(node, node.key, node.label, call)
    return {
        **{future.key: Literal(future.key, future.fetch()) for future in futures},
        node.key: Task(node.key, step, *(TaskRef(other.key) for other in before)),
    }


def _annotations(node: DispatchNode[Any]) -> dict[str, Any]:
    options = node.options if type(node) is Op else Options()
    asked = {
        "retries": options.retries,
        "priority": options.priority,
        "resources": options.resources,
        "workers": list(options.workers),
    }
    return {name: value for name, value in asked.items() if value}


def postcompute() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return what makes a node's value of the list of its keys' values."""
    return single_key, ()


def postpersist(node: DispatchNode[Any]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return what makes a node of a graph in which a node's key has been computed."""
    return _rebuild, (node.key,)


def _rebuild(
    graph: Mapping[str, Any], key: str, *, rename: Mapping[str, str] | None = None
) -> DispatchNode[Any]:
    key = (rename or {}).get(key, key)
    found = graph[key]
    if is_future(found):
        return future_node(found)
    if not isinstance(found, GraphNode):
        return DataNode(found)
    rebuilt: DispatchNode[Any] = nodes_for(graph, key)
    return rebuilt
