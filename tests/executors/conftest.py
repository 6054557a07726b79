"""Fixtures for the tests of what executors share, and of AsyncExecutor."""

import threading
from collections.abc import Iterator

import pytest

from dask_dispatcher import AsyncExecutor


@pytest.fixture
def executor() -> Iterator[AsyncExecutor]:
    """Give the test an executor that is closed after it."""
    with AsyncExecutor() as executor:
        yield executor


@pytest.fixture
def release(executor: AsyncExecutor) -> Iterator[threading.Event]:
    """Give the test an event for nodes to wait on; it is set before the executor closes."""
    event = threading.Event()
    yield event
    event.set()
