"""How fast a workflow could be: its lower bound, and an ideal critical-path list schedule.

The schedule knows every run time beforehand and moves data in no time. It gives a free worker the
ready task with the longest way still before it (HEFT's upward rank). Nothing here runs anything.
Tasks come as mappings in topological order: each task after its parents.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

Parents = Mapping[str, Sequence[str]]
Seconds = Mapping[str, float]


def children_of(parents: Parents) -> dict[str, list[str]]:
    """Turn the edges around.

    Examples
    --------
    >>> children_of({"a": (), "b": ("a",)})
    {'a': ['b'], 'b': []}
    """
    children: dict[str, list[str]] = {task: [] for task in parents}
    for task, above in parents.items():
        for parent in above:
            children[parent].append(task)
    return children


def upward_ranks(parents: Parents, seconds: Seconds) -> dict[str, float]:
    """Give each task the length of the longest way from its start to the end, in seconds.

    Examples
    --------
    >>> upward_ranks({"a": (), "b": ("a",)}, {"a": 1.0, "b": 2.0})
    {'b': 2.0, 'a': 3.0}
    """
    children = children_of(parents)
    ranks: dict[str, float] = {}
    for task in reversed(list(parents)):
        ranks[task] = seconds[task] + max((ranks[child] for child in children[task]), default=0.0)
    return ranks


def critical_path(parents: Parents, seconds: Seconds) -> float:
    """Length of the longest way through the workflow, in seconds."""
    return max(upward_ranks(parents, seconds).values(), default=0.0)


def lower_bound(parents: Parents, seconds: Seconds, workers: int) -> float:
    """No schedule on `workers` workers ends before this, in seconds."""
    return max(critical_path(parents, seconds), sum(seconds.values()) / workers)


def list_schedule(parents: Parents, seconds: Seconds, workers: int) -> float:
    """Makespan of the ideal critical-path list schedule, in seconds.

    Examples
    --------
    >>> list_schedule({"a": (), "b": (), "c": ()}, {"a": 1.0, "b": 2.0, "c": 3.0}, workers=2)
    3.0
    """
    ranks = upward_ranks(parents, seconds)
    children = children_of(parents)
    waiting = {task: len(above) for task, above in parents.items()}
    ready = [(-ranks[task], task) for task, count in waiting.items() if not count]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            _, task = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[task], task))
        now, done = heapq.heappop(running)
        for child in children[done]:
            waiting[child] -= 1
            if not waiting[child]:
                heapq.heappush(ready, (-ranks[child], child))
    return now
