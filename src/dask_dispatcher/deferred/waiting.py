"""Carrying out an operation and waiting for its answer, in a thread or on an event loop.

Whoever asked may leave at any moment: by Ctrl-C, as its task is cancelled, as its event loop is closed,
as too many wait already. What an answer brings then, or has brought, is declined: see `links`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import math
import queue
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from ..errors import DeferredError
from .desk import carrier, desk
from .links import ITEMS, NODE, Answer, Ref, Request, Site, current_caller, current_site

__all__ = ["carry_out", "carry_out_async"]

_PATIENCE = 2.0
"""Seconds for a process that may not answer to give back what somebody else's time is up for."""


class _Operation:
    """One operation, from the request until what answers it is in hands, or declined.

    There is one answer, and whoever takes it out of the queue deals with it: who has asked, or, once
    that has left, `_decline_answer`.
    """

    __slots__ = ("_answers", "_has_left", "_ticket", "_timeout", "deadline", "link", "ref", "verb")

    def __init__(self, ref: Ref, verb: str, timeout: float | None) -> None:
        _check_timeout(timeout)
        self.ref, self.verb = ref, verb
        self.link = carrier(ref)
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self._timeout = timeout
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._has_left = False
        self._ticket: Any = None

    @property
    def may_wait(self) -> bool:
        """Whether it may take long: what only asks, and a future's put, is answered at once."""
        return self.verb in _WHAT and (self.ref.is_channel or self.verb != "put")

    def ask(self, value: Any, reply: Any = None) -> None:
        """Send the request; the answer comes to `take`, or to `reply`, which is to hand it on."""
        item = None
        if self.verb == "put":
            item = self.link.pack(value, stays=not self.ref.is_channel)
        request = Request(self.ref, self.verb, item, current_caller())
        self._ticket = self.link.ask(request, reply or self.answer)

    def answer(self, answer: Answer) -> None:
        """Take the answer; called once, in any thread."""
        self._answers.put(answer)
        if self._has_left:
            self._decline_answer()

    def take(self, timeout: float | None = 0.0) -> Answer:
        """Return the answer; raise `queue.Empty` if it does not come in time."""
        return self._answers.get(timeout != 0.0, timeout)

    def end(self, error: BaseException) -> None:
        """Let it be answered with an error, if it still waits."""
        self.link.withdraw(self._ticket, error)

    def end_late(self) -> None:
        """Let it be answered with a TimeoutError, if it still waits."""
        what = _WHAT.get(self.verb, "no answer came")
        self.end(TimeoutError(f"time was up after {self._timeout} s: {what}"))

    def leave(self, error: BaseException) -> None:
        """Wait no more: nobody will take the answer, which may have come."""
        self._has_left = True
        self._decline_answer()
        self.end(error)

    def _decline_answer(self) -> None:
        try:
            answer = self.take()
        except queue.Empty:  # it is yet to come, or somebody else has taken it
            return
        if self.verb in ITEMS and answer.error is None:
            self.decline(answer.value)

    def decline(self, item: Any) -> None:
        """Let others have an item."""
        self.link.decline(self.ref, self.verb, item)

    def end_of_item(self, error: BaseException) -> Callable[[Any], None]:
        """Return what lets go of an item whose opening has ended with an error."""
        return self.decline if isinstance(error, _LEAVING) else self.link.accept


_WHAT = {
    "put": "the channel is still full, and nothing was put",
    "get": "nothing was there to get",
    "fetch": "nothing was put",
    "wait": "nothing was put",
}

_LEAVING = (TimeoutError, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)
"""What ends the opening of an item that others can still have."""


def carry_out(ref: Ref, verb: str, value: Any = None, timeout: float | None = None) -> Any:
    """Carry out an operation; block until it is answered, or until the time is up.

    Raises
    ------
    TimeoutError
        When time is up; nothing has been done then.
    """
    operation = _Operation(ref, verb, timeout)
    is_refused = operation.may_wait and _is_in_coroutine_node()
    if is_refused and operation.link is not desk():
        raise _refusal()
    operation.ask(value)
    if is_refused:
        operation.end(_refusal())  # unless nothing was to be waited for
    try:
        answer = operation.take()
    except queue.Empty:
        answer = _wait(operation, current_site() if operation.may_wait else None)
    return _opened(operation, answer)


