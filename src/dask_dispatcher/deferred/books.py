"""What is known of one deferred reference: a state machine without thread, clock or I/O.

A book is told of requests by ticket and returns the answers that follow, also those to earlier
tickets. What it keeps are items; it never looks into one.

Always: at most `maxsize` items are kept; who waits to put waits behind a full channel, who waits
to get before an empty one; each is served in the order of asking; a withdrawn ticket is not answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any

from ..errors import AlreadySet, ChannelClosed, DeferredLostError
from .links import Answer, Caller, Ref

__all__ = ["Answered", "Book", "ChannelBook", "FutureBook", "Lost", "new_book"]

Answered = list[tuple[int, Answer]]

_DONE = Answer()


class Lost:
    """Stands for a value whose process died."""

    __slots__ = ("holder", "reason")

    def __init__(self, holder: Hashable, reason: str) -> None:
        self.holder = None
        self.reason = reason

    def bring(self) -> Any:
        raise DeferredLostError(self.reason)


class Book:
    """What a future's and a channel's book have in common."""

    def ask(self, ticket: int, verb: str, item: Any, caller: Caller | None) -> Answered:
        """Deal with a request; see `links.Request`."""
        answered: Answered = getattr(self, f"_{verb}")(ticket, item, caller)
        return answered

    def withdraw(self, ticket: int) -> bool:
        """Forget a request; return whether it was still waiting."""
        raise NotImplementedError

    def lose(self, holder: Hashable) -> None:
        """Note that a process is gone, with all items that it holds."""
        raise NotImplementedError

    @staticmethod
    def _answer(item: Any) -> Answer:
        if type(item) is Lost:
            return Answer(error=DeferredLostError(item.reason))
        return Answer(item)


class FutureBook(Book):
    """Holds one item, once it is put."""

    def __init__(self, ref: Ref) -> None:
        self._item: Any = None
        self._by: Caller | None = None
        self._waiting: dict[int, bool] = {}  # ticket: whether it asks for the item

    def _put(self, ticket: int, item: Any, caller: Caller | None) -> Answered:
        if self._item is not None and not self._comes_again(caller):
            return [(ticket, Answer(error=AlreadySet("this DeferredFuture has its value already")))]
        self._item, self._by = item, caller
        waiting, self._waiting = self._waiting, {}
        told = [(t, Answer(item) if wants else _DONE) for t, wants in waiting.items()]
        return [(ticket, _DONE), *told]

    def _comes_again(self, caller: Caller | None) -> bool:
        return (
            caller is not None
            and self._by is not None
            and caller.node == self._by.node
            and caller.attempt != self._by.attempt
        )

    def _fetch(self, ticket: int, item: Any, caller: Caller | None) -> Answered:
        if self._item is None:
            self._waiting[ticket] = True
            return []
        return [(ticket, self._answer(self._item))]

    def _wait(self, ticket: int, item: Any, caller: Caller | None) -> Answered:
        if self._item is None:
            self._waiting[ticket] = False
            return []
        return [(ticket, _DONE)]

    def _ready(self, ticket: int, item: Any, caller: Caller | None) -> Answered:
        return [(ticket, Answer(self._item is not None))]

    def _reset(self, ticket: int, item: Any, caller: Caller | None) -> Answered:
        item, self._item, self._by = self._item, None, None
        # The answer keeps it: no finalizer is to run under the desk's lock.
        return [(ticket, Answer(item))]

    def withdraw(self, ticket: int) -> bool:
        return self._waiting.pop(ticket, None) is not None

    def lose(self, holder: Hashable) -> None:
        if self._item is not None and self._item.holder == holder:
            self._item = Lost(holder, _reason("the value", holder))


class ChannelBook(Book):
    """Holds items in the order in which they were put."""

    def __init__(self, ref: Ref) -> None:
        self._maxsize = ref.maxsize
        self._items: deque[Any] = deque()
        self._putting: dict[int, Any] = {}  # items that wait for room, by ticket
        self._asking: dict[int, bool] = {}  # tickets that wait for an item: whether to take it
        self._is_closed = False

    def _put(self, ticket: int, item: Any, caller: Caller | None) -> Answered:
        if self._is_closed:
            return [(ticket, _closed("nothing can be put into it"))]
        if self._maxsize and len(self._items) >= self._maxsize:
            self._putting[ticket] = item
            return []
        self._items.append(item)
        return [(ticket, _DONE), *self._serve()]

    def _get(self, ticket: int, item: Any, caller: Caller | None) -> Answered:
        self._asking[ticket] = True
        return self._serve()

    def _fetch(self, ticket: int, item: Any, caller: Caller | None) -> Answered:
        self._asking[ticket] = False
        return self._serve()

    def _serve(self) -> Answered:
        """Give items to who waits for them, and room to who waits for that."""
        answered: Answered = []
        while self._items and self._asking:
            ticket, takes = next(iter(self._asking.items()))
            del self._asking[ticket]
            answered.append((ticket, self._answer(self._items[0])))
            if takes:
                self._items.popleft()
                if self._putting:
                    putter, item = next(iter(self._putting.items()))
                    del self._putting[putter]
                    self._items.append(item)
                    answered.append((putter, _DONE))
        if self._is_closed and not self._items:
            answered += [(ticket, _closed("nothing is left in it")) for ticket in self._asking]
            self._asking.clear()
        return answered

    def _ready(self, ticket: int, item: Any, caller: Caller | None) -> Answered:
        return [(ticket, Answer(bool(self._items)))]

    def _size(self, ticket: int, item: Any, caller: Caller | None) -> Answered:
        return [(ticket, Answer(len(self._items)))]

    def _closed(self, ticket: int, item: Any, caller: Caller | None) -> Answered:
        return [(ticket, Answer(self._is_closed))]

    def _close(self, ticket: int, item: Any, caller: Caller | None) -> Answered:
        self._is_closed = True
        refused = [(putter, _closed("nothing was put")) for putter in self._putting]
        self._putting.clear()
        return [(ticket, _DONE), *refused, *self._serve()]

    def withdraw(self, ticket: int) -> bool:
        if ticket in self._putting:
            del self._putting[ticket]
            return True
        return self._asking.pop(ticket, None) is not None

    def lose(self, holder: Hashable) -> None:
        for position, item in enumerate(self._items):
            if item.holder == holder:
                self._items[position] = Lost(holder, _reason("an item", holder))


def new_book(ref: Ref) -> Book:
    """Return the book of a reference that nobody has used yet."""
    return ChannelBook(ref) if ref.is_channel else FutureBook(ref)


def _closed(what: str) -> Answer:
    return Answer(error=ChannelClosed(f"this DeferredChannel is closed; {what}"))


def _reason(what: str, holder: Hashable) -> str:
    return f"{what} is lost: it was in {holder}, which is gone"
