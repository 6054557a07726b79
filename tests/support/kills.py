"""Random graphs, and somebody who kills workers at random while they run."""

import os
import random
import signal
import threading
from typing import Any

import numpy

from dask_dispatcher import op
from tests.support.cluster import Cluster

__all__ = ["ClusterKiller", "Killer", "random_graph"]


class Killer:
    """Kills one worker of an executor after another; used as a context manager.

    Parameters
    ----------
    executor : ParallelExecutor
    chance : random.Random
    period : float
        Seconds between two kills.

    Attributes
    ----------
    kills : int
        So far.
    """

    def __init__(self, executor: Any, chance: random.Random, period: float = 0.3) -> None:
        self._executor = executor
        self._chance = chance
        self._period = period
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.kills = 0

    def _run(self) -> None:
        engine = self._executor._engine
        before: set[int] = set()  # so that each worker lives for a while, however slow the machine
        while not self._is_over.wait(self._period):
            with engine.lock:  # so that the number is still that of the worker
                living = {worker.pid for worker in engine._workers if worker.is_open}
                if living and living <= before and len(living) == len(engine._workers):
                    victim = self._chance.choice(sorted(living))
                    os.kill(victim, signal.SIGKILL)
                    self.kills += 1
                    living.discard(victim)
            before = living

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        self._thread.join()


class ClusterKiller:
    """Kills one, some or all workers of a cluster, and starts as many; used as a context manager.

    Parameters
    ----------
    cluster : Cluster
    chance : random.Random
    longest : float
        Seconds that workers live at most, once all are there.

    Attributes
    ----------
    kills : int
        So far.
    """

    def __init__(self, cluster: Cluster, chance: random.Random, longest: float = 1.0) -> None:
        self._cluster = cluster
        self._chance = chance
        self._longest = longest
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.kills = 0

    def _run(self) -> None:
        while not self._is_over.wait(self._chance.uniform(0.0, self._longest)):
            living = [worker for worker in self._cluster.workers if worker.alive]
            victims = self._chance.sample(living, self._chance.randint(1, len(living)))
            for victim in victims:
                victim.kill()
                self._cluster.workers.remove(victim)
            self.kills += len(victims)
            self._cluster.add_workers(len(victims))

    def __enter__(self) -> "ClusterKiller":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        self._thread.join()


def random_graph(
    chance: random.Random, record: Any, size: int, slow: float = 0.0
) -> tuple[list[Any], list[Any]]:
    """Return nodes, and the values that they must have.

    Numbers, and now and then an array; plain calls, coroutines, and calls that take a while. Some take
    the same large argument.

    Parameters
    ----------
    chance : random.Random
    record : callable
        Called with its label by each node that starts.
    size : int
        Nodes.
    slow : float
        Seconds that a fifth of the calls are to take, all of one function of their own; 0: none.
    """
    nodes: list[Any] = []
    values: list[Any] = []
    shared = numpy.full(20_000, 7)

    def step(name: str, number: int, seconds: float, *inputs: Any) -> Any:
        import time

        record(name)
        time.sleep(seconds)
        return total(number, inputs)

    def step_slow(*arguments: Any) -> Any:
        return step(*arguments)

    async def step_async(name: str, number: int, seconds: float, *inputs: Any) -> Any:
        import asyncio

        record(name)
        await asyncio.sleep(seconds)
        return total(number, inputs)

    def total(number: int, inputs: Any) -> Any:
        found = number + sum(int(numpy.max(value)) for value in inputs)
        return found % 1_000_003 if number % 10 else numpy.full(10_000, found % 1_000_003)

    for number in range(size):
        name = f"n{number}"
        chosen = [chance.randrange(number) for _ in range(min(number, chance.randint(0, 3)))]
        call = op(step_async if chance.random() < 0.1 else step, label=name)
        seconds = chance.choice((0.0, 0.0, 0.0, 0.005))
        if slow and chance.random() < 0.2:
            call, seconds = op(step_slow, label=name), slow
        more = [shared] if number % 20 == 3 else []
        nodes.append(call(name, number, seconds, *(nodes[other] for other in chosen), *more))
        values.append(total(number, [*(values[other] for other in chosen), *more]))
    return nodes, values
