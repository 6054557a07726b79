"""What ParallelExecutor's controller does, each measured in a fresh interpreter.

`probes.control("first")` runs `python -m bench.controlling first`, which prints its findings as one
line of JSON. The others: `memory` and `data`, how much the program's own process grows with large
graphs and with large values that others hold, and `kill`, what the loss of a worker costs.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import threading
import time
from typing import Any

import psutil

from bench.probes import measure_memory
from bench.workloads import cpu, data, loops_for
from dask_dispatcher import CollectNode, Executor, ParallelExecutor, op

WORKERS = 2
CALL_SECONDS = 0.010


def measure_first() -> dict[str, float]:
    """Seconds from making the executor to its first result."""
    node = op(abs)(-1)
    start = time.perf_counter()
    with ParallelExecutor(WORKERS) as executor:
        assert executor.compute(node) == 1
        return {"seconds": time.perf_counter() - start}


def measure_data(megabytes: int) -> dict[str, float]:
    """Bytes by which this process grows at most while others make arrays and add them up."""
    workload = data(megabytes=megabytes)
    with ParallelExecutor(WORKERS) as executor:
        executor.compute(op(abs)(-1))
        before = psutil.Process().memory_info().rss
        value = executor.compute(workload.build(op, CollectNode))
    workload.check(value)
    # The largest size ever: an earlier peak counts too, so the growth is never underrated.
    return {"growth": max(0.0, _peak() - before)}


def _peak() -> float:
    """Bytes of this program at its largest."""
    with contextlib.suppress(FileNotFoundError), open("/proc/self/status") as status:
        # ru_maxrss counts, on Linux, what the process was before it became this program: the
        # benchmarks, with all that they hold.
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure_kill(calls: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of a run, and of the same one with a worker killed at its half, every value checked."""
    workload = cpu(loops_for(CALL_SECONDS), calls)
    found: dict[str, list[float]] = {"plain": [], "killed": []}
    with ParallelExecutor(WORKERS) as executor:
        _seconds(executor, workload)  # warm
        for _ in range(rounds):
            found["plain"].append(_seconds(executor, workload))
            timer = threading.Timer(found["plain"][-1] / 2, _kill_one)
            timer.start()
            found["killed"].append(_seconds(executor, workload))
            timer.join()
    return found


def _seconds(executor: Executor, workload: Any) -> float:
    start = time.perf_counter()
    value = executor.compute(workload.build(op, CollectNode))
    seconds = time.perf_counter() - start
    workload.check(value)
    return seconds


def _kill_one() -> None:
    # This interpreter is a fresh one: its children are the workers.
    os.kill(psutil.Process().children()[0].pid, signal.SIGKILL)


def main() -> None:
    """Run the measurement named on the command line and print its findings."""
    name, *arguments = sys.argv[1:]
    found: dict[str, Any]
    if name == "first":
        found = measure_first()
    elif name == "data":
        found = measure_data(int(arguments[0]))
    elif name == "memory":
        found = measure_memory(arguments[0], int(arguments[1]), max_workers=WORKERS)
    else:
        found = measure_kill(*map(int, arguments))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
