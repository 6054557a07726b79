"""`Crew`: the workers of a cluster as we see them, and which of them is given something next.

Each group is bound to a worker that is chosen here: where its inputs are, or where it begins
soonest. So a group can never run twice without our knowing, and nothing of ours waits on the
scheduler or behind a busy worker but what fills the time of a hop. The backlog stays with us.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...options import Options
from .groups import Group
from .placing import fits

__all__ = ["Crew", "Member"]

_DEPTH = 0.06  # seconds of work that a thread may have before it: what a few hops take
_MOST = 4  # groups a thread, however short
_MOST_BOUND = 100  # groups that wait on one worker for its resources
_SHUT = 1.0  # seconds until a worker that others keep busy is tried again
_BYTES_A_SECOND = 2e8  # from one worker's memory to another's
_MOVE = 0.01  # seconds that a move takes at least


class Member:
    """A worker.

    Parameters
    ----------
    address : str
    told : mapping
        What the scheduler says of it.

    Attributes
    ----------
    groups : dict of str to Group
        Under way on it.
    is_shut : bool
        Somebody else keeps it busy: what was sent to it did not begin, and was taken back.
    """

    def __init__(self, address: str, told: Mapping[str, Any]) -> None:
        self.address = address
        self.groups: dict[str, Group] = {}
        self._shut_until = 0.0
        self._until = 0.0  # when all that it was given will have ended, as far as we know
        self.update(told)

    def update(self, told: Mapping[str, Any]) -> None:
        """Take note of what the scheduler says of it now."""
        self.told = told
        self.threads = int(told.get("nthreads", 1))

    @property
    def is_running(self) -> bool:
        """Whether it takes tasks: it is neither paused nor about to leave."""
        return bool(self.told.get("status", "running") == "running")

    @property
    def is_shut(self) -> bool:
        return time.monotonic() < self._shut_until

    def shut(self) -> None:
        """Note that it is kept busy; it is tried again after a while."""
        self._shut_until = time.monotonic() + _SHUT

    def add(self, group: Group) -> None:
        """Note that a group was sent to it."""
        self.groups[group.name] = group
        self._until = max(time.monotonic(), self._until) + group.batch.seconds / self.threads

    def remove(self, group: Group) -> None:
        """Note that a group has ended."""
        self.groups.pop(group.name, None)
        left = sum(other.batch.seconds for other in self.groups.values())
        self._until = min(self._until, time.monotonic() + left / self.threads)

    def load(self, now: float) -> float:
        """Return the seconds until it has nothing more to do."""
        return max(0.0, self._until - now)

    def idle_threads(self) -> int:
        """Return how many of its threads have nothing before them."""
        if not self.is_running or self.is_shut or any(g.batch.is_alone for g in self._busy()):
            return 0
        return self.threads - len(self._busy())

    def has_room(self, now: float) -> bool:
        """Return whether a group of known cost would begin soon enough there."""
        if self.idle_threads() > 0:
            return True
        busy = self._busy()
        free = self.threads - sum(group.is_long for group in busy)
        if free <= 0 or self.is_shut or not self.is_running:
            return False
        if any(group.batch.is_alone or not group.batch.is_known for group in busy):
            return False
        return len(busy) < _MOST * free and self.load(now) < _DEPTH

    def _busy(self) -> list[Group]:
        groups = self.groups.values()
        return [group for group in groups if not (group.batch.is_async or group.is_waiting)]

    def count(self) -> int:
        """Return how many groups it has that do not wait for a deferred reference."""
        return sum(not group.is_waiting for group in self.groups.values())


class Crew:
    """All workers there are."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}

    def update(self, workers: Mapping[str, Mapping[str, Any]]) -> list[Member]:
        """Take note of the workers there are now; return those that are gone."""
        gone = [member for address, member in self.members.items() if address not in workers]
        for member in gone:
            del self.members[member.address]
        for address, told in workers.items():
            if address in self.members:
                self.members[address].update(told)
            else:
                self.members[address] = Member(address, told)
        return gone

    @property
    def threads(self) -> int:
        """How many threads they have together."""
        return sum(member.threads for member in self._running()) or 1

    @property
    def is_running(self) -> bool:
        """Whether any of them takes tasks."""
        return any(True for _ in self._running())

    def _running(self) -> Iterable[Member]:
        return (member for member in self.members.values() if member.is_running)

    def with_room(self, *, idle: bool = False) -> Member | None:
        """Return the worker on which a group begins soonest; None if all have enough to do.

        Parameters
        ----------
        idle : bool
            It must have a thread with nothing to do.
        """
        now = time.monotonic()
        if idle:
            return self._least(now, lambda member: member.idle_threads() > 0)
        return self._least(now, lambda member: member.has_room(now))

    def empty(self) -> Member | None:
        """Return a worker that has nothing at all to do."""
        now = time.monotonic()
        return self._least(now, lambda m: not m.count() and m.is_running and not m.is_shut)

    def for_coroutines(self) -> Member | None:
        """Return the worker with the fewest groups of coroutines."""
        return min(
            self._running(),
            key=lambda m: (m.idle_threads() <= 0, sum(g.batch.is_async for g in m.groups.values())),
            default=None,
        )

    def _least(self, now: float, is_fit: Callable[[Member], bool]) -> Member | None:
        found = [member for member in self._running() if is_fit(member)]
        if not found:
            return None
        return min(found, key=lambda m: (-m.idle_threads() / m.threads, m.load(now)))

    def near(self, sizes: Mapping[str, int], otherwise: Member) -> Member:
        """Return where a node begins soonest, if its inputs have to be brought there.

        Parameters
        ----------
        sizes : mapping of str to int
            Bytes of inputs, by the worker that has them.
        otherwise : Member
            The one with the least to do.
        """
        now = time.monotonic()
        total = sum(sizes.values())

        def begins(member: Member) -> float:
            missing = total - sizes.get(member.address, 0)
            return member.load(now) + (_MOVE + missing / _BYTES_A_SECOND if missing else 0.0)

        holders = [self.members[a] for a in sizes if a in self.members]
        open_ones = [m for m in holders if m.is_running and not m.is_shut]
        return min([otherwise, *open_ones], key=begins)

    def bound(self, options: Options, *, idle: bool = False) -> tuple[Member | None, bool]:
        """Return where a node that asks for resources or workers goes now.

        Parameters
        ----------
        options : Options
        idle : bool
            It must begin at once.

        Returns
        -------
        member : Member or None
        exists : bool
            Whether any worker has what it asks for.
        """
        able = [m for m in self._running() if fits(options, m.address, m.told)]
        free = [m for m in able if m.count() < (1 if idle else _MOST_BOUND)]
        return min(free, key=Member.count, default=None), bool(able)

    def next_room(self) -> float:
        """Return the seconds after which a worker that has enough to do now will have room."""
        now = time.monotonic()
        waits = [m.load(now) - _DEPTH for m in self._running() if m.groups]
        return max(0.005, min(waits, default=0.5))
