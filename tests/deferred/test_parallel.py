"""What a ParallelExecutor does beside what holds on every executor."""

from __future__ import annotations

import os

from dask_dispatcher import DeferredChannel, DeferredFuture, ParallelExecutor, op
from tests.support.waiting import eventually

WAIT = 30.0


def test_processes_that_took_the_places_of_others_end() -> None:
    began: DeferredFuture[int] = DeferredFuture()
    go: DeferredFuture[bool] = DeferredFuture()
    channel: DeferredChannel[int] = DeferredChannel()

    def wait() -> int:
        began.put(os.getpid())
        go.fetch(timeout=WAIT)
        return channel.get(timeout=WAIT)

    with ParallelExecutor(1) as executor:
        run = executor.start([op(wait)()])
        assert began.fetch(timeout=WAIT) != executor.compute(op(os.getpid)())
        assert len(executor._engine._workers) == 2
        go.put(True)
        executor.compute(op(channel.put)(7))
        (result,) = run.results(timeout=WAIT)
        assert result.unwrap().fetch() == 7
        eventually(lambda: len(executor._engine._workers) == 1)
        assert executor.compute([op(abs)(-n) for n in range(5)]) == list(range(5))


def test_a_process_that_holds_what_was_put_stays() -> None:
    channel: DeferredChannel[int] = DeferredChannel()
    future: DeferredFuture[list[int]] = DeferredFuture()

    def put() -> None:
        future.put([1, 2, 3])
        channel.put(1)

    with ParallelExecutor(1) as executor:
        assert executor.compute([op(channel.get)(), op(put)()]) == [1, None]
        assert executor.compute(op(abs)(-1)) == 1
        assert future.fetch(timeout=WAIT) == [1, 2, 3]
