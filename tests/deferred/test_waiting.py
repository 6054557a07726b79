"""Waiting for answers, on links that take their time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dask_dispatcher.deferred import waiting
from dask_dispatcher.deferred.links import Answer, Ref, Reply, Request


class SlowLink:
    """Answers when told to, whatever has been withdrawn by then."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.declined: list[tuple[Any, bool]] = []

    def ask(self, request: Request, reply: Reply) -> int:
        self.replies.append(reply)
        return 0

    def withdraw(self, ticket: int, error: BaseException) -> None:
        pass

    def decline(self, ref: Ref, item: Any, *, was_taken: bool) -> None:
        self.declined.append((item, was_taken))


def test_what_comes_after_the_end_of_the_loop_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    link, ref = SlowLink(), Ref("key", "home", 0)
    monkeypatch.setattr(waiting, "carrier", lambda _: link)

    async def leave() -> None:
        unwanted = asyncio.ensure_future(waiting.carry_out_async(ref, "get"))
        await asyncio.sleep(0)  # so that it has asked
        unwanted.cancel()

    asyncio.run(leave())
    [reply] = link.replies
    reply(Answer("item"))
    assert link.declined == [("item", True)]
