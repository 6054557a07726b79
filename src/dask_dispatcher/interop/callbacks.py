"""Dask's callbacks (its ProgressBar, its Profiler, …) for graphs that run here.

Dask calls back where it begins and ends a task, with the graph, and with the scheduler's state as
its local schedulers keep it. A task that runs in this process calls back itself, right before and
after its function, with its value: `Tracer.traced`. A function that is pickled leaves that behind;
for tasks that run elsewhere the tracer is an observer, hears of them within 50 ms, and calls back
then, with None for the value, which stays where it is.

All calls back come one at a time.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dask.callbacks import unpack_callbacks
from dask.local import finish_task, start_state_from_dask

from ..events import Event, NodeFinished, NodeStarted

if TYPE_CHECKING:
    from ..nodes import DispatchNode
    from .tasks import Key

__all__ = ["Tracer"]


class Tracer:
    """Calls Dask's callbacks, and keeps the state that they are shown.

    Parameters
    ----------
    callbacks : iterable of tuple
        Of up to five functions each, as ``dask.callbacks.Callback`` makes them.
    graph : dict of key to GraphNode
        Callbacks that are told of the start may change it.
    keys : iterable of key
        Those that are wanted.
    """

    def __init__(
        self, callbacks: Iterable[Any], graph: dict[Key, Any], keys: Iterable[Key]
    ) -> None:
        self._callbacks = list(callbacks)
        _, start_state, self._before, self._after, _ = unpack_callbacks(self._callbacks)
        self._start_state = start_state
        self._graph = graph
        self._keys = set(keys)
        self._lock = threading.Lock()  # guards _state, and lets one callback be called at a time
        self._state: dict[str, Any] = {}
        self._key_of: dict[DispatchNode[Any], Key] = {}
        self._begun: list[Any] = []

    def start(self) -> None:
        """Tell that a run is about to start."""
        for callback in self._callbacks:
            if callback[0]:
                callback[0](self._graph)
            self._begun.append(callback)
        self._state = start_state_from_dask(self._graph, keys=self._keys, sortkey=_any_order)
        self._state["ready"] = _Ready.fromkeys(self._state["ready"])
        for function in self._start_state:
            function(self._graph, self._state)

    def watch(self, nodes: Mapping[Key, DispatchNode[Any]]) -> None:
        """Know the nodes by which observers are told of tasks."""
        self._key_of = {node: key for key, node in nodes.items()}

    def finish(self, failed: bool) -> None:
        """Tell that the run is over."""
        for callback in self._begun:
            if callback[4]:
                callback[4](self._graph, self._state, failed)

    def traced(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that takes the key of its task first, and calls back."""
        return _untraced(func) if inspect.iscoroutinefunction(func) else _Traced(func, self)

    def began(self, key: Key) -> None:
        """Tell that a task begins, unless that was told."""
        with self._lock:
            state = self._state
            if key in state["running"] or key in state["finished"]:
                return
            state["ready"].pop(key, None)
            state["running"].add(key)
            for function in self._before:
                function(key, self._graph, state)

    def ended(self, key: Key, value: Any, worker: Any) -> None:
        """Tell that a task has ended well, unless that was told."""
        self.began(key)
        with self._lock:
            state = self._state
            if key in state["finished"]:
                return
            state["cache"][key] = value
            finish_task(self._graph, key, state, self._keys, _any_order)
            for function in self._after:
                function(key, value, self._graph, state, worker)

    def on_events(self, batch: Sequence[Event]) -> None:
        """Tell of tasks that ran elsewhere."""
        for event in batch:
            if isinstance(event, (NodeStarted, NodeFinished)) and event.node in self._key_of:
                key = self._key_of[event.node]
                if isinstance(event, NodeStarted):
                    self.began(key)
                else:
                    self.ended(key, None, event.worker)


class _Traced:
    """A function that tells a tracer when it begins and ends."""

    def __init__(self, func: Callable[..., Any], tracer: Tracer) -> None:
        self.func = func
        self.tracer = tracer
        self.__name__ = getattr(func, "__name__", type(func).__name__)

    def __call__(self, key: Key, /, *args: Any, **kwargs: Any) -> Any:
        self.tracer.began(key)
        value = self.func(*args, **kwargs)
        self.tracer.ended(key, value, threading.get_ident())
        return value

    # Who calls back is in this process; elsewhere only the function is wanted.
    def __reduce__(self) -> tuple[Any, ...]:
        return _Untraced, (self.func,)


class _Untraced:
    """A function that takes, and passes over, the key of its task first."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func
        self.__name__ = getattr(func, "__name__", type(func).__name__)

    def __call__(self, key: Key, /, *args: Any, **kwargs: Any) -> Any:
        return self.func(*args, **kwargs)


def _untraced(func: Callable[..., Any]) -> Callable[..., Any]:
    """Return a coroutine function that passes over the key of its task; observers hear of it."""

    async def call(_: Key, /, *args: Any, **kwargs: Any) -> Any:
        return await func(*args, **kwargs)

    return call


class _Ready(dict[Any, None]):
    """The ready tasks, for callbacks that count them; as a list, leaving it would take long."""

    def append(self, key: Key) -> None:
        self[key] = None


def _any_order(_: Key) -> int:
    return 0
