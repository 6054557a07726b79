"""`fetch`: a value comes from wherever it is, and once more if it is lost on the way."""

import threading

import numpy as np
import pytest

from dask_dispatcher import DependencyError, ExecutorError, op
from dask_dispatcher.executors.parallel.fetching import fetch
from dask_dispatcher.executors.parallel.memory import Witness
from dask_dispatcher.executors.parallel.places import in_file, in_memory
from dask_dispatcher.executors.parallel.values import Copy, Given, Held, Pickled
from dask_dispatcher.executors.policy import Failure
from dask_dispatcher.executors.slices.carrying import dump
from tests.executors.parallel.runs import Somebody, make_job

WAIT = 20.0
ARRAY = np.arange(1_000.0)
WITNESS = Witness()
GONE = ("memory", (1 << 22, 0, b"x" * 16), [(0, 100)])


class Finished:
    """A run of one node that has succeeded."""

    def __init__(self, value=None):
        self.job = make_job(op(int, label="the node")())
        self.state = self.job.state
        self.engine = self.state.owner
        self.dumped = dump(ARRAY, "it")  # stays where its place says
        self.state.schedule.take()
        self.end(value)

    def end(self, value):
        with self.engine.lock:
            self.state.values[0] = value
            self.state.finished([0])

    def hold(self, place=None):
        """Let the value be a large one of a worker."""
        held = Held(self.state, (7, 0))
        self.worker = Somebody()
        place = place or in_memory(WITNESS.identity, self.dumped)
        held.put(Copy(self.worker, held.key, place, lambda copy: None))
        self.state.values[0] = held
        return held

    def lose(self):
        """Let the worker go, and with it the value."""
        with self.engine.lock:
            assert self.state.values[0].lose(self.worker)
            self.state.lost([], [0], "the worker", "killed")

    def fetch(self, timeout=WAIT):
        return fetch(self.engine, self.state, 0, timeout)


@pytest.mark.parametrize("value", [1, None, "text"])
def test_an_atom(value):
    assert Finished(value).fetch() == value


def test_a_small_value():
    assert Finished(Pickled(dump([1], "it")[0])).fetch() == [1]


def test_a_given_value_is_the_very_object():
    value = object()
    assert Finished(Given(value, (0, 1), lambda copy: None)).fetch() is value


def test_a_large_value_from_memory_once():
    run = Finished()
    run.hold()
    value = run.fetch()
    np.testing.assert_equal(value, ARRAY)
    run.dumped = None
    run.lose()
    assert run.fetch() is value  # what the program has is not lost with a worker


def test_a_large_value_from_a_file(tmp_path):
    run = Finished()
    run.hold(in_file(str(tmp_path), run.dumped))
    np.testing.assert_equal(run.fetch(), ARRAY)


def test_a_value_that_is_gone_is_waited_for_until_it_is_there_again():
    run = Finished()
    run.hold(GONE)
    found = []
    thread = threading.Thread(target=lambda: found.append(run.fetch()))
    thread.start()
    try:
        run.lose()
        assert run.state.schedule.take() == [0]
        assert found == []
        run.hold()
        run.end(run.state.values[0])
    finally:
        thread.join(WAIT)
    np.testing.assert_equal(found, [ARRAY])


def test_time_up_while_it_is_lost():
    run = Finished()
    run.hold()
    run.lose()
    with pytest.raises(TimeoutError, match="was lost and is computed again"):
        run.fetch(timeout=0.05)


def test_the_failure_of_computing_it_again_is_raised():
    run = Finished()
    run.hold()
    run.lose()
    run.state.schedule.take()
    with run.engine.lock:
        run.state.attempt_failed(0, Failure(ValueError("this time"), "", None))
    with pytest.raises(DependencyError, match="the node") as info:
        run.fetch()
    assert isinstance(info.value.__cause__, ValueError)


def test_after_a_reset_there_is_nothing_to_fetch():
    run = Finished(1)
    with run.engine.lock:
        run.state.forget("it was reset")
    with pytest.raises(ExecutorError, match="it was reset"):
        run.fetch()
