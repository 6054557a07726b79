"""Workflows and random graphs on 2 to 1,000 simulated workers, as tables."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.ideal import list_schedule, lower_bound
from bench.instances import Instance, Task
from bench.report import number, table
from bench.simulation import Outcome, Simulation

WORKERS = (2, 8, 32, 128, 512, 1000)

# Seconds of the functions that random graphs call, by name.
MEANS = {"tiny": 1e-4, "small": 1e-3, "medium": 1e-2, "large": 1e-1}


def layered(tasks: int, width: int, seed: int) -> Instance:
    """Make a random graph: layers, three random parents each, run times spread around four means."""
    generator = random.Random(seed)
    found: dict[str, Task] = {}
    above: list[str] = []
    while len(found) < tasks:
        layer = []
        for _ in range(min(width, tasks - len(found))):
            category, mean = generator.choice(list(MEANS.items()))
            seconds = mean * generator.lognormvariate(0.0, 0.5)
            parents = tuple(generator.sample(above, min(3, len(above))))
            id_ = f"{category}-{len(found)}"
            found[id_] = Task(id_, category, seconds, 0, parents)
            layer.append(id_)
        above = layer
    return Instance(f"layered, seed {seed}", found)


def wide(tasks: int, seconds: float) -> Instance:
    """Make independent calls that all take the same time."""
    found = {f"call-{i}": Task(f"call-{i}", "call", seconds, 0, ()) for i in range(tasks)}
    return Instance(f"wide, {seconds * 1e3:g} ms", found)


@dataclass(frozen=True)
class Scaled:
    """One instance on some workers: by an executor that is new, and by one that has run it before.

    Parameters
    ----------
    instance : Instance
    workers : int
    cold, warm : Outcome
    """

    instance: Instance
    workers: int
    cold: Outcome
    warm: Outcome

    @property
    def ideal(self) -> float:
        """Makespan of the ideal list schedule, in seconds."""
        return list_schedule(self.instance.parents, self.instance.seconds, self.workers)

    @property
    def bound(self) -> float:
        """What no schedule can beat, in seconds."""
        return lower_bound(self.instance.parents, self.instance.seconds, self.workers)


def simulate(instances: Sequence[Instance], workers: Iterable[int]) -> Iterator[Scaled]:
    """Run each instance twice on each number of workers."""
    for count in workers:
        for instance in instances:
            simulation = Simulation(count)
            yield Scaled(instance, count, simulation.run(instance), simulation.run(instance))


def makespan_table(found: Iterable[Scaled]) -> str:
    """Makespans beside the ideal and the lower bound; the same in every run of the script."""
    head = ["graph", "nodes", "workers", "bound, s", "ideal, s", "cold, s", "÷ ideal"]
    head += ["warm, s", "÷ ideal", "tasks", "at once", "reports", "MB moved"]
    rows = []
    for each in found:
        ideal, cold, warm = each.ideal, each.cold, each.warm
        row = [each.instance.name, f"{len(each.instance.tasks):,}", f"{each.workers:,}"]
        row += [f"{each.bound:.3f}", f"{ideal:.3f}"]
        row += [f"{cold.seconds:.3f}", f"{cold.seconds / ideal:.2f}"]
        row += [f"{warm.seconds:.3f}", f"{warm.seconds / ideal:.2f}"]
        row += [f"{warm.counts['tasks']:,.0f}", f"{warm.most_there:,}"]
        row += [f"{warm.counts['reports']:,.0f}", number(warm.counts["bytes moved"] / 1e6)]
        rows.append(row)
    return table(head, rows)


def cost_table(found: Iterable[Scaled]) -> str:
    """What the policy's own code took of this machine, a Dask task, by the number of workers."""
    totals: dict[int, list[float]] = {}
    for each in found:
        total = totals.setdefault(each.workers, [0.0, 0.0, 0.0])
        for outcome in (each.cold, each.warm):
            total[0] += outcome.counts["tasks"]
            total[1] += outcome.counts["turns"]
            total[2] += outcome.counts["client really"]
    head = ["workers", "tasks", "turns of the drive loop", "ms of CPU a task", "ms a turn"]
    return table(
        head,
        [
            [
                f"{workers:,}",
                f"{tasks:,.0f}",
                f"{turns:,.0f}",
                number(seconds / tasks * 1e3),
                number(seconds / turns * 1e3),
            ]
            for workers, (tasks, turns, seconds) in totals.items()
        ],
    )
