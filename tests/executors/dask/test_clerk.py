"""Requests of workers that are withdrawn while the program is about to pass them on."""

from __future__ import annotations

from typing import Any

from dask_dispatcher import RunCancelledError
from dask_dispatcher.deferred.links import Ref, Reply, Request
from dask_dispatcher.executors.dask.clerk import _Errand

GET = Request(Ref("key", "home", 0), "get")


class Link:
    """Notes what it is asked; somebody withdraws the errand meanwhile, if so wanted."""

    def __init__(self) -> None:
        self.withdrawn: list[tuple[Any, BaseException]] = []
        self.meanwhile: Any = lambda: None

    def ask(self, request: Request, reply: Reply) -> str:
        self.meanwhile()
        return "ticket"

    def withdraw(self, ticket: Any, error: BaseException) -> None:
        self.withdrawn.append((ticket, error))


def test_an_errand_withdrawn_before_it_is_asked() -> None:
    link: Any = Link()
    errand, error = _Errand("group", link, None), RunCancelledError("enough")
    errand.withdraw(error)
    errand.ask(GET, lambda answer: None)
    assert link.withdrawn == [("ticket", error)]


def test_an_errand_withdrawn_while_it_is_being_asked_is_withdrawn() -> None:
    link: Any = Link()
    errand, error = _Errand("group", link, None), RunCancelledError("enough")
    link.meanwhile = lambda: errand.withdraw(error)
    errand.ask(GET, lambda answer: None)
    assert link.withdrawn == [("ticket", error)]


def test_an_errand_withdrawn_while_it_waits() -> None:
    link: Any = Link()
    errand, error = _Errand("group", link, None), RunCancelledError("enough")
    errand.ask(GET, lambda answer: None)
    errand.withdraw(error)
    assert link.withdrawn == [("ticket", error)]
