"""`WorkerProcess`: one worker as the controller sees it: started, talked to, killed, buried."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .cell import BEGAN, ENDED, NODE, SLICE, STOPPED, Ledge, open_cell, shared_file
from .channel import LINGERED, FrameReader, framed, words

if TYPE_CHECKING:
    from .memory import Identity
    from .slices import Coroutine, Slice

__all__ = ["WorkerProcess"]

_PATIENCE = 1.0  # seconds for the system to say how a process ended that has closed its channel

_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; "
    "from dask_dispatcher.executors.parallel.worker import main; main({channel}, {cell})"
)


class WorkerProcess:
    """A worker process and its channel.

    It is started from the thread of the event loop, which outlives it: the system kills a worker
    when the thread that started it ends.

    Parameters
    ----------
    serial : int
    loop : asyncio.AbstractEventLoop
    hear : callable
        Called with the worker and each of its messages, in the loop's thread.
    gone : callable
        Called with the worker, once, when its process has ended.
    environment : mapping
        What is added to this process's environment, where it has nothing under that name.

    Raises
    ------
    OSError
        If it cannot be started.
    """

    def __init__(
        self,
        serial: int,
        loop: asyncio.AbstractEventLoop,
        hear: Callable[[WorkerProcess, tuple[Any, ...]], None],
        gone: Callable[[WorkerProcess], None],
        environment: Mapping[str, str],
    ) -> None:
        self.serial = serial
        self.identity: Identity | None = None
        self.slices: dict[int, Slice] = {}
        """What it has been given and has not ended, by serial, in order."""
        self.coroutines: dict[tuple[int, int], Coroutine] = {}
        """Coroutine nodes under way, by run and number."""
        self.since = time.monotonic()
        """When it was last heard of, or was given something after it had nothing to do."""
        self.kept = 0
        """How many large values it keeps for the controller."""
        self.is_dismissed = False
        """Whether it has been told to end."""
        self.is_gone = False
        self.timed_out: tuple[int, int] | None = None
        """The run and the node because of which it is about to be killed."""
        self._loop = loop
        self._hear = hear
        self._gone = gone
        self._frames = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._unsent = bytearray()
        self._pidfd = -1
        self._lingered = -1  # number of the last message with words that had lingered
        self._cell: memoryview
        self._ledge: Ledge
        self._socket: socket.socket
        self._process = self._start({**environment, **os.environ})

    def _start(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as stack:
            stack.callback(theirs.close)
            failed = stack.enter_context(contextlib.ExitStack())
            failed.callback(ours.close)
            ours.setblocking(False)
            self._socket = ours
            cell = shared_file()
            stack.callback(os.close, cell)
            self._cell, self._ledge = open_cell(cell)
            self._cell[NODE] = self._cell[SLICE] = self._cell[ENDED] = self._cell[STOPPED] = -1
            program = _PROGRAM.format(path=sys.path, channel=theirs.fileno(), cell=cell)
            process = subprocess.Popen(
                [sys.executable, *subprocess._args_from_interpreter_flags(), "-c", program],  # type: ignore[attr-defined]
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), cell),
                start_new_session=True,
                env=environment,
            )
            failed.pop_all()
        self._watch(process, ours)
        return process

    def _watch(self, process: subprocess.Popen[bytes], ours: socket.socket) -> None:
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._pidfd = os.pidfd_open(process.pid)
                self._loop.add_reader(self._pidfd, self.end)
        self._loop.create_task(self._connect(ours))

    async def _connect(self, ours: socket.socket) -> None:
        worker = self

        class Protocol(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                worker.since = time.monotonic()
                worker._read(data)

            def connection_lost(self, exc: Exception | None) -> None:
                worker.end()

        transport, _ = await self._loop.create_unix_connection(Protocol, sock=ours)
        self._transport = transport
        transport.write(self._unsent)
        self._unsent = bytearray()
        if self.is_gone:
            transport.abort()

    def send(self, *message: Any) -> None:
        """Send a message; never waits."""
        if self.is_gone:
            return
        if self._transport is None:
            self._unsent += framed(message)
        elif not self._transport.is_closing():  # the end of a broken channel is noticed later
            self._transport.write(framed(message))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def name(self) -> str:
        """What errors and events call it."""
        return f"process {self.pid}"

    @property
    def is_open(self) -> bool:
        """Whether it has started, and goes on."""
        is_leaving = self.is_dismissed or self.timed_out is not None or self.is_gone
        return self.identity is not None and not is_leaving

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to run but coroutines."""
        return self.is_open and not self.slices

    # The cell

    def node_of(self, serial: int) -> int | None:
        """Return which node of a slice is or was under way last.

        -1 if none of it has begun; None if the slice has ended.
        """
        if self._cell[ENDED] >= serial:
            return None
        return self._cell[NODE] if self._cell[SLICE] == serial else -1

    def seconds_in_node(self) -> float:
        """Return how long the node under way has been running, in a slice that has timeouts."""
        return (time.monotonic_ns() - self._cell[BEGAN]) / 1e9

    def forbid(self, run: int) -> None:
        """Let nothing more of a run begin."""
        if not self.is_gone:
            self._cell[STOPPED] = run

    def permit(self, run: int) -> None:
        """Let a run that was stopped go on: values of it that were lost are computed again."""
        if not self.is_gone and self._cell[STOPPED] == run:
            self._cell[STOPPED] = -1

    # Its end

    def dismiss(self) -> None:
        """Let it end; it has nothing to do, and is given nothing more."""
        self.is_dismissed = True
        self.send("close")

    def kill(self) -> None:
        """Kill it, with all processes that its nodes have started in its group."""
        if not self.is_gone:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> None:
        """Wait for the end of a process that has been killed."""
        self._process.wait()

    def end(self) -> None:
        """Bury it once its process has ended, or its channel has."""
        if self.is_gone:
            return
        self.is_gone = True
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        with contextlib.suppress(OSError):  # what its nodes have left behind
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._hear_last()
        if self._transport is not None:
            self._transport.abort()
        try:
            self._gone(self)
        finally:
            self._ledge.release()

    def _hear_last(self) -> None:
        """Hear what it has said before its end; the loop may have been told of the end first."""
        with contextlib.suppress(OSError):  # all is read, or the transport has closed the socket
            while data := self._socket.recv(1 << 18):
                self._read(data)
        number, standing = self._ledge.standing()
        if number > self._lingered:
            self._hear_words(standing)

    def _read(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            if message[0] == LINGERED:
                self._lingered = message[1]
                self._hear_words(message[2])
            else:
                self._hear(self, message)

    def _hear_words(self, data: bytes) -> None:
        for word in words(data):
            self._hear(self, tuple(word))

    @property
    def reason(self) -> str:
        """How the process ended, in words."""
        code = self._process.returncode
        if code is None:
            return "it is still running"
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.pid}: {'gone' if self.is_gone else len(self.slices)}>"
