"""One Dask task, as an engine of ours calls it.

A task whose arguments are values and the results of other tasks becomes a plain `Op` of its
function. Two kinds stay whole, and are called with a mapping of all the results they need: tasks
with tasks among their arguments, and those that Dask has fused out of several. `Evaluate` calls
them. Engines learn what a call costs by its function, so each kind of task (a key without its hash:
``sum-partial``) has an `Evaluate` of its own.

Dask runs a fused task through its general scheduler, which orders the few tasks inside anew in each
call; `Fused` orders them once.

The other way round, `Step` is a node of ours as Dask calls it.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, cast

from dask._task_spec import GraphNode, _execute_subgraph
from dask.task_spec import Task, TaskRef
from dask.utils import key_split

from ..call import Call
from ..callee import Kindred
from ..nodes import DispatchNode

__all__ = [
    "Evaluate",
    "Fused",
    "Key",
    "Step",
    "fused",
    "in_order",
    "is_coroutine",
    "is_fused",
    "ordered",
]

Key = Any
"""Of a Dask task: a str, a number, or a tuple of these."""


class Evaluate(Kindred):
    """Calls Dask tasks of one kind with the results that they need.

    Parameters
    ----------
    kind : str
    """

    def __call__(self, task: Callable[[Any], Any], keys: tuple[Key, ...], *values: Any) -> Any:
        return task(dict(zip(keys, values, strict=True)))


class Fused:
    """The tasks that Dask has fused into one, in an order in which they can run.

    Parameters
    ----------
    tasks : mapping of key to GraphNode
    output : key
        Of the task whose value counts.

    Examples
    --------
    >>> from operator import add, neg
    >>> from dask.task_spec import Task, TaskRef
    >>> inside = {"b": Task("b", neg, TaskRef("a")), "a": Task("a", add, TaskRef("x"), 1)}
    >>> Fused(inside, "b")({"x": 2})
    -3
    """

    __slots__ = ("_output", "_steps")

    def __init__(self, tasks: Mapping[Key, GraphNode], output: Key) -> None:
        self._output = output
        self._steps = _with_last_uses(in_order(tasks, output), output)

    @property
    def tasks(self) -> list[GraphNode]:
        """Those that are called, in order."""
        return [task for _, task, _ in self._steps]

    def __call__(self, values: dict[Key, Any]) -> Any:
        for key, task, spent in self._steps:
            values[key] = task(values)
            for other in spent:
                del values[other]
        return values[self._output]


class Step:
    """A node's call, as the function of a Dask task.

    Parameters
    ----------
    node : DispatchNode or None
        None in a process other than the node's.
    key : str
    label : str
    call : Call
    """

    def __init__(self, node: DispatchNode[Any] | None, key: str, label: str, call: Call) -> None:
        self.node = node
        self.key = key
        self.call = call
        self.__name__ = label

    def __call__(self, *inputs: Any) -> Any:
        return self.call(inputs)

    def __dask_tokenize__(self) -> str:
        return self.key

    # The node would bring along its ancestors, whose values are on their way already.
    def __reduce__(self) -> tuple[Any, ...]:
        return Step, (None, self.key, self.__name__, self.call)


def fused(tasks: Mapping[Key, GraphNode], output: Key) -> Task:
    """Return the task that calls several, as Dask fuses them.

    Parameters
    ----------
    tasks : mapping of key to GraphNode
    output : key
        Of the task whose value counts; the new task has its key.
    """
    needs = {other for task in tasks.values() for other in task.dependencies}
    outer = tuple(needs.difference(tasks))
    inside = {key: ordered(key, task) for key, task in tasks.items()}
    return Task(output, _execute_subgraph, inside, output, outer, *map(TaskRef, outer))


def is_fused(task: Any) -> bool:
    """Return whether a task was fused out of several."""
    return getattr(task, "func", None) is _execute_subgraph


def is_coroutine(task: Any) -> bool:
    """Return whether a task is the call of a coroutine function, which an engine has to await."""
    func = getattr(task, "func", None)
    while isinstance(func, functools.partial):
        func = func.func
    if not isinstance(func, (types.FunctionType, types.MethodType)):
        # The class is asked: some callables make up what they are asked for, and take their time.
        func = getattr(type(func), "__call__", None)  # noqa: B004 - its code is asked
    return inspect.iscoroutinefunction(func)


def ordered(key: Key, task: Any) -> GraphNode:
    """Return a task as it is, but one that was fused with the tasks inside in order."""
    if not is_fused(task):
        return cast("GraphNode", task)
    inside, output, outer, *results = task.args
    return Task(key, Evaluate(key_split(key)), Fused(inside, output), outer, *results)


def in_order(tasks: Mapping[Key, GraphNode], output: Key) -> list[tuple[Key, GraphNode]]:
    """Return what `output` needs among the tasks, each after those it needs itself."""
    order: dict[Key, GraphNode] = {}
    stack = [output]
    while stack:
        task = tasks[stack[-1]]
        missing = [key for key in task.dependencies if key in tasks and key not in order]
        if missing:
            stack += missing
        else:
            order.setdefault(stack.pop(), task)
    return list(order.items())


def _with_last_uses(
    order: list[tuple[Key, GraphNode]], output: Key
) -> list[tuple[Key, GraphNode, tuple[Key, ...]]]:
    """Add to each task the keys whose values nobody needs after it."""
    needed, steps = {output}, []
    for key, task in reversed(order):
        spent = tuple(other for other in task.dependencies if other not in needed)
        needed.update(spent)
        steps.append((key, task, spent))
    return steps[::-1]
