"""`Crew`: the threads of the in-process engine, and how many of them there may be."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from .member import Member

__all__ = ["Crew"]


class Crew:
    """All threads there are, but those left to an endless call; guarded by the engine's lock.

    Parameters
    ----------
    limit : int
        How many may be in a call at once. Those whose call does nothing but wait for another run, or
        for a deferred reference, do not count.
    """

    def __init__(self, limit: int) -> None:
        self.members: list[Member] = []
        self._limit = limit
        self._serial = itertools.count(1)

    def hire(self, make: Callable[[int], Member]) -> None:
        """Start one more thread, unless there are as many as may be; `make` is given its number."""
        if self._count_working() < self._limit:
            member = make(next(self._serial))
            self.members.append(member)
            member.thread.start()

    def call_idle(self) -> bool:
        """Wake a thread that rests; return whether there was one."""
        member = next((member for member in self.members if member.is_idle), None)
        if member is not None:
            member.call()
        return member is not None

    def call_all(self) -> list[Member]:
        """Wake all, and return them."""
        for member in self.members:
            member.call()
        return self.members[:]

    def remove(self, member: Member) -> None:
        if member in self.members:
            self.members.remove(member)

    def here(self) -> Member | None:
        """Return the member whose thread this is; needs no lock."""
        thread = threading.current_thread()
        return next((m for m in tuple(self.members) if m.thread is thread), None)

    @property
    def is_surplus(self) -> bool:
        """Whether there is a thread too many, as one that has made room is back."""
        return len(self.members) > self._limit and self._count_working() > self._limit

    def _count_working(self) -> int:
        return sum(not (member.is_nested or member.abandoned) for member in self.members)

    def count_busy(self) -> int:
        """Return how many threads keep a core busy, or soon will."""
        # In one expression, as all are counted for each slow call.
        return sum(
            not (m.is_idle or m.is_waiting or m.nested_waits or m.abandoned) for m in self.members
        )

    def count_waiting(self) -> int:
        """Return how many calls wait for deferred references."""
        return sum(member.end_wait is not None for member in self.members)
