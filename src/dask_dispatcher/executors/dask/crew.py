"""`Crew`: the workers of a cluster as we see them, and which of them is given something next.

Each group is bound to a worker that is chosen here: where its inputs are, or where it begins
soonest. So a group can never run twice without our knowing, and nothing of ours waits on the
scheduler or behind a busy worker but what fills the time of a hop. The backlog stays with us.

Members are in a heap by when they have room, so that the choice costs the same on 2 workers as on
1,000. Whatever changes with a member puts it there once more; older entries of it are passed over.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ...options import Options
from .groups import Group
from .members import Member
from .placing import fits

__all__ = ["Crew"]

_MOST_BOUND = 100  # groups that wait on one worker for its resources
_MOVE = 0.01  # seconds that a move takes at least
_WORTH = 0.015  # seconds that a group must have to wait before it is taken elsewhere: some hops

_Entry = tuple[tuple[float, float, float], int, Member]


class Crew:
    """All workers there are."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.threads = 1
        """How many threads those have together that take tasks; 1 if there are none."""
        self._heap: list[_Entry] = []
        self._entries: dict[Member, int] = {}  # the serial number of the one that counts
        self._serial = itertools.count()
        self._with_waiting: dict[Member, None] = {}  # those with groups that have not begun

    def update(self, workers: Mapping[str, Mapping[str, Any]]) -> list[Member]:
        """Take note of the workers there are now; return those that are gone."""
        gone = [member for address, member in self.members.items() if address not in workers]
        for member in gone:
            self.remove(member.address)
        for address, told in workers.items():
            if address in self.members:
                self.members[address].update(told)
            else:
                member = self.members[address] = Member(address, told, self._changed)
                member.changed()
        self._count_threads()
        return gone

    def remove(self, address: str) -> Member | None:
        """Forget a worker that is gone; return it."""
        member = self.members.pop(address, None)
        if member is not None:
            self._entries.pop(member, None)
            self._with_waiting.pop(member, None)
            self._count_threads()
        return member

    def _count_threads(self) -> None:
        self.threads = sum(member.threads for member in self._running()) or 1

    @property
    def is_running(self) -> bool:
        """Whether any of them takes tasks."""
        return any(True for _ in self._running())

    def _running(self) -> Iterable[Member]:
        return (member for member in self.members.values() if member.is_running)

    # Who begins something soonest

    def _changed(self, member: Member) -> None:
        if self.members.get(member.address) is not member:
            return
        if member.waiting:
            self._with_waiting[member] = None
        else:
            self._with_waiting.pop(member, None)
        serial = next(self._serial)
        self._entries[member] = serial
        if member.opens_at < math.inf:
            heapq.heappush(self._heap, (member.order(), serial, member))
        if len(self._heap) > 4 * len(self._entries) + 16:
            self._heap = [entry for entry in self._heap if self._counts(entry)]
            heapq.heapify(self._heap)

    def _counts(self, entry: _Entry) -> bool:
        _, serial, member = entry
        return self._entries.get(member) == serial

    def _first(self) -> Member | None:
        """Return the member that has room before all others; None if none of them will."""
        while self._heap and not self._counts(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][-1] if self._heap else None

    def with_room(self, *, idle: bool = False) -> Member | None:
        """Return the worker on which a group begins soonest; None if all have enough to do.

        Parameters
        ----------
        idle : bool
            It must have a thread with nothing to do.
        """
        now = time.monotonic()
        first = self._first()
        while first is not None and first.is_to_be_tried(now):
            first.changed()
            first = self._first()
        if first is None or first.opens_at > now or (idle and not first.idle_threads):
            return None
        return first

    def next_room(self) -> float:
        """Return the seconds after which a worker that has enough to do now will have room."""
        first = self._first()
        wait = 0.5 if first is None else min(0.5, first.opens_at - time.monotonic())
        return max(0.005, wait)

    def empty(self) -> Member | None:
        """Return a worker that has nothing at all to do."""
        found = [m for m in self._running() if not m.count() and not m.is_shut]
        return min(found, key=Member.order, default=None)

    def for_coroutines(self) -> Member | None:
        """Return the worker with the fewest groups of coroutines."""
        return min(
            self._running(),
            key=lambda m: (not m.idle_threads, sum(g.batch.is_async for g in m.groups.values())),
            default=None,
        )

    # Who has what a node needs

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

        def begins(member: Member) -> float:
            return member.load(now) + moving(sizes, member)

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

    # Who has too much to do

    def spare(self, idle: Member) -> Group | None:
        """Return the group that has longest to wait, if an idle worker would begin it sooner."""
        now = time.monotonic()
        found = [spare for member in self._with_waiting if (spare := member.spare(now))]
        worth = [(w, g) for w, g in found if w > _WORTH + moving(g.inputs, idle)]
        return max(worth, key=lambda each: each[0])[1] if worth else None


def moving(sizes: Mapping[str, int], member: Member) -> float:
    """Return the seconds it takes to bring inputs to a worker, by who has how many bytes of them."""
    missing = sum(sizes.values()) - sizes.get(member.address, 0)
    return _MOVE + missing / member.bytes_a_second if missing else 0.0
