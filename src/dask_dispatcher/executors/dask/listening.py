"""Hearing what groups report, and which tasks a worker took with it when it went.

A `distributed.Client` has one handler a topic, and a client that was passed in may serve several
executors; so there is one `Listener` a client. Groups report under the client's own id: what the
scheduler remembers of a client's topic it forgets when the client is gone. Of workers it listens to
each one's own topic, not to "all": there the scheduler publishes things that break the connection of
whoever listens (2026.8: the event of ``Client.replicate`` cannot be pickled).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import distributed

__all__ = ["listen", "unlisten"]


class _Engine(Protocol):
    def post(self, function: Callable[[], None]) -> None: ...

    def worker_removed(self, worker: str, message: dict[str, Any]) -> None: ...

    def reported(self, name: str, message: dict[str, Any]) -> None: ...

    def asked(self, name: str, worker: str, said: bytes) -> None: ...


class Listener:
    """Tells engines of the workers that go.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: distributed.Client) -> None:
        self._client = weakref.ref(client)
        self._topic = client.id
        self._scheduler = ""
        self._workers: set[str] = set()
        self.engines: weakref.WeakSet[_Engine] = weakref.WeakSet()

    def attend(self, scheduler: str) -> None:
        """Listen to a scheduler; a client that connects again by itself forgets what it heard."""
        client = self._client()
        if client is not None and scheduler != self._scheduler:
            self._scheduler = scheduler
            self._workers.clear()
            client.subscribe_topic(self._topic, self._hear_reports())

    def add_workers(self, workers: Iterable[str]) -> None:
        """Listen to workers, as far as that is not done yet."""
        client = self._client()
        for worker in set(workers) - self._workers:
            self._workers.add(worker)
            if client is not None:
                client.subscribe_topic(worker, self._handler(worker))

    def close(self) -> None:
        """Listen no longer."""
        client = self._client()
        if client is not None and client.status == "running":
            for topic in (self._topic, *self._workers):
                client.unsubscribe_topic(topic)
        self._workers.clear()

    def _hear_reports(self) -> Callable[[tuple[float, Any]], None]:
        listener = weakref.ref(self)

        def handle(event: tuple[float, Any]) -> None:
            _, message = event
            found = listener()
            if found is None or not isinstance(message, dict):
                return
            about = _report if "group" in message else _asking if "deferred" in message else None
            if about is not None:
                with _lock:
                    engines = list(found.engines)
                for engine in engines:
                    engine.post(about(engine, message))

        return handle

    def _handler(self, worker: str) -> Callable[[tuple[float, Any]], None]:
        listener = weakref.ref(self)

        def handle(event: tuple[float, Any]) -> None:
            _, message = event
            found = listener()
            if found is None or not isinstance(message, dict):
                return
            if message.get("action") == "remove-worker":
                found._tell(worker, message)

        return handle

    def _tell(self, worker: str, message: dict[str, Any]) -> None:
        with _lock:
            self._workers.discard(worker)
            engines = list(self.engines)
        for engine in engines:
            engine.post(_removal(engine, worker, message))


def _report(engine: _Engine, message: dict[str, Any]) -> Callable[[], None]:
    return lambda: engine.reported(message["group"], message)


def _asking(engine: _Engine, message: dict[str, Any]) -> Callable[[], None]:
    return lambda: engine.asked(message["deferred"], message["worker"], message["said"])


def _removal(engine: _Engine, worker: str, message: dict[str, Any]) -> Callable[[], None]:
    return lambda: engine.worker_removed(worker, message)


_lock = threading.Lock()  # guards _listeners, and what each listener holds
_listeners: weakref.WeakKeyDictionary[distributed.Client, Listener] = weakref.WeakKeyDictionary()


def listen(
    client: distributed.Client, engine: _Engine, workers: Iterable[str], scheduler: str
) -> None:
    """See that an engine is told what it wants to know; may be called again with more workers.

    Parameters
    ----------
    client : distributed.Client
    engine : object
    workers : iterable of str
        The addresses of the workers there are.
    scheduler : str
        Its own name for itself.
    """
    with _lock:
        listener = _listeners.get(client)
        if listener is None:
            listener = _listeners[client] = Listener(client)
        listener.engines.add(engine)
        listener.attend(scheduler)
        listener.add_workers(workers)


def unlisten(client: distributed.Client, engine: _Engine) -> None:
    """Tell an engine no more."""
    with _lock:
        listener = _listeners.get(client)
        if listener is None:
            return
        listener.engines.discard(engine)
        if not listener.engines:
            listener.close()
            del _listeners[client]
