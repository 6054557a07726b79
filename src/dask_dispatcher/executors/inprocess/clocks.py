"""What the system tells of a thread: how long it computed, and whether it waits."""

from __future__ import annotations

import threading
import time

__all__ = [
    "HAS_CPU_CLOCKS",
    "count_waits",
    "cpu_seconds",
    "is_runnable",
    "processor_seconds",
    "seems_to_wait",
]

HAS_CPU_CLOCKS = hasattr(time, "pthread_getcpuclockid")


def cpu_seconds(thread: threading.Thread) -> float:
    """Return the processor time of a thread so far; 0 where that cannot be known."""
    if not HAS_CPU_CLOCKS or thread.ident is None:
        return 0.0
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


def processor_seconds() -> float:
    """Return how long this thread had a processor or stood in line for one, where Linux tells."""
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:
            queued = int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        queued = 0.0
    return time.thread_time() + queued  # the file's own count of it may be a tick old


def is_runnable(thread: threading.Thread) -> bool:
    """Return whether a thread computes, or would if it got a processor, where Linux tells."""
    try:
        with open(f"/proc/self/task/{thread.native_id}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"R"
    except (OSError, IndexError):
        return False


def count_waits(thread: threading.Thread) -> int:
    """Return how often a thread has begun to wait for anything, where Linux tells; else -1."""
    try:
        with open(f"/proc/self/task/{thread.native_id}/status", "rb") as file:
            return int(file.read().rpartition(b"\nvoluntary_ctxt_switches:")[2].split()[0])
    except (OSError, ValueError, IndexError):
        return -1


def seems_to_wait(cpu: float, elapsed: float, busy: int) -> bool:
    """Return whether a call waits, judged by the processor time it got.

    One that computes gets less than all of it: as many compute as there are cores, one at a time
    where they hold the interpreter's lock, and the machine has other things to do as well.

    Parameters
    ----------
    cpu, elapsed : float
        Seconds.
    busy : int
        How many threads of the engine compute.
    """
    return cpu * 4 * max(1, busy) < elapsed
