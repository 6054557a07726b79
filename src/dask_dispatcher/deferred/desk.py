"""`Desk`: where a program keeps the books of its references, for all its threads and executors.

Lock order: an engine may ask with its lock held, so nothing here calls an engine with the desk's lock
held: answers are handed over after it is released, items that go are let go after it, too.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from ..errors import DeferredError
from .books import Answered, Book, FutureBook
from .channels import ChannelBook
from .leases import Agent
from .links import Answer, Here, Item, Link, Ref, Reply, Request, current_link, home

__all__ = ["Desk", "carrier", "desk", "give_back", "take_over"]


class Desk:
    """The books of one process; a `Link` to itself."""

    def __init__(self) -> None:
        self.home = home()
        self._lock = threading.Lock()  # guards all below but _left
        self._books: dict[str, Book] = {}
        self._handles: dict[str, int] = {}  # how many there are in this process, by reference
        self._waiting: dict[int, tuple[Book, Reply]] = {}
        self._serial = itertools.count()
        # Filled by finalizers, which run anywhere, even in a thread that holds the lock.
        self._left: deque[str] = deque()
        # Books that are no more, of which something is ahead: a finalizer must not tell agents, as it
        # may have interrupted one that holds its lock.
        self._closed: deque[Book] = deque()

    def pack(self, value: Any, *, stays: bool) -> Here:
        return Here(value)

    def unpack(self, item: Any, deadline: float | None = None) -> Any:
        return item.bring(deadline)

    def accept(self, item: Any) -> None:
        pass

    def decline(self, ref: Ref, verb: str, item: Any) -> None:
        if verb == "get":
            self._note(ref.key, lambda book: book.put_back(item))

    def ask(self, request: Request, reply: Reply) -> int:
        ref = request.ref
        with self._lock:
            ticket = next(self._serial)
            book = self._books.get(ref.key)
            if book is None:
                book = ChannelBook(ref) if ref.is_channel else FutureBook()
                self._books[ref.key] = book
            self._waiting[ticket] = book, reply
            ended = self._ended(book.ask(ticket, request))
        self._hand_over(ended)
        return ticket

    def withdraw(self, ticket: int, error: BaseException) -> None:
        with self._lock:
            book, _ = self._waiting.get(ticket, (None, None))
            if book is None:
                return
            ended = self._ended(book.withdraw(ticket, error))
        self._hand_over(ended)

    def lose(self, holder: Hashable) -> None:
        """Note that a process is gone, with all items that it holds."""
        with self._lock:
            answered = [told for book in self._books.values() for told in book.lose(holder)]
            ended = self._ended(answered)
        self._hand_over(ended)

    # What processes say of things that they have ahead

    def put_ahead(self, key: str, holder: Hashable, items: Sequence[Any], is_eager: bool) -> None:
        """Take items that were put for places ahead."""
        self._note(key, lambda book: book.put_ahead(holder, items, is_eager))

    def took(self, key: str, holder: Hashable, count: int, is_eager: bool) -> None:
        """Note that items ahead were handed out."""
        self._note(key, lambda book: book.took(holder, count, is_eager))

    def returned(self, key: str, holder: Hashable) -> None:
        """Note that a process has nothing ahead any more."""
        self._note(key, lambda book: book.returned(holder))

    def _note(self, key: str, note: Callable[[ChannelBook], Answered]) -> None:
        with self._lock:
            book = self._books.get(key)
            if not isinstance(book, ChannelBook):  # nobody wants it any more
                return
            ended = self._ended(note(book))
        self._hand_over(ended)

    def recall(self, agent: Agent) -> None:
        """Have all returned that a process has ahead."""
        with self._lock:
            for key in agent.keys:
                book = self._books.get(key)
                if isinstance(book, ChannelBook):
                    book.recall(agent.holder)

    def _ended(self, answered: Answered) -> list[tuple[Reply, Answer]]:
        return [(self._waiting.pop(ticket)[1], answer) for ticket, answer in answered]

    def _hand_over(self, ended: list[tuple[Reply, Answer]]) -> None:
        for reply, answer in ended:
            reply(answer)
        if self._left:
            self._sweep()
        while self._closed:
            with self._lock:
                self._closed.popleft().let_go()

    # Handles of this process: when the last one goes, so does what was put

    def enter(self, key: str) -> None:
        """Note that there is one more handle."""
        with self._lock:
            self._handles[key] = self._handles.get(key, 0) + 1

    def leave(self, key: str) -> None:
        """Note that there is one less; may be called anywhere, at any time."""
        self._left.append(key)
        self._sweep()

    def _sweep(self) -> None:
        while self._left and self._lock.acquire(blocking=False):
            gone: list[Any] = []
            try:
                while self._left:
                    gone.append(self._leave(self._left.popleft()))
            finally:
                self._lock.release()
            gone.clear()  # items go with the lock free

    def _leave(self, key: str) -> Book | None:
        left = self._handles.get(key, 0) - 1
        if left > 0:
            self._handles[key] = left
            return None
        self._handles.pop(key, None)
        book = self._books.get(key)
        if book is None or any(other is book for other, _ in self._waiting.values()):
            return None
        del self._books[key]
        if book.is_ahead():
            self._closed.append(book)
        return book


class _Desks:
    """The one desk there is; a forked child has a new one."""

    def __init__(self) -> None:
        self.desk = Desk()


_desks = _Desks()


def _be_another() -> None:
    _desks.desk = Desk()


os.register_at_fork(after_in_child=_be_another)


def desk() -> Desk:
    """Return the desk of this process."""
    return _desks.desk


def carrier(ref: Ref) -> Link:
    """Return what carries operations on a reference from here.

    Raises
    ------
    DeferredError
        If it belongs to another program.
    """
    own = _desks.desk
    if ref.home == own.home:
        return own
    link = current_link()
    if link is None:
        kind = "DeferredChannel" if ref.is_channel else "DeferredFuture"
        raise DeferredError(
            f"this {kind} belongs to another program, and no executor's node runs here that could "
            "reach it; make it in this program, or use it inside a node"
        )
    return link


def give_back(ref: Ref, item: Item) -> None:
    """Return to the front of its channel what was taken for somebody who does not want it any more.

    The channel's book may be further up: then it is the value that goes back, as it came.

    Raises
    ------
    DeferredLostError
        If the value is gone by now.
    """
    link = carrier(ref)
    is_here = link is _desks.desk
    link.decline(ref, "get", item if is_here else link.pack(item.bring(), stays=False))


def take_over(link: Link, item: Any) -> Any:
    """Return the value of an item from further up, which is this program's to pass on."""
    try:
        return link.unpack(item)
    finally:
        link.accept(item)
