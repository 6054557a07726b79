"""`Wire`: how nodes on a worker reach the deferred references of their program.

::

    node   GroupLink.ask --+                                          +-- Desk
                           Wire --- event under the client's id --->  Clerk
    node   <-- reply ------+  <---- run `deliver` on the worker ----  +

Requests travel as reports do, all of a few milliseconds in one event; what nobody waits for lingers for
company until somebody waits, or for as long as an event takes in any case. Answers travel through the
scheduler to the worker's own server, all that have come up while the last lot was on its way in one
message. Values that are not small stay in the process that put them (`Wire.store`), until the program
lets them go; another worker comes for them at this worker's own server.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import pickle
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from ...deferred.ahead import Asker
from ...deferred.lingering import LINGERING, gather
from ...deferred.links import AGAIN, Answer, Ref, Reply, Request
from ...errors import DeferredLostError, RunCancelledError
from ..slices.carrying import dump, is_atom, load
from ..slices.failures import dump_error
from .boxes import Box

if TYPE_CHECKING:
    from distributed import Worker

__all__ = ["PATIENCE", "GroupLink", "Wire", "cancelled", "deliver", "hand_out", "silent", "wire"]

_SMALL = 10_000  # bytes of an item that travels with its request
_LONGEST = 60_000  # bytes of one event; the scheduler remembers a thousand of them
_PAUSE = 0.002  # seconds between two events, and that what nobody waits for lingers
_LENT = frozenset({"at", "box"})  # kinds of items that the program keeps until they are brought
PATIENCE = 2.0
"""Seconds that a worker may take to answer before it is taken for stopped."""

_LOOK = 0.5  # seconds between two looks at whether a value can still come


Line = tuple[str, str]
"""Where a program listens, and the name of its connection: several may have one client."""


class Wire:
    """Between one worker and one executor of a program.

    Parameters
    ----------
    worker : Worker
    line : Line
    """

    def __init__(self, worker: Worker, line: Line) -> None:
        self._log_event = weakref.WeakMethod(worker.log_event)
        self._address = worker.address
        self.loop: asyncio.AbstractEventLoop = worker.loop.asyncio_loop  # type: ignore[attr-defined]
        self._line = line
        self._serial = itertools.count()
        self._flushing = threading.Lock()  # keeps order
        self._lock = threading.Lock()  # guards _outbox and _is_urgent
        self._outbox: deque[list[Any]] = deque()
        self._is_urgent = False
        self._flushed = 0.0
        self.asker = Asker(self._say, self._forget, self.decline)
        self.store: dict[int, Box] = {}
        self.lost: set[str] = set()
        """Workers that are gone, while somebody here may be waiting for what they had."""

    def ask(self, group: str, request: Request, reply: Reply) -> int:
        """Serve or send a request; return its ticket."""
        ref, verb, item, caller, *_ = request

        def send(ticket: int, is_eager: bool) -> None:
            who = caller and tuple(caller)
            self._send(["ask", group, ticket, tuple(ref), verb, item, who, is_eager])

        return self.asker.ask(request, reply, send)

    def _say(self, kind: str, what: Any, *rest: Any) -> None:
        if kind == "withdraw":
            rest = (dump_error(rest[0]),)
        self._send([kind, "", what, *rest])

    def keep(self, box: Box) -> int:
        """Keep a value until the program lets it go; return its number."""
        number = next(self._serial)
        self.store[number] = box
        return number

    def _forget(self, item: Any) -> None:
        if item[0] == "kept":
            self.store.pop(item[2], None)

    def accept(self, item: Any) -> None:
        """Tell that the program may let go of what it has lent."""
        if item[0] in _LENT:
            self._send(["brought", "", item[-1]])

    def decline(self, ref: Ref, verb: str, item: Any) -> None:
        """Tell that nobody here has what was taken out of a channel."""
        if verb == "get":
            self._send(["back", "", item[-1] if item[0] in _LENT else item, tuple(ref)])
        else:
            self.accept(item)

    def _send(self, said: list[Any]) -> None:
        lingers = said[0] in LINGERING
        with self._lock:
            is_first = not self._outbox
            self._outbox.append(said)
            is_urgent = not (lingers or self._is_urgent)
            self._is_urgent |= is_urgent
        if is_first or is_urgent:  # else the flush is yet to come
            self.loop.call_soon_threadsafe(self._flush_soon, lingers)

    def _flush_soon(self, lingers: bool) -> None:
        """Flush now, or once so much time has passed as the worker's stream takes in any case."""
        wait = _PAUSE if lingers else self._flushed + _PAUSE - time.monotonic()
        if wait > 0:
            self.loop.call_later(wait, self.flush)
        else:
            self.flush()

    def flush(self) -> None:
        """Send what there is to send; may be called by any thread."""
        with self._flushing:
            with self._lock:
                outbox, self._outbox = self._outbox, deque()
                self._is_urgent = False
            self._flushed = time.monotonic()
            log_event = self._log_event()
            while outbox and log_event is not None:
                topic, name = self._line
                said = pickle.dumps(_lot(outbox), protocol=5)
                log_event(topic, {"deferred": name, "worker": self._address, "said": said})


