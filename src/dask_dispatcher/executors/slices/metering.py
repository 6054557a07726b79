"""`Meter`: what calls cost, without the time their thread had to wait for a processor.

On a busy machine a call of a microsecond may take ten milliseconds by the clock. Taken for its cost,
that would make tiny calls travel one by one, at the very moment when there is least to spare. A call
that waits of its own accord (it sleeps, reads, receives) is another matter: its time counts in full.
"""

from __future__ import annotations

import time

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = ["Meter"]

_WORTH_A_LOOK = 1e-3  # seconds; the look itself takes some microseconds


class Meter:
    """Of one thread, which makes it and asks it."""

    def __init__(self) -> None:
        self._waits, self._busy = _usage()

    def cost(self, seconds: float) -> float:
        """Return what some calls cost that took `seconds` by the clock."""
        if seconds < _WORTH_A_LOOK:
            return seconds
        waits, busy = _usage()
        # Since the last look, a longer time; so a call that waited is never taken for one that did not.
        spent, has_waited = busy - self._busy, waits != self._waits
        self._waits, self._busy = waits, busy
        return seconds if has_waited else min(seconds, spent)


def _usage() -> tuple[int, float]:
    """Return how often this thread has waited, and the seconds that it has been running."""
    if resource is None or not hasattr(resource, "RUSAGE_THREAD"):
        return -1, time.perf_counter()
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw, time.thread_time()
