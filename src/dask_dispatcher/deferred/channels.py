"""`ChannelBook`: what is known of a channel; a state machine without thread, clock or I/O.

Always: at most `maxsize` items are in the channel, places ahead (`leases`) included; who waits to put
waits behind a full channel, who waits to get before an empty one; each is served in the order of
asking; a withdrawn ticket is not answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any

from ..errors import ChannelClosed
from .books import DONE, Answered, Book, Lost
from .leases import Leases
from .links import AGAIN, Answer, Ref, Request

__all__ = ["ChannelBook"]

_UNBOUNDED = 1_000_000_000


class ChannelBook(Book):
    """Holds items in the order in which they were put.

    Parameters
    ----------
    ref : Ref
        Of the channel.
    """

    def __init__(self, ref: Ref) -> None:
        self._maxsize = ref.maxsize or _UNBOUNDED
        self._items: deque[Any] = deque()
        self._ahead = Leases(ref)
        self._putting: dict[int, Any] = {}  # items that wait for room, by ticket
        self._asking: dict[int, bool] = {}  # tickets that wait for an item: whether to take it
        # Tickets whose time is up, while something is on its way back that may serve them.
        self._late: dict[int, BaseException] = {}
        self._is_closed = False

    # Requests

    def ask(self, ticket: int, request: Request) -> Answered:
        if request.agent is not None:
            request.agent.hear(request)
            if self._ahead.crosses(request):
                return [(ticket, AGAIN)]
        return super().ask(ticket, request)

    def _put(self, ticket: int, request: Request) -> Answered:
        if self._is_closed:
            return [(ticket, _closed("nothing can be put into it"))]
        self._ahead.note_put(request)
        if self._room() <= 0:
            self._putting[ticket] = request.item
            self._ahead.recall_places()
            return []
        self._items.append(request.item)
        return [(ticket, DONE), *self._serve()]

    def _get(self, ticket: int, request: Request) -> Answered:
        self._ahead.note_get(request)
        self._asking[ticket] = True
        return self._serve()

    def _fetch(self, ticket: int, request: Request) -> Answered:
        self._asking[ticket] = False
        return self._serve()

    def _ready(self, ticket: int, request: Request) -> Answered:
        return [(ticket, Answer(bool(self._count())))]

    def _size(self, ticket: int, request: Request) -> Answered:
        return [(ticket, Answer(self._count()))]

    def _closed(self, ticket: int, request: Request) -> Answered:
        return [(ticket, Answer(self._is_closed))]

    def _close(self, ticket: int, request: Request) -> Answered:
        self._is_closed = True
        refused = [(putter, _closed("nothing was put")) for putter in self._putting]
        self._putting.clear()
        self._ahead.recall_places()
        return [(ticket, DONE), *refused, *self._serve()]

    def withdraw(self, ticket: int, error: BaseException) -> Answered:
        waits = ticket in self._putting or ticket in self._asking
        if not waits:
            return []
        is_polite = isinstance(error, TimeoutError) and ticket not in self._late
        if is_polite and self._ahead.is_awaiting():
            self._late[ticket] = error
            return []
        return self._refuse(ticket, error)

    def _refuse(self, ticket: int, error: BaseException) -> Answered:
        self._late.pop(ticket, None)
        if self._asking.pop(ticket, None) is None and self._putting.pop(ticket, None) is None:
            return []
        return [(ticket, Answer(error=error))]

    def put_back(self, item: Any) -> Answered:
        """Take back an item that could not be brought to who got it; there may be no room for it."""
        self._items.appendleft(item)
        return self._serve()

    # What is said of things ahead

    def put_ahead(self, holder: Hashable, items: Sequence[Any], is_eager: bool) -> Answered:
        """Take items for places that were ahead; those for which there was none are dropped."""
        count = self._ahead.put(holder, len(items), is_eager)
        self._items.extend(items[:count])
        return self._serve() if count else []

    def took(self, holder: Hashable, count: int, is_eager: bool) -> Answered:
        """Note that the first items ahead of a process were handed out."""
        return self._serve() if self._ahead.took(holder, count, is_eager) else []

    def returned(self, holder: Hashable) -> Answered:
        """Note that a process has nothing ahead any more."""
        ended = self._ahead.end(holder)
        if ended is None:
            return []
        self._items.extendleft(reversed(list(ended[1])))
        return self._serve() + self._settle()

    def recall(self, holder: Hashable) -> None:
        """Have all returned that a process has ahead."""
        self._ahead.recall(holder)

    def lose(self, holder: Hashable) -> Answered:
        for position, item in enumerate(self._items):
            if item.holder == holder:
                self._items[position] = Lost("an item", holder)
        ended = self._ahead.end(holder)
        if ended is None:
            return []
        agent, items = ended
        back = list(items) if agent.is_heard_out else [Lost("an item", holder) for _ in items]
        self._items.extendleft(reversed(back))
        return self._serve() + self._settle()

    def is_ahead(self) -> bool:
        return bool(self._ahead.places or self._ahead.count)

    def let_go(self) -> None:
        self._ahead.recall_all()

    # What follows

    def _count(self) -> int:
        return len(self._items) + self._ahead.count

    def _room(self) -> int:
        return self._maxsize - self._count() - self._ahead.places

    def _serve(self) -> Answered:
        """Give items to who waits for them, room to who waits for that, and what is left ahead."""
        answered = self._let_in()
        while self._asking and not self._ahead.count and self._items:
            ticket, takes = next(iter(self._asking.items()))
            del self._asking[ticket]
            answered.append((ticket, self._answer(self._items[0])))
            if takes:
                self._items.popleft()
                answered += self._let_in()
        if self._asking:
            self._ahead.recall_items()
            answered += self._end()
        else:
            self._ahead.send(self._items)
        if not (self._putting or self._is_closed):
            self._ahead.grant(self._room())
        return answered

    def _let_in(self) -> Answered:
        answered: Answered = []
        while self._putting and self._room() > 0:
            ticket, item = next(iter(self._putting.items()))
            del self._putting[ticket]
            self._items.append(item)
            answered.append((ticket, DONE))
        return answered

    def _end(self) -> Answered:
        """Tell who waits for items that none will come, if it is so."""
        if not self._is_closed or self._count() or self._ahead.places:
            return []
        asking, self._asking = self._asking, {}
        return [(ticket, _closed("nothing is left in it")) for ticket in asking]

    def _settle(self) -> Answered:
        """Answer those whose time was up, once nothing is on its way back."""
        if self._ahead.is_awaiting():
            return []
        return [
            told
            for ticket, error in list(self._late.items())
            for told in self._refuse(ticket, error)
        ]


def _closed(what: str) -> Answer:
    return Answer(error=ChannelClosed(f"this DeferredChannel is closed; {what}"))
