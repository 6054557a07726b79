"""Measurements that need a fresh interpreter: start-up, building, memory.

`probe("build", 1_000_000)` runs `python -m bench.probes build 1000000`, which prints its findings
as one line of JSON. What an earlier measurement left on the heap would otherwise count here.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
TIMEOUT = 600.0
SMALL = 10_000  # the size that the cost a node at 1,000,000 is held against
IMPORT = """
import sys, time
start, cpu = time.perf_counter(), time.process_time()
import dask_dispatcher
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
heavy = [name for name in ("dask", "distributed") if name in sys.modules]
import json
print(json.dumps({"seconds": seconds, "cpu": cpu, "heavy": heavy}))
"""


def probe(name: str, *arguments: object) -> dict[str, Any]:
    """Run one of this module's measurements in a fresh interpreter and return its findings."""
    return fresh("-m", "bench.probes", name, *map(str, arguments))


def control(name: str, *arguments: object) -> dict[str, Any]:
    """Run one of the measurements of `bench.controlling` in a fresh interpreter."""
    return fresh("-m", "bench.controlling", name, *map(str, arguments))


def startup(rounds: int) -> list[dict[str, Any]]:
    """Import the package in fresh interpreters: seconds by the clock and of CPU, and heavy modules."""
    fresh("-c", IMPORT)  # compiles what is not compiled yet
    return [fresh("-c", IMPORT) for _ in range(rounds)]


def fresh(*arguments: str) -> dict[str, Any]:
    """Run Python with these arguments; return the JSON it prints."""
    command = [sys.executable, *arguments]
    # As users have it: byte code is written once, and then read.
    env = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command, cwd=HERE, env=env, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments[:3])} failed:\n{done.stderr}")
    findings: dict[str, Any] = json.loads(done.stdout)
    return findings


def _builders() -> dict[str, Callable[[int], object]]:
    from bench.workloads import inc, noop
    from dask_dispatcher import op

    step, leaf = op(inc), op(noop)
    numbers: list[int] = list(range(1_000_000))

    def chain(n: int) -> object:
        x: Any = 0
        for _ in range(n):
            x = step(x)
        return x

    def independent(n: int) -> object:
        return [leaf(i) for i in numbers[:n]]

    return {"chain": chain, "independent": independent}


def measure_build(n: int, rounds: int) -> dict[str, Any]:
    """Time to build an Op, in seconds, in lots of n and of SMALL, in turn."""
    found: dict[str, Any] = {}
    for name, build in _builders().items():
        many: list[float] = []
        few: list[float] = []
        for _ in range(rounds):
            many.append(_seconds(build, n) / n)
            few.append(statistics.median(_seconds(build, SMALL) for _ in range(20)) / SMALL)
        found[name] = {"many": statistics.median(many), "few": statistics.median(few)}
    return found


def _seconds(build: Callable[[int], object], n: int) -> float:
    gc.collect()
    start = time.perf_counter()
    built = build(n)
    end = time.perf_counter()
    del built  # outside the clock: freeing is not building
    return end - start


def measure_size(n: int) -> dict[str, float]:
    """Bytes an Op takes, all that hangs on it included, when n of them are alive."""
    found = {}
    for name, build in _builders().items():
        build(100)  # what is made once, at the first call
        gc.collect()
        tracemalloc.start()
        built = build(n)
        found[name] = tracemalloc.get_traced_memory()[0] / n
        tracemalloc.stop()
        del built
    return found


def measure_memory(shape: str, n: int, **options: Any) -> dict[str, float]:
    """Bytes a node of the graph, and at the peak of a run of it, graph included.

    In this process; on local processes, if ``max_workers=`` says how many.
    """
    from bench.workloads import PLAIN, SHAPES
    from dask_dispatcher import AsyncExecutor, CollectNode, ParallelExecutor, op

    with ParallelExecutor(**options) if options else AsyncExecutor() as executor:
        executor.run([SHAPES[shape](100, PLAIN)(op, CollectNode)])
        build = SHAPES[shape](n, PLAIN)  # the random edges, drawn before
        gc.collect()
        tracemalloc.start()
        output = build(op, CollectNode)
        graph = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        executor.run([output])
        peak = tracemalloc.get_traced_memory()[1]
    return {"graph": graph / n, "peak": peak / n}


def main() -> None:
    """Run the measurement named on the command line and print its findings."""
    name, *arguments = sys.argv[1:]
    found: dict[str, Any]
    if name == "build":
        found = measure_build(*map(int, arguments))
    elif name == "size":
        found = measure_size(int(arguments[0]))
    else:
        found = measure_memory(arguments[0], int(arguments[1]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
