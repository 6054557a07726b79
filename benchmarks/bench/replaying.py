"""Open the players that a replay asks for, and replay many instances on them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.cluster import stock_cluster
from bench.instances import Instance, scale
from bench.replays import DelayedPlayer, ExecutorPlayer, Player, Replay, replay
from bench.workloads import Handle, Wrap

EXECUTORS = ("async", "parallel", "dask")
MOST_BYTES = 200e6  # by default, all values of a workflow together


def open_players(
    stack: ExitStack,
    executors: Sequence[str],
    workers: int,
    scheduler: str | None,
    *,
    peer: bool,
) -> list[Player]:
    """Open the executors named, on `workers` workers; the stack closes them.

    Parameters
    ----------
    stack : ExitStack
        What closes the players, and the cluster where one was started.
    executors : sequence of str
        Of `EXECUTORS`.
    workers : int
        Threads of AsyncExecutor, processes of ParallelExecutor, workers of the cluster that is
        started.
    scheduler : str or None
        Address of a running scheduler; None starts a stock cluster if one is needed.
    peer : bool
        Also dask.delayed, on the same cluster.
    """
    from dask_dispatcher import AsyncExecutor, DaskExecutor, ParallelExecutor

    players: list[Player] = []
    if "async" in executors:
        players.append(ExecutorPlayer("AsyncExecutor", AsyncExecutor(max_workers=workers)))
        stack.callback(players[-1].close)
    if "parallel" in executors:
        players.append(ExecutorPlayer("ParallelExecutor", ParallelExecutor(workers)))
        stack.callback(players[-1].close)
    if "dask" in executors or peer:
        address = scheduler or stack.enter_context(stock_cluster(workers))
        if "dask" in executors:
            players.append(ExecutorPlayer("DaskExecutor", DaskExecutor(address)))
            stack.callback(players[-1].close)
        if peer:
            players.append(DelayedPlayer(address))
            stack.callback(players[-1].close)
    for player in players:
        player.play(_small)  # a cluster that has just started is slow at first
    return players


def _small(wrap: Wrap) -> list[Handle]:
    return [wrap(bytes)(i) for i in range(10)]


def replay_all(
    instances: Iterable[Instance],
    players: Sequence[Player],
    workers: int,
    seconds: float,
    *,
    bytes_scale: float | None = None,
    rounds: int = 1,
    loops_per_second: float | None = None,
) -> Iterator[Replay]:
    """Scale each instance and replay it; the options are those of `replay.py`."""
    for instance in instances:
        factor = bytes_scale if bytes_scale is not None else default_bytes_scale(instance)
        scaled = scale(instance, seconds=seconds, bytes_scale=factor)
        print(f"replaying {instance.name}, file sizes x {factor:.3g}", file=sys.stderr, flush=True)
        yield replay(scaled, players, workers, rounds, loops_per_second)


def default_bytes_scale(instance: Instance) -> float:
    """Scale that leaves file sizes alone, or brings them down to MOST_BYTES in all."""
    return min(1.0, MOST_BYTES / instance.size) if instance.size else 1.0


def find_instances(paths: Iterable[Path]) -> list[Path]:
    """List the files given, and the instances in the folders given."""
    found: list[Path] = []
    for path in paths:
        inside = sorted([*path.glob("*.json"), *path.glob("*.json.gz")]) if path.is_dir() else []
        found += inside or [path]
    return found
