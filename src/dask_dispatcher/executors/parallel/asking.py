"""`WorkerLink`: the worker's way to the books of deferred references, over its channel.

What is put stays here until the controller lets it go; small channel items travel with the request.

::

    ask       ticket, ref, verb, item, caller, whether the main thread will block,
              whether this process is eager                                    to the controller
    answer    ticket, item or atom, pickled error                              to the worker
    again     ticket: it is to look at what is ahead                           to the worker
    withdraw  ticket, pickled error                                            to the controller
    brought   ticket: what the answer pointed to has been read, or was looked
              at by somebody who is gone                                       to the controller
    restore   ref, item or ticket: nobody wants what was taken                to the controller
    let go    keys                                                             to the worker
    ahead     key of a channel, places, items, whether to return all,
              the last ticket that had come                                    to the worker
    put       key of a channel, items for places ahead, whether eager          to the controller
    took      key of a channel, how many items ahead, whether eager            to the controller
    returned  key of a channel                                                 to the controller

An item is ``("atom", value)``, ``("bytes", pickled)``, or a place: ``("kept", key, place)`` to the
controller, ``("place", ticket, identity or None, key, place)`` from there.
"""

from __future__ import annotations

import itertools
import os
import pickle
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ...deferred.ahead import Asker
from ...deferred.lingering import LINGERING
from ...deferred.links import AGAIN, Answer, Ref, Reply, Request
from ...errors import DeferredLostError
from ..slices.carrying import SMALL, Dumped, dump, is_atom, load
from ..slices.failures import dump_error
from .memory import GoneError, Identity
from .places import bring, in_file, in_memory

__all__ = ["WorkerLink"]


class WorkerLink:
    """One a worker process.

    Parameters
    ----------
    home : str
        The program at the other end, or the one to which that passes requests on.
    identity : Identity
        Of this process.
    folder : str
        For files.
    send : callable
        Sends a message to the controller.
    linger : callable
        Sends it soon, in order with the others.
    running : callable
        Returns run, node and attempt that the main thread is at.
    """

    def __init__(
        self,
        home: str,
        identity: Identity,
        folder: str,
        send: Callable[..., None],
        linger: Callable[..., None],
        running: Callable[[], tuple[int, int, int]],
    ) -> None:
        self.home = home
        self._identity = identity
        self._folder = folder
        self._send = send
        self._linger = linger
        self._running = running
        self._is_readable = True
        self._serial = itertools.count(1)
        self._kept: dict[int, tuple[Dumped, Any]] = {}
        self._asker = Asker(self._say, self._forget, self.decline)
        self.receive = self._asker.receive

    def use_files(self) -> None:
        """Put values into files from now on: others cannot read this process's memory."""
        self._is_readable = False

    def pack(self, value: Any, *, stays: bool) -> tuple[Any, ...]:
        if not stays and is_atom(value):
            return "atom", value
        dumped = dump(value, "what was put")
        pickled, buffers = dumped
        if not (stays or buffers) and len(pickled) <= SMALL:
            return "bytes", pickled
        key = next(self._serial)
        if self._is_readable:
            place = in_memory(self._identity, dumped)
        else:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            place = in_file(self._folder, dumped)
        if buffers:  # who fetches it here gets it on the terms of those elsewhere
            value = load(pickled, [buffer.toreadonly() for buffer in buffers])
        self._kept[key] = dumped, value
        return "kept", key, place

    def accept(self, item: Any) -> None:
        if item[0] == "place":
            self._send("brought", item[1])

    def decline(self, ref: Ref, verb: str, item: Any) -> None:
        if verb == "get":
            self._send("restore", tuple(ref), item[1] if item[0] == "place" else item)
        else:
            self.accept(item)

    def unpack(self, item: Any, deadline: float | None = None) -> Any:
        kind, what, *where = item
        if kind == "atom":
            return what
        if kind == "bytes":
            return load(what)
        identity, key, place = where
        try:
            is_here = identity == self._identity
            pickled, buffers = self._kept[key][0] if is_here else bring(place)
            return load(pickled, [buffer.toreadonly() for buffer in buffers])
        except GoneError as error:
            raise DeferredLostError(f"the process that held the value is gone: {error}") from None

    def ask(self, request: Request, reply: Reply) -> int:
        ref, verb, item, caller, *_ = request
        blocks = threading.current_thread() is threading.main_thread()
        who: tuple[Any, ...] = self._running()
        if caller is not None and type(caller.node) is tuple and len(caller.node) == 2:
            run, number = caller.node
            who = (run, number, caller.attempt)

        def send(ticket: int, is_eager: bool) -> None:
            self._send("ask", ticket, tuple(ref), verb, item, who, blocks, is_eager)

        return self._asker.ask(request, reply, send)

    def withdraw(self, ticket: int, error: BaseException) -> None:
        self._asker.withdraw(ticket, error)

    def _say(self, kind: str, *rest: Any) -> None:
        if kind in LINGERING:
            self._linger(kind, *rest)
            return
        if kind == "withdraw":
            ticket, error = rest
            rest = ticket, dump_error(error)
        self._send(kind, *rest)

    def _forget(self, item: tuple[Any, ...]) -> None:
        if item[0] == "kept":
            self._kept.pop(item[1], None)

    # What the controller says; the channel thread's

    def hear(self, ticket: int, value: Any, error: bytes | None) -> None:
        """Take an answer."""
        self._asker.hear(ticket, Answer(value, None if error is None else pickle.loads(error)))

    def hear_again(self, ticket: int) -> None:
        """Look at what is ahead."""
        self._asker.hear(ticket, AGAIN)

    def let_go(self, keys: Sequence[int]) -> None:
        """Forget values that nobody needs any more."""
        for key in keys:
            self._kept.pop(key, None)
