"""The worker process: runs slices, keeps large values, answers while it is busy.

::

    [channel thread] reads --slices--> inbox --> [main thread] runs --reports--> channel
           |
           | give back, free, withdraw: at once
           +-- coroutine nodes -------------> [loop thread] --reports--> channel

It is started as ``python -c`` with three inherited descriptors' numbers: of the channel, of the
cell, and nothing else; all it needs to know comes in the first message. It ends, with all processes
it has started, when its channel does.

Where a large value is, is said in the report of the node that made it, and again, as `spilled`, when it
has gone to a file: in this order, as the store lets nothing go of which there has been no report. When
memory is short, or a slice has kept some megabytes since its last report, it reports after its next
node, however quick that is: the controller lets values go, and can of those it knows.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import queue
import shutil
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...deferred.links import set_process_link
from ..slices.columns import from_columns
from ..slices.packing import Entry
from ..slices.passing import Passing
from ..slices.running import Kept, Lazy, Outbox, SliceRunner, Values
from .asking import WorkerLink
from .cell import ENDED, NODE, SLICE, STOPPED, open_cell
from .channel import Channel
from .coroutines import CoroutineRunner
from .functions import Functions
from .memory import Witness, allow_readers, is_readable
from .places import Place
from .store import Store, memory_limit

__all__ = ["main"]

_UNTOLD = 4_000_000  # bytes of values that a slice keeps before it says so: only then can they go
_MEMORY_SHARE = 0.6  # of the machine's, that all workers together may fill with values

_PR_SET_PDEATHSIG = 1

_NOTHING: Mapping[int, Sequence[int]] = {}


class Worker:
    """The process's one object.

    Parameters
    ----------
    channel : Channel
    cell : memoryview of int64
    hello : tuple
        The controller's first message.
    """

    def __init__(self, channel: Channel, cell: memoryview, hello: tuple[Any, ...]) -> None:
        _, workers, folder, controller, limit, home = hello
        allow_readers()
        self._witness = Witness()
        self._channel = channel
        self._cell = cell
        self._folder: str = folder
        self._name = f"process {os.getpid()}"
        self._functions: dict[int, Functions] = {}  # by run; the channel thread's
        self._inbox: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        # Slices by serial: waiting in the inbox, or under way (then without entries).
        self._waiting: dict[int, list[Entry]] = {}
        self._runner: SliceRunner | None = None
        self._serial = -1
        self._run = -1
        # Guards the four above; an answer is sent under it, so that what it has taken from a slice is
        # said before the end of that slice, after which the controller waits for nothing more.
        self._lock = threading.Lock()
        # The serial of the slice that ran last, and its values if another may take them; the main
        # thread's.
        self._last: tuple[int, Values | None] = (-1, None)
        self._reported = 0.0
        self._untold = 0  # bytes that the slice has kept since then, roughly
        self._reporting = threading.Lock()  # what is taken from an outbox first is sent first
        self._is_copy = False  # a fork of a worker, made by a node
        self._coroutines: CoroutineRunner | None = None
        self._store = Store(
            self._witness.identity,
            folder,
            limit or memory_limit(_MEMORY_SHARE) // workers,
            lambda key, place: self._send("spilled", key, place),
        )
        self._link = WorkerLink(
            home, self._witness.identity, folder, self._send, self._linger, self._running
        )
        set_process_link(self._link)
        os.register_at_fork(after_in_child=self._become_copy)
        self._send("ready", self._witness.identity, is_readable(controller))

    def _running(self) -> tuple[int, int, int]:
        return self._run, self._cell[NODE], self._serial

    def _become_copy(self) -> None:
        self._is_copy = True

    def _send(self, *message: Any) -> None:
        self._say(self._channel.send, message)

    def _linger(self, *message: Any) -> None:
        self._say(self._channel.linger, message)

    def _say(self, say: Callable[[tuple[Any, ...]], None], message: tuple[Any, ...]) -> None:
        if self._is_copy:  # it has come back from the node that forked it
            os._exit(0)
        try:
            say(message)
        except OSError:
            self._end()

    def _report(self, kind: str, run: int, serial: int, outbox: Outbox, *back: Any) -> None:
        """Say what has become of nodes: a `report`, or, of a slice, that it has `ended`."""
        with self._reporting:
            said = outbox.take()
            self._send(kind, run, serial, said, *back)
        self._store.note_told((run, number) for number, _ in said[3])

    # The channel thread

    def listen(self, messages: Iterator[tuple[Any, ...]]) -> None:
        """Read the channel to its end."""
        try:
            for message in messages:
                self._hear(message)
        except OSError:
            pass
        self._end()

    def _hear(self, message: tuple[Any, ...]) -> None:
        kind = message[0]
        if kind == "slice":
            run, serial, columns, given = message[1:5]
            entries = from_columns(columns)
            with self._lock:
                self._waiting[serial] = entries
            functions = self._functions_of(run, given[0])
            self._inbox.put((functions, run, serial, entries, *message[4:]))
        elif kind == "coroutines":
            run, _, given = message[1:4]
            self._start_coroutines(self._functions_of(run, given[0]), *message[1:])
        elif kind == "cancel" and self._coroutines is not None:
            self._coroutines.cancel(message[1], message[2])
        elif kind == "over":
            self._functions.pop(message[1], None)
            self._store.forget_literals(message[1])
        elif kind == "nudge":
            self._answer(message[1])
        elif kind == "answer":
            self._link.hear(*message[1:])
        elif kind == "ahead":
            self._link.receive(*message[1:])
        elif kind == "again":
            self._link.hear_again(message[1])
        elif kind == "let go":
            self._link.let_go(message[1])
        elif kind == "free":
            self._store.free(message[1])
        elif kind == "unreadable":
            self._store.use_files()
            self._link.use_files()
        elif kind == "close":
            self._end()

    def _functions_of(self, run: int, more: list[tuple[int, bytes]]) -> Functions:
        functions = self._functions.get(run)
        if functions is None:
            functions = self._functions[run] = Functions()
        functions.add(more)
        return functions

    def _start_coroutines(
        self,
        functions: Functions,
        run: int,
        entries: list[Entry],
        given: tuple[Any, ...],
        timeouts: dict[int, tuple[float, str]],
        observed: bool,
    ) -> None:
        if self._coroutines is None:
            self._coroutines = CoroutineRunner(self._name, self._report_coroutines)
        functions.open(entries)
        values, keep = self._values(given), self._keeper(run)
        self._coroutines.start(
            run, entries, values, functions.table, keep, timeouts, observed=observed
        )

    def _report_coroutines(self, run: int, outbox: Outbox) -> None:
        self._report("report", run, 0, outbox, ())
        self._store.make_room()

    def _answer(self, serial: int) -> None:
        """Report what a slice has done so far, and give back what it has not begun."""
        with self._lock:
            rest = self._waiting.pop(serial, None)
            runner = self._runner if serial == self._serial else None
            if runner is not None:
                rest = _taken(runner.todo)
                runner.put_rest()  # others may need it soon
            numbers = [entry[0] for entry in rest or ()]
            if runner is None:
                self._send("back", serial, numbers)
            else:
                self._report("report", self._run, serial, runner.outbox, numbers)

    def _end(self) -> None:
        """End this process and all that it has started; remove files nobody else will."""
        if not self._is_copy:
            if os.getppid() == 1 or not _is_alive(self._parent):
                shutil.rmtree(self._folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.killpg(0, signal.SIGKILL)
        os._exit(0)

    _parent = os.getppid()

    # The main thread

    def work(self) -> None:
        """Run what comes, for ever."""
        while True:
            self._run_slice(*self._inbox.get())

    def _run_slice(
        self,
        functions: Functions,
        run: int,
        serial: int,
        entries: list[Entry],
        given: tuple[Any, ...],
        patience: float,
        observed: bool,
        stamps: bool,
        behind: int | None = None,
        passing: Mapping[int, Sequence[int]] = _NOTHING,
    ) -> None:
        cell = self._cell
        if cell[STOPPED] == run:
            self._answer(serial)
            return
        functions.open(entries)
        values = self._values(given)
        last, before = self._last
        if behind == last:
            values.before = before
        held = Passing(passing)
        runner = SliceRunner(functions.table, self._keeper(run), self._name, cell, held)
        with self._lock:
            if self._waiting.pop(serial, None) is None:  # withdrawn
                return
            self._runner, self._serial, self._run = runner, serial, run
            runner.todo = entries
        cell[NODE] = -1
        cell[SLICE] = serial
        self._reported, self._untold = time.perf_counter(), 0

        def pause(now: float) -> None:
            if self._is_copy:
                os._exit(0)
            if cell[STOPPED] == run:
                self._answer(serial)
            if passing and (kept := runner.use_up(cell[NODE], values)):
                self._untold -= self._store.free([(run, number) for number in kept])
            if now - self._reported > patience and runner.todo:  # else the end is said next
                self._reported, self._untold = now, 0
                self._report("report", run, serial, runner.outbox, ())
                self._store.make_room()

        runner.run(entries, values, pause, observed=observed, stamps=stamps)
        runner.put_rest()
        values.before = None
        self._last = serial, values if behind is not None else None
        cell[ENDED] = serial
        with self._lock:
            self._runner = None
            self._report("ended", run, serial, runner.outbox)
        self._store.make_room()

    def _values(self, given: tuple[Any, ...]) -> Values:
        _, atoms, pickled, places = given
        values = Values(dict(zip(*atoms, strict=True)), pickled)
        for number, key, place in places:
            values[number] = Lazy(
                lambda key=key, place=place: self._store.get(key, place),  # type: ignore[misc]
                self._store.distance(key, place),
            )
        return values

    def _keeper(self, run: int) -> Callable[..., tuple[Any, Any]]:
        def keep(
            number: int, pickled: bytes, buffers: list[memoryview], value: Any
        ) -> tuple[Place, Kept]:
            key = run, number
            place, _ = self._store.keep(key, (pickled, buffers), value)
            self._untold += sum(buffer.nbytes for buffer in buffers)
            if self._store.is_full or self._untold > _UNTOLD:
                self._reported = -math.inf
            # The controller may let it go before the slice ends, and memory with it.
            return place, Kept(lambda: self._store.get_here(key))

        return keep


def _taken(todo: list[Entry]) -> list[Entry]:
    rest = []
    while todo:
        try:
            rest.append(todo.pop())
        except IndexError:  # the main thread has just taken the last one
            break
    return rest


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def main(channel: int, cell: int) -> None:
    """Be a worker.

    Parameters
    ----------
    channel, cell : int
        Inherited descriptors: a connected socket, and a file to share memory through.
    """
    _die_with_parent()
    # Raised between two nodes, a KeyboardInterrupt would take a slice with it. A handler, as what is
    # ignored would be ignored by the programs that nodes start, too.
    signal.signal(signal.SIGINT, lambda *_: None)
    for descriptor in (channel, cell):
        os.set_inheritable(descriptor, False)
    shared, ledge = open_cell(cell)
    os.close(cell)
    end = Channel(socket.socket(fileno=channel), ledge)
    messages = end.messages()
    worker = Worker(end, shared, next(messages))
    threading.Thread(
        target=worker.listen, args=(messages,), name="dask-dispatcher-channel", daemon=True
    ).start()
    try:
        worker.work()
    except BaseException:  # of a handler that a node has left behind
        traceback.print_exc()
    os._exit(1)  # and not at the leisure of threads that nodes have started


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
