"""`Member`: a worker as we see it, with the groups it was given and when it will have room for more."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from .groups import Group

__all__ = ["Member"]

_DEPTH = 0.06  # seconds of work that a thread may have before it: what a few hops take
_MOST = 4  # groups a thread, however short
_SHUT = 1.0  # seconds until a worker that others keep busy is tried again
_BYTES_A_SECOND = 1e8  # from one worker's memory to another's, where Dask has measured nothing


class Member:
    """A worker.

    Parameters
    ----------
    address : str
    told : mapping
        What the scheduler says of it.
    changed : callable
        Told whenever the time at which it will have room may be another one.

    Attributes
    ----------
    groups : dict of str to Group
        Under way on it, in the order in which they were sent, in which it runs them.
    opens_at : float
        When it has room, by the monotonic clock: for a group that is then to begin soon, behind
        others; if a thread has nothing to do, minus infinity; infinity if something else has to
        happen first.
    idle_threads : int
    waiting : list of Group
        Those that wait for a thread.
    is_stuck : bool
        All its threads are busy with what takes longer than expected, and may take any time.
    is_asked : bool
        It was asked to give a group back, and has not answered.
    """

    def __init__(
        self, address: str, told: Mapping[str, Any], changed: Callable[[Member], None]
    ) -> None:
        self.address = address
        self.groups: dict[str, Group] = {}
        self.is_asked = False
        self._changed = changed
        self._shut_until = 0.0
        self._queued = 0.0  # seconds of work of those that wait
        self._running: list[Group] = []  # one a thread, as far as there are any
        self._began: dict[str, float] = {}  # when each of them got its thread, as far as we know
        self.update(told)

    def update(self, told: Mapping[str, Any]) -> None:
        """Take note of what the scheduler says of it now."""
        self.told = told
        self.threads = int(told.get("nthreads", 1))
        self.changed()

    @property
    def is_running(self) -> bool:
        """Whether it takes tasks: it is neither paused nor about to leave."""
        return bool(self.told.get("status", "running") == "running")

    @property
    def bytes_a_second(self) -> float:
        """How fast values come to it from other workers, as measured by Dask."""
        measured = self.told.get("metrics", {}).get("bandwidth", {}).get("total")
        return float(measured or _BYTES_A_SECOND)

    @property
    def is_shut(self) -> bool:
        """Whether somebody else keeps it busy: what was sent to it did not begin, and was taken back."""
        return time.monotonic() < self._shut_until

    def shut(self) -> None:
        """Note that it is kept busy; it is tried again after a while."""
        self._shut_until = time.monotonic() + _SHUT
        self.changed()

    def is_to_be_tried(self, now: float) -> bool:
        """Whether the time is over for which it was shut."""
        return self.opens_at == self._shut_until <= now

    def add(self, group: Group) -> None:
        """Note that a group was sent to it."""
        self.groups[group.name] = group
        self.changed()

    def remove(self, group: Group) -> None:
        """Note that a group has ended."""
        self.groups.pop(group.name, None)
        self.changed()

    def changed(self) -> None:
        """Note that something has been heard of it, or of one of its groups."""
        now = time.monotonic()
        busy = [g for g in self.groups.values() if not (g.batch.is_async or g.is_waiting)]
        self._running, self.waiting = busy[: self.threads], busy[self.threads :]
        self._began = {group.name: self._began.get(group.name, now) for group in self._running}
        self.idle_threads = self.threads - len(self._running)
        self.is_stuck = not self.idle_threads and all(group.is_long for group in self._running)
        self._queued = sum(group.batch.seconds for group in self.waiting)
        self._until = now + self.load(now)
        if not self.is_running or any(group.batch.is_alone for group in busy):
            self.idle_threads, self.opens_at = 0, math.inf
        else:
            self.opens_at = -math.inf if self.idle_threads else self._opens_behind()
        if self.is_shut and self.opens_at < self._shut_until:
            self.opens_at, self.idle_threads = self._shut_until, 0
        self._changed(self)

    def _opens_behind(self) -> float:
        """Return when a group may be sent that has to wait for others."""
        sure = sum(group.batch.is_known and not group.is_long for group in self._running)
        if self.is_stuck or len(self.waiting) >= max(1, (_MOST - 1) * sure):
            return math.inf
        if self._queued >= _DEPTH * self.threads:  # not before one of those under way has ended
            return math.inf
        return self._until - _DEPTH

    def load(self, now: float) -> float:
        """Return the seconds until it has nothing more to do, as far as anybody can say."""
        took = [now - self._began[group.name] for group in self._running]
        left = self._queued
        left += sum(max(0.0, g.batch.seconds - t) for g, t in zip(self._running, took, strict=True))
        if self.is_stuck:  # for as long again, as a rule of thumb
            left += self.threads * min(took)
        return left / self.threads

    def order(self) -> tuple[float, float, float]:
        """Return what workers are ordered by: who begins something soonest comes first."""
        return self.opens_at, -self.idle_threads / self.threads, self._until

    def count(self) -> int:
        """Return how many groups it has that do not wait for a deferred reference."""
        return sum(not group.is_waiting for group in self.groups.values())

    def spare(self, now: float) -> tuple[float, Group] | None:
        """Return the group that will begin last, and the seconds until then; None if all have begun."""
        if self.is_asked or not self.waiting:
            return None
        group = self.waiting[-1]
        if group.has_begun or group.is_bound:
            return None
        return self.load(now) - group.batch.seconds / self.threads, group
