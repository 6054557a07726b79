"""`CallCosts`: what calls have cost, as far as it changes how they are handed out.

A function is *slow* if a call of it takes longer than it takes to hand it out: its calls are
handed out one at a time, and others are begun beside it. It is *fast* once it was called alone and
was not slow. A slow function *waits* or computes: as many calls that wait may be under way as there
are threads, but no more that compute than there are cores.

All functions are taken for fast at first, and called one after the other in slices. What seems slow
there may have been kept from the processor: by other threads, by other programs, or as the whole
process was stopped. So unless it is known what it did meanwhile, it is only *suspected*, and its
next call is timed alone. Where there is such a function in a run, those of which nothing is known
are called alone at first, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .clocks import seems_to_wait

__all__ = ["CallCosts"]

Function = Callable[..., Any]

_SLOW = 0.001  # seconds; the first guess at the cost of a call that stalls a thread
_FAST = 0.0001  # seconds, up to which a call is fast
_UNKNOWN = _SLOW, True
_NEWS = 0.25  # what the last call counts for in the mean
_MOST = 1000  # functions that are remembered between runs


class CallCosts:
    """By function, over all runs of an executor; guarded by its engine's lock."""

    def __init__(self) -> None:
        self._slow: dict[Function, tuple[float, bool]] = {}
        # Suspected, or thought to compute though the last call seemed to wait. The next call is timed
        # together with what it stands in line for a processor: to ask for that gives up the
        # interpreter's lock, before and after the call.
        self._doubted: set[Function] = set()
        self._fast: set[Function] = set()

    @property
    def slow(self) -> Mapping[Function, tuple[float, bool]]:
        """Of each slow function the mean seconds of a call, and whether it waits."""
        return self._slow

    def is_fast(self, function: Function) -> bool:
        return function in self._fast

    def is_doubted(self, function: Function | None) -> bool:
        """Return whether its next call has to settle what it does."""
        return function in self._doubted

    def waits(self, function: Function) -> bool:
        """Return whether a call is expected to wait; one of which nothing is known is."""
        return self._slow.get(function, _UNKNOWN)[1]

    def stalled(self, function: Function, *, waits: bool) -> None:
        """Note that a call has stalled its thread, among calls that were thought fast."""
        self._slow[function] = self._slow.get(function, _UNKNOWN)[0], waits
        self._fast.discard(function)

    def suspect(self, function: Function) -> None:
        """Note that a call may have been slow."""
        if function not in self._slow:
            self._fast.discard(function)
            self._doubted.add(function)

    def seem_slow(self, calls: int, seconds: float, worked: float, *, busy: int) -> bool:
        """Return whether calls, one after the other, seem to have waited, each for long."""
        return seconds > calls * _FAST and seems_to_wait(worked, seconds, busy)

    def is_waiting(self, function: Function) -> None:
        """Note that a slow call waits, which was not clear before."""
        mean, waits = self._slow.get(function, _UNKNOWN)
        if not waits:
            self._slow[function] = mean, True

    def called(
        self,
        function: Function,
        seconds: float,
        worked: float,
        *,
        busy: int,
        is_sure: bool,
    ) -> bool:
        """Keep a running mean of what a function costs that was called alone.

        Parameters
        ----------
        function : callable
        seconds : float
            How long the call took.
        worked : float
            How many of these it computed.
        busy : int
            How many threads compute.
        is_sure : bool
            Whether `worked` counts what the thread stood in line for a processor; else something
            else may have had it meanwhile.

        Returns
        -------
        bool
            Whether the function was suspected, and is slow indeed.
        """
        is_proof = function in self._doubted and function not in self._slow
        mean, waits = self._slow.get(function, (seconds, True))
        seems_waiting = seems_to_wait(worked, seconds, busy)
        waits = self._settle(function, waits, seems_waiting, is_sure=is_sure)
        mean += _NEWS * (seconds - mean)
        if mean < _FAST:
            self._slow.pop(function, None)
            self._fast.add(function)
            return False
        self._slow[function] = mean, waits
        return is_proof

    def _settle(
        self, function: Function, waits: bool, seems_waiting: bool, *, is_sure: bool
    ) -> bool:
        """Return whether a function waits, by what it seemed to before and now."""
        if seems_waiting and not (waits or is_sure):
            self._doubted.add(function)
            return False
        self._doubted.discard(function)
        return seems_waiting

    def forget_many(self) -> None:
        """Forget all, if that is much: functions may be made anew for each run."""
        if len(self._slow) + len(self._fast) > _MOST:
            self._slow.clear()
            self._doubted.clear()
            self._fast.clear()
