"""What cannot leave this process: refused before a run starts, with what to use instead.

Only types are looked at, those of arguments and of what their containers hold; what else cannot be
pickled shows when it is.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import queue
import socket
import threading
import types
from collections.abc import Iterator
from itertools import compress
from operator import not_
from typing import TYPE_CHECKING, Any

from .errors import SerializationError, one
from .nesting import Nested
from .nodes import CollectNode, IndexNode
from .ops import Op

if TYPE_CHECKING:
    from .plan import Plan

__all__ = ["refuse_local_only"]

_CHANNEL = "use a DeferredChannel, which works across processes"
_FUTURE = "use a DeferredFuture, which works across processes"
_STREAM = "make its items in a node, or send them through a DeferredChannel"
_SYNC = "threads of other processes cannot share it; let nodes depend on each other instead"
_OPEN = "pass its address or path, and open it inside the node"

_REFUSED: tuple[tuple[tuple[type, ...], str], ...] = (
    ((queue.Queue, queue.SimpleQueue, asyncio.Queue), _CHANNEL),
    ((concurrent.futures.Future, asyncio.Future), _FUTURE),
    ((types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType), _STREAM),
    (
        (
            type(threading.Lock()),
            type(threading.RLock()),
            threading.Condition,
            threading.Event,
            threading.Semaphore,
            threading.Barrier,
            asyncio.Lock,
            asyncio.Event,
            asyncio.Condition,
            asyncio.Semaphore,
        ),
        _SYNC,
    ),
    ((socket.socket, io.BufferedIOBase, io.RawIOBase, io.TextIOBase), _OPEN),
)
_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
# What most arguments are: values that pickle, and stand-ins for those of other nodes.
_FINE = frozenset({Op, IndexNode, CollectNode, int, float, complex, bool, str, bytes, type(None)})
_IN_MEMORY = (io.BytesIO, io.StringIO)  # these pickle


def refuse_local_only(plan: Plan) -> None:
    """Raise if an argument of the plan makes sense in this process only.

    Raises
    ------
    SerializationError
        Names the node, the argument, and what to use instead.
    """
    remedies: dict[type, str | None] = {}  # of the types that are met: there are few
    for node in compress(plan.nodes, map(not_, plan.plain.codes)):
        if type(node) is not Op:
            continue
        if node._kwargs or not _FINE.issuperset(map(type, node._args)):
            _check(node, remedies)


def _check(node: Op[Any], remedies: dict[type, str | None]) -> None:
    for name, value in _arguments(node):
        kind = type(value)
        if kind not in remedies:
            remedies[kind] = _remedy(kind)
        remedy = remedies[kind]
        if remedy is not None:
            raise SerializationError(
                f"argument {name} of {node.label}, {one(kind)}, cannot leave this "
                f"process; {remedy}",
                node=node,
                label=node.label,
            )


def _arguments(node: Op[Any]) -> Iterator[tuple[str, Any]]:
    named = [(str(position), value) for position, value in enumerate(node._args)]
    named += [(repr(name), value) for name, value in (node._kwargs or {}).items()]
    for name, value in named:
        yield from ((name, leaf) for leaf in _leaves(value))


def _leaves(value: Any) -> Iterator[Any]:
    """Return `value`, or what its containers hold at any depth."""
    stack, met = [value], set[int]()
    while stack:
        value = stack.pop()
        if type(value) is Nested:
            stack.extend(item for _, items in value.steps for item in items)
        elif type(value) not in _CONTAINERS:
            yield value
        elif id(value) not in met:
            met.add(id(value))
            stack.extend(value)
            if type(value) is dict:
                stack.extend(value.values())


def _remedy(cls: type) -> str | None:
    # The type is asked, never the value: its __class__ or __getattr__ may do anything.
    if issubclass(cls, _IN_MEMORY):
        return None
    return next((remedy for types_, remedy in _REFUSED if issubclass(cls, types_)), None)
