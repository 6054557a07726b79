"""`Asker`: the requests of a process that is not their home, and what it has ahead.

The other end is `leases`. A request that can be served with what is here is not sent: a put takes one
of the places, with a message that nobody answers; a get takes the first of the items, and says so. What
goes to the book leaves in the order in which it happened here, as it is sent with the lock held.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from .books import DONE
from .leases import SERVED_AHEAD
from .links import AGAIN, ITEMS, Answer, Ref, Reply, Request

__all__ = ["Asker"]

_QUICK = 0.02  # seconds between an answer and the next request, of a process that is eager
_EAGER = 8  # quick requests after which it is
_CAP = 16  # and more of which count no further, so that it is not for ever
_MOST_STOCKS = 1_000  # channels about which something is remembered that have nothing ahead


class _Pace:
    """How quickly requests of one kind follow on each other."""

    def __init__(self) -> None:
        self._ended = 0.0
        self._quick = 0

    def is_eager(self) -> bool:
        """Return whether a request that begins now is one of many."""
        is_quick = time.monotonic() - self._ended < _QUICK
        self._quick = min(self._quick + 1, _CAP) if is_quick else self._quick // 2
        return self._quick >= _EAGER

    def end(self) -> None:
        """Note that a request has ended."""
        self._ended = time.monotonic()


class _Stock:
    """What is ahead of one channel."""

    def __init__(self) -> None:
        self.places = 0
        self.items: deque[Any] = deque()
        self.paces = {"put": _Pace(), "get": _Pace()}


class _Asked:
    """A request that was sent."""

    def __init__(self, request: Request, reply: Reply, send: Callable[[bool], None]) -> None:
        self.request = request
        self.reply = reply
        self.send = send
        self.error: BaseException | None = None  # with which it was withdrawn


class Asker:
    """One for each wire to a home.

    Parameters
    ----------
    say : callable
        Sends what is no request: "put", key, list of an item, eager; "took", key, 1, eager;
        "returned", key; "withdraw", ticket, error. Keeps order, and does not wait for the other end.
        Of puts that follow each other, and are alike but for the items, it may make one with all the
        items; likewise of what was taken, with the number.
    forget : callable
        Called with an item that the book has not taken, and that will not be put.
    decline : callable
        Called with the item that answers a request which was abandoned: see `Link.decline`.
    """

    def __init__(
        self,
        say: Callable[..., None],
        forget: Callable[[Any], None],
        decline: Callable[[Ref, str, Any], None],
    ) -> None:
        self._say = say
        self._forget = forget
        self._decline = decline
        self._serial = itertools.count(1)
        self._lock = threading.Lock()  # guards all below, and the order of what is sent
        self._asked: dict[int, _Asked] = {}
        self._abandoned: dict[int, Request] = {}  # nobody waits for them, until they are answered
        self._stocks: dict[str, _Stock] = {}

    # What nodes want

    def ask(self, request: Request, reply: Reply, send: Callable[[int, bool], None]) -> int:
        """Serve a request, or send it; return its ticket.

        Parameters
        ----------
        request : Request
        reply : callable
        send : callable
            Sends a request, given its ticket and whether this process is eager.
        """
        ticket = next(self._serial)
        with self._lock:
            answer, is_eager = self._serve(request)
            if answer is None:
                sends = lambda is_eager: send(ticket, is_eager)  # noqa: E731
                self._asked[ticket] = _Asked(request, reply, sends)
                send(ticket, is_eager)
        if answer is not None:
            reply(answer)
        return ticket

    def withdraw(self, ticket: int, error: BaseException) -> None:
        """Ask for an end to a request's wait."""
        with self._lock:
            asked = self._asked.get(ticket)
            if asked is not None:
                asked.error = error
                self._say("withdraw", ticket, error)

    def abandon(self, ticket: int, error: BaseException) -> None:
        """End a request's wait, whatever the book says."""
        with self._lock:
            asked = self._asked.pop(ticket, None)
            if asked is not None:
                self._say("withdraw", ticket, error)
                self._abandoned[ticket] = asked.request
        if asked is not None:
            asked.reply(Answer(error=error))

    def _serve(self, request: Request) -> tuple[Answer | None, bool]:
        """Serve a request with what is ahead; return the answer, if so, and whether it is eager."""
        ref, verb = request.ref, request.verb
        if not ref.is_channel or verb not in SERVED_AHEAD:
            return None, False
        stock = self._stocks.get(ref.key) or self._new_stock(ref.key)
        if verb == "fetch":
            return (Answer(stock.items[0]) if stock.items else None), False
        pace = stock.paces[verb]
        is_eager = pace.is_eager()
        if verb == "put":
            if not stock.places:
                return None, is_eager
            stock.places -= 1
            self._say("put", ref.key, [request.item], is_eager)
            answer = DONE
        else:
            if not stock.items:
                return None, is_eager
            answer = Answer(stock.items.popleft())
            self._say("took", ref.key, 1, is_eager)
        pace.end()
        return answer, is_eager

    def _new_stock(self, key: str) -> _Stock:
        if len(self._stocks) >= _MOST_STOCKS:
            kept = {k: s for k, s in self._stocks.items() if s.places or s.items}
            self._stocks = kept
        stock = self._stocks[key] = _Stock()
        return stock

    # What the book says; by one thread

    def hear(self, ticket: int, answer: Answer) -> None:
        """Take an answer."""
        with self._lock:
            abandoned = self._abandoned.pop(ticket, None)
            asked = self._asked.get(ticket)
            if asked is not None and answer is AGAIN:
                again = self._again(asked)
                if again is None:
                    return
                answer = again
            if asked is not None:
                del self._asked[ticket]
                self._end_pace(asked.request)
        if asked is not None:
            asked.reply(answer)
        elif abandoned is not None:
            self._hear_late(abandoned, answer)

    def _hear_late(self, request: Request, answer: Answer) -> None:
        """Take the answer to a request that was abandoned: what it brings is for others."""
        if answer is AGAIN:
            if request.verb == "put":
                self._forget(request.item)
        elif request.verb in ITEMS and answer.error is None:
            self._decline(request.ref, request.verb, answer.value)

    def _again(self, asked: _Asked) -> Answer | None:
        """Serve a request, or send it once more."""
        if asked.error is not None:
            if asked.request.verb == "put":
                self._forget(asked.request.item)
            return Answer(error=asked.error)
        answer, is_eager = self._serve(asked.request)
        if answer is None:
            asked.send(is_eager)
        return answer

    def _end_pace(self, request: Request) -> None:
        stock = self._stocks.get(request.ref.key)
        if stock is not None and request.verb in stock.paces:
            stock.paces[request.verb].end()

    def receive(
        self, key: str, places: int, items: Iterable[Any], is_recalled: bool, heard: int
    ) -> None:
        """Take what is sent ahead, and serve with it what it crossed; return all, if that is asked.

        Parameters
        ----------
        key : str
        places : int
        items : iterable
        is_recalled : bool
        heard : int
            The ticket of the last request that had reached the book.
        """
        with self._lock:
            stock = self._stocks.get(key) or self._new_stock(key)
            stock.places += places
            stock.items.extend(items)
            served = self._serve_crossing(key, heard)
            if is_recalled:
                stock.places = 0
                stock.items.clear()
                self._say("returned", key)
        for asked, answer in served:
            asked.reply(answer)

    def _serve_crossing(self, key: str, heard: int) -> list[tuple[_Asked, Answer]]:
        """Serve requests that had not reached the book; when they do, it says `AGAIN` to each."""
        served = []
        for ticket, asked in list(self._asked.items()):
            if ticket > heard and asked.request.ref.key == key and asked.error is None:
                answer, _ = self._serve(asked.request)
                if answer is not None:
                    del self._asked[ticket]
                    served.append((asked, answer))
        return served
