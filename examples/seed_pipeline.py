"""Dispatcher.jl's example: 500 nodes that load, process, roll up, compare and reduce.

Sleeps stand in for the work, and ``--scale`` makes them shorter or longer. The numbers are real:
for the same ``--seed`` they are the same on every executor.

    python examples/seed_pipeline.py --executor async --scale 0.1
"""

import argparse
import random
import sys
import time
from collections.abc import Sequence

from dask_dispatcher import DispatcherError, DispatchGraph, DispatchNode, op
from executor_choice import add_executor_options, open_executor

FILES = 100
COMPARISONS = 200
SEED = 1


def load(path: str, pause: float) -> int:
    """Stand in for reading a file."""
    time.sleep(pause)
    return int(path.rpartition("-")[2])


def load_from_sql(query: str, pause: float) -> int:
    """Stand in for asking a database, once for all."""
    time.sleep(pause)
    return len(query)


def process(data: int, reference: int, pause: float) -> int:
    """Stand in for work on one file."""
    time.sleep(pause)
    return data * reference % 1009


def roll(first: int, second: int, third: int, pause: float) -> int:
    """Stand in for a moving window over three neighbours."""
    time.sleep(pause)
    return first + second + third


def compare(left: int, right: int, pause: float) -> int:
    """Stand in for a comparison of two windows."""
    time.sleep(pause)
    return abs(left - right)


def reduce_all(compared: list[int], pause: float) -> int:
    """Stand in for a summary of all comparisons."""
    time.sleep(pause)
    return sum(compared)


def build(scale: float, seed: int) -> DispatchNode[int]:
    """Return the last node of the graph; all others hang on it."""
    choose = random.Random(seed)

    def pause(longest: float) -> float:
        return choose.uniform(0, longest) * scale

    reference = op(load_from_sql)("select * from reference", pause(0.5))
    loaded = [op(load)(f"data-{number}", pause(0.5)) for number in range(FILES)]
    processed = [op(process)(data, reference, pause(0.5)) for data in loaded]
    rolled = [op(roll)(*processed[i : i + 3], pause(0.2)) for i in range(FILES - 2)]
    compared = [
        op(compare)(choose.choice(rolled), choose.choice(rolled), pause(0.1))
        for _ in range(COMPARISONS)
    ]
    return op(reduce_all)(compared, pause(1.0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and run the graph; return the program's exit code."""
    parser = argparse.ArgumentParser(description="Dispatcher.jl's pipeline of 500 nodes.")
    add_executor_options(parser, default="async")
    parser.add_argument(
        "--scale", type=float, default=0.1, help="of the sleeps; 1 is the original's (default: 0.1)"
    )
    # With this one every window is compared with some other, so that none of the 500 drops out.
    parser.add_argument("--seed", type=int, default=SEED, help="which windows are compared")
    options = parser.parse_args(arguments)
    result = build(options.scale, options.seed)
    try:
        with open_executor(parser, options) as executor:
            started = time.perf_counter()
            value = executor.compute(result)
    except DispatcherError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    seconds = time.perf_counter() - started
    print(f"{len(DispatchGraph([result]))} nodes in {seconds:.2f} s: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
