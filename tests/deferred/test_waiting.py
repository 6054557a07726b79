"""Waiting for answers, on links that take their time: an item is accepted or declined, once."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from dask_dispatcher.deferred import waiting
from dask_dispatcher.deferred.links import Answer, Caller, Ref, Reply, Request, set_site
from dask_dispatcher.errors import DeferredError, SerializationError

WAIT = 30.0
CHANNEL = Ref("key", "home", 0)


class SlowLink:
    """Answers when told to, whatever has been withdrawn by then; brings items when told to."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.ended: list[tuple[str, ...]] = []
        self.began = threading.Event()
        self.may_go_on = threading.Event()
        self.error: BaseException | None = None

    def ask(self, request: Request, reply: Reply) -> int:
        self.replies.append(reply)
        return 0

    def withdraw(self, ticket: int, error: BaseException) -> None:
        pass

    def unpack(self, item: Any, deadline: float | None = None) -> Any:
        self.began.set()
        assert self.may_go_on.wait(WAIT)
        if self.error is not None:
            raise self.error
        return item

    def accept(self, item: Any) -> None:
        self.ended.append(("accepted", item))

    def decline(self, ref: Ref, verb: str, item: Any) -> None:
        self.ended.append(("declined", verb, item))


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> SlowLink:
    link = SlowLink()
    monkeypatch.setattr(waiting, "carrier", lambda _: link)
    return link


def asked(verb: str = "get") -> asyncio.Task[Any]:
    return asyncio.ensure_future(waiting.carry_out_async(CHANNEL, verb))


async def started(link: SlowLink) -> None:
    """Wait, on the loop, until a thread brings an item."""
    while not link.began.is_set():
        await asyncio.sleep(0.001)


async def left(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_an_item_is_accepted_once_it_is_in_hands(link: SlowLink) -> None:
    async def get() -> Any:
        task = asked()
        await asyncio.sleep(0)
        link.replies[0](Answer("item"))
        await started(link)
        assert not link.ended
        link.may_go_on.set()
        return await task

    assert asyncio.run(get()) == "item"
    assert link.ended == [("accepted", "item")]


def test_what_comes_after_the_end_of_the_loop_goes_back(link: SlowLink) -> None:
    async def leave() -> None:
        unwanted = asked()
        await asyncio.sleep(0)  # so that it has asked
        unwanted.cancel()

    asyncio.run(leave())
    link.replies[0](Answer("item"))
    assert link.ended == [("declined", "get", "item")]


def test_what_comes_while_the_loop_ends_goes_back(link: SlowLink) -> None:
    async def leave() -> None:
        await left_waiting()
        link.replies[0](Answer("item"))  # what is posted to the loop now, it does not come to

    async def left_waiting() -> None:
        unwanted = asked()
        await asyncio.sleep(0)
        await left(unwanted)

    asyncio.run(leave())
    assert link.ended == [("declined", "get", "item")]


def test_what_has_come_before_the_task_looks_goes_back(link: SlowLink) -> None:
    async def leave() -> None:
        unwanted = asked()
        await asyncio.sleep(0)
        link.replies[0](Answer("item"))
        await left(unwanted)

    asyncio.run(leave())
    assert link.ended == [("declined", "get", "item")]


@pytest.mark.parametrize("verb", ["get", "fetch"])
def test_cancelled_while_a_thread_brings_it(link: SlowLink, verb: str) -> None:
    async def leave() -> None:
        unwanted = asked(verb)
        await asyncio.sleep(0)
        link.replies[0](Answer("item"))
        await started(link)
        await left(unwanted)
        assert not link.ended  # the holder must keep it while it is being read
        link.may_go_on.set()

    asyncio.run(leave())  # which waits for the thread
    assert link.ended == [("declined", verb, "item")]


def test_cancelled_before_a_thread_begins(link: SlowLink) -> None:
    async def leave() -> None:
        free = threading.Event()
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        loop.run_in_executor(None, free.wait, WAIT)
        unwanted = asked()
        await asyncio.sleep(0)
        link.replies[0](Answer("item"))
        while not loop._default_executor._work_queue.qsize():  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        await left(unwanted)
        assert link.ended == [("declined", "get", "item")]
        free.set()

    asyncio.run(leave())
    assert not link.began.is_set()


def test_cancelled_once_a_thread_has_brought_it(link: SlowLink) -> None:
    async def leave() -> None:
        pool = Cancelling(1)
        asyncio.get_running_loop().set_default_executor(pool)
        link.may_go_on.set()
        pool.unwanted = asked()
        await asyncio.sleep(0)
        link.replies[0](Answer("item"))
        with pytest.raises(asyncio.CancelledError):
            await pool.unwanted

    asyncio.run(leave())
    assert link.ended == [("declined", "get", "item")]


def test_what_was_brought_for_nobody_goes_at_once(
    link: SlowLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only when somebody looks for cycles: it may be large."""
    alive: weakref.WeakSet[Large] = weakref.WeakSet()

    def unpack(item: Any, deadline: float | None = None) -> Any:
        alive.add(large := Large())
        SlowLink.unpack(link, item)
        return large

    async def leave() -> None:
        unwanted = asked()
        await asyncio.sleep(0)
        link.replies.pop()(Answer("item"))
        await started(link)
        await left(unwanted)
        assert len(alive) == 1
        link.may_go_on.set()

    monkeypatch.setattr(link, "unpack", unpack)
    gc.collect()
    gc.disable()
    try:
        asyncio.run(leave())
        assert not alive
    finally:
        gc.enable()


class Large:
    """Stands for a value that can be watched."""


class Cancelling(ThreadPoolExecutor):
    """Ends a call before its loop goes on, which then finds that its task is cancelled."""

    unwanted: asyncio.Task[Any]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        future = super().submit(fn, *args, **kwargs)
        future.result(WAIT)
        self.unwanted.cancel()
        return future


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (SerializationError("broken"), ("accepted", "item")),
        (TimeoutError("stopped"), ("declined", "get", "item")),
        (KeyboardInterrupt(), ("declined", "get", "item")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_brought(link: SlowLink, error: BaseException, end: Any) -> None:
    link.error = error
    link.may_go_on.set()
    with answering(link), pytest.raises(type(error)):
        waiting.carry_out(CHANNEL, "get")
    assert link.ended == [end]


@contextmanager
def answering(link: SlowLink) -> Iterator[None]:
    """Answer each request as soon as it is waited for."""

    class Site:
        def caller(self) -> Caller | None:
            return None

        @contextmanager
        def room(self, end: Callable[[BaseException], None]) -> Iterator[None]:
            link.replies[0](Answer("item"))
            yield

    set_site(Site())
    try:
        yield
    finally:
        set_site(None)


def test_what_has_come_for_who_may_not_wait_goes_back(link: SlowLink) -> None:
    class Full:
        def caller(self) -> Caller | None:
            return None

        @contextmanager
        def room(self, end: Callable[[BaseException], None]) -> Iterator[None]:
            link.replies[0](Answer("item"))
            raise DeferredError("too many wait")
            yield

    set_site(Full())
    try:
        with pytest.raises(DeferredError, match="too many"):
            waiting.carry_out(CHANNEL, "get")
    finally:
        set_site(None)
    assert link.ended == [("declined", "get", "item")]
