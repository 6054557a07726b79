"""`Executor.get`: an executor of ours where Dask wants a scheduler.

``x.compute(scheduler=executor.get)`` hands over an optimised graph and the keys it wants, takes
their values back, and wants the user's own exception if a task fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dask.config
from dask._task_spec import convert_legacy_graph
from dask.base import get_annotations
from dask.callbacks import local_callbacks
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph
from dask.utils import ensure_dict

from ..errors import DependencyError
from ..plan import DepthFirst
from .annotations import options_by_key
from .callbacks import Tracer
from .chains import fuse_chains
from .futures import future_node, is_future
from .graphs import Translation
from .sharing import SharedTranslation, unshared
from .templates import TemplateTranslation

if TYPE_CHECKING:
    from ..executors.base import Executor
    from ..nodes import DispatchNode
    from .tasks import Key

__all__ = ["get", "nodes_for"]

_SHORTEN = "admin.traceback.shorten"
_OWN_FRAMES = r"dask_dispatcher[\\/](executors[\\/]base|interop[\\/]\w+)\.py"


def get(executor: Executor, dsk: Any, keys: Any, *, callbacks: Any = None, **options: Any) -> Any:
    """Return the values of keys of a Dask graph; see `Executor.get`."""
    graph = _Graph(dsk, options, _translation_for(executor))
    wanted = list(flatten([keys]))
    with local_callbacks(callbacks) as active:
        if active:  # they are to be told of each task
            values = _compute_traced(executor, graph, wanted, active)
        else:
            if not executor.in_process:
                graph.tasks = fuse_chains(graph.tasks, wanted, graph.options)
            values = _compute(executor, graph.nodes(wanted), wanted)
    return _shaped(keys, dict(zip(wanted, values, strict=True)))


def nodes_for(dsk: Any, keys: Any, **options: Any) -> Any:
    """Return nodes for keys of a Dask graph, in the shape of the keys: Dask takes it for a scheduler."""
    wanted = list(flatten([keys]))
    return _shaped(keys, _Graph(dsk, options).nodes(wanted))


def _translation_for(executor: Executor) -> type[Translation]:
    """Return what suits an executor: whether it pickles, and where that arrives."""
    if executor.in_process:
        return Translation
    return SharedTranslation if executor.shares_memory else TemplateTranslation


class _Graph:
    """What Dask hands to a scheduler: the tasks in today's form, and the options of those that have any.

    Parameters
    ----------
    dsk : mapping, HighLevelGraph or expression
    for_all : mapping of str to object
        Annotations that all tasks share.
    translation : type of Translation
        What makes nodes of the tasks.
    """

    def __init__(
        self,
        dsk: Any,
        for_all: Mapping[str, Any],
        translation: type[Translation] = Translation,
    ) -> None:
        self._translation = translation
        tasks = ensure_dict(dsk if isinstance(dsk, Mapping) else dsk.__dask_graph__())
        self._futures = {key: task for key, task in tasks.items() if is_future(task)}
        self.tasks: dict[Key, Any] = convert_legacy_graph(tasks)
        self.options = options_by_key(
            _annotations(dsk), {**get_annotations(), **for_all}, self.tasks
        )

    def nodes(
        self, keys: Iterable[Key], tracer: Tracer | None = None
    ) -> dict[Key, DispatchNode[Any]]:
        """Return nodes for keys, and for all that these need."""
        there = {key: future_node(future) for key, future in self._futures.items()}
        # Dask's Cache, told of the start, puts values it knows into the graph as they are.
        tasks = self.tasks if tracer is None else convert_legacy_graph(self.tasks)
        return self._translation(tasks, self.options, there, tracer).run(keys)


def _annotations(dsk: Any) -> Mapping[str, Mapping[Key, Any]]:
    if isinstance(dsk, HighLevelGraph):
        found: dict[str, dict[Key, Any]] = {}
        for layer in dsk.layers.values():
            for name, value in (layer.annotations or {}).items():
                values = {key: value(key) if callable(value) else value for key in layer}
                found.setdefault(name, {}).update(values)
        return found
    return {} if isinstance(dsk, Mapping) else dsk.__dask_annotations__()


def _compute_traced(
    executor: Executor, graph: _Graph, keys: Sequence[Key], callbacks: Iterable[Any]
) -> list[Any]:
    tracer = Tracer(callbacks, graph.tasks, keys)
    failed = True
    try:
        tracer.start()
        nodes = graph.nodes(keys, tracer)
        tracer.watch(nodes)
        values = _compute(executor, nodes, keys, tracer)
        failed = False
    finally:
        tracer.finish(failed)
    return values


def _compute(
    executor: Executor,
    nodes: Mapping[Key, DispatchNode[Any]],
    keys: Iterable[Key],
    *observers: Tracer,
) -> list[Any]:
    try:
        wanted = DepthFirst(nodes[key] for key in keys)
        values = executor.gather(executor.run(wanted, observers=observers))
        return list(map(unshared, values))
    except DependencyError as error:
        failure = error
    _leave_out_own_frames()
    # Out here it is raised as the user's code raised it, in the context of nothing of ours.
    raise _users_error(failure)


def _leave_out_own_frames() -> None:
    """Add our files to those that Dask, if it is to, leaves out of users' tracebacks."""
    left_out = dask.config.get(_SHORTEN, None)
    if left_out and _OWN_FRAMES not in left_out:
        dask.config.set({_SHORTEN: [*left_out, _OWN_FRAMES]})


def _users_error(failure: DependencyError) -> BaseException:
    """Return the user's exception, with a note of what it cannot tell itself."""
    cause = failure.__cause__
    if cause is None:
        return failure
    if hasattr(cause, "add_note"):  # Python 3.11
        where = f" on {failure.worker}" if failure.worker else ""
        text = f"\n{failure.traceback}" if where and cause.__traceback__ is None else ""
        cause.add_note(f"in task {failure.label}{where}{text}")
    return cause


def _shaped(keys: Any, values: Mapping[Key, Any]) -> Any:
    if isinstance(keys, list):
        return tuple(_shaped(key, values) for key in keys)
    return values[keys]
