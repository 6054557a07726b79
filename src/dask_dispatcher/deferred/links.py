"""What carries operations on deferred references: `Link`, and what surrounds the code that asks.

A `Request` says what is to be done with which reference. Whoever carries it calls `reply` exactly
once, from any thread, with an `Answer`. A request that cannot be answered yet waits; `withdraw` ends
its wait, unless the answer is on its way already: that answer then counts. So nothing is taken or
put by an operation that says it was not.

An answer that brings an item holds on to it, in the process that has the value, until it is accepted
or declined. Exactly one of the two comes of each: `accept` once the value is in the hands of whoever
asked, `decline` if nobody is there to take it, and then an item of a channel goes back. So nothing is
lost between the two, however long the value takes and whoever leaves meanwhile.

For executors
-------------
Code that runs a node elsewhere sets a link: `LINK`, a context variable, where one process serves
several programs, or `set_process_link`, where it serves one. On its program's side the executor hands
each request to `carrier(ref)`, with an `Item` of its own for a value that was put, and sends back
what the answer holds. It withdraws the requests of runs that are cancelled, with a
`RunCancelledError`, and those of workers that are gone; ``desk().lose(holder)`` tells of items that
have gone with their process. In a process of its own nodes an executor sets `SITE`, a thread-local,
so that waits make room.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

__all__ = [
    "AGAIN",
    "ITEMS",
    "LINK",
    "NODE",
    "RUN",
    "Answer",
    "Caller",
    "Here",
    "Item",
    "Link",
    "Ref",
    "Reply",
    "Request",
    "Site",
    "current_caller",
    "current_link",
    "current_site",
    "home",
    "set_process_link",
    "set_site",
]


class Ref(NamedTuple):
    """What a handle stands for; travels as a plain tuple of atoms.

    Attributes
    ----------
    key : str
        Unique.
    home : str
        The program that keeps its book.
    maxsize : int
        Of a channel, 0 if unbounded; -1 for a future.
    """

    key: str
    home: str
    maxsize: int

    @property
    def is_channel(self) -> bool:
        return self.maxsize >= 0


class Caller(NamedTuple):
    """Who asks: a node, and which attempt of it. Equal nodes of one run have the same `node`."""

    node: Hashable
    attempt: Hashable


class Item(Protocol):
    """Stands for a value that was put, in the program that keeps the book."""

    holder: Hashable
    """The process that has the value; None: it can be lost with this one only."""

    def bring(self, deadline: float | None = None) -> Any:
        """Return the value.

        Parameters
        ----------
        deadline : float, optional
            From when on (`time.monotonic`) to give up on a holder that does not answer.

        Raises
        ------
        DeferredLostError
            If it is gone.
        TimeoutError
            If the holder does not answer.
        """


class Here:
    """A value of this very process."""

    __slots__ = ("holder", "value")

    def __init__(self, value: Any) -> None:
        self.holder: Hashable = None
        self.value = value

    def bring(self, deadline: float | None = None) -> Any:
        return self.value


class Request(NamedTuple):
    """One operation.

    Attributes
    ----------
    ref : Ref
    verb : str
        "put"; "get" (take an item out), "fetch" (look at it), "wait" (until there is one), which
        wait; "ready", "closed", "size", "close", "reset", which never do.
    item : Item or None
        What is put.
    caller : Caller or None
        The node that asks; None: the program itself.
    agent : leases.Agent or None
        The process it comes from, where that may have something ahead.
    is_eager : bool
        That process has asked often, and quickly, of late.
    serial : int
        Grows from one request of that process to the next; the same when it is sent again.
    """

    ref: Ref
    verb: str
    item: Any = None
    caller: Caller | None = None
    agent: Any = None
    is_eager: bool = False
    serial: int = 0


ITEMS = frozenset({"get", "fetch"})
"""The verbs that are answered with an item."""


class Answer(NamedTuple):
    """What came of a request: an error, or an item or an atom, or None where nothing is to be said."""

    value: Any = None
    error: BaseException | None = None


AGAIN = Answer("again")
"""To a request of an agent's: what was sent ahead answers it, or has; if not, it is to ask again.

