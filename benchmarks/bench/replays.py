"""Run a workflow instance again: same graph, scaled run times, values of the scaled sizes.

A task is a call of the function of its category. It makes its value, `bytes` as many as its files
had, and sleeps for the rest of its run time (or spins). It gets the values of its parents and
checks their sizes; the sizes of the results are checked after the run. Each task is a result or
the parent of one that ran, so these checks see every value.
"""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.ideal import critical_path, list_schedule, lower_bound
from bench.instances import Instance
from bench.workloads import Handle, Wrap, WrongResultError, spin

Build = Callable[[Wrap], list[Handle]]


def sleeping_task(category: str) -> Callable[..., bytes]:
    """Make the function of a category, which sleeps for most of its run time.

    It stands on its own, nested and with its imports inside, so that it travels to workers by
    value, to a cluster that has never heard of these benchmarks.
    """

    def task(seconds: float, size: int, expected: tuple[int, ...], *inputs: bytes) -> bytes:
        import os
        import time

        deadline = time.perf_counter() + seconds
        if tuple(map(len, inputs)) != expected:
            raise ValueError(f"expected values of {expected} bytes, got {[*map(len, inputs)]}")
        value = os.urandom(size)
        time.sleep(max(0.0, deadline - time.perf_counter()))
        return value

    task.__name__ = task.__qualname__ = category
    return task


def spinning_task(category: str) -> Callable[..., bytes]:
    """Make the function of a category, which spins; its first argument is the number of loops."""

    def task(loops: int, size: int, expected: tuple[int, ...], *inputs: bytes) -> bytes:
        import os

        if tuple(map(len, inputs)) != expected:
            raise ValueError(f"expected values of {expected} bytes, got {[*map(len, inputs)]}")
        value = os.urandom(size)
        spin(loops)
        return value

    task.__name__ = task.__qualname__ = category
    return task


def program(instance: Instance, loops_per_second: float | None = None) -> Build:
    """Make the function that builds the instance's graph with an engine's `wrap`.

    Parameters
    ----------
    instance : Instance
        Already scaled.
    loops_per_second : float, optional
        Spin at this calibrated speed; None sleeps.
    """
    make = sleeping_task if loops_per_second is None else spinning_task
    functions = {task.category: make(task.category) for task in instance.tasks.values()}

    def amount(seconds: float) -> float:
        return seconds if loops_per_second is None else round(seconds * loops_per_second)

    def build(wrap: Wrap) -> list[Handle]:
        calls = {category: wrap(function) for category, function in functions.items()}
        handles: dict[str, Handle] = {}
        for id_, task in instance.tasks.items():
            expected = tuple(instance.tasks[parent].size for parent in task.parents)
            inputs = [handles[parent] for parent in task.parents]
            work = amount(task.seconds)
            handles[id_] = calls[task.category](work, task.size, expected, *inputs)
        return [handles[id_] for id_ in instance.sinks]

    return build


class Player(ABC):
    """An engine that runs graphs with many outputs and leaves their values where they are."""

    name: str

    @abstractmethod
    def play(self, build: Build) -> tuple[float, list[bytes]]:
        """Build and run; return the makespan in seconds, and the values, fetched afterwards."""

    @abstractmethod
    def close(self) -> None:
        """End what was started."""


class ExecutorPlayer(Player):
    """Any executor of ours, which it closes."""

    def __init__(self, name: str, executor: Any) -> None:
        self.name = name
        self._executor = executor

    def play(self, build: Build) -> tuple[float, list[bytes]]:
        from dask_dispatcher import op

        start = time.perf_counter()
        results = self._executor.run(build(op))
        makespan = time.perf_counter() - start
        return makespan, self._executor.gather(results)

    def close(self) -> None:
        self._executor.close()


class DelayedPlayer(Player):
    """dask.delayed on the scheduler at `address`, the peer."""

    name = "dask.delayed"

    def __init__(self, address: str) -> None:
        from distributed import Client

        self._client = Client(address, set_as_default=False)

    def play(self, build: Build) -> tuple[float, list[bytes]]:
        from dask import delayed
        from distributed import as_completed

        start = time.perf_counter()
        futures = self._client.compute(build(delayed))
        for _ in as_completed(futures, loop=self._client.loop):
            pass
        makespan = time.perf_counter() - start
        return makespan, self._client.gather(futures)

    def close(self) -> None:
        self._client.close()


@dataclass
class Replay:
    """What replaying one instance came to; times in seconds."""

    instance: Instance
    workers: int
    makespans: dict[str, list[float]] = field(default_factory=dict)

    @property
    def ideal(self) -> float:
        """Makespan of the ideal list schedule."""
        return list_schedule(self.instance.parents, self.instance.seconds, self.workers)

    @property
    def lower_bound(self) -> float:
        """What no schedule can beat."""
        return lower_bound(self.instance.parents, self.instance.seconds, self.workers)

    @property
    def critical_path(self) -> float:
        """The longest way through the workflow."""
        return critical_path(self.instance.parents, self.instance.seconds)

    def makespan(self, player: str) -> float:
        """Median makespan of a player."""
        return statistics.median(self.makespans[player])

    def ratio(self, player: str) -> float:
        """Median makespan of a player over the ideal one."""
        return self.makespan(player) / self.ideal


def replay(
    instance: Instance,
    players: Sequence[Player],
    workers: int,
    rounds: int = 1,
    loops_per_second: float | None = None,
) -> Replay:
    """Run the instance on each player in turn, `rounds` times, and check every value.

    Raises
    ------
    WrongResultError
        A result is missing or has another size than its files.
    """
    build = program(instance, loops_per_second)
    outcome = Replay(instance, workers, {player.name: [] for player in players})
    for _ in range(rounds):
        for player in players:
            makespan, values = player.play(build)
            _check_sizes(instance, player.name, values)
            outcome.makespans[player.name].append(makespan)
    return outcome


def _check_sizes(instance: Instance, player: str, values: Sequence[bytes]) -> None:
    expected = [instance.tasks[id_].size for id_ in instance.sinks]
    if (got := [len(value) for value in values]) != expected:
        raise WrongResultError(f"{instance.name} on {player}: {expected} bytes became {got}")
