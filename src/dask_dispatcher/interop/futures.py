"""Values that are on a Dask cluster already: ``distributed.Future`` as nodes.

Wherever one stands, among the arguments of an Op or in a Dask graph, its value is meant, as in Dask.
To most executors that is a call that fetches it. A `DaskExecutor` on the same scheduler recognises
the node and uses the value where it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dask.task_spec import Task, TaskRef

from ..ops import Op, OpFactory
from ..options import Options
from .tasks import Fused

__all__ = ["future_node", "future_of", "futures_in", "is_future"]


def is_future(value: Any) -> bool:
    """Return whether a value is a ``distributed.Future``; does not import distributed."""
    return isinstance(value, TaskRef) and hasattr(value, "result")


def future_node(future: Any) -> Op[Any]:
    """Return the node that stands for the value of a ``distributed.Future``."""
    node = _factory.bare((future,))
    node.label = str(future.key)
    return node


def future_of(node: Any) -> Any:
    """Return the future that a node stands for; None if it is not such a node."""
    return node._args[0] if type(node) is Op and node._callee is _factory else None


def futures_in(part: Any) -> Iterator[Any]:
    """Return the futures among the arguments of a Dask task."""
    if is_future(part):
        yield part
    elif isinstance(part, Task):
        for inner in (*part.args, *part.kwargs.values()):
            yield from futures_in(inner)
    elif isinstance(part, Fused):
        for inner in part.tasks:
            yield from futures_in(inner)
    elif type(part) is dict:  # the tasks inside one that Dask has fused
        for inner in part.values():
            yield from futures_in(inner)


def _fetch(future: Any) -> Any:
    return future.result()


_factory: OpFactory[Any] = OpFactory(_fetch, Options(label="future"))
