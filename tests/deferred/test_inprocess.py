"""References in an AsyncExecutor whose nodes wait for each other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from dask_dispatcher import (
    AsyncExecutor,
    DeferredChannel,
    DeferredError,
    DeferredFuture,
    DependencyError,
    Err,
    NodeTimeoutError,
    RunCancelledError,
    op,
)
from tests.support.waiting import eventually

WAIT = 30.0


@pytest.fixture
def narrow() -> Iterator[AsyncExecutor]:
    """Give an executor with one place."""
    with AsyncExecutor(max_workers=1) as executor:
        yield executor


def test_a_cancelled_run_ends_its_waits(narrow: AsyncExecutor) -> None:
    began = threading.Event()
    seen: list[BaseException] = []
    ended = threading.Event()
    channel: DeferredChannel[int] = DeferredChannel()

    def wait() -> None:
        began.set()
        try:
            channel.get()
        except BaseException as error:
            seen.append(error)
            raise
        finally:
            ended.set()

    run = narrow.start([op(wait)()])
    assert began.wait(30)
    run.cancel()
    (result,) = run.results(timeout=30)
    assert isinstance(result, Err)
    assert isinstance(result.error, RunCancelledError)
    assert ended.wait(30)
    assert isinstance(seen[0], RunCancelledError)


def test_a_wait_ends_with_the_timeout_of_its_node(narrow: AsyncExecutor) -> None:
    future: DeferredFuture[int] = DeferredFuture()
    ended = threading.Event()

    def wait() -> None:
        try:
            future.fetch()
        finally:
            ended.set()

    (result,) = narrow.run([op(wait, timeout=0.05)()], raise_errors=False)
    assert isinstance(result, Err)
    assert isinstance(result.error.__cause__, NodeTimeoutError)
    assert ended.wait(30)


def test_too_many_waits_are_an_error_and_no_hang(narrow: AsyncExecutor) -> None:
    future: DeferredFuture[int] = DeferredFuture()
    nodes = [op(future.fetch)() for _ in range(65)]
    with pytest.raises(DependencyError) as caught:
        narrow.run(nodes)
    assert isinstance(caught.value.__cause__, DeferredError)
    assert "wait for deferred references already" in str(caught.value.__cause__)


def test_a_blocking_wait_on_the_users_own_loop_is_refused(narrow: AsyncExecutor) -> None:
    future: DeferredFuture[int] = DeferredFuture()

    async def block() -> int:
        return future.fetch()

    async def main() -> None:
        (result,) = await narrow.start([op(block)()])
        result.unwrap()

    with pytest.raises(DependencyError, match="await the reference"):
        asyncio.run(main())


def test_threads_that_took_the_places_of_others_end(narrow: AsyncExecutor) -> None:
    channels: list[DeferredChannel[int]] = [DeferredChannel() for _ in range(4)]

    def pass_on(source: DeferredChannel[int], target: DeferredChannel[int]) -> None:
        target.put(source.get(timeout=WAIT) + 1)

    stages = [op(pass_on)(a, b) for a, b in zip(channels, channels[1:], strict=False)]
    narrow.compute([*reversed(stages), op(channels[0].put)(0)])
    assert channels[-1].get(timeout=WAIT) == 3
    eventually(lambda: len(narrow._engine.crew.members) == 1)
    assert narrow.compute([op(abs)(-n) for n in range(5)]) == list(range(5))


def test_values_pass_by_reference(narrow: AsyncExecutor) -> None:
    value = threading.Lock()
    future: DeferredFuture[threading.Lock] = DeferredFuture()
    narrow.compute(op(future.put)(value))
    assert future.fetch() is value
