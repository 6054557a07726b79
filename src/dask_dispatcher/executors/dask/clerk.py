"""`Clerk`: carries what nodes on workers ask of deferred references to their books, and the answers back.

A large value stays on the worker that put it; `OnWorker` stands for it in the book. An answer that
leads a worker to such a value holds on to it until that worker says that it has it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import contextvars
import pickle
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from ...deferred.desk import carrier, desk, give_back, take_over
from ...deferred.leases import Agent
from ...deferred.links import AGAIN, Answer, Caller, Here, Link, Ref, Reply, Request
from ...errors import DeferredLostError, RunCancelledError
from ..slices.carrying import SMALL, Carried, dump, is_atom
from ..slices.failures import dump_error
from .boxes import Box
from .outboxes import Outboxes, Said
from .wires import PATIENCE, cancelled, hand_out, silent

if TYPE_CHECKING:
    from .connection import Connection
    from .engine import DaskEngine

__all__ = ["Clerk"]

_LOOK = 0.2  # seconds between two looks at whether a value can still come


_PARCELS = ("parcels",)
"""Stands in an outbox for what is due to be sent ahead."""


def _can_go_ahead(item: Any) -> bool:
    """Return whether it is small, and travels without a word of the user's."""
    return type(item) is Carried or (type(item) is Here and is_atom(item.value))


def _sent(item: Any) -> tuple[Any, ...]:
    return ("small", item.data) if type(item) is Carried else ("atom", item.value)


class OnWorker:
    """A value that is on a worker.

    Parameters
    ----------
    clerk : Clerk
    address : str
        Of the worker.
    number : int
        What the worker calls it.
    """

    def __init__(self, clerk: Clerk, address: str, number: int) -> None:
        self.clerk = clerk
        self.holder = clerk.name, address
        self.address, self.number = address, number
        self._is_left = False

    def bring(self, deadline: float | None = None) -> Any:
        """Return the value; it comes here through the scheduler."""
        box = self.clerk.bring(self.address, self.number, deadline)
        if box is None:
            raise self.clerk.lost(self.address)
        return box.open()

    def leave(self) -> None:
        """Leave it to the worker when to let it go."""
        self._is_left = True

    def __del__(self) -> None:
        if not self._is_left:
            self.clerk.let_go(self.address, self.number)


class _Errand:
    """A request of a worker's that has not been answered."""

    __slots__ = ("_error", "_ticket", "group", "item", "link")

    def __init__(self, group: str, link: Link, item: Any) -> None:
        self.group, self.link, self.item = group, link, item
        self._ticket: Any = None
        self._error: BaseException | None = None

    def ask(self, request: Request, reply: Reply) -> None:
        """Send the request; who had no time at all is answered, too, if there is something."""
        self._ticket = self.link.ask(request, reply)
        if self._error is not None:  # it was withdrawn before there was a ticket
            self.link.withdraw(self._ticket, self._error)

    def withdraw(self, error: BaseException) -> None:
        """End the wait, also one that is yet to begin: another thread may be about to ask."""
        self._error = error
        if self._ticket is not None:
            self.link.withdraw(self._ticket, error)