def _lot(outbox: deque[list[Any]]) -> list[list[Any]]:
    """Take from an outbox what goes into one event; puts that are alike become one, as do takings."""
    lot: list[list[Any]] = []
    size = 0
    while outbox and size < _LONGEST:
        said = outbox.popleft()
        size += _size(said)
        gather(lot, said)
    return lot


def _size(said: list[Any]) -> int:
    """Return about how many bytes it takes."""
    items = said[3] if said[0] == "put" else said[5:6] if said[0] == "ask" else ()
    return 100 + sum(len(item[1]) for item in items if item and type(item[1]) in (str, bytes))


class GroupLink:
    """The link of the nodes of one group.

    Parameters
    ----------
    worker : Worker
    line : Line
    group, home : str
        How the group is called, and the program.
    """

    def __init__(self, worker: Worker, line: Line, group: str, home: str) -> None:
        self.home = home
        self._worker, self._line, self._group = worker, line, group
        self._tickets: set[int] = set()
        self._over: BaseException | None = None

    @property
    def _wire(self) -> Wire:
        return wire(self._worker, self._line)

    def pack(self, value: Any, *, stays: bool) -> Any:
        if not stays and is_atom(value):
            return "atom", value
        pickled, buffers = dump(value, "what is put")
        if not stays and not buffers and len(pickled) <= _SMALL:
            return "small", pickled
        return "kept", self._worker.address, self._wire.keep(Box(value))

    def unpack(self, item: Any, deadline: float | None = None) -> Any:
        kind, *rest = item
        if kind == "atom":
            return rest[0]
        if kind == "small":
            return load(*rest)
        if kind == "box":
            return rest[0].open()
        address, number, _ = rest
        return self._bring(address, number, deadline)

    def accept(self, item: Any) -> None:
        self._wire.accept(item)

    def decline(self, ref: Ref, verb: str, item: Any) -> None:
        self._wire.decline(ref, verb, item)

    def ask(self, request: Request, reply: Reply) -> Any:
        over = self._over
        if over is not None:
            reply(Answer(error=over))
            return -1

        is_answered = False

        def note(answer: Answer) -> None:
            nonlocal is_answered
            is_answered = True
            self._tickets.discard(ticket)
            reply(answer)

        ticket = -1
        ticket = self._wire.ask(self._group, request, note)
        self._tickets.add(ticket)
        if is_answered:  # at once, or meanwhile
            self._tickets.discard(ticket)
            return ticket
        over = self._over  # it may have come meanwhile
        if over is not None:
            self._wire.asker.abandon(ticket, over)
        return ticket

    def withdraw(self, ticket: Any, error: BaseException) -> None:
        if self._over is None:
            self._wire.asker.withdraw(ticket, error)
        else:
            self._wire.asker.abandon(ticket, error)

    def flush(self) -> None:
        """Send what lingers."""
        self._wire.flush()

    def end(self, error: BaseException) -> None:
        """Let all waits end, and none begin: nobody wants the nodes any more."""
        self._over = error
        for ticket in list(self._tickets):
            self._wire.asker.abandon(ticket, error)

    def _bring(self, address: str, number: int, deadline: float | None) -> Any:
        """Return a value that a worker keeps; wait no longer than it can come."""
        if address == self._worker.address:
            return _opened(hand_out(self._line, number, self._worker), address)
        coming = asyncio.run_coroutine_threadsafe(self._come_for(address, number), self._wire.loop)
        while True:
            try:
                return _opened(coming.result(_LOOK), address)
            except concurrent.futures.TimeoutError:  # another class, before Python 3.11
                pass
            except OSError as error:
                raise _lost(address) from error
            if address in self._wire.lost:
                coming.cancel()
                raise _lost(address)
            if self._over is not None:
                coming.cancel()
                raise self._over
            if deadline is not None and time.monotonic() > deadline and not self._answers(address):
                coming.cancel()
                raise silent(address)

    async def _come_for(self, address: str, number: int) -> Box | None:
        answer = await self._worker.rpc(address).run(
            function=pickle.dumps(hand_out), args=pickle.dumps((self._line, number))
        )
        box: Box | None = answer["result"]
        return box

    def _answers(self, address: str) -> bool:
        """Return whether a worker is there; a large value may just take its time."""
        answer = asyncio.run_coroutine_threadsafe(self._come_for(address, -1), self._wire.loop)
        try:
            answer.result(PATIENCE)
        except concurrent.futures.TimeoutError:
            answer.cancel()
            return False
        except OSError:
            pass  # it is gone: that will be heard
        return True


