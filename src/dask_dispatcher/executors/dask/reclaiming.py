"""`Reclaimer`: takes groups back that have not begun, for workers that would begin them sooner.

What waits on a worker behind other groups was sent there ahead of its time, so that the worker need
not wait for it. If what it waits for takes longer than expected, and somebody else has nothing to do,
it goes there instead; so to send ahead costs nothing but a question. Groups that wait behind somebody
else's work are taken back too.
"""

from __future__ import annotations

import concurrent.futures
import time
from typing import TYPE_CHECKING, Any

from .running import revoke

if TYPE_CHECKING:
    from .engine import DaskEngine
    from .members import Member

__all__ = ["Reclaimer"]

_LATE = 0.3  # seconds after which a group that should have begun is asked after


class Reclaimer:
    """Takes back for an engine, whose lock is held in all of this.

    Parameters
    ----------
    engine : DaskEngine
    """

    def __init__(self, engine: DaskEngine) -> None:
        self._engine = engine

    def level(self) -> None:
        """Take back what has longest to wait, if a worker has nothing to do."""
        crew = self._engine.crew
        idle = crew.with_room(idle=True)
        group = None if idle is None else crew.spare(idle)
        if group is not None:
            self._revoke(group.member, [group.name])

    def free(self, member: Member) -> None:
        """Take back what waits on a worker for what may take any time."""
        names = [group.name for group in member.waiting if not (group.has_begun or group.is_bound)]
        if names and member.is_stuck and len(self._engine.crew.members) > 1:
            self._revoke(member, names)

    def ask_after_late(self) -> None:
        """Take back what waits behind somebody else's work, if there is a place for it."""
        crew, now = self._engine.crew, time.monotonic()
        if crew.with_room(idle=True) is None:
            return
        for member in crew.members.values():
            late = [
                group.name
                for group in member.groups.values()
                if not group.has_begun
                and now - group.since > _LATE + member.load(now)
                and not (group.batch.options and group.batch.options.resources)
            ]
            if late:
                self._revoke(member, late, is_shut=True)

    def _revoke(self, member: Member, names: list[str], *, is_shut: bool = False) -> None:
        engine = self._engine
        if not engine.connection.is_alive:
            return
        member.is_asked = True

        def come(done: concurrent.futures.Future[Any]) -> None:
            is_heard = not done.cancelled() and done.exception() is None
            engine.post(lambda: heard(done.result() if is_heard else []))

        def heard(revoked: list[str]) -> None:
            member.is_asked = False
            if revoked and is_shut:
                member.shut()
            engine.take_back(revoked)

        engine.connection.ask_worker(member.address, revoke, names).add_done_callback(come)
