"""References in an AsyncExecutor whose nodes wait for each other."""

from __future__ import annotations

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


def test_a_coroutine_node_that_blocks_is_told_to_await(narrow: AsyncExecutor) -> None:
    future: DeferredFuture[int] = DeferredFuture()

    async def block() -> int:
        return future.fetch()

    with pytest.raises(DependencyError) as caught:
        narrow.compute(op(block)())
    assert "await the reference" in str(caught.value.__cause__)


def test_values_pass_by_reference(narrow: AsyncExecutor) -> None:
    value = threading.Lock()
    future: DeferredFuture[threading.Lock] = DeferredFuture()
    narrow.compute(op(future.put)(value))
    assert future.fetch() is value