class Clerk:
    """Of one engine.

    Parameters
    ----------
    engine : DaskEngine
    """

    def __init__(self, engine: DaskEngine) -> None:
        self._engine = engine
        self._connection: Connection = engine.connection
        self._line = engine.connection.client.id, engine.connection.name
        self._outboxes = Outboxes(engine.connection, self._line, self._spelled_out)
        self.name = id(self)
        self._context = contextvars.copy_context()  # of a node, if the executor is made in one
        self._lock = threading.Lock()  # guards all below but what is let go
        self._errands: dict[tuple[str, int], _Errand] = {}
        self._lent: dict[tuple[str, int], Any] = {}  # items, until they are brought
        self._met: set[str] = set()
        self._agents: dict[str, Agent] = {}  # by address; those of workers that are gone, too
        self._let_go: deque[tuple[str, int]] = deque()  # filled by finalizers, which run anywhere

    # What workers say; with the engine's lock held

    def heard(self, address: str, said: bytes) -> None:
        """Take what a worker has to say; answer all of it together."""
        self._met.add(address)
        with self._outboxes.at_once():
            for words in pickle.loads(said):
                self._hear(address, *words)

    def _hear(self, address: str, kind: str, group: str, what: Any, *rest: Any) -> None:
        if kind == "put":
            items, is_eager = rest
            found = [self._item(item) for item in items]
            desk().put_ahead(what, (self.name, address), found, is_eager)
        elif kind == "took":
            desk().took(what, (self.name, address), *rest)
        elif kind == "returned":
            desk().returned(what, (self.name, address))
        elif kind == "ask":
            self._ask(address, group, what, *rest)
        elif kind == "withdraw":
            self._withdraw(address, what, pickle.loads(rest[0]))
        elif kind == "back" and type(what) is tuple:
            self._give_back(rest[0], self._item(what))
        else:
            with self._lock:
                item = self._lent.pop((address, what), None)
            if kind == "back" and item is not None:
                self._give_back(rest[0], item)
            del item

    def _give_back(self, ref: Any, item: Any) -> None:
        if ref[1] == desk().home:
            give_back(Ref(*ref), item)
        else:  # to pack a value for another road may take long
            self._aside(lambda: give_back(Ref(*ref), item))

    def _ask(
        self,
        address: str,
        group: str,
        ticket: int,
        ref: Any,
        verb: str,
        item: Any,
        caller: Any,
        is_eager: bool,
    ) -> None:
        request = Request(Ref(*ref), verb, self._item(item), caller and Caller(*caller))
        if not self._engine.has_group(group):
            # Nobody wants its nodes any more; what was put goes with the request.
            self._say(address, ("error", ticket, dump_error(cancelled())))
            return
        try:
            link = self._context.run(carrier, request.ref)
        except Exception as error:
            self._say(address, ("error", ticket, dump_error(error)))
            return
        if link is desk():
            agent = self._agent(address)
            request = request._replace(agent=agent, is_eager=is_eager, serial=ticket)
        errand = _Errand(group, link, request.item)
        with self._lock:
            self._errands[address, ticket] = errand
        if link is desk():
            self._pass_on(address, ticket, errand, request)
        else:  # to pack a value for another road may take long
            self._aside(lambda: self._pass_on(address, ticket, errand, request, packs=True))

    def _pass_on(
        self, address: str, ticket: int, errand: _Errand, request: Request, *, packs: bool = False
    ) -> None:
        link, item = errand.link, request.item
        try:
            if packs and item is not None:
                stays = not request.ref.is_channel
                request = request._replace(item=link.pack(item.bring(), stays=stays))
            errand.ask(request, lambda answer: self._answered(address, ticket, errand, answer))
        except Exception as error:
            self._answered(address, ticket, errand, Answer(error=error))

    def _item(self, item: Any) -> Any:
        if item is None:
            return None
        kind, *rest = item
        if kind == "atom":
            return Here(*rest)
        return Carried(*rest) if kind == "small" else OnWorker(self, *rest)

    def _agent(self, address: str) -> Agent:
        agent = self._agents.get(address)
        if agent is None:
            holder = self.name, address
            agent = Agent(holder, _can_go_ahead, lambda: self._say(address, _PARCELS))
            self._agents[address] = agent
        return agent

    def _withdraw(self, address: str, ticket: int, error: BaseException) -> None:
        with self._lock:
            errand = self._errands.get((address, ticket))
        if errand is not None:
            errand.withdraw(error)

    # What is said to workers; by any thread

    def _answered(self, address: str, ticket: int, errand: _Errand, answer: Answer) -> None:
        with self._lock:
            self._errands.pop((address, ticket), None)
        if answer is AGAIN:
            if type(errand.item) is OnWorker:
                errand.item.leave()
            self._say(address, ("again", ticket))
        elif answer.error is not None:
            self._say(address, ("error", ticket, dump_error(answer.error)))
        elif isinstance(answer.value, (bool, int, type(None))):
            self._say(address, ("answer", ticket, answer.value))
        elif errand.link is not desk():
            self._aside(lambda: self._give_from(errand.link, address, ticket, answer.value))
        else:
            self._hand(address, ticket, answer.value)

    def _hand(self, address: str, ticket: int, item: Any) -> None:
        if _can_go_ahead(item):
            self._say(address, ("answer", ticket, _sent(item)))
        elif type(item) is OnWorker and item.clerk is self:
            with self._lock:
                self._lent[address, ticket] = item
            place = "at", item.address, item.number, ticket
            self._say(address, ("answer", ticket, place))
        elif type(item) is Here:
            self._give(address, ticket, item.bring, item)
        else:
            self._aside(lambda: self._give(address, ticket, item.bring, item))

    def _give_from(self, link: Link, address: str, ticket: int, item: Any) -> None:
        """Send a value from further up, which is an item of this program's on its way."""
        try:
            value = Here(take_over(link, item))
        except Exception as error:
            self._say(address, ("error", ticket, dump_error(error)))
        else:
            self._give(address, ticket, value.bring, value)

    def _give(self, address: str, ticket: int, bring: Any, item: Any) -> None:
        """Send a value through this program."""
        try:
            pickled, buffers = dump(bring(), "what was put")
        except Exception as error:
            self._say(address, ("error", ticket, dump_error(error)))
            return
        if not buffers and len(pickled) <= SMALL:
            self._say(address, ("answer", ticket, ("small", pickled)))
        else:
            with self._lock:
                self._lent[address, ticket] = item
            self._say(address, ("answer", ticket, ("box", Box.of(pickled, buffers), ticket)))

    def _aside(self, function: Any) -> None:
        context = self._context.copy()
        name = "dask-dispatcher-deferred"
        threading.Thread(target=context.run, args=(function,), name=name, daemon=True).start()

    def _say(self, address: str, said: Said) -> None:
        self._outboxes.say(address, said)

    def _spelled_out(self, address: str, said: Said) -> list[Said]:
        """Return what is to be said for `_PARCELS`: what is due by now."""
        if said is not _PARCELS:
            return [said]
        return [
            ("ahead", key, places, list(map(_sent, items)), *rest)
            for key, places, items, *rest in self._agent(address).take_parcels()
        ]

    # Values

    def bring(self, address: str, number: int, deadline: float | None) -> Box | None:
        """Return a value from a worker; wait no longer than it can come."""
        client = self._connection.client
        answer = self._outboxes.begin(self._come_for(address, number))
        while not self._outboxes.has_lost(address) and client.status == "running":
            try:
                found: Box | None = answer.result(_LOOK)[address]
            except concurrent.futures.TimeoutError:
                if deadline is None or time.monotonic() < deadline or self._answers(address):
                    continue
                answer.cancel()
                raise silent(address) from None
            except (OSError, RuntimeError, KeyError, concurrent.futures.CancelledError) as error:
                raise self.lost(address) from error
            return found
        answer.cancel()
        raise self.lost(address)

    async def _come_for(self, address: str, number: int) -> Any:
        return await self._connection.client.run(
            hand_out, self._line, number, workers=[address], asynchronous=True
        )

    def _answers(self, address: str) -> bool:
        """Return whether a worker is there; a large value may just take its time."""
        answer = self._outboxes.begin(self._come_for(address, -1))
        concurrent.futures.wait([answer], PATIENCE)
        if not answer.done():
            answer.cancel()
            return False
        return True

    def lost(self, address: str) -> DeferredLostError:
        """Return the error for a value that was on a worker."""
        return DeferredLostError(f"the value is lost: it was in {address}, which is gone")

    def let_go(self, address: str, number: int) -> None:
        """Let a worker forget a value; may be called anywhere, at any time."""
        self._let_go.append((address, number))
        with contextlib.suppress(RuntimeError, AttributeError):
            self._connection._loop.call_soon_threadsafe(self._sweep)

    def _sweep(self) -> None:
        while self._let_go:
            address, number = self._let_go.popleft()
            self._say(address, ("drop", number))

    # What ends; with the engine's lock held

    def forget(self, group: str, address: str) -> None:
        """Let nothing of a group's wait any more."""
        self._end("nobody wants its node any more", group=group)
        agent = self._agents.get(address)
        if agent is not None and agent.keys:
            desk().recall(agent)

    def worker_gone(self, address: str, *, is_idle: bool = False) -> None:
        """Note that a worker is gone, with all that it kept.

        Parameters
        ----------
        address : str
        is_idle : bool
            Whether all of its nodes had ended, and so all is known that they did.
        """
        holder = self.name, address
        agent = self._agents.pop(address, None)
        if agent is not None:
            agent.is_heard_out = is_idle
        self._outboxes.worker_gone(address)
        with self._lock:
            takers = {
                taker
                for (taker, _), item in self._lent.items()
                if item is not None and item.holder == holder
            }
            mine = [self._lent.pop(key) for key in list(self._lent) if key[0] == address]
        for taker in takers - {address}:
            self._say(taker, ("lost", address))
        del mine
        self._end(f"{address} is gone", address=address)
        desk().lose(holder)

    def close(self) -> None:
        """Let all waits end, and all values go that are on workers."""
        self._end("the executor was closed")
        for address in self._met:
            desk().lose((self.name, address))
        with self._lock:
            lent, self._lent = self._lent, {}
        lent.clear()
        self._sweep()
        self._outboxes.close(self._met)

    def scheduler_lost(self) -> None:
        """Note that all workers are out of reach."""
        for address in list(self._met):
            self.worker_gone(address)

    def _end(self, why: str, *, group: str | None = None, address: str | None = None) -> None:
        """End the waits of a group's nodes, of a worker's, or all."""
        with self._lock:
            ended = [
                errand
                for (asker, _), errand in self._errands.items()
                if group in (None, errand.group) and address in (None, asker)
            ]
        for errand in ended:
            errand.withdraw(RunCancelledError(f"the wait was ended: {why}"))
