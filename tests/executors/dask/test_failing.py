"""What a failed Dask task means."""

from types import SimpleNamespace

import pytest
from distributed.client import FutureState
from distributed.scheduler import KilledWorker

from dask_dispatcher import WorkerLostError
from dask_dispatcher.errors import RemoteError
from dask_dispatcher.executors.dask.failing import read_failure, why_scheduler_lost
from dask_dispatcher.executors.policy import Failure


def test_a_task_that_took_its_workers_along():
    error = KilledWorker("key", SimpleNamespace(address="tcp://10.0.0.1:4"), 3)
    failure = read_failure("load", error)
    assert type(failure.cause) is WorkerLostError
    assert str(failure.cause) == (
        "load was running on 4 workers when they died; the last was tcp://10.0.0.1:4"
    )
    assert failure.worker == "tcp://10.0.0.1:4"


def test_a_worker_without_this_package():
    failure = read_failure("load", ModuleNotFoundError("No module", name="dask_dispatcher"))
    assert isinstance(failure.cause, ModuleNotFoundError)
    assert "a worker has no dask-dispatcher; install it there" in str(failure.cause)


def test_anything_else_stays_what_it_is():
    error = MemoryError("full")
    assert read_failure("load", error) == Failure(error, "", None)
    failure = read_failure("load", None)
    assert type(failure.cause) is RemoteError


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("scheduler-connection-lost", "the connection broke"),
        ("scheduler-restart", "somebody restarted it"),
        ("unknown", ""),
    ],
)
def test_a_task_that_went_with_its_scheduler(reason, text):
    state = FutureState("key")
    state.cancel(reason=reason)
    assert why_scheduler_lost(SimpleNamespace(_state=state)) == text


def test_a_task_that_nobody_cancelled():
    assert why_scheduler_lost(SimpleNamespace(_state=FutureState("key"))) == ""
