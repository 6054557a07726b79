"""The reference interpreter: what a graph must give, found one node after the other."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..futures import NodeFuture
from ..nodes import CollectNode, DataNode, DispatchNode, IndexNode
from ..ops import Op
from ..results import Ok
from .calls import stall, stall_async

__all__ = ["Failed", "interpret"]

Node = DispatchNode[Any]


@dataclass(frozen=True)
class Failed:
    """What a failed node ends in: the nodes one of which it must name as the first that failed."""

    roots: frozenset[Node]


def interpret(
    nodes: Iterable[Node], inputs: Mapping[Node, Any] | None = None
) -> dict[Node, Ok[Any] | Failed]:
    """Return what the nodes, and all they need, end in.

    Parameters
    ----------
    nodes : iterable of DispatchNode
    inputs : mapping of DispatchNode to object, optional
        Values that stand in for nodes.
    """
    ends: dict[Node, Ok[Any] | Failed] = {node: Ok(v) for node, v in (inputs or {}).items()}
    stack = list(nodes)
    while stack:
        missing = [other for other in stack[-1].dependencies if other not in ends]
        if stack[-1] in ends:
            stack.pop()
        elif missing:
            stack.extend(missing)
        else:
            node = stack.pop()
            ends[node] = _end(node, ends)
    return ends


def _end(node: Node, ends: Mapping[Node, Ok[Any] | Failed]) -> Ok[Any] | Failed:
    before = [ends[other] for other in node.dependencies]
    roots = [end.roots for end in before if isinstance(end, Failed)]
    if roots:
        return Failed(frozenset().union(*roots))
    retries = node.options.retries or 0 if isinstance(node, Op) else 0
    for _ in range(1 + retries):
        try:
            return Ok(_value(node, ends))
        except Exception:  # what it raised, checks of failures ask; here counts that it has
            continue
    return Failed(frozenset({node}))


def _value(node: Node, ends: Mapping[Node, Any]) -> Any:
    if isinstance(node, DataNode):
        return node.value
    if isinstance(node, IndexNode):
        return ends[node.node].value[node.index]
    if isinstance(node, CollectNode):
        return [ends[other].value for other in node.nodes]
    assert isinstance(node, Op)
    if node.func in (stall, stall_async):
        raise TimeoutError("these wait for ever, as far as their run is concerned")
    args, kwargs = _filled(node.args, ends), _filled(node.kwargs, ends)
    value = node.func(*args, **kwargs)
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def _filled(value: Any, ends: Mapping[Node, Any]) -> Any:
    if isinstance(value, DispatchNode):
        return ends[value].value
    if isinstance(value, NodeFuture):
        return value.fetch()
    if type(value) is dict:
        return {_filled(key, ends): _filled(item, ends) for key, item in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(_filled(item, ends) for item in value)
    return value
