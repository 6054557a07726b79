"""A network between a program and its scheduler that can be made to fail."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable

__all__ = ["Proxy"]

_CHUNK = 65_536  # bytes


class Proxy:
    """Passes TCP connections on to an address; used as a context manager.

    Parameters
    ----------
    target : str
        As Dask writes it: ``tcp://host:port``.

    Attributes
    ----------
    address : str
        Where to connect to instead.
    """

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("tcp://").split(":")
        self._target = host, int(port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_slow = False
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        self._ready.wait()

    def black_hole(self) -> None:
        """Let nothing through, in either direction, and say nothing of it."""
        self._do(self._open.clear)

    def trickle(self) -> None:
        """Let one byte a second through."""

        def slow() -> None:
            self._is_slow = True

        self._do(slow)

    def reset(self) -> None:
        """Reset all connections; new ones are passed on."""
        self._do(self._reset)

    def heal(self) -> None:
        """Pass on all that was held back, and all that comes."""

        def heal() -> None:
            self._is_slow = False
            self._open.set()

        self._do(heal)

    def close(self) -> None:
        """Reset all connections and take no more."""
        self._do(self._reset)
        self._do(self._over.set)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _do(self, action: Callable[[], object]) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (action(), done.set()))
        done.wait()

    def _reset(self) -> None:
        for writer in self._writers:
            # Linger for no time: the other end is sent a reset, not an end.
            linger = struct.pack("ii", 1, 0)
            connection = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # closed already
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    async def _serve(self) -> None:
        self._open, self._over = asyncio.Event(), asyncio.Event()
        self._open.set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._over.wait()
        server.close()
        await asyncio.sleep(0)  # what was being accepted has its task then
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._pass_on(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._target)
        except (OSError, asyncio.CancelledError):  # the scheduler is gone, or the test is over
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            for end in (writer, back):
                self._writers.discard(end)
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 if self._is_slow else _CHUNK):
                await self._open.wait()
                if self._is_slow:
                    await asyncio.sleep(1)
                writer.write(data)
                await writer.drain()
            writer.transport.close()
