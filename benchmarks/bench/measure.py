"""Measure engines in turn on one workload, so that a noisy moment hits all of them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.engines.base import Engine
from bench.workloads import Build, Collect, Handle, Workload, Wrap

TURN, SLOW = 0.4, 5.0  # seconds: below TURN more rounds are cheap, above SLOW they are too dear
MOST = 8  # times as many rounds, at most, for a quick engine


@dataclass
class Timing:
    """Seconds of every round, whole and for building alone, and the nodes they were spent on."""

    nodes: int
    seconds: list[float] = field(default_factory=list)
    building: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median of the rounds, in seconds."""
        return statistics.median(self.seconds)

    @property
    def per_node(self) -> float:
        """Median time a node, in microseconds."""
        return self.median / self.nodes * 1e6

    @property
    def build_per_node(self) -> float:
        """Median time to build a node, in microseconds."""
        return statistics.median(self.building) / self.nodes * 1e6

    @property
    def spread(self) -> tuple[float, float]:
        """Fastest and slowest round, in microseconds a node."""
        return min(self.seconds) / self.nodes * 1e6, max(self.seconds) / self.nodes * 1e6

    def wants_more(self, rounds: int) -> bool:
        """Whether another round is worth its time, of `rounds` for a normal engine.

        Examples
        --------
        >>> Timing(1, [1.0, 1.0]).wants_more(5), Timing(1, [9.0, 9.0]).wants_more(5)
        (True, False)
        """
        if not self.seconds:
            return True
        first = self.seconds[0]
        cheap = min(MOST, max(1.0, TURN / first))
        return len(self.seconds) < (2 if first > SLOW else round(rounds * cheap))


@dataclass(frozen=True)
class Comparison:
    """One workload on several engines."""

    workload: Workload
    size: int
    timings: dict[str, Timing]

    def ratio(self, slower: str, faster: str) -> float | None:
        """Median of one engine over that of another; None where one was not measured."""
        if slower in self.timings and faster in self.timings:
            return self.timings[slower].median / self.timings[faster].median
        return None


def compare(workload: Workload, size: int, engines: Iterable[Engine], rounds: int) -> Comparison:
    """Run the workload on each engine in turn, checking every result.

    Parameters
    ----------
    workload : Workload
        What to run.
    size : int
        The n it was made for, which names it in the tables.
    engines : iterable of Engine
        Open engines; those that do not accept the workload are left out.
    rounds : int
        Rounds for an engine that takes 0.4 to 5 s. A quicker one has more, up to eight times as
        many, as many as fill that time: what takes milliseconds is hit by every hiccup. Two above.

    Returns
    -------
    Comparison
    """
    taking = {e.name: (workload, e) for e in engines if e.accepts(workload)}
    return Comparison(workload, size, take_turns(taking, rounds))


def take_turns(
    contestants: Mapping[str, tuple[Workload, Engine]], rounds: int
) -> dict[str, Timing]:
    """Measure pairs of workload and engine, named as in the tables, one after another."""
    timings = {name: Timing(workload.nodes) for name, (workload, _) in contestants.items()}
    while waiting := [name for name in contestants if timings[name].wants_more(rounds)]:
        for name in waiting:
            measure(*contestants[name], timings[name])
    return timings


def measure(workload: Workload, engine: Engine, timing: Timing) -> None:
    """Run the workload once, check its result, add the seconds to `timing`."""
    built = 0.0

    def build(wrap: Wrap, collect: Collect) -> Handle:
        nonlocal built
        output = workload.build(wrap, collect)
        built = time.perf_counter()
        return output

    if workload.rehearsed:
        engine.run(workload.build)
    gc.collect()
    start = time.perf_counter()
    value = engine.run(build)
    end = time.perf_counter()
    workload.check(value)
    timing.seconds.append(end - start)
    timing.building.append(built - start)


def warm_up(engines: Sequence[Engine], build: Build) -> None:
    """Run a small graph on each engine, so that pools, imports and caches are there."""
    for engine in engines:
        engine.run(build)
