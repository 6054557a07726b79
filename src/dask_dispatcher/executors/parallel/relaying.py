"""`Relay`: the controller's end of `asking.WorkerLink`s: hands their requests to the books.

All is called on the event loop's thread, but for what the desk calls: answers, which may come from
any thread, and finalizers of items.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import pickle
import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from ...deferred.desk import Desk, carrier, desk, give_back, take_over
from ...deferred.leases import Agent
from ...deferred.links import AGAIN, ITEMS, Answer, Caller, Here, Ref, Request, current_link, home
from ...errors import DeferredError, DeferredLostError, RunCancelledError
from ..slices.carrying import SMALL, Carried, Dumped, dump, is_atom, load
from ..slices.failures import dump_error
from .memory import GoneError
from .places import Place, bring, in_file

if TYPE_CHECKING:
    from .process import WorkerProcess

__all__ = ["RELAYED", "Relay"]

RELAYED = frozenset({"ask", "withdraw", "brought", "restore", "put", "took", "returned"})
"""What workers say of deferred references."""

MOST_WAITING = 64
"""Nodes that may wait at once; each keeps a process."""


class Placed:
    """An item in a worker; it is let go there when nobody refers to this any more."""

    def __init__(
        self, worker: WorkerProcess, key: int, place: Place, release: Callable[..., None]
    ) -> None:
        self.holder: Hashable = worker.name
        self.identity = worker.identity
        self.key = key
        self.place = place
        self._worker = worker
        self._release = release
        self._is_left = False
        worker.kept += 1

    def bring(self, deadline: float | None = None) -> Any:
        try:
            return load(*bring(self.place))
        except GoneError:
            raise DeferredLostError(f"the value is lost: {self.holder} is gone") from None

    def leave(self) -> None:
        """Leave it to the worker when to let it go."""
        self._is_left = True
        self._worker.kept -= 1

    def __del__(self) -> None:
        if not self._is_left:
            self._release(self._worker, self.key, self.place)


class _Filed:
    """A large value of the program's in a file for a worker to read; an item itself.

    Parameters
    ----------
    place : Place
    item : Item or None
        What it was in the book, if that is here.
    """

    def __init__(self, place: Place, item: Any) -> None:
        self.holder: Hashable = None
        self.place = place
        self.item = item

    def bring(self, deadline: float | None = None) -> Any:
        return load(*bring(self.place))

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self.place[1])


class _Asked:
    """A request under way."""

    __slots__ = ("blocks", "carrier", "item", "run", "ticket", "verb")

    def __init__(self, verb: str, run: Any, blocks: bool) -> None:
        self.verb = verb
        self.run = run
        self.blocks = blocks
        self.carrier: Any = None
        self.item: Any = None
        self.ticket: Any = None


class Relay:
    """The deferred references of one engine's workers.

    Parameters
    ----------
    folder : str
        For large values of the program's.
    post : callable
        Calls a function soon, on the loop's thread.
    """

    def __init__(self, folder: str, post: Callable[[Callable[[], None]], None]) -> None:
        self._folder = folder
        self._post = post
        # Who made the executor may itself be a node, with a way home of its own.
        self._context = contextvars.copy_context()
        link = current_link()
        self.home = home() if link is None else link.home
        self._name = os.urandom(8).hex()
        self._asked: dict[tuple[WorkerProcess, int], _Asked] = {}
        self._lent: dict[tuple[WorkerProcess, int], Any] = {}
        self._released: deque[tuple[WorkerProcess, int, Place]] = deque()
        self._agents: dict[WorkerProcess, Agent] = {}
        self._thread: threading.Thread | None = None
        self._is_hearing = False
        self._to_tell: list[WorkerProcess] = []  # for whom something has come up meanwhile

    # What workers say

    def hear(self, worker: WorkerProcess, kind: str, rest: list[Any]) -> bool:
        """Take one of `RELAYED`; return whether the worker waits now, and blocks with it."""
        self._thread = threading.current_thread()
        self._is_hearing = True
        try:
            return bool(getattr(self, kind)(worker, *rest))
        finally:
            self._is_hearing = False
            while self._to_tell:
                self._send(self._to_tell.pop())

    def ask(
        self,
        worker: WorkerProcess,
        ticket: int,
        ref: tuple[Any, ...],
        verb: str,
        item: Any,
        who: tuple[Any, ...],
        blocks: bool,
        is_eager: bool,
    ) -> bool:
        """Hand on a request; return whether the worker waits now, and blocks with it."""
        asked = self._asked[worker, ticket] = _Asked(verb, who[0], blocks)
        caller = Caller((self._name, *who[:2]), who[2:])
        request = Request(Ref(*ref), verb, item, caller, None, is_eager, ticket)
        try:
            self._pass_on(worker, asked, request)
        except Exception as error:
            self._answer(worker, ticket, Answer(error=error))
        if (worker, ticket) not in self._asked:
            return False
        if blocks and self.count_blocked() > MOST_WAITING:
            self._withdraw(asked, DeferredError(_TOO_MANY))
            return False
        return blocks

    def _pass_on(self, worker: WorkerProcess, asked: _Asked, request: Request) -> None:
        """Send a request to the book, or towards it; what it is to put is as the worker sent it."""
        ref, link = request.ref, self._context.run(carrier, request.ref)
        asked.carrier = link
        if request.verb == "put":
            found = self._item(worker, request.item)
            if isinstance(link, Desk):
                asked.item = found
            else:  # what is put must be where books further up can reach it
                asked.item = link.pack(found.bring(), stays=not ref.is_channel)
        agent = self._agent(worker) if isinstance(link, Desk) else None
        asked.ticket = link.ask(
            request._replace(item=asked.item, agent=agent),
            lambda answer: self._reply(worker, request.serial, answer),
        )

    def _item(self, worker: WorkerProcess, item: Any) -> Any:
        kind, *what = item
        if kind == "atom":
            return Here(*what)
        if kind == "bytes":
            return Carried(*what)
        key, place = what
        return Placed(worker, key, place, self._release)

    def put(self, worker: WorkerProcess, key: str, items: list[Any], is_eager: bool) -> None:
        """Hand on items for places that were ahead."""
        found = [self._item(worker, item) for item in items]
        desk().put_ahead(key, worker.name, found, is_eager)

    def took(self, worker: WorkerProcess, key: str, count: int, is_eager: bool) -> None:
        """Note that a worker has handed out items that were ahead."""
        desk().took(key, worker.name, count, is_eager)

    def returned(self, worker: WorkerProcess, key: str) -> None:
        """Note that a worker has nothing ahead of a channel any more."""
        desk().returned(key, worker.name)

    def _agent(self, worker: WorkerProcess) -> Agent:
        agent = self._agents.get(worker)
        if agent is None:
            agent = Agent(worker.name, _can_go_ahead, lambda: self._send_soon(worker))
            self._agents[worker] = agent
        return agent

    def _send_soon(self, worker: WorkerProcess) -> None:
        if self._is_hearing and threading.current_thread() is self._thread:
            self._to_tell.append(worker)
        else:
            self._post(lambda: self._send(worker))

    def _send(self, worker: WorkerProcess) -> None:
        """Send ahead what is due."""
        agent = self._agents.get(worker)
        if agent is not None and agent.has_parcels:
            for key, places, items, *rest in agent.take_parcels():
                worker.send("ahead", key, places, list(map(_sent, items)), *rest)

    def withdraw(self, worker: WorkerProcess, ticket: int, error: bytes) -> None:
        """End a wait."""
        asked = self._asked.get((worker, ticket))
        if asked is not None:
            self._withdraw(asked, pickle.loads(error))

    def brought(self, worker: WorkerProcess, ticket: int) -> None:
        """Let go of what a worker has read by now."""
        self._lent.pop((worker, ticket), None)

    def restore(self, worker: WorkerProcess, ref: tuple[Any, ...], item: Any) -> None:
        """Take back to the front of a channel what a worker took for somebody who is gone."""
        is_lent = type(item) is int
        found = self._lent.pop((worker, item), None) if is_lent else self._item(worker, item)
        if type(found) is _Filed and found.item is not None:
            found = found.item
        if found is not None:
            self._context.run(give_back, Ref(*ref), found)

    def cancel(self, run: int) -> None:
        """End the waits of a run's nodes."""
        for asked in [asked for asked in self._asked.values() if asked.run == run]:
            self._withdraw(
                asked, RunCancelledError("the run that this node belongs to was stopped")
            )
        for agent in self._agents.values():
            desk().recall(agent)

    def _withdraw(self, asked: _Asked, error: BaseException) -> None:
        if asked.carrier is not None:
            asked.carrier.withdraw(asked.ticket, error)

    def lose(self, worker: WorkerProcess) -> None:
        """Note that a worker is gone, with what it held and what it waited for."""
        for key in [key for key in self._asked if key[0] is worker]:
            self._withdraw(self._asked.pop(key), DeferredError("its process is gone"))
        for key in [key for key in self._lent if key[0] is worker]:
            del self._lent[key]
        self._agents.pop(worker, None)
        desk().lose(worker.name)

    def count_blocked(self) -> int:
        """Return how many workers wait."""
        return len(self.blocked())

    def blocked(self) -> set[WorkerProcess]:
        """Return the workers whose main threads wait."""
        return {worker for (worker, _), asked in self._asked.items() if asked.blocks}

    # Answers

    def _reply(self, worker: WorkerProcess, ticket: int, answer: Answer) -> None:
        if threading.current_thread() is self._thread:
            self._answer(worker, ticket, answer)
        else:
            self._post(lambda: self._answer(worker, ticket, answer))

    def _answer(self, worker: WorkerProcess, ticket: int, answer: Answer) -> None:
        asked = self._asked.pop((worker, ticket), None)
        if asked is None:  # the worker is gone; what it would have got goes with it
            return
        self._send(worker)
        if answer is AGAIN:
            if type(asked.item) is Placed:
                asked.item.leave()
            worker.send("again", ticket)
            return
        value, error = answer
        if error is None and asked.verb in ITEMS:
            try:
                value = self._for_worker(worker, ticket, asked, value)
            except Exception as broken:
                error = broken
        elif type(value) is not bool and type(value) is not int:
            value = None
        if error is not None:
            worker.send("answer", ticket, None, dump_error(error))
        else:
            worker.send("answer", ticket, value, None)

    def _for_worker(
        self, worker: WorkerProcess, ticket: int, asked: _Asked, item: Any
    ) -> tuple[Any, ...]:
        if _can_go_ahead(item):
            return _sent(item)
        if isinstance(item, Placed):
            self._lent[worker, ticket] = item
            return "place", ticket, item.identity, item.key, item.place
        value = take_over(asked.carrier, item)
        dumped = dump(value, "what was put")
        pickled, buffers = dumped
        if not buffers and len(pickled) <= SMALL:
            return "bytes", pickled
        is_here = isinstance(asked.carrier, Desk)
        lent = self._lent[worker, ticket] = self._filed(dumped, item if is_here else None)
        return "place", ticket, None, 0, lent.place

    def _filed(self, dumped: Dumped, item: Any) -> _Filed:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        return _Filed(in_file(self._folder, dumped), item)

    # What nobody needs any more

    def _release(self, worker: WorkerProcess, key: int, place: Place) -> None:
        """Note that an item may go; called anywhere."""
        self._released.append((worker, key, place))
        if len(self._released) == 1:
            self._post(lambda: None)

    def flush(self) -> None:
        """Tell workers what to let go of, and remove files."""
        while self._released:
            worker, key, place = self._released.popleft()
            worker.kept -= 1
            worker.send("let go", (key,))
            if place[0] == "file":
                with contextlib.suppress(OSError):
                    os.unlink(place[1])


def _can_go_ahead(item: Any) -> bool:
    """Return whether it is small, and travels without a word of the user's."""
    return type(item) is Carried or (type(item) is Here and is_atom(item.value))


def _sent(item: Any) -> tuple[Any, ...]:
    return ("bytes", item.data) if type(item) is Carried else ("atom", item.value)


_TOO_MANY = (
    f"more than {MOST_WAITING} nodes wait for deferred references, and each keeps a process; use "
    "dependencies, or coroutine nodes that await the references"
)
