"""What a thread of the in-process engine does when its node waits for a deferred reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...deferred.links import Caller
from ...errors import DeferredError, RunCancelledError

if TYPE_CHECKING:
    from .engine import ThreadEngine
    from .member import Member

__all__ = ["MOST_WAITING", "MemberSite"]

MOST_WAITING = 64
"""Nodes that may wait for deferred references at once; each keeps a thread."""


class MemberSite:
    """The surroundings of a member's calls.

    Parameters
    ----------
    engine : ThreadEngine
    member : Member
    """

    def __init__(self, engine: ThreadEngine, member: Member) -> None:
        self._engine = engine
        self._member = member

    def caller(self) -> Caller | None:
        job, number = self._member.job, self._member.current
        if job is None or number < 0:
            return None
        return Caller((job.state.name, number), job.state.attempt(number))

    @contextmanager
    def room(self, end: Callable[[BaseException], None]) -> Iterator[None]:
        engine, member = self._engine, self._member
        with engine.lock:
            if member.abandoned or (member.job is not None and member.job.schedule.is_over):
                raise RunCancelledError("the run is over; nothing is waited for any more")
            if engine.crew.count_waiting() >= MOST_WAITING:
                raise DeferredError(
                    f"{MOST_WAITING} nodes wait for deferred references already, and each keeps a "
                    "thread; use dependencies, or coroutine nodes that await the references"
                )
            member.end_wait = end
        try:
            with engine.making_room():
                yield
        finally:
            with engine.lock:
                member.end_wait = None
