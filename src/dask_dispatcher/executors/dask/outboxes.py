"""`Outboxes`: what is to be said to workers of deferred references, one message a worker at a time.

Whatever is said while a message is on its way goes with the next one. A worker that is gone is told
nothing.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .wires import deliver

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Outboxes", "Said"]

_FAREWELL = 2.0  # seconds for workers to hear what they may let go

Said = tuple[Any, ...]
"""What is said: its kind, and what goes with it."""


class Outboxes:
    """Of one clerk.

    Parameters
    ----------
    connection : Connection
    line : tuple of str
        By which workers know whom they hear.
    spelled_out : callable
        Takes a worker's address and something to be said; returns what is said, at the last moment.
    """

    def __init__(
        self,
        connection: Connection,
        line: tuple[str, str],
        spelled_out: Callable[[str, Said], Iterable[Said]],
    ) -> None:
        self._connection = connection
        self._line = line
        self._spelled_out = spelled_out
        self._lock = threading.Lock()  # guards all below
        self._waiting: dict[str, deque[Said]] = {}
        self._sending: dict[str, concurrent.futures.Future[None]] = {}
        self._is_held = False
        self._gone: set[str] = set()

    def say(self, address: str, said: Said) -> None:
        """Say something to a worker; may be called by any thread."""
        with self._lock:
            if address in self._gone:
                return
            self._waiting.setdefault(address, deque()).append(said)
            if not self._is_held:
                self._begin_sending(address)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Send what is said meanwhile in one message a worker, at the end."""
        with self._lock:
            self._is_held = True
        try:
            yield
        finally:
            with self._lock:
                self._is_held = False
                for address in self._waiting:
                    self._begin_sending(address)

    def has_lost(self, address: str) -> bool:
        """Return whether a worker is gone."""
        return address in self._gone

    def worker_gone(self, address: str) -> None:
        """Say no more to a worker."""
        with self._lock:
            self._gone.add(address)
            self._waiting.pop(address, None)

    def close(self, addresses: Iterable[str]) -> None:
        """Say no more to anybody, once what is on its way has arrived, if it does soon."""
        with self._lock:
            self._gone.update(addresses)
            sending = list(self._sending.values())
        if self._connection.is_alive:
            concurrent.futures.wait(sending, _FAREWELL)
        for future in sending:
            future.cancel()

    def begin(self, coroutine: Any) -> concurrent.futures.Future[Any]:
        """Begin a coroutine on the client's event loop; once that has ended, nothing comes of it."""
        try:
            return self._connection.begin(coroutine)
        except (RuntimeError, AttributeError):
            coroutine.close()
            return concurrent.futures.Future()

    def _begin_sending(self, address: str) -> None:
        if address not in self._sending:
            self._sending[address] = self.begin(self._send(address))

    async def _send(self, address: str) -> None:
        """Send what there is to say to a worker, until there is no more."""
        while True:
            with self._lock:
                said = () if self._is_held else self._waiting.pop(address, ())
                if not said:
                    self._sending.pop(address, None)
                    return
            words = [word for one in said for word in self._spelled_out(address, one)]
            with contextlib.suppress(OSError, RuntimeError, KeyError):
                # If it is gone, we shall hear of it, and what was said does not matter.
                await self._connection.client.run(
                    deliver, self._line, words, workers=[address], asynchronous=True
                )
