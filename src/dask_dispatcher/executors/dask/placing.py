"""Which workers can run a node, and what to say when none can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import NoWorkersError, shown
from ...options import Options

__all__ = ["can_be_placed", "fits", "is_bound", "nowhere"]

Workers = Mapping[str, Mapping[str, Any]]
"""By address: what the scheduler tells of each worker."""


def is_bound(options: Options) -> bool:
    """Return whether a node asks for something that not every worker has."""
    return bool(options.resources or options.workers)


def can_be_placed(options: Options, workers: Workers) -> bool:
    """Return whether at least one worker has all that a node asks for."""
    return any(fits(options, address, worker) for address, worker in workers.items())


def fits(options: Options, address: str, worker: Mapping[str, Any]) -> bool:
    """Return whether a worker has all that a node asks for."""
    names = {address, str(worker.get("name")), address.split("://")[-1], worker.get("host")}
    if options.workers and not names & {str(name) for name in options.workers}:
        return False
    have = worker.get("resources") or {}
    return all(have.get(name, 0) >= n for name, n in (options.resources or {}).items())


def nowhere(node: Any, options: Options, seconds: float) -> NoWorkersError:
    """Return the error of a node that no worker could run for so many seconds."""
    wanted = [f"resources {dict(options.resources)}"] if options.resources else []
    wanted += [f"to be one of {list(options.workers)}"] if options.workers else []
    return NoWorkersError(
        f"for {seconds:g} s no worker had what {shown(node.label)} needs: {' and '.join(wanted)}",
        node=node,
        label=node.label,
    )
