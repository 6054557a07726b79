"""Carrying out an operation and waiting for its answer, in a thread or on an event loop."""

from __future__ import annotations

import asyncio
import math
import queue
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from ..errors import DeferredError
from .desk import carrier, desk
from .links import NODE, Answer, Link, Ref, Request, Site, current_caller, current_site

__all__ = ["carry_out", "carry_out_async"]

_PATIENCE = 2.0
"""Seconds for a process that may not answer to give back what somebody else's time is up for."""

_ITEMS = frozenset({"get", "fetch"})


def carry_out(ref: Ref, verb: str, value: Any = None, timeout: float | None = None) -> Any:
    """Carry out an operation; block until it is answered, or until the time is up.

    Raises
    ------
    TimeoutError
        When time is up; nothing has been done then.
    """
    _check_timeout(timeout)
    link = carrier(ref)
    # A future's put and what only asks are answered at once, by a book that may be far away.
    waits = verb in _WHAT and (ref.is_channel or verb != "put")
    is_refused = waits and _is_in_coroutine_node()
    if is_refused and link is not desk():
        raise _refusal()
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    ticket = link.ask(_request(link, ref, verb, value), answers.put)
    if is_refused:
        link.withdraw(ticket, _refusal())  # unless nothing was to be waited for
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        answer = answers.get_nowait()
    except queue.Empty:
        site = current_site() if waits else None
        answer = _wait(link, site, ticket, answers, deadline, _late(timeout, verb))
    return _opened(link, ref, verb, answer, deadline)


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


def _wait(
    link: Link,
    site: Site | None,
    ticket: Any,
    answers: queue.SimpleQueue[Answer],
    deadline: float | None,
    late: str,
) -> Answer:
    def end(error: BaseException) -> None:
        link.withdraw(ticket, error)

    try:
        with nullcontext() if site is None else site.room(end):
            try:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                return answers.get(timeout=left)
            except queue.Empty:
                return _time_is_up(answers, end, late)
    except BaseException as error:  # Ctrl-C, or no room to wait in
        end(error)
        raise


def _time_is_up(
    answers: queue.SimpleQueue[Answer], end: Callable[[BaseException], None], text: str
) -> Answer:
    """Withdraw a request; return the answer, which may have been on its way."""
    end(TimeoutError(text))
    try:
        return answers.get(timeout=_PATIENCE)
    except queue.Empty:
        end(TimeoutError(text))
        return answers.get()


def _late(timeout: float | None, verb: str) -> str:
    return f"time was up after {timeout} s: {_WHAT.get(verb, 'no answer came')}"


_WHAT = {
    "put": "the channel is still full, and nothing was put",
    "get": "nothing was there to get",
    "fetch": "nothing was put",
    "wait": "nothing was put",
}


async def carry_out_async(
    ref: Ref, verb: str, value: Any = None, timeout: float | None = None
) -> Any:
    """Do as `carry_out`, while the event loop goes on."""
    _check_timeout(timeout)
    loop = asyncio.get_running_loop()
    link = carrier(ref)
    answered: asyncio.Future[Answer] = loop.create_future()
    is_cancelled = False

    def accept(answer: Answer) -> None:
        if is_cancelled:
            _give_back(link, ref, verb, answer)
        else:
            answered.set_result(answer)

    def reply(answer: Answer) -> None:
        try:
            loop.call_soon_threadsafe(accept, answer)
        except RuntimeError:  # the loop is closed, with whoever asked
            _give_back(link, ref, verb, answer)

    deadline = None if timeout is None else time.monotonic() + timeout
    ticket = link.ask(_request(link, ref, verb, value), reply)
    try:
        await asyncio.wait({answered}, timeout=timeout)
        for patience in (_PATIENCE, None):
            if not answered.done():
                link.withdraw(ticket, TimeoutError(_late(timeout, verb)))
                await asyncio.wait({answered}, timeout=patience)
        answer = answered.result()
        if (
            verb in _ITEMS and answer.error is None
        ):  # it may be large, and come from another process
            return await asyncio.to_thread(_opened, link, ref, verb, answer, deadline)
    except asyncio.CancelledError as error:
        is_cancelled = True
        if answered.done():
            _give_back(link, ref, verb, answered.result())
        else:
            link.withdraw(ticket, error)
        raise
    return _opened(link, ref, verb, answer, deadline)


def _give_back(link: Link, ref: Ref, verb: str, answer: Answer) -> None:
    """Let others have what was taken for somebody who does not want it any more."""
    if verb == "get" and answer.error is None:
        link.decline(ref, answer.value, was_taken=True)


def _request(link: Link, ref: Ref, verb: str, value: Any) -> Request:
    item = link.pack(value, stays=not ref.is_channel) if verb == "put" else None
    return Request(ref, verb, item, current_caller())


def _opened(link: Link, ref: Ref, verb: str, answer: Answer, deadline: float | None) -> Any:
    if answer.error is not None:
        raise answer.error
    if verb not in _ITEMS:
        return answer.value
    try:
        return link.unpack(answer.value, deadline)
    except TimeoutError:
        link.decline(ref, answer.value, was_taken=verb == "get")
        raise


def _check_timeout(timeout: float | None) -> None:
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout must be seconds or None, not {type(timeout).__name__}")
    if math.isnan(timeout) or timeout < 0:
        raise ValueError(f"timeout must be 0 or more, not {timeout}")
