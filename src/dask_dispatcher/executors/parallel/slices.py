"""`Slice` and `Coroutine`: what a worker has been given to run, until it has said all about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...schedule import Trail
    from .job import Job

__all__ = ["Coroutine", "Slice", "is_late"]


class Slice:
    """Nodes given to one worker.

    Parameters
    ----------
    job : Job
    serial : int
    numbers : list of int
        In the order in which they run.
    holds : list
        What the worker has been told of, which must stay where it is meanwhile.
    seconds : float
        How long it is expected to take.
    trail : Trail, optional
        How far what may come behind it has been followed.

    Attributes
    ----------
    is_nudged : bool
        It takes longer than expected; its worker has been asked for what it has not begun.
    announced : int or None
        The node of which observers have been told that it is under way.
    """

    __slots__ = (
        "_pending",
        "announced",
        "holds",
        "is_nudged",
        "job",
        "numbers",
        "seconds",
        "serial",
        "trail",
    )

    def __init__(
        self,
        job: Job,
        serial: int,
        numbers: list[int],
        holds: list[Any],
        seconds: float,
        trail: Trail | None = None,
    ) -> None:
        self.job = job
        self.serial = serial
        self.numbers = numbers
        self._pending: set[int] | None = None  # made when somebody asks
        self.holds = holds
        self.seconds = seconds
        self.trail = trail
        self.is_nudged = False
        self.announced: int | None = None

    @property
    def pending(self) -> set[int]:
        """The nodes of which nothing has been heard."""
        if self._pending is None:
            self._pending = set(self.numbers)
        return self._pending

    def left(self) -> list[int]:
        """Return the pending nodes in the order in which they run."""
        pending = self.pending
        return [number for number in self.numbers if number in pending] if pending else []

    def note(self, numbers: Collection[int]) -> None:
        """Note that something has been heard of nodes."""
        if self._pending is None and numbers == self.numbers:  # as a rule, all in one report
            self._pending = set()
        else:
            self.pending.difference_update(numbers)


def is_late(slices: Iterable[Slice]) -> bool:
    """Return whether any of a worker's slices takes much longer than expected."""
    return any(part.is_nudged for part in slices)


class Coroutine:
    """A coroutine node given to a worker.

    Parameters
    ----------
    job : Job
    holds : list
        What must stay where it is meanwhile.
    began : float
        When it was given, in seconds since the epoch.
    """

    __slots__ = ("began", "holds", "is_announced", "job")

    def __init__(self, job: Job, holds: list[Any], began: float) -> None:
        self.job = job
        self.holds = holds
        self.began = began
        self.is_announced = False
