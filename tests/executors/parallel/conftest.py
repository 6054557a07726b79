"""Fixtures for the tests of ParallelExecutor and of what it is made of."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dask_dispatcher import ParallelExecutor
from tests.executors.parallel.controller import Controller


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    """Give the test one real worker, to be talked to by hand."""
    with Controller(tmp_path / "files") as controller:
        yield controller


@pytest.fixture
def executor() -> Iterator[ParallelExecutor]:
    """Give the test an executor of two processes."""
    with ParallelExecutor(2) as executor:
        yield executor
