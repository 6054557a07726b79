"""Messages over a socket pair: a length, then a pickled tuple of atoms and bytes.

Only bytes of our own making are unpickled here; what belongs to the user is bytes inside.
"""

from __future__ import annotations

import pickle
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["Channel", "FrameReader", "framed"]

_LENGTH = struct.Struct("!Q")


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


class Channel:
    """The worker's end: blocking, and for any of its threads to send on.

    Parameters
    ----------
    sock : socket.socket
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._frames = FrameReader()
        self._lock = threading.Lock()  # of sending, so that messages do not mix

    def send(self, message: tuple[Any, ...]) -> None:
        """Send a message; wait while the other end does not read."""
        data = framed(message)
        with self._lock:
            self._sock.sendall(data)

    def messages(self) -> Iterator[tuple[Any, ...]]:
        """Return the messages as they come, until the other end is closed."""
        while data := self._sock.recv(1 << 18):
            yield from self._frames.feed(data)
