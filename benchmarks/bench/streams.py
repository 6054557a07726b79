"""Items through a channel beside the peers' queues, and a large array from worker to worker.

The consumer counts, from its first item to its last: neither starting processes nor the way there of
the first item is in the figures. All channels and queues have room for `ROOM` items.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from bench.report import number, table
from bench.targets import Row, at_least, at_most

ROOM = 100
MEGABYTES = 500

Rate = Callable[[int], float]
"""Sends so many items from one process to another; returns items a second."""
Found = Mapping[str, list[float]]

_OVER = {
    "parallel": ("Manager queue", 2, "ParallelExecutor"),
    "dask": ("distributed.Queue", 5, "DaskExecutor"),
}
_END = None
_CONTEXT = multiprocessing.get_context("forkserver")  # this process has threads by then


def produce(queue: Any, count: int) -> None:
    """Put `count` items, then the end."""
    for item in range(count):
        queue.put(item)
    queue.put(_END)


def consume(queue: Any) -> float:
    """Get items up to the end; return how many a second."""
    count, start = 0, 0.0
    while queue.get() is not _END:
        if not count:
            start = time.perf_counter()
        count += 1
    return (count - 1) / (time.perf_counter() - start)


def through_channel(executor: Any) -> Rate:
    """Let two nodes of one of our executors talk."""
    from dask_dispatcher import DeferredChannel, op

    def rate(count: int) -> float:
        channel: DeferredChannel[Any] = DeferredChannel(ROOM)
        found: float = executor.compute([op(consume)(channel), op(produce)(channel, count)])[0]
        return found

    return rate


def between_processes(make: Callable[[], Any]) -> Rate:
    """Let two processes talk through a queue of multiprocessing's."""

    def rate(count: int) -> float:
        queue, found = make(), _CONTEXT.Queue()
        processes = [
            _CONTEXT.Process(target=produce, args=(queue, count)),
            _CONTEXT.Process(target=_consume_and_tell, args=(queue, found)),
        ]
        for process in processes:
            process.start()
        result: float = found.get()
        for process in processes:
            process.join()
        return result

    return rate


def _consume_and_tell(queue: Any, found: Any) -> None:
    found.put(consume(queue))


def through_distributed(client: Any) -> Rate:
    """Let two Dask tasks talk through a `distributed.Queue`."""
    from distributed import Queue

    def rate(count: int) -> float:
        queue = Queue(client=client, maxsize=ROOM)
        getting = client.submit(consume, queue, pure=False)
        putting = client.submit(produce, queue, count, pure=False)
        found: float = getting.result()
        putting.result()
        queue.close()
        return found

    return rate


@contextmanager
def through_ray() -> Iterator[Rate]:
    """Let two Ray tasks talk through Ray's queue.

    Raises
    ------
    ImportError
        If Ray is not installed.
    """
    import ray
    from ray.util.queue import Queue

    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, configure_logging=False)
    put, get = ray.remote(produce), ray.remote(consume)

    def rate(count: int) -> float:
        queue = Queue(maxsize=ROOM)
        getting, putting = get.remote(queue), put.remote(queue, count)
        found: float = ray.get(getting)
        ray.get(putting)
        queue.shutdown()
        return found

    try:
        yield rate
    finally:
        ray.shutdown()


def open_streams(
    stack: ExitStack, address: str, takes: Callable[[str], bool]
) -> tuple[dict[str, tuple[Rate, int]], list[str]]:
    """Open what is wanted; return each with the items of a round, and what could not be opened.

    Parameters
    ----------
    stack : ExitStack
    address : str
        Of a stock cluster with two workers; '' without one.
    takes : callable
        Whether an engine is wanted, by name.
    """
    found: dict[str, tuple[Rate, int]] = {}
    absent: list[str] = []
    if takes("parallel"):
        from dask_dispatcher import ParallelExecutor

        manager = stack.enter_context(_CONTEXT.Manager())
        executor = stack.enter_context(ParallelExecutor(2))
        found["parallel"] = through_channel(executor), 20_000
        found["Manager queue"] = between_processes(lambda: manager.Queue(ROOM)), 10_000
        found["multiprocessing.Queue"] = between_processes(lambda: _CONTEXT.Queue(ROOM)), 40_000
        try:
            found["Ray queue"] = stack.enter_context(through_ray()), 1_000
        except Exception as error:  # a peer that is not installed, or does not start here
            absent.append(f"Left out: Ray queue ({type(error).__name__}: {str(error)[:200]}).")
    if address:
        from distributed import Client

        from dask_dispatcher import DaskExecutor

        client = stack.enter_context(Client(address, set_as_default=False))
        found["dask"] = through_channel(stack.enter_context(DaskExecutor(client))), 5_000
        found["distributed.Queue"] = through_distributed(client), 1_000
    return found, absent


