"""A Dask graph as nodes.

`Translation` walks from the wanted keys to all that they need, and makes a node of each task, those it
depends on first. An alias is no node of its own. What a task was given stays as it is, and is not
searched for nodes: Dask has said where its references are.

It leaves the order in which tasks run to the schedule. Invariant: the node of a key is made once,
however many tasks refer to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dask._task_spec import Dict, Set, Tuple
from dask.task_spec import Alias, GraphNode, List, Task, TaskRef
from dask.task_spec import DataNode as Literal
from dask.utils import key_split

from ..nesting import enclose
from ..nodes import DataNode, DispatchNode
from ..ops import Op, OpFactory
from ..options import Options
from .futures import future_node, futures_in
from .tasks import Evaluate, Fused, Key, Step, is_fused

if TYPE_CHECKING:
    from .callbacks import Tracer

__all__ = ["Translation"]

_CONTAINERS: Mapping[type, Callable[[list[Any]], Any]] = {
    List: list,
    Tuple: tuple,
    Set: set,
    Dict: lambda items: dict(zip(items[::2], items[1::2], strict=True)),
}
_PLAIN = Options()


class Translation:
    """One graph on its way to nodes.

    This one is for executors of this process: a node calls the task's own function. Subclasses are
    for executors that pickle; they differ in what a node calls.

    Parameters
    ----------
    graph : mapping of key to GraphNode
    options : mapping of key to Options, optional
        Of the tasks that have any.
    there : mapping of key to DispatchNode, optional
        Nodes of keys that are not in the graph.
    tracer : Tracer, optional
        Who is to be told when a task begins and ends.
    """

    def __init__(
        self,
        graph: Mapping[Key, GraphNode],
        options: Mapping[Key, Options] | None = None,
        there: Mapping[Key, DispatchNode[Any]] | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._graph = graph
        self._options = options or {}
        self._tracer = tracer
        self._nodes: dict[Key, DispatchNode[Any]] = dict(there or {})
        # By the ids of function and options: the factory, which keeps both alive.
        self._factories: dict[tuple[int, int], OpFactory[Any]] = {}
        self._kinds: dict[str, Callable[..., Any]] = {}

    def run(self, keys: Iterable[Key]) -> dict[Key, DispatchNode[Any]]:
        """Return a node for each key, and for all that they need.

        Raises
        ------
        RuntimeError
            If tasks depend on each other in a circle, as Dask's own schedulers do.
        KeyError
            If a key is not in the graph.
        ValueError
            If a task refers to one that is not.
        """
        graph, nodes = self._graph, self._nodes
        stack = list(keys)
        entered: set[Key] = set()  # those on the way from a wanted key to the one at hand
        while stack:
            key = stack[-1]
            if key in nodes:
                stack.pop()
                continue
            task = graph[key]
            missing = [other for other in task.dependencies if other not in nodes]
            if key in entered and missing:
                raise RuntimeError(f"Cycle detected in Dask: {missing[0]!r} -> {key!r}")
            missing = [other for other in missing if not self._borrow(task, other)]
            if missing:
                entered.add(key)
                stack += missing
            else:
                nodes[key] = self._node(key, task)
                stack.pop()
        return nodes

    def _borrow(self, task: GraphNode, key: Key) -> bool:
        """Make a node of a value that is on a cluster already; return whether there is one."""
        if key in self._graph:
            return False
        future = next((f for f in futures_in(task) if f.key == key), None)
        if future is None:
            raise ValueError(f"Missing dependency {key!r} for {task.key!r}")
        self._nodes[key] = future_node(future)
        return True

    def _node(self, key: Key, task: Any) -> DispatchNode[Any]:
        if type(task) is Literal:
            node = DataNode(self._literal(task.value))
            node.label = str(key)
            return node
        if type(task) is Alias and self._tracer is None:
            return self._nodes[task.target]
        func = getattr(task, "func", None)
        if type(func) is Step and func.node is not None and self._tracer is None:
            return func.node
        return self._call(key, task)

    def _literal(self, value: Any) -> Any:
        """Return what stands for the value of a literal."""
        return value

    def _call(self, key: Key, task: Any) -> Op[Any]:
        """Return the node of a task that is to be called."""
        if is_fused(task):
            inside, output, outer, *results = task.args
            return self._evaluation(key, Fused(inside, output), outer, map(self._argument, results))
        if type(task) is Task and all(map(_is_flat, _parts(task))):
            kwargs = {name: self._argument(part) for name, part in task.kwargs.items()}
            return self._op(key, task.func, tuple(map(self._argument, task.args)), kwargs)
        names = tuple(task.dependencies)
        return self._evaluation(key, task, names, [self._nodes[name] for name in names])

    def _evaluation(
        self, key: Key, task: Callable[[Any], Any], names: Iterable[Key], values: Iterable[Any]
    ) -> Op[Any]:
        """Return the call of a task that is given a mapping of the results it needs."""
        kind = key_split(key)
        evaluate = self._kinds.setdefault(kind, Evaluate(kind))
        return self._op(key, evaluate, (task, tuple(names), *values), {})

    def _op(
        self, key: Key, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Op[Any]:
        factory = self._factory(func, self._options.get(key, _PLAIN))
        node = factory.bare(args if self._tracer is None else (key, *args), kwargs)
        node.label = str(key)
        return node

    def _factory(self, func: Callable[..., Any], options: Options) -> OpFactory[Any]:
        found = self._factories.get((id(func), id(options)))
        if found is None:
            traced = func if self._tracer is None else self._tracer.traced(func)
            found = self._factories[id(func), id(options)] = OpFactory(traced, options)
        return found

    def _argument(self, part: Any) -> Any:
        value = self._value(part)
        return enclose(value) if type(part) in _CONTAINERS else value

    def _value(self, part: Any) -> Any:
        if isinstance(part, TaskRef):
            return self._nodes[part.key]
        if not isinstance(part, GraphNode):
            return part
        if type(part) is Alias:
            return self._nodes[part.target]
        if type(part) is Literal:
            return part.value
        container: Any = part
        return _CONTAINERS[type(part)]([self._value(item) for item in container.args])


def _parts(task: Task) -> Iterable[Any]:
    return (*task.args, *task.kwargs.values())


def _is_flat(part: Any) -> bool:
    """Return whether an argument is a value, a reference, or a container of these."""
    kind = type(part)
    if not issubclass(kind, GraphNode) or kind in (Alias, Literal):
        return True
    return kind in _CONTAINERS and all(map(_is_flat, part.args))
