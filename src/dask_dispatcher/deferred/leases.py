"""What processes have of a channel before they ask: places to put into, and items to hand out.

`Leases` belongs to the channel's book and knows what is with whom. `Agent` stands for a process; it
collects what that is to be told, for whoever has the wire to send. At the other end is `ahead`.

Always: only one process, the *taker*, has items; what was sent to a process counts as used or returned
only when the process says so; nothing is sent to one that was told to return all, until it has.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

from .links import Ref, Request

__all__ = ["SERVED_AHEAD", "Agent", "Leases", "Parcel"]

SERVED_AHEAD = frozenset({"put", "get", "fetch"})
"""What a process may do with what it has ahead."""

_MOST = 200  # places, or items, that a process may have of one channel
_FEWEST = 4  # room of a channel below which what one has ahead would be in the way of others
_ALONE = 8  # gets of one process in a row before it is sent items ahead


class Parcel(NamedTuple):
    """What a process is told about one channel: what it is given, then whether to give all back.

    `heard` is the last of its requests that had come when it was given that.
    """

    key: str
    places: int
    items: list[Any]
    is_recalled: bool
    heard: int


_NOTHING = Parcel("", 0, [], False, 0)


class Agent:
    """A process that may have something ahead.

    Parameters
    ----------
    holder : Hashable
        What items that are in the process name as their holder.
    carries : callable
        Returns whether an item can be sent there in a parcel.
    wake : callable
        Called when there are parcels to be sent, with the desk's lock held; must not wait.
    """

    def __init__(
        self, holder: Hashable, carries: Callable[[Any], bool], wake: Callable[[], None]
    ) -> None:
        self.holder = holder
        self.carries = carries
        self.is_heard_out = True
        """Whether all that the process has said is known here, should it be gone."""
        self.keys: set[str] = set()
        """Channels of which something may be ahead."""
        self._wake = wake
        self._heard = 0
        self._lock = threading.Lock()  # guards _due
        self._due: dict[str, Parcel] = {}

    @property
    def has_parcels(self) -> bool:
        """Whether there is something to send."""
        return bool(self._due)

    def hear(self, request: Request) -> None:
        """Note that a request has come."""
        self._heard = max(self._heard, request.serial)

    def give(self, key: str, places: int, items: Iterable[Any]) -> None:
        """Send places and items ahead."""
        self.keys.add(key)
        self._add(key, places, items, is_recalled=False)

    def _add(self, key: str, places: int, items: Iterable[Any], *, is_recalled: bool) -> None:
        with self._lock:
            is_first = not self._due
            before = self._due.get(key, _NOTHING)
            self._due[key] = Parcel(
                key,
                before.places + places,
                [*before.items, *items],
                before.is_recalled or is_recalled,
                self._heard,
            )
        if is_first:
            self._wake()

    def recall(self, key: str) -> None:
        """Have all returned that is ahead."""
        self._add(key, 0, (), is_recalled=True)

    def take_parcels(self) -> list[Parcel]:
        """Return what is to be sent now."""
        with self._lock:
            due, self._due = self._due, {}
        return list(due.values())


class _Lease:
    """What one process has."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.places = 0
        self.items: deque[Any] = deque()
        self.puts_eagerly = False
        self.takes_eagerly = False
        self.is_recalled = False


