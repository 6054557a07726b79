"""`Attempts`: how attempts of nodes begin and end: resources, failures, retries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..policy import Failure
    from ..shares import Shares
    from .job import Job

__all__ = ["Attempts"]


class Attempts:
    """Keeps account of attempts under way.

    Parameters
    ----------
    shares : Shares
    later : callable
        Calls a function after some seconds.
    """

    def __init__(self, shares: Shares, later: Callable[[float, Callable[[], None]], None]) -> None:
        self._shares = shares
        self._later = later

    def begin(self, job: Job, number: int) -> bool:
        """Take the resources a node asks for; return whether it may begin."""
        demand = job.demand(number)
        if not demand:
            return True
        if not self._shares.acquire(job.state, number, demand):
            return False
        job.demands_out[number] = demand
        return True

    def end(self, job: Job, numbers: Iterable[int]) -> None:
        """Give back the resources of nodes that are not under way any more."""
        if job.demands_out:
            for number in numbers:
                demand = job.demands_out.pop(number, None)
                if demand:
                    self._shares.release(demand)

    def fail(self, job: Job, number: int, failure: Failure) -> None:
        """Note that an attempt failed; let another one follow if there is to be one."""
        delay = job.state.attempt_failed(number, failure)
        if delay is not None:
            self._later(delay, lambda: job.schedule.resume(number))

    def take_back(self, job: Job, numbers: Sequence[int]) -> None:
        """Let nodes that had been given to a worker be given once more."""
        if numbers:
            self.end(job, numbers)
            job.schedule.put_back(numbers)
            job.state.settle()  # what waits for something that has failed ends with it
