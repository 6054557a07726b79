"""Workers of a Dask cluster killed at random: row 30."""

import os
import random
import time

import pytest
from tests.support import eventually
from tests.support.gates import Gate
from tests.support.kills import ClusterKiller, random_graph
from tests.support.trials import Trial

from dask_dispatcher import DaskExecutor, op

SIZE = int(os.environ.get("DASK_DISPATCHER_KILLS_SIZE", "300"))
SECONDS = float(os.environ.get("DASK_DISPATCHER_KILLS_SECONDS", "3"))  # of kills, at least
SEED = os.environ.get("DASK_DISPATCHER_KILLS_SEED")
KILLS = 3  # at least, however slow the machine
REQUESTED = 50
BOUND = 40.0  # seconds in which what was lost last is computed again


@pytest.mark.usefixtures("nothing_unseen")
@pytest.mark.timeout(120 + 4 * SECONDS)
def test_workers_are_killed_at_random(make_cluster, starts_log, tmp_path):
    """`make soak` does this with 2,000 nodes and 60 seconds, twenty times."""
    seed = int(SEED) if SEED else random.randrange(1 << 32)
    print(f"DASK_DISPATCHER_KILLS_SEED={seed}")  # noqa: T201 - pytest shows it if the test fails
    chance = random.Random(seed)
    cluster = make_cluster(workers=3)
    gate = Gate(tmp_path)
    held = op(gate.passing, label="held")()  # until enough were killed, however fast the others are
    slow = 2 * SECONDS / (0.2 * SIZE)  # two threads are to have that much to do
    nodes, values = random_graph(chance, starts_log.record, SIZE, slow)
    # Which node is lost how often is chance; that the losses are counted is what is tested.
    with DaskExecutor(cluster.address, max_losses=1000) as executor:
        trial = Trial(executor, starts_log)
        trial.counts_late = True
        began = time.monotonic()
        with ClusterKiller(cluster, chance) as killer:
            run = trial.start([*nodes[-REQUESTED:], held])
            eventually(lambda: killer.kills >= KILLS, BOUND)
            eventually(lambda: time.monotonic() - began > SECONDS, SECONDS + 1)
        gate.open()
        run.results(BOUND + 2 * SECONDS)
        print(f"{killer.kills} kills, {len(trial.losses)} nodes lost")  # noqa: T201
        trial.check(run, [*values[-REQUESTED:], None], BOUND)