class Leases:
    """What is ahead of one channel.

    Parameters
    ----------
    ref : Ref
        Of the channel.
    """

    def __init__(self, ref: Ref) -> None:
        self._key = ref.key
        self._is_for_this = not 0 < ref.maxsize < _FEWEST
        self._most = min(_MOST, ref.maxsize or _MOST)
        self._leases: dict[Hashable, _Lease] = {}
        self._taker: _Lease | None = None
        self._last: Hashable = None  # who got last
        self._in_a_row = 0
        self.places = 0
        """How many are ahead, of all processes together."""

    @property
    def items(self) -> Iterable[Any]:
        """Those that are ahead, in order."""
        return () if self._taker is None else self._taker.items

    @property
    def count(self) -> int:
        """How many items are ahead."""
        return 0 if self._taker is None else len(self._taker.items)

    def is_awaiting(self) -> bool:
        """Return whether something is to be returned."""
        return any(lease.is_recalled for lease in self._leases.values())

    def crosses(self, request: Request) -> bool:
        """Return whether something ahead of the asker will serve the request, or may have."""
        lease = self._leases.get(request.agent.holder)
        if lease is None or request.verb not in SERVED_AHEAD:
            return False
        return lease.is_recalled or bool(lease.places if request.verb == "put" else lease.items)

    # Who is to have something

    def note_put(self, request: Request) -> None:
        """Take note of a process that puts."""
        if request.agent is not None and self._is_for_this:
            lease = self._leases.get(request.agent.holder)
            if lease is None and request.is_eager:
                lease = self._leases[request.agent.holder] = _Lease(request.agent)
            if lease is not None:
                lease.puts_eagerly = request.is_eager

    def note_get(self, request: Request) -> None:
        """Take note of who gets: one who is eager, and alone in it, becomes the taker."""
        agent = request.agent
        holder = None if agent is None else agent.holder
        self._in_a_row = self._in_a_row + 1 if holder == self._last else 1
        self._last = holder
        taker = self._taker
        if taker is not None and not taker.items and taker.agent.holder != holder:
            taker = self._taker = None
        if agent is None or not (self._is_for_this and request.is_eager):
            return
        if taker is None and self._in_a_row >= _ALONE:
            taker = self._taker = self._leases.setdefault(holder, _Lease(agent))
        if taker is not None and taker.agent.holder == holder:
            taker.takes_eagerly = True

    def grant(self, room: int) -> None:
        """Send places ahead to those who put, out of `room` that nobody waits for."""
        if room <= 0 or not self._leases:
            return
        putters = [one for one in self._leases.values() if one.puts_eagerly and not one.is_recalled]
        for lease in putters:
            share = max(1, self._most // len(putters))
            places = min(share - lease.places, room)
            if places >= max(1, share // 4):  # fewer are not worth a message
                lease.places += places
                self.places += places
                room -= places
                lease.agent.give(self._key, places, ())

    def send(self, items: deque[Any]) -> None:
        """Send items ahead to the taker, from the front of the channel."""
        taker = self._taker
        if taker is None or taker.is_recalled or not taker.takes_eagerly:
            return
        sent = []
        while items and len(taker.items) < self._most and taker.agent.carries(items[0]):
            sent.append(items[0])
            taker.items.append(items.popleft())
        if sent:
            taker.agent.give(self._key, 0, sent)

    # What processes say

    def put(self, holder: Hashable, count: int, is_eager: bool) -> int:
        """Note that places are used; return how many of them there were."""
        lease = self._leases.get(holder)
        if lease is None:
            return 0
        count = min(count, lease.places)
        lease.places -= count
        self.places -= count
        lease.puts_eagerly = is_eager
        return count

    def took(self, holder: Hashable, count: int, is_eager: bool) -> int:
        """Note that the first items ahead were handed out; return how many of them there were."""
        taker = self._taker
        if taker is None or taker.agent.holder != holder:
            return 0
        count = min(count, len(taker.items))
        for _ in range(count):
            taker.items.popleft()
        taker.takes_eagerly = is_eager
        return count

    # Having it back

    def recall_places(self) -> None:
        """Have all places returned."""
        for lease in self._leases.values():
            if lease.places:
                self._recall(lease)

    def recall_items(self) -> None:
        """Have all items returned."""
        if self._taker is not None and self._taker.items:
            self._recall(self._taker)

    def recall(self, holder: Hashable) -> None:
        """Have all returned that a process has."""
        lease = self._leases.get(holder)
        if lease is not None and (lease.places or lease.items):
            self._recall(lease)

    def recall_all(self) -> None:
        """Have all returned."""
        for holder in self._leases:
            self.recall(holder)

    def _recall(self, lease: _Lease) -> None:
        if not lease.is_recalled:
            lease.is_recalled = True
            lease.agent.recall(self._key)

    def end(self, holder: Hashable) -> tuple[Agent, Iterable[Any]] | None:
        """Forget a process that has returned all, or is gone; return it and what items it had."""
        lease = self._leases.pop(holder, None)
        if lease is None:
            return None
        lease.agent.keys.discard(self._key)
        self.places -= lease.places
        if lease is self._taker:
            self._taker = None
        return lease.agent, lease.items
