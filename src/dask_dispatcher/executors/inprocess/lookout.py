"""`Lookout`: the look at the threads, from time to time while anything runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .engine import ThreadEngine
    from .member import Member
    from .watch import Watch

__all__ = ["Lookout"]

_FIRST, _LAST = 0.001, 0.016  # seconds between two looks


class Lookout:
    """Finds threads that are stuck in a call, and calls that have timed out.

    The lock of the engine is held in all of it.

    Parameters
    ----------
    engine : ThreadEngine
    watch : Watch
        Whose thread looks.
    """

    def __init__(self, engine: ThreadEngine, watch: Watch) -> None:
        self._engine = engine
        self._watch = watch
        self.is_looking = False
        self._pause = _FIRST

    def soon(self) -> None:
        """Look soon, as there is something new to see."""
        self._pause = _FIRST
        if not self.is_looking:
            self._watch.later(self._pause, self._look)
            self.is_looking = True  # last: Ctrl-C in between costs one look too many, not all

    def _look(self) -> None:
        now = time.monotonic()
        is_news = self._relieve_stalled(now)
        self._time_out(now)
        if self._engine.look_after_runs():
            self._pause = _FIRST if is_news else min(2 * self._pause, _LAST)
            self._watch.later(self._until_next(now), self._look)
        else:
            self.is_looking = False

    def _relieve_stalled(self, now: float) -> bool:
        """Take what waits behind calls that take long; return whether one was not known to."""
        engine = self._engine
        busy = engine.crew.count_busy()
        unclear = [member for member in engine.crew.members if not member.is_settled(now)]
        stalled = [member for member in unclear if member.is_stalled(now, busy)]
        is_news = any(member.costly is None for member in stalled)
        for member in stalled:
            if member.is_slow:
                self._mark_slow(member)
            elif member.costly is None:
                assert member.job is not None
                engine.suspect(member.job, member.current)
            engine.relieve(member)
        return is_news

    def _mark_slow(self, member: Member) -> None:
        job, costs = member.job, self._engine.costs
        assert job is not None
        function = job.function_of(member.current)
        if function is None:
            return
        if member.costly is not None:
            if member.is_waiting:
                costs.is_waiting(function)
        else:
            member.note_started(job, member.current)
            costs.stalled(function, waits=member.is_waiting)
            member.costly = function
            job.is_careful = True
            job.rank(costs.slow)

    def _time_out(self, now: float) -> None:
        for member in tuple(self._engine.crew.members):
            if member.deadline is not None and member.deadline <= now:
                self._engine.time_out(member)

    def _until_next(self, now: float) -> float:
        members = self._engine.crew.members
        deadlines = [m.deadline - now for m in members if m.deadline is not None]
        return max(_FIRST, min(self._pause, *deadlines, _LAST))
