"""Fixtures for runs that meet with faults on local processes."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support import StartsLog
from tests.support.gates import meeting
from tests.support.trials import Trial, check_stderr

from dask_dispatcher import ParallelExecutor, op


@pytest.fixture
def nothing_unseen(
    capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Check V8 of the test, its workers and the fixtures that come after this one."""
    yield
    check_stderr(capfd.readouterr().err)
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not errors, caplog.text


@pytest.fixture
def make_trial(starts_log: StartsLog, nothing_unseen: None) -> Iterator[Callable[..., Trial]]:
    """Make executors to try: ``make_trial(max_workers=2, **options)``.

    Afterwards each still works, and closes.
    """
    trials: list[Trial] = []

    def make(max_workers: int = 2, **options: Any) -> Trial:
        trials.append(Trial(ParallelExecutor(max_workers, **options), starts_log))
        return trials[-1]

    try:
        yield make
        for trial in trials:
            trial.check_works()
    finally:
        for trial in trials:
            trial.executor.close()


@pytest.fixture
def trial(make_trial: Callable[..., Trial]) -> Trial:
    """Give the test an executor with two workers."""
    return make_trial()


@pytest.fixture(scope="module")
def steady_executor() -> Iterator[ParallelExecutor]:
    """Start two workers for all tests of a module that let them live."""
    with ParallelExecutor(2) as executor:
        start_all(executor, 2)
        yield executor


@pytest.fixture
def steady_trial(
    steady_executor: ParallelExecutor, starts_log: StartsLog, nothing_unseen: None
) -> Iterator[Trial]:
    """Give the test an executor whose workers it must not lose."""
    trial = Trial(steady_executor, starts_log)
    workers = start_all(steady_executor, 2)
    yield trial
    trial.check_works()
    assert start_all(steady_executor, 2) == workers


def start_all(executor: ParallelExecutor, count: int) -> set[int]:
    """Return the processes of all workers, once there are so many."""
    with tempfile.TemporaryDirectory() as folder:
        meet = meeting(folder, count)
        return set(executor.compute([op(meet)(n) for n in range(count)]))
