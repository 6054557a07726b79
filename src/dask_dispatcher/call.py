"""`Call`: one node taken out of its graph, so that it can run anywhere its inputs are."""

from __future__ import annotations

import asyncio
import operator
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .errors import portable
from .nesting import Input, fill, rename
from .nodes import CollectNode, DispatchNode, IndexNode
from .ops import Op
from .pickling import dumps

__all__ = ["Call", "bind"]


class Call:
    """A function with its arguments; nodes among these are replaced by `Input` positions.

    Parameters
    ----------
    target : callable or Callee
        A `Callee` travels by reference where its module has it, which its bare function could not.
    args : tuple
    kwargs : dict
    """

    __slots__ = ("args", "kwargs", "target")

    def __init__(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.target = target
        self.args = args
        self.kwargs = kwargs

    @classmethod
    def of(cls, node: DispatchNode[Any], needs: Sequence[int], index: Mapping[Any, int]) -> Call:
        """Return the call of `node`.

        Parameters
        ----------
        node : Op, IndexNode or CollectNode
        needs : sequence of int
            The distinct nodes it takes values of, by number; the k-th becomes ``Input(k)``.
        index : mapping of node to int
            The number of each node; equal ones may share one.
        """
        places = {number: Input(position) for position, number in enumerate(needs)}

        def place(other: Any) -> Input:
            return places[index[other]]

        if isinstance(node, Op):
            args = tuple(rename(value, place) for value in node._args)
            kwargs = {k: rename(v, place) for k, v in (node._kwargs or {}).items()}
            return cls(node._callee, args, kwargs)
        if isinstance(node, IndexNode):
            return cls(operator.getitem, (place(node.node), node.index), {})
        if isinstance(node, CollectNode):
            return cls(_collect, tuple(place(other) for other in node.nodes), {})
        raise TypeError(f"{node!r} has nothing to call")

    def __call__(self, inputs: Sequence[Any]) -> Any:
        """Run the call in this thread and return its value; a coroutine is run to its end."""
        value = self.start(inputs)
        return asyncio.run(value) if self.is_coroutine else value

    @property
    def is_coroutine(self) -> bool:
        return getattr(self.target, "is_coroutine", False)

    def start(self, inputs: Sequence[Any]) -> Any:
        """Call the function: returns its value, or its coroutine if it is an ``async def`` one."""

        def look_up(place: Input) -> Any:
            return inputs[place.position]

        args = [fill(value, look_up) for value in self.args]
        kwargs = {name: fill(value, look_up) for name, value in self.kwargs.items()}
        return getattr(self.target, "func", self.target)(*args, **kwargs)

    # So that a plain pickle, as process pools use, carries lambdas and closures too.
    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (dumps((self.target, self.args, self.kwargs)),)


def _load(data: bytes) -> Call:
    return Call(*pickle.loads(data))


def _collect(*values: Any) -> list[Any]:
    return list(values)


def bind(call: Call, inputs: Sequence[Any]) -> Callable[[], Any]:
    """Return the call with its inputs, ready to run; pickles if they do.

    In another process it raises only what can be brought back: a process pool breaks if what was
    raised in it cannot be unpickled.
    """
    return _Bound(call, tuple(inputs))


class _Bound:
    __slots__ = ("call", "has_travelled", "inputs")

    def __init__(self, call: Call, inputs: tuple[Any, ...], *, has_travelled: bool = False) -> None:
        self.call = call
        self.inputs = inputs
        self.has_travelled = has_travelled

    def __call__(self) -> Any:
        if not self.has_travelled:
            return self.call(self.inputs)
        try:
            return self.call(self.inputs)
        except BaseException as error:
            safe = portable(error)
            if safe is error:
                raise
            raise safe.with_traceback(error.__traceback__) from None

    def __reduce__(self) -> tuple[Any, ...]:
        return _unbind, (self.call, self.inputs)


def _unbind(call: Call, inputs: tuple[Any, ...]) -> _Bound:
    return _Bound(call, inputs, has_travelled=True)