def silent(address: str) -> TimeoutError:
    """Return the error for a value that does not come in time."""
    return TimeoutError(f"time was up: the value is in {address}, which does not answer")


def _opened(box: Box | None, address: str) -> Any:
    if box is None:
        raise _lost(address)
    return box.open()


def _lost(address: str) -> DeferredLostError:
    return DeferredLostError(
        f"the value is lost: it was in {address}, which is gone or has let it go"
    )


# What the program calls on a worker, on its event loop


def deliver(line: Line, said: list[tuple[Any, ...]], dask_worker: Worker) -> None:
    """Take answers, and word of what is to go."""
    own = wire(dask_worker, line)
    for kind, ticket, *rest in said:
        if kind == "answer":
            own.asker.hear(ticket, Answer(rest[0]))
        elif kind == "error":
            own.asker.hear(ticket, Answer(error=pickle.loads(rest[0])))
        elif kind == "ahead":
            own.asker.receive(ticket, *rest)
        elif kind == "again":
            own.asker.hear(ticket, AGAIN)
        elif kind == "drop":
            own.store.pop(ticket, None)
        else:
            own.lost.add(ticket)


def hand_out(line: Line, number: int, dask_worker: Worker) -> Box | None:
    """Return a value that is kept here, or None."""
    return wire(dask_worker, line).store.get(number)


_wires: weakref.WeakKeyDictionary[Worker, dict[Line, Wire]] = weakref.WeakKeyDictionary()
_wires_lock = threading.Lock()  # guards _wires


def wire(worker: Worker, line: Line) -> Wire:
    """Return the wire between a worker and an executor of a program."""
    with _wires_lock:
        wires = _wires.setdefault(worker, {})
        found = wires.get(line)
        if found is None:
            found = wires[line] = Wire(worker, line)
    return found


def cancelled() -> RunCancelledError:
    """Return what ends the waits of nodes that nobody wants."""
    return RunCancelledError("the program wants what this node computes no more")