What it was to put is the asker's again.
"""


Reply = Callable[[Answer], None]


class Link(Protocol):
    """Carries requests to the home of their references; the `Desk` is one too."""

    home: str
    """The program at the other end, to which references belong that are made by nodes here."""

    def pack(self, value: Any, *, stays: bool) -> Any:
        """Return what `Request.item` is to hold for a value that is put here.

        Parameters
        ----------
        value : object
        stays : bool
            Keep the value here, however small it is.

        Raises
        ------
        SerializationError
            If it cannot be pickled.
        """

    def unpack(self, item: Any, deadline: float | None = None) -> Any:
        """Return the value for what an `Answer` to one of `ITEMS` holds; see `Item.bring`."""

    def accept(self, item: Any) -> None:
        """Let go of an item that has been unpacked, or never can be."""

    def decline(self, ref: Ref, verb: str, item: Any) -> None:
        """Let go of an item that whoever asked does not take; not while it is being unpacked.

        What "get" has taken out of a channel goes back to its front.
        """

    def ask(self, request: Request, reply: Reply) -> Any:
        """Send a request; return a ticket for `withdraw`. Never blocks for the answer."""

    def withdraw(self, ticket: Any, error: BaseException) -> None:
        """Let a request that still waits be answered with `error`; harmless if it was answered.

        With a TimeoutError it is answered once what it waits for cannot be on its way here any more;
        at once if it is withdrawn a second time.
        """


class Site(Protocol):
    """What an executor knows of a thread that runs its nodes in the process of the program."""

    def caller(self) -> Caller | None:
        """Return which node the thread runs."""

    def room(self, end: Callable[[BaseException], None]) -> AbstractContextManager[None]:
        """Surround a wait: the thread's place is somebody else's to use meanwhile.

        Parameters
        ----------
        end : callable
            Ends the wait with an error, from any thread: the run was cancelled, the call timed out.

        Raises
        ------
        DeferredError
            On entering, if too many wait already or this thread must not.
        """


LINK: ContextVar[Link | None] = ContextVar("dask_dispatcher_deferred_link", default=None)
"""The way home for the node that runs in this context."""

NODE: ContextVar[Caller | int | None] = ContextVar("dask_dispatcher_deferred_node", default=None)
"""The node that runs in this context, where the thread does not tell.

A number stands for the first attempt of that node of `RUN`: of many nodes hardly one asks.
"""

RUN: ContextVar[str] = ContextVar("dask_dispatcher_deferred_run", default="")
"""The run whose nodes are numbered in this context."""


class _Process:
    """What holds for the whole process."""

    def __init__(self) -> None:
        self.home = os.urandom(16).hex()
        self.link: Link | None = None


_process = _Process()
_sites = threading.local()


def home() -> str:
    """Return the name of this process as a home of references."""
    return _process.home


def _be_another() -> None:
    _process.home = os.urandom(16).hex()
    _process.link = None


# A forked child keeps no books of its parent's.
os.register_at_fork(after_in_child=_be_another)


def set_process_link(link: Link | None) -> None:
    """Set the link of all code of this process that has none of its own."""
    _process.link = link


def current_link() -> Link | None:
    """Return the link of the node that runs here, if any."""
    return LINK.get() or _process.link


def set_site(site: Site | None) -> None:
    """Say whose thread this is."""
    _sites.site = site


def current_site() -> Site | None:
    """Return whose thread this is."""
    site: Site | None = getattr(_sites, "site", None)
    return site


def current_caller() -> Caller | None:
    """Return which node asks; None for the program itself."""
    site = current_site()
    caller = site.caller() if site is not None else None
    if caller is not None:
        return caller
    node = NODE.get()
    return Caller((RUN.get(), node), 1) if isinstance(node, int) else node
