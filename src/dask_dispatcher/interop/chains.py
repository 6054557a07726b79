"""Chains of Dask tasks, each made one task.

Where values would travel from task to task, a chain is best kept together; and what one task hands
to the next may be an iterator, as in bags, which cannot travel at all.

A link joins a task to the only one it needs, if nobody else needs that, nobody has asked for its
value, and both ask the same of whoever runs them. Keys are those of the graph: Dask's own
``from_delayed`` makes graphs in which a task does not know the key that it is under, on which
``fuse_linear_task_spec`` stumbles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from dask.task_spec import Alias, GraphNode
from dask.task_spec import DataNode as Literal

from ..options import Options
from .tasks import Key, Step, fused, is_coroutine

__all__ = ["fuse_chains"]


def fuse_chains(
    graph: Mapping[Key, GraphNode], keys: Collection[Key], options: Mapping[Key, Options]
) -> dict[Key, GraphNode]:
    """Return a graph in which each chain is one task, under the key of its last.

    Parameters
    ----------
    graph : mapping of key to GraphNode
    keys : collection of key
        Those whose values are wanted; what these do not need is left out.
    options : mapping of key to Options
        Of the tasks that have any; equal ones are one object.

    Examples
    --------
    >>> from operator import add, neg
    >>> from dask.task_spec import Task, TaskRef
    >>> graph = {"a": Task("a", add, 1, 2), "b": Task("b", neg, TaskRef("a"))}
    >>> short = fuse_chains(graph, ["b"], {})
    >>> list(short), short["b"]()
    (['b'], -3)
    """
    needed = _needed(graph, keys)
    links = _links(needed, frozenset(keys), options)
    inner = set(links.values())
    made: dict[Key, GraphNode] = {}
    for key in needed:
        if key not in inner:
            chain = _chain(needed, links, key)
            made.update({key: fused(chain, key)} if _is_worth_it(key, chain) else chain)
    return made


def _needed(graph: Mapping[Key, GraphNode], keys: Iterable[Key]) -> dict[Key, GraphNode]:
    """Return the tasks that keys need; keys of values that are elsewhere are not in the graph."""
    needed: dict[Key, GraphNode] = {}
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key in graph and key not in needed:
            needed[key] = graph[key]
            stack += graph[key].dependencies
    return needed


def _links(
    graph: Mapping[Key, GraphNode], wanted: Collection[Key], options: Mapping[Key, Options]
) -> dict[Key, Key]:
    """Return for each task that can be joined to the only one it needs the key of that."""
    uses = Counter(other for task in graph.values() for other in task.dependencies)
    joinable = {key for key, task in graph.items() if _is_joinable(task)}
    links = {}
    for key in joinable:
        first, *more = graph[key].dependencies or (None,)
        is_own = not more and uses[first] == 1 and first not in wanted
        if is_own and first in joinable and options.get(key) is options.get(first):
            links[key] = first
    return links


def _is_joinable(task: Any) -> bool:
    """Return whether a task may be part of a chain: values, nodes of ours and coroutines may not."""
    own = type(task) is Literal or type(getattr(task, "func", None)) is Step
    return not (own or task.block_fusion or is_coroutine(task))


def _chain(
    graph: Mapping[Key, GraphNode], links: Mapping[Key, Key], last: Key
) -> dict[Key, GraphNode]:
    chain = {last: graph[last]}
    while last in links:
        last = links[last]
        chain[last] = graph[last]
    return chain


def _is_worth_it(last: Key, chain: Mapping[Key, GraphNode]) -> bool:
    """Return whether a chain has more than one call, and is no circle, which others complain of."""
    calls = sum(type(task) is not Alias for task in chain.values())
    return calls > 1 and not any(last in task.dependencies for task in chain.values())
