"""`Taker`: how many nodes of a run come off its schedule at a time.

A group is to take about `_TARGET` seconds: less is not worth its hop. As long as more is ready, it may take
two thirds of a thread's share of that, so that groups are few at first, and small when that matters; but
no more than `_HIGHEST`, or another run of this program would have to wait for them. Nodes that cost next to
nothing are taken by the number, all others one by one until they are enough. What is sent alone is taken
but a few at a time, since what becomes ready later may be more urgent.

What hangs on the nodes of one group alone goes along with it; what hangs on two groups waits for a hop. So
in a graph that is deep and narrow, with levels that are not worth a hop each, nothing is spread: groups go
down as far as they may, one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .estimates import CHEAPEST

if TYPE_CHECKING:
    from ...schedule import Schedule
    from .estimates import Estimates

__all__ = ["PROBE", "Taker"]

PROBE = 1000
"""Nodes of a group of which nothing is known."""

_TARGET = 0.025  # seconds that a group is to take
_SHARE = 2 / 3  # of what is ready, a thread
_HIGHEST = 0.3  # seconds that it may take as long as there is much more to do
_SHARED = 0.1  # the same, where another run of this program wants the threads too
_LEAST = 0.005  # seconds below which it is not worth a hop to spread work
_HOP = 0.012  # seconds that a level waits, if it is spread, for what others have done of the one before
_DOWN = 0.1  # seconds that a group is to take beside which nothing can run
_LARGEST = 2500  # nodes of a group: packing one overlaps with running another
_LONGEST = 10_000  # nodes of a group that nothing could be run beside
_AHEAD = 4  # nodes a thread that are taken to be sent alone: a choice for whoever has room


class Taker:
    """Of one run.

    Parameters
    ----------
    schedule : Schedule
    estimates : Estimates
    is_strict : bool
        No more are taken than begin at once, as their priorities are to be kept to the letter.

    Attributes
    ----------
    target : float
        Seconds that a group of what was taken last is to take.
    leaves : int
        How many nodes that could run beside each other may go together, where they are few.
    """

    def __init__(self, schedule: Schedule, estimates: Estimates, *, is_strict: bool) -> None:
        self._schedule = schedule
        self._estimates = estimates
        self._is_strict = is_strict
        self.target = _TARGET
        self.leaves = 1
        self._most: int | None = None

    def take(self, threads: int, *, is_alone: bool = True, is_under_way: bool = False) -> list[int]:
        """Begin nodes, and return them in the order in which they are to run.

        Parameters
        ----------
        threads : int
            That all workers have together.
        is_alone : bool
            No other run of this program wants these threads.
        is_under_way : bool
            Other nodes of this run are on workers, which what comes next may wait for anyway.
        """
        highest = _HIGHEST if is_alone else _SHARED
        limit, lead = self._limits(threads, highest, is_under_way=is_under_way)
        self.leaves = max(1, self._schedule.count_ready() // (2 * threads))
        known = self._estimates
        if (known.apart or known.counted) and not self._is_strict:
            return self._take_some(limit, lead, threads)
        follow = known.light_mean is not None
        return self._schedule.take(limit, follow=follow, lead=lead)[::-1]

    def note_most(self, count: int | None) -> None:
        """Note how many of the nodes taken last go together; None: all did."""
        self._most = count

    def _take_some(self, limit: int, lead: int, threads: int) -> list[int]:
        """Take what comes first, until there is a group of light nodes, or enough to send alone.

        What follows on nodes that are ready is taken along only if none of these is sent alone.
        """
        known, enough = self._estimates, _AHEAD * threads
        most = min(_LARGEST, max(limit, lead))
        found: list[int] = []
        light, seconds = 0, 0.0
        while len(found) - light < enough and light < most and seconds < self.target:
            count = min(max(enough if known.apart else limit, len(found)), most)
            follow = light == len(found) and bool(found or not known.apart)
            taken = self._schedule.take(count, follow=follow, lead=lead)[::-1]
            if not taken:
                break
            costs = [known.seconds(number) for number in taken if not known.is_apart(number)]
            light, seconds = light + len(costs), seconds + sum(costs)
            found += taken
        return found

    def _limits(self, threads: int, highest: float, *, is_under_way: bool) -> tuple[int, int]:
        """Return how many nodes to take, and how many of them as leaders of others."""
        if self._is_strict:
            return threads, threads
        schedule, mean = self._schedule, self._estimates.light_mean
        ready = schedule.count_ready()
        if mean is None:
            return PROBE, -(-ready // threads)
        mean = max(mean, CHEAPEST)
        worth = max(1, round(_LEAST / mean))
        share = max(-(-ready // threads), min(ready, worth))
        is_deep = schedule.remaining > 2 * ready and not is_under_way
        is_one = is_deep and ready * mean < share * mean + _HOP
        if is_one:
            share = ready
        self.target = min(max(_SHARE * share * mean, _DOWN if is_one else _TARGET), highest)
        limit = max(1, min(_LARGEST if ready > threads else _LONGEST, round(self.target / mean)))
        if self._most is not None:
            limit = min(limit, 2 * self._most)
        if threads <= ready and schedule.remaining <= limit * threads and not is_one:
            limit = max(min(limit, worth), min(limit, -(-schedule.remaining // threads)))
        if self._estimates.sized:  # so that who takes a large value may go along with who makes it
            share = min(share, max(1, limit // 2))
        return limit, share
