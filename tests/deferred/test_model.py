"""The book of a channel against `queue.Queue` with a close; whoever would wait is asked not to."""

from __future__ import annotations

import queue
from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dask_dispatcher.deferred.channels import ChannelBook
from dask_dispatcher.deferred.links import Answer, Here, Ref, Request
from dask_dispatcher.errors import ChannelClosed


class ChannelMachine(RuleBasedStateMachine):
    """Tickets that wait are kept in order, beside a queue of what must be in the channel."""

    def __init__(self) -> None:
        super().__init__()
        self.maxsize = 2
        self.ref = Ref("key", "home", self.maxsize)
        self.book = ChannelBook(self.ref)
        self.queue: queue.Queue[int] = queue.Queue(self.maxsize)
        self.putting: deque[tuple[int, int]] = deque()
        self.asking: deque[tuple[int, bool]] = deque()
        self.closed = False
        self.ticket = 0

    def expect(self, verb: str, item: int = 0) -> None:
        self.ticket += 1
        expected: dict[int, object] = {}
        if verb == "put":
            if self.closed:
                expected[self.ticket] = ChannelClosed
            else:
                self.putting.append((self.ticket, item))
        elif verb == "close":
            self.closed = True
            expected[self.ticket] = None
            expected.update(dict.fromkeys((t for t, _ in self.putting), ChannelClosed))
            self.putting.clear()
        else:
            self.asking.append((self.ticket, verb == "get"))
        self.settle(expected)
        told = self.book.ask(self.ticket, Request(self.ref, verb, Here(item)))
        assert {ticket: shown(answer) for ticket, answer in told} == expected
        assert len(told) == len(expected)

    def settle(self, expected: dict[int, object]) -> None:
        while True:
            if self.putting and not self.queue.full():
                ticket, item = self.putting.popleft()
                self.queue.put_nowait(item)
                expected[ticket] = None
            elif self.asking and not self.queue.empty():
                ticket, takes = self.asking.popleft()
                expected[ticket] = self.queue.get_nowait() if takes else self.queue.queue[0]
            else:
                break
        if self.closed and self.queue.empty():
            expected.update(dict.fromkeys((t for t, _ in self.asking), ChannelClosed))
            self.asking.clear()

    @rule(item=st.integers())
    def put(self, item: int) -> None:
        self.expect("put", item)

    @rule()
    def get(self) -> None:
        self.expect("get")

    @rule()
    def look(self) -> None:
        self.expect("fetch")

    @rule()
    def close(self) -> None:
        self.expect("close")

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        waiting = [ticket for ticket, _ in [*self.putting, *self.asking]]
        if waiting:
            ticket = data.draw(st.sampled_from(waiting))
            error = TimeoutError()
            assert self.book.withdraw(ticket, error) == [(ticket, Answer(error=error))]
            assert not self.book.withdraw(ticket, error)
            self.putting = deque(entry for entry in self.putting if entry[0] != ticket)
            self.asking = deque(entry for entry in self.asking if entry[0] != ticket)

    @invariant()
    def size_is_that_of_the_queue(self) -> None:
        told = self.book.ask(-1, Request(self.ref, "size"))
        assert told == [(-1, Answer(self.queue.qsize()))]
        assert self.queue.qsize() <= self.maxsize


def shown(answer: Answer) -> object:
    if answer.error is not None:
        return type(answer.error)
    return answer.value.bring() if isinstance(answer.value, Here) else answer.value


TestChannel = ChannelMachine.TestCase
