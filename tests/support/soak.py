"""Runs random graphs under random kills for a long time: ``python -m tests.support.soak --minutes 30``.

Writes one line of JSON a minute: what the program holds of memory, descriptors and segments, which
must not grow. Ends at the first run that is not as it must be; the first line has the seed.

With ``--dask`` on a Dask cluster, whose scheduler and two workers are left alone, since what is asked is
whether they grow.
"""

import argparse
import gc
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from dask_dispatcher import DaskExecutor, ParallelExecutor
from tests.support.cluster import Cluster
from tests.support.kills import Killer, random_graph
from tests.support.starts import StartsLog
from tests.support.trials import Trial

_EVERY = 60.0  # seconds between two lines
_NODES = 300  # of a graph
_REQUESTED = 50
_BOUND = 120.0  # seconds for one run


def main() -> None:
    """Run until time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--dask", action="store_true")
    options = parser.parse_args()
    _say({"seed": options.seed})
    chance = random.Random(options.seed)
    end = time.monotonic() + 60 * options.minutes
    if options.dask:
        _soak_dask(chance, end)
        return
    with ParallelExecutor(2, max_losses=1000) as executor, Killer(executor, chance) as killer:
        for runs in _runs(executor, chance, end):
            _say({"runs": runs, "kills": killer.kills, **_holdings()})


def _soak_dask(chance: random.Random, end: float) -> None:
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder), workers=2) as cluster:
        processes = {"scheduler": cluster.scheduler, **{w.name: w for w in cluster.workers}}
        with DaskExecutor(cluster.address) as executor:
            for runs in _runs(executor, chance, end):
                sizes = {name: _bytes(process.pid) for name, process in processes.items()}
                _say({"runs": runs, **_holdings(), **sizes})


def _bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def _runs(executor: Any, chance: random.Random, end: float) -> Iterator[int]:
    """Run one graph after the other; yield how many there have been, now and then."""
    runs, said = 0, 0.0
    while time.monotonic() < end:
        _run_one(executor, chance)
        runs += 1
        if time.monotonic() - said > _EVERY:
            said = time.monotonic()
            yield runs
    yield runs


def _run_one(executor: Any, chance: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(executor, StartsLog(Path(folder, "starts.log")))
        trial.counts_late = True
        nodes, values = random_graph(chance, trial.log.record, _NODES)
        run = trial.start(nodes[-_REQUESTED:])
        trial.check(run, values[-_REQUESTED:], _BOUND)


def _holdings() -> dict[str, int]:
    gc.collect()
    process = psutil.Process()
    return {
        "bytes": process.memory_info().rss,
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
        "children": len(process.children(recursive=True)),
        "segments": len(os.listdir("/dev/shm")),
    }


def _say(figures: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
