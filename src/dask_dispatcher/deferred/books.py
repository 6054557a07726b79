"""What is known of one deferred reference: a state machine without thread, clock or I/O.

A book is told of requests by ticket and returns the answers that follow, also those to earlier
tickets. What it keeps are items; it never looks into one. `FutureBook` is here, the book of a channel
in `channels`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ..errors import AlreadySet, DeferredLostError
from .links import Answer, Caller, Request

__all__ = ["DONE", "Answered", "Book", "FutureBook", "Lost"]

Answered = list[tuple[int, Answer]]

DONE = Answer()


class Lost:
    """Stands for a value whose process died."""

    __slots__ = ("holder", "reason")

    def __init__(self, what: str, holder: Hashable) -> None:
        self.holder: Hashable = None
        self.reason = f"{what} is lost: it was in {holder}, which is gone"

    def bring(self, deadline: float | None = None) -> Any:
        raise DeferredLostError(self.reason)


class Book:
    """What a future's and a channel's book have in common."""

    def ask(self, ticket: int, request: Request) -> Answered:
        """Deal with a request."""
        answered: Answered = getattr(self, f"_{request.verb}")(ticket, request)
        return answered

    def withdraw(self, ticket: int, error: BaseException) -> Answered:
        """Answer a request with an error, if it still waits."""
        raise NotImplementedError

    def lose(self, holder: Hashable) -> Answered:
        """Note that a process is gone, with all items that it holds."""
        raise NotImplementedError

    def is_ahead(self) -> bool:
        """Return whether processes have something ahead."""
        return False

    def let_go(self) -> None:
        """Note that nobody will ask any more."""

    @staticmethod
    def _answer(item: Any) -> Answer:
        if type(item) is Lost:
            return Answer(error=DeferredLostError(item.reason))
        return Answer(item)


class FutureBook(Book):
    """Holds one item, once it is put."""

    def __init__(self) -> None:
        self._item: Any = None
        self._by: Caller | None = None
        self._waiting: dict[int, bool] = {}  # ticket: whether it asks for the item

    def _put(self, ticket: int, request: Request) -> Answered:
        if self._item is not None and not self._comes_again(request.caller):
            return [(ticket, Answer(error=AlreadySet("this DeferredFuture has its value already")))]
        item = request.item
        self._item, self._by = item, request.caller
        waiting, self._waiting = self._waiting, {}
        told = [(t, Answer(item) if wants else DONE) for t, wants in waiting.items()]
        return [(ticket, DONE), *told]

    def _comes_again(self, caller: Caller | None) -> bool:
        return (
            caller is not None
            and self._by is not None
            and caller.node == self._by.node
            and caller.attempt != self._by.attempt
        )

    def _fetch(self, ticket: int, request: Request) -> Answered:
        if self._item is None:
            self._waiting[ticket] = True
            return []
        return [(ticket, self._answer(self._item))]

    def _wait(self, ticket: int, request: Request) -> Answered:
        if self._item is None:
            self._waiting[ticket] = False
            return []
        return [(ticket, DONE)]

    def _ready(self, ticket: int, request: Request) -> Answered:
        return [(ticket, Answer(self._item is not None))]

    def _reset(self, ticket: int, request: Request) -> Answered:
        item, self._item, self._by = self._item, None, None
        # The answer keeps it: no finalizer is to run under the desk's lock.
        return [(ticket, Answer(item))]

    def withdraw(self, ticket: int, error: BaseException) -> Answered:
        if self._waiting.pop(ticket, None) is None:
            return []
        return [(ticket, Answer(error=error))]

    def lose(self, holder: Hashable) -> Answered:
        if self._item is not None and self._item.holder == holder:
            self._item = Lost("the value", holder)
        return []