def _is_in_coroutine_node() -> bool:
    """Return whether this is the code of one, on its event loop."""
    if NODE.get() is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _refusal() -> DeferredError:
    return DeferredError(
        "blocking in a coroutine node would hold up its event loop; await the reference instead "
        "(await future, await channel.aget(), await channel.aput(...), async for)"
    )


def _wait(operation: _Operation, site: Site | None) -> Answer:
    deadline = operation.deadline
    try:
        with nullcontext() if site is None else site.room(operation.end):
            try:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                return operation.take(left)
            except queue.Empty:
                return _time_is_up(operation)
    except BaseException as error:  # Ctrl-C, or no room to wait in
        operation.leave(error)
        raise


def _time_is_up(operation: _Operation) -> Answer:
    """Withdraw a request; return the answer, which may have been on its way."""
    operation.end_late()
    try:
        return operation.take(_PATIENCE)
    except queue.Empty:
        operation.end_late()
        return operation.take(None)


def _opened(operation: _Operation, answer: Answer) -> Any:
    """Return what an answer holds."""
    if answer.error is not None:
        raise answer.error
    item = answer.value
    if operation.verb not in ITEMS:
        return item
    try:
        value = operation.link.unpack(item, operation.deadline)
    except BaseException as error:
        operation.end_of_item(error)(item)
        raise
    operation.link.accept(item)
    return value


async def carry_out_async(
    ref: Ref, verb: str, value: Any = None, timeout: float | None = None
) -> Any:
    """Do as `carry_out`, while the event loop goes on."""
    operation = _Operation(ref, verb, timeout)
    await _ask_and_wait(operation, value, timeout)
    answer = operation.take()
    if verb in ITEMS and answer.error is None:
        return await _opened_aside(operation, answer.value)
    return _opened(operation, answer)


async def _ask_and_wait(operation: _Operation, value: Any, timeout: float | None) -> None:
    """Send the request, and wait until its answer is there to be taken."""
    loop = asyncio.get_running_loop()
    has_come: asyncio.Future[None] = loop.create_future()

    def reply(answer: Answer) -> None:
        operation.answer(answer)
        try:
            loop.call_soon_threadsafe(has_come.set_result, None)
        except RuntimeError as error:  # the loop is closed, with whoever asked
            operation.leave(error)

    operation.ask(value, reply)
    try:
        await asyncio.wait({has_come}, timeout=timeout)
        for patience in (_PATIENCE, None):
            if not has_come.done():
                operation.end_late()
                await asyncio.wait({has_come}, timeout=patience)
    except BaseException as error:
        operation.leave(error)
        raise


async def _opened_aside(operation: _Operation, item: Any) -> Any:
    """Return the value of an item in a thread: it may be large, and come from another process."""
    # Its own state says whether a thread has begun, or ended: whoever leaves meanwhile, the item is let
    # go of when no thread is at it.
    bringing: concurrent.futures.Future[Any] = concurrent.futures.Future()
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, context.run, _bring, operation, item, bringing)
    try:
        value = await asyncio.wrap_future(bringing)
    except BaseException as error:
        end = operation.end_of_item(error)
        bringing.cancel()
        bringing.add_done_callback(lambda _: end(item))
        del bringing  # or what it holds would refer to itself, through the traceback
        raise
    operation.link.accept(item)
    return value


def _bring(operation: _Operation, item: Any, bringing: concurrent.futures.Future[Any]) -> None:
    if not bringing.set_running_or_notify_cancel():
        return
    try:
        bringing.set_result(operation.link.unpack(item, operation.deadline))
    except BaseException as error:
        bringing.set_exception(error)
        del bringing  # as above


def _check_timeout(timeout: float | None) -> None:
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout must be seconds or None, not {type(timeout).__name__}")
    if math.isnan(timeout) or timeout < 0:
        raise ValueError(f"timeout must be 0 or more, not {timeout}")
