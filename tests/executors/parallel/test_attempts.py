"""`Attempts`: what an attempt takes it gives back, however it ends."""

import pytest

from dask_dispatcher import op
from dask_dispatcher.executors.parallel.attempts import Attempts
from dask_dispatcher.executors.policy import Failure
from dask_dispatcher.executors.shares import Shares
from dask_dispatcher.schedule import FAILED, READY, RUNNING
from tests.executors.parallel.runs import make_job


class Attempting:
    """A run of three nodes that share one GPU, all begun."""

    def __init__(self, **options):
        step = op(int, resources={"GPU": 1}, **options)
        self.job = make_job(*[step(n) for n in range(3)])
        self.schedule = self.job.schedule
        self.later = []
        self.attempts = Attempts(Shares({"GPU": 1}), lambda *call: self.later.append(call))
        self.schedule.take(3)

    @property
    def states(self):
        return list(self.schedule.state)


@pytest.fixture
def attempting():
    """Give the test three nodes, and hold the lock, as whoever calls this does."""
    attempting = Attempting()
    with attempting.job.state.owner.lock:
        yield attempting


def test_who_asks_for_nothing_may_begin():
    job = make_job(op(int)())
    assert Attempts(Shares(None), lambda *_: None).begin(job, 0)
    assert job.demands_out == {}


def test_one_at_a_time(attempting):
    attempts, job = attempting.attempts, attempting.job
    assert [attempts.begin(job, number) for number in range(3)] == [True, False, False]
    attempts.end(job, [0])
    assert attempting.states == [RUNNING, READY, READY]
    attempts.end(job, [0])  # said twice
    attempting.schedule.take(2)
    assert [attempts.begin(job, number) for number in (1, 2)] == [True, False]


def test_what_is_taken_back_gives_back(attempting):
    attempts, job = attempting.attempts, attempting.job
    assert attempts.begin(job, 0)
    attempts.take_back(job, [0])
    assert attempting.states[0] == READY
    assert attempts.begin(job, 1)


def test_a_failure_is_tried_again_after_its_delay():
    attempting = Attempting(retries=1, retry_delay=0.5)
    with attempting.job.state.owner.lock:
        attempting.attempts.fail(attempting.job, 0, Failure(ValueError("no"), "", None))
        ((delay, resume),) = attempting.later
        assert 0.5 <= delay < 1
        assert attempting.states[0] not in (READY, FAILED)
        resume()
        assert attempting.states[0] == READY
        attempting.schedule.take()
        attempting.attempts.fail(attempting.job, 0, Failure(ValueError("again"), "", None))
        assert attempting.states[0] == FAILED
        assert len(attempting.later) == 1
