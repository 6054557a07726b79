"""Workers killed at random, and the original's grid: row 24 for ParallelExecutor."""

import os
import random
import signal
import threading
import time

import pytest
from tests.support import eventually
from tests.support.kills import Killer, random_graph
from tests.support.trials import BOUND

from dask_dispatcher import op

SIZE = int(os.environ.get("DASK_DISPATCHER_KILLS_SIZE", "400"))
REQUESTED = 50  # each of these that is lost, is computed again
SEED = os.environ.get("DASK_DISPATCHER_KILLS_SEED")


def test_workers_are_killed_at_random(make_trial, gate):
    """`make soak` does this with 2,000 nodes, twenty times."""
    seed = int(SEED) if SEED else random.randrange(1 << 32)
    print(f"DASK_DISPATCHER_KILLS_SEED={seed}")  # noqa: T201 - pytest shows it if the test fails
    chance = random.Random(seed)
    # Which node is lost how often is chance; that the losses are counted is what is tested.
    trial = make_trial(2, max_losses=1000)
    trial.counts_late = True
    nodes, values = random_graph(chance, trial.log.record, SIZE)
    passing = gate.passing
    held = op(passing, label="held")()  # until somebody was killed, however fast the others are
    with Killer(trial.executor, chance) as killer:
        run = trial.start([*nodes[-REQUESTED:], held])
        eventually(lambda: killer.kills > 1, BOUND)
        gate.open()
        run.results(BOUND + SIZE / 10)
    trial.check(run, [*values[-REQUESTED:], None])


# Row 24: the one test that goes by the clock


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("delay", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
def test_workers_are_removed_after_a_while(make_trial, count, delay):
    trial = make_trial(2)
    record = trial.log.record

    def load(label, n):
        record(label)
        time.sleep(0.05)
        return list(range(n, n + 1000))

    loaded = [op(load, label=f"load-{n}")(f"load-{n}", n) for n in range(20)]
    sums = [op(sum)(values) for values in loaded]
    best = op(max)(sums)

    def remove():
        engine = trial.executor._engine
        with engine.lock:
            for worker in engine._workers[:count]:
                os.kill(worker.pid, signal.SIGKILL)

    run = trial.start([best])
    timer = threading.Timer(delay, remove)
    timer.start()
    try:
        trial.check(run, [sum(range(19, 1019))])
    finally:
        timer.join()
