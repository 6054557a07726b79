"""Messages over a socket pair: a length, then a pickled tuple of atoms and bytes.

Only bytes of our own making are unpickled here; what belongs to the user is bytes inside.

A worker may let a message linger: it stands on the ledge (`cell`), in memory that outlives the worker,
and goes out with the next that is sent, or after `_PAUSE`, whichever comes first; at once, if the last
such message is longer ago than that, as then there is no company to be expected.
"""

from __future__ import annotations

import contextlib
import math
import pickle
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

from ...deferred.lingering import gather
from .cell import Ledge

__all__ = ["LINGERED", "Channel", "FrameReader", "framed", "words"]

LINGERED = "lingered"
"""How a message begins that brings, with its number, all that stood on the ledge."""

_LENGTH = struct.Struct("!Q")
_PAUSE = 0.001  # seconds that a message lingers
_COMPANY = 32  # messages that linger; more would only be late, as channels have little room


def framed(message: tuple[Any, ...]) -> bytes:
    """Return a message as bytes, its length first."""
    data = pickle.dumps(message, protocol=5)
    return _LENGTH.pack(len(data)) + data


class FrameReader:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Any, ...]]:
        """Take bytes as they come; return the messages that are complete."""
        rest = self._rest
        rest += data
        start = 0
        while len(rest) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(rest, start)
            end = start + _LENGTH.size + length
            if len(rest) < end:
                break
            with memoryview(rest) as view:
                message = pickle.loads(view[start + _LENGTH.size : end])
            start = end
            yield message
        del rest[:start]


def words(data: bytes) -> list[list[Any]]:
    """Return the messages that stood on a ledge; those that are alike are one."""
    found: list[list[Any]] = []
    for message in FrameReader().feed(data):
        gather(found, list(message))
    return found


class Channel:
    """The worker's end: blocking, and for any of its threads to send on.

    Parameters
    ----------
    sock : socket.socket
    ledge : Ledge
    """

    def __init__(self, sock: socket.socket, ledge: Ledge) -> None:
        self._sock = sock
        self._frames = FrameReader()
        self._lock = threading.Lock()  # of sending, so that messages do not mix; guards all below
        self._ledge = ledge
        self._standing = 0  # messages on the ledge
        self._since = 0.0  # when the first of them came
        self._latest = -math.inf  # when the last one came that may linger
        self._is_flushing = False  # whether a thread sends what lingers while nothing else is sent

    def send(self, message: tuple[Any, ...]) -> None:
        """Send a message; wait while the other end does not read."""
        data = framed(message)
        with self._lock:
            self._send(data)

    def linger(self, message: tuple[Any, ...]) -> None:
        """Send a message soon, in order with the others."""
        data = framed(message)
        now = time.monotonic()
        with self._lock:
            is_alone, self._latest = now - self._latest > _PAUSE, now
            if not self._ledge.add(data):
                self._send(data)
                return
            if not self._standing:
                self._since = now
            self._standing += 1
            if is_alone or self._standing >= _COMPANY or now - self._since > _PAUSE:
                self._send(b"")
            elif not self._is_flushing:
                self._flush_soon()

    def _send(self, data: bytes) -> None:
        """Send what stands on the ledge, then a message."""
        if self._standing:
            self._sock.sendall(framed((LINGERED, *self._ledge.standing())) + data)
            self._ledge.clear()
            self._standing = 0
        elif data:
            self._sock.sendall(data)

    def _flush_soon(self) -> None:
        flusher = threading.Thread(target=self._flush, name="dask-dispatcher-flusher", daemon=True)
        self._is_flushing = True
        try:
            flusher.start()
        except RuntimeError:  # there are too many threads
            self._is_flushing = False
            self._send(b"")

    def _flush(self) -> None:
        """Send what lingers, until nothing does."""
        with contextlib.suppress(OSError):  # then the process is about to end
            while self._is_flushing:
                time.sleep(_PAUSE)
                with self._lock:
                    self._is_flushing = self._standing > 0
                    self._send(b"")

    def messages(self) -> Iterator[tuple[Any, ...]]:
        """Return the messages as they come, until the other end is closed."""
        while data := self._sock.recv(1 << 18):
            yield from self._frames.feed(data)
