"""`Reclaimer`: takes groups back that have not begun, for workers that would begin them sooner.

What waits on a worker behind other groups was sent there ahead of its time, so that the worker need
not wait for it. If what it waits for takes longer than expected, and somebody else has nothing to do,
it goes there instead; so to send ahead costs nothing but a question. Groups that wait behind somebody
else's work are taken back too.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .marks import revoke

if TYPE_CHECKING:
    from .engine import DaskEngine
    from .groups import Group
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

    def recall(self, group: Group, reason: str) -> None:
        """Take a group back that Dask has cancelled; if it had begun, its nodes count as lost."""

        def heard(revoked: list[str]) -> None:
            self._engine.take_back(revoked)
            self._engine.lose(group, reason)  # if it was not taken back

        self._ask(group.member, [group.name], heard)

    def _revoke(self, member: Member, names: list[str], *, is_shut: bool = False) -> None:
        if not self._engine.connection.is_alive:
            return
        member.is_asked = True

        def heard(revoked: list[str]) -> None:
            member.is_asked = False
            if revoked and is_shut:
                member.shut()
            self._engine.take_back(revoked)

        self._ask(member, names, heard)

    def _ask(self, member: Member, names: list[str], heard: Callable[[list[str]], None]) -> None:
        """Keep groups from beginning; let it be heard, with the lock held, which had not begun."""

        def come(done: concurrent.futures.Future[list[str]]) -> None:
            is_heard = not done.cancelled() and done.exception() is None
            self._engine.post(lambda: heard(done.result() if is_heard else []))

        self._engine.connection.ask_worker(member.address, revoke, names).add_done_callback(come)
