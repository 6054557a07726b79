"""`Clerk`: what it answers to workers, who are stand-ins here."""

import asyncio
import pickle
from types import SimpleNamespace

import pytest

from dask_dispatcher import RunCancelledError
from dask_dispatcher.executors.dask.clerk import Clerk

WORKER = "tcp://worker"


class Post:
    """A connection that keeps what is to be done, and then does it and notes what is sent."""

    name = "line"

    def __init__(self):
        self.client = SimpleNamespace(id="client", run=self._run)
        self.sent = []
        self._begun = []
        self._loop = SimpleNamespace(call_soon_threadsafe=self._begun.append)

    def begin(self, coroutine):
        self._begun.append(lambda: asyncio.run(coroutine))

    async def _run(self, _function, _line, words, *, workers, asynchronous):
        assert asynchronous
        self.sent += [(worker, word) for worker in workers for word in words]

    def deliver(self):
        """Return what workers have been told since the last time."""
        while self._begun:
            self._begun.pop(0)()
        sent, self.sent = self.sent, []
        return sent


@pytest.fixture
def post():
    return Post()


@pytest.fixture
def clerk(post):
    return Clerk(SimpleNamespace(connection=post, has_group=lambda name: name == "wanted"))


def asks(group, verb, item=None):
    future = "key", "program", -1
    return pickle.dumps([("ask", group, 7, future, verb, item, None, False)])


def test_a_group_that_nobody_wants_is_told_so(clerk, post):
    clerk.heard(WORKER, asks("dropped", "fetch"))
    ((worker, (kind, ticket, error)),) = post.deliver()
    assert (worker, kind, ticket) == (WORKER, "error", 7)
    assert type(pickle.loads(error)) is RunCancelledError


def test_what_such_a_group_has_put_is_let_go_where_it_is(clerk, post):
    clerk.heard(WORKER, asks("dropped", "put", ("kept", WORKER, 3)))
    told = [word[:2] for _, word in post.deliver()]
    assert sorted(told) == [("drop", 3), ("error", 7)]