def measure_streams(
    streams: Mapping[str, tuple[Rate, int]], rounds: int, share: float
) -> dict[str, list[float]]:
    """Send items through each in turn; return items a second, by round."""
    found: dict[str, list[float]] = {name: [] for name in streams}
    for _ in range(rounds):
        for name, (rate, count) in streams.items():
            found[name].append(rate(max(100, round(count * share))))
    return found


# A large array


def _make(here: Any, there: Any, megabytes: int) -> tuple[Any, float]:
    here.put(True)  # when two are made at once, there is one in each process
    there.fetch()
    return np.ones(megabytes * 125_000), time.monotonic()


def _arrived(one: tuple[Any, float], other: tuple[Any, float]) -> float:
    return time.monotonic() - max(one[1], other[1])


def measure_arrays(rounds: int, megabytes: int) -> dict[str, list[float]]:
    """Move an array from one local worker to another; return seconds, by way and round."""
    from dask_dispatcher import DeferredFuture, ParallelExecutor, op

    def put(future: DeferredFuture[Any]) -> float:
        array = np.ones(megabytes * 125_000)
        start = time.monotonic()
        future.put(array)
        return start

    def fetch(future: DeferredFuture[Any]) -> float:
        size = future.fetch().nbytes
        assert size == megabytes * 1_000_000
        return time.monotonic()

    def by_reference(executor: ParallelExecutor) -> float:
        future: DeferredFuture[Any] = DeferredFuture()
        end, start = executor.compute([op(fetch)(future), op(put)(future)])
        return float(end - start)

    def as_result(executor: ParallelExecutor) -> float:
        here, there = DeferredFuture[bool](), DeferredFuture[bool]()
        made = op(_make)(here, there, megabytes), op(_make)(there, here, megabytes)
        return float(executor.compute(op(_arrived)(*made)))

    found: dict[str, list[float]] = {"DeferredFuture": [], "result of a node": []}
    with ParallelExecutor(2) as executor:
        by_reference(executor)
        for _ in range(rounds):
            found["DeferredFuture"].append(by_reference(executor))
            found["result of a node"].append(as_result(executor))
    return found


# What is printed


def stream_table(found: Found) -> str:
    """Lay out items a second."""
    rows = [[name, _spread(rates)] for name, rates in found.items()]
    return table(["small items, from process to process", "items/s"], rows)


def array_table(found: Found, megabytes: int) -> str:
    """Lay out milliseconds."""
    rows = [[name, _spread([s * 1e3 for s in seconds])] for name, seconds in found.items()]
    return table([f"{megabytes} MB, from worker to worker", "ms"], rows)


def _spread(figures: Iterable[float]) -> str:
    figures = list(figures)
    least, most = number(min(figures)), number(max(figures))
    return f"{number(statistics.median(figures))} ({least} - {most})"


def stream_rows(found: Found) -> list[Row]:
    """Items a second over those of the peers."""
    rows = []
    for ours, (peer, limit, name) in _OVER.items():
        if ours in found and peer in found:
            ratio = statistics.median(found[ours]) / statistics.median(found[peer])
            rows.append(at_least(f"{name}, small items a second: over a {peer}", ratio, limit, "x"))
    return rows


def array_rows(found: Found, megabytes: int) -> list[Row]:
    """The time of a large array over that of the executor's own transfers."""
    ours, own = (statistics.median(found[n]) for n in ("DeferredFuture", "result of a node"))
    what = f"ParallelExecutor, {megabytes} MB put by one worker, fetched by another"
    what += ": time over that of a result"
    return [at_most(what, ours / own, 1.1, "x")]
