"""`Group`: nodes that were sent to a worker in one Dask task, until all has been heard of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...schedule import DONE
from .placing import is_bound

if TYPE_CHECKING:
    from .batches import Batch
    from .job import Job
    from .members import Member
    from .sending import Sent

__all__ = ["Group"]


class Group:
    """Nodes under way.

    Parameters
    ----------
    job : Job
    sent : Sent
    batch : Batch
    member : Member
        Where they were sent.
    inputs : mapping of str to int
        Bytes of the large values that it takes, by the worker that has them.

    Attributes
    ----------
    pending : set of int
        The nodes of which nothing has been heard.
    started : set of int
        Those of which it has been told that they began.
    depends : set of str
        The names of the groups whose results it takes.
    scattered : dict of Scattered to distributed.Future
        The large values of the program's that it takes.
    since : float
        When it was sent, by the monotonic clock.
    has_begun : bool
        The worker has said something of it.
    is_long : bool
        It takes longer than groups may, and occupies a thread until it ends.
    is_waiting : bool
        It waited for a deferred reference, and occupies no thread any more.
    is_bound : bool
        It has what it asks for on few workers only, perhaps on this one alone.
    is_withheld : bool
        Some of what it had to say is in its result.
    kept : dict of int to tuple
        What its result holds: of each value the bytes, and the value itself if it came along.
    used_up : list of int
        The nodes whose values were used in it, and are nowhere any more.
    """

    def __init__(
        self, job: Job, sent: Sent, batch: Batch, member: Member, inputs: Mapping[str, int]
    ) -> None:
        assert sent.future is not None
        self.name = sent.name
        self.job = job
        self.batch = batch
        self.member = member
        self.future = sent.future
        self.numbers = sent.numbers
        self.pending = set(sent.numbers)
        self.depends = sent.depends
        self.scattered = sent.scattered
        self.since = time.monotonic()
        self.started: set[int] = set()
        self.has_begun = False
        self.is_long = False
        self.is_waiting = False
        self.is_bound = batch.options is not None and is_bound(batch.options)
        self.inputs = inputs
        self.is_withheld = False
        self.kept: dict[int, tuple[Any, ...]] = {}
        self.used_up: list[int] = []

    def note(self, numbers: Iterable[int]) -> None:
        """Note that something has been heard of nodes."""
        self.pending.difference_update(numbers)

    def left(self) -> list[int]:
        """Return the pending nodes in the order in which they run."""
        return [number for number in self.numbers if number in self.pending]

    def lose(self, numbers: list[int], reason: str) -> None:
        """Let nodes run again that were lost, and those whose values had been used up for them."""
        states = self.job.schedule.state
        needed = [number for number in self.used_up if states[number] == DONE]  # else it is freed
        self.job.state.lost(numbers, needed, self.member.address, reason)
