"""What processes have ahead of a channel, over wires on which anything may be on its way.

Everything but the wires is real: the book with its `Leases`, each process's `Asker`. Hypothesis says
which message arrives next, and which process dies.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dask_dispatcher.deferred import ahead, leases
from dask_dispatcher.deferred.ahead import Asker
from dask_dispatcher.deferred.channels import ChannelBook
from dask_dispatcher.deferred.leases import Agent
from dask_dispatcher.deferred.links import Answer, Here, Ref, Request
from dask_dispatcher.errors import ChannelClosed

Said = list[tuple[int, Answer]]


class Process:
    """One that puts and gets, and its two wires."""

    def __init__(self, name: str, home: Home) -> None:
        self.name = name
        self.home = home
        self.to_home: deque[tuple[Any, ...]] = deque()
        self.to_here: deque[tuple[Any, ...]] = deque()
        self.agent = Agent(name, lambda item: True, lambda: self.to_here.append(("parcels",)))
        self.forgotten: list[Any] = []
        self.asker = Asker(
            lambda *said: self.to_home.append(said), self.forgotten.append, self.decline
        )

    def ask(self, verb: str, item: Any, told: Callable[[Answer], None]) -> int:
        request = Request(self.home.ref, verb, item)

        def send(ticket: int, is_eager: bool) -> None:
            self.to_home.append(("ask", ticket, request, is_eager))

        return self.asker.ask(request, told, send)

    def decline(self, ref: Ref, verb: str, item: Here) -> None:
        assert verb == "get"
        self.home.returned.add(item.value)
        self.to_home.append(("back", item))

    def send(self) -> None:
        """Let one message reach the home."""
        kind, what, *rest = self.to_home.popleft()
        book, home = self.home.book, self.home
        if kind == "ask":
            request, is_eager = rest
            ticket = next(home.serial)
            home.tickets[ticket] = self, what
            request = request._replace(agent=self.agent, is_eager=is_eager, serial=what)
            home.tell(book.ask(ticket, request))
        elif kind == "withdraw":
            found = [t for t, key in home.tickets.items() if key == (self, what)]
            for ticket in found:
                home.tell(book.withdraw(ticket, rest[0]))
        elif kind == "put":
            home.tell(book.put_ahead(self.name, *rest))
        elif kind == "back":
            home.tell(book.put_back(what))
        elif kind == "took":
            home.tell(book.took(self.name, *rest))
        else:
            home.tell(book.returned(self.name))

    def receive(self) -> None:
        """Let one message reach the process."""
        kind, *rest = self.to_here.popleft()
        if kind == "answer":
            self.asker.hear(*rest)
        elif kind == "parcels":  # made up only as they leave
            for parcel in self.agent.take_parcels():
                self.asker.receive(*parcel)
        else:
            self.asker.receive(*rest)


class Home:
    """Where the book is."""

    def __init__(self, maxsize: int, *, is_prompt: bool) -> None:
        self.is_prompt = is_prompt
        self.ref = Ref("key", "home", maxsize)
        self.book = ChannelBook(self.ref)
        self.serial = itertools.count()
        self.tickets: dict[int, tuple[Process, int]] = {}
        self.returned: set[tuple[str, int]] = set()  # what came for gets that were given up
        self.processes = [Process(name, self) for name in "abc"]

    def tell(self, told: Said) -> None:
        for ticket, answer in told:
            process, theirs = self.tickets.pop(ticket)
            self.flush(process)
            process.to_here.append(("answer", theirs, answer))
        for process in self.processes:
            self.flush(process)

    def flush(self, process: Process) -> None:
        if self.is_prompt:
            for parcel in process.agent.take_parcels():
                process.to_here.append(("ahead", *parcel))

    def settle(self) -> None:
        """Deliver all that is on its way."""
        while any(process.to_home or process.to_here for process in self.processes):
            for process in self.processes:
                if process.to_home:
                    process.send()
                if process.to_here:
                    process.receive()


class AheadMachine(RuleBasedStateMachine):
    """Puts and gets of three processes, which die now and then."""

    maxsize = 6
    is_prompt = True

    def __init__(self) -> None:
        super().__init__()
        self.home = Home(self.maxsize, is_prompt=self.is_prompt)
        self.number = itertools.count()
        self.put: list[tuple[str, int]] = []  # in the order in which the puts ended
        self.got: list[tuple[str, tuple[str, int]]] = []
        self.under_way: dict[tuple[Process, int], tuple[str, list[Answer]]] = {}
        self.closed = False
        self.lost: set[str] = set()

    def living(self) -> list[Process]:
        return self.home.processes

    def begin(self, data: st.DataObject, verb: str) -> None:
        process = data.draw(st.sampled_from(self.living()))
        if any(key[0] is process and verb == v and not a for key, (v, a) in self.under_way.items()):
            return  # one producer and one consumer in each
        item = (process.name, next(self.number)) if verb == "put" else None
        answers: list[Answer] = []

        def told(answer: Answer) -> None:
            answers.append(answer)
            if answer.error is not None:
                assert isinstance(answer.error, (ChannelClosed, TimeoutError))
            elif item is not None:
                self.put.append(item)
            else:
                self.got.append((process.name, answer.value.value))

        ticket = process.ask(verb, Here(item) if item else None, told)
        if not answers:
            self.under_way[process, ticket] = verb, answers

    @rule(data=st.data())
    def put_one(self, data: st.DataObject) -> None:
        self.begin(data, "put")

    @rule(data=st.data())
    def get_one(self, data: st.DataObject) -> None:
        self.begin(data, "get")

    @rule(data=st.data())
    def let_a_message_through(self, data: st.DataObject) -> None:
        for process in data.draw(st.permutations(self.living())):
            if process.to_home:
                process.send()
                return

    @rule(data=st.data())
    def let_a_message_back(self, data: st.DataObject) -> None:
        for process in data.draw(st.permutations(self.living())):
            if process.to_here:
                process.receive()
                return

    @rule()
    def let_all_through(self) -> None:
        self.home.settle()

    @rule(data=st.data())
    def time_is_up(self, data: st.DataObject) -> None:
        waiting = [key for key, (_, answers) in self.under_way.items() if not answers]
        if waiting:
            process, ticket = data.draw(st.sampled_from(waiting))
            process.asker.withdraw(ticket, TimeoutError())
            self.home.settle()
            assert self.under_way[process, ticket][1]

    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        waiting = [key for key, (_, answers) in self.under_way.items() if not answers]
        if waiting:
            process, ticket = data.draw(st.sampled_from(waiting))
            process.asker.abandon(ticket, TimeoutError())
            assert self.under_way[process, ticket][1]

    @precondition(lambda self: not self.closed)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        if data.draw(st.integers(0, 9)) == 0:
            self.closed = True
            ticket = next(self.home.serial)
            told = self.home.book.ask(ticket, Request(self.home.ref, "close"))
            self.home.tell([one for one in told if one[0] != ticket])

    @precondition(lambda self: len(self.living()) > 1)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        if data.draw(st.integers(0, 9)):
            return
        process = data.draw(st.sampled_from(self.living()))
        while process.to_home:  # what it has said arrives
            process.send()
        self.home.processes.remove(process)
        for ticket, (asker, _) in list(self.home.tickets.items()):
            if asker is process:
                for _, answer in self.home.book.withdraw(ticket, OSError()):
                    assert isinstance(answer.error, OSError)
                self.home.tickets.pop(ticket, None)
        self.lost.update(self.taken_on_their_way(process))
        self.under_way = {k: v for k, v in self.under_way.items() if k[0] is not process}
        self.home.tell(self.home.book.lose(process.name))

    def taken_on_their_way(self, process: Process) -> list[tuple[str, int]]:
        """Return the items of answers that are on their way to a process."""
        found = []
        for kind, *rest in process.to_here:
            if kind == "answer" and isinstance(rest[1].value, Here):
                found.append(rest[1].value.value)
        return found

    @invariant()
    def no_more_than_there_is_room_for(self) -> None:
        on_their_way = [n for process in self.living() for n in self.taken_on_their_way(process)]
        taken = {item for _, item in self.got}.union(self.lost, on_their_way)
        taken |= self.home.returned  # for which there may be no room
        assert len([item for item in self.put if item not in taken]) <= self.maxsize

    @invariant()
    def each_once_and_in_order(self) -> None:
        items = [item for _, item in self.got]
        assert len(items) == len(set(items))
        for consumer in "abc":
            for producer in "abc":
                kept = [got for got in self.got if got[1] not in self.home.returned]
                mine = [n for who, (by, n) in kept if (who, by) == (consumer, producer)]
                assert mine == sorted(mine)

    def teardown(self) -> None:
        """Empty it: all is there that was put, and waits end."""
        home = self.home
        home.settle()
        home.tell(home.book.ask(next(home.serial), Request(home.ref, "close"))[1:])
        home.settle()
        process = home.processes[0]
        ended: list[BaseException] = []
        while not ended:
            got: list[Answer] = []
            process.ask("get", None, got.append)
            home.settle()
            (answer,) = got
            if answer.error is not None:
                ended.append(answer.error)
            else:
                self.got.append((process.name, answer.value.value))
        assert isinstance(ended[0], ChannelClosed)
        assert all(answers for _, answers in self.under_way.values())
        self.each_once_and_in_order()
        missing = set(self.put) - {item for _, item in self.got} - self.lost
        assert not missing
        forgotten = {item.value for process in home.processes for item in process.forgotten}
        assert not forgotten.intersection(self.put)


class UnboundedMachine(AheadMachine):
    maxsize = 0

    @invariant()
    def no_more_than_there_is_room_for(self) -> None:
        pass


class LateMachine(AheadMachine):
    """What is sent ahead collects until it leaves."""

    is_prompt = False


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everybody be eager, and alone, at once."""
    monkeypatch.setattr(ahead, "_EAGER", 0)
    monkeypatch.setattr(leases, "_ALONE", 1)


TestAhead = AheadMachine.TestCase
TestLate = LateMachine.TestCase
TestUnbounded = UnboundedMachine.TestCase
