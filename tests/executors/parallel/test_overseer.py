"""`Overseer`: who is asked to give back, who is killed, and when."""

import time

import pytest

from dask_dispatcher import NodeTimeoutError, op
from dask_dispatcher.executors.parallel.attempts import Attempts
from dask_dispatcher.executors.parallel.overseer import Overseer
from dask_dispatcher.executors.parallel.slices import Coroutine, Slice
from dask_dispatcher.executors.shares import Shares
from dask_dispatcher.schedule import FAILED, RUNNING
from tests.executors.parallel.runs import Somebody, make_job


class Overseeing:
    """One worker with a slice of two nodes, and the calls that are to come later."""

    def __init__(self, **options):
        step = op(int, **options)
        self.job = make_job(step(0), step(1))
        self.later = []
        self.overseer = Overseer(Attempts(Shares(None), self._later), self._later)
        numbers = self.job.schedule.take(2)[::-1]
        self.part = Slice(self.job, 1, numbers, [], 0.0)
        self.worker = Somebody(slices={1: self.part}, since=time.monotonic() - 100)
        self.worker.current = numbers[0]

    def _later(self, delay, call):
        self.later.append((delay, call))

    def call_next(self):
        """Call what is to be called first; return after how many seconds."""
        delay, call = self.later.pop(0)
        with self.job.state.owner.lock:
            call()
        return delay

    def look(self, *, is_room):
        with self.job.state.owner.lock:
            self.overseer.look([self.worker], is_room=is_room)


def test_one_look_at_a_time():
    overseeing, looks = Overseeing(), []
    for _ in range(3):
        overseeing.overseer.look_soon(lambda: looks.append(1), is_urgent=True)
    assert len(overseeing.later) == 1
    overseeing.call_next()
    assert looks == [1]
    overseeing.overseer.look_soon(lambda: looks.append(1), is_urgent=True)
    assert len(overseeing.later) == 1


def test_a_look_that_is_urgent_comes_before_one_that_is_not():
    overseeing, looks = Overseeing(), []
    for is_urgent in (False, True, False):
        overseeing.overseer.look_soon(lambda: looks.append(1), is_urgent=is_urgent)
    assert len(overseeing.later) == 2
    overseeing.later.sort(key=lambda timer: timer[0])
    assert overseeing.call_next() < overseeing.call_next()
    assert looks == [1]


def test_what_is_expected_to_take_long_is_given_more_time():
    overseeing = Overseeing()
    overseeing.part.seconds = 1000.0
    overseeing.look(is_room=False)
    assert overseeing.worker.sent == []
    overseeing.look(is_room=True)
    assert overseeing.worker.sent == [("nudge", 1)]


@pytest.mark.parametrize("is_room", [True, False])
def test_a_slow_worker_is_asked_to_give_back_once(is_room):
    overseeing = Overseeing()
    for _ in range(2):
        overseeing.look(is_room=is_room)
    assert overseeing.worker.sent == [("nudge", 1)]
    assert overseeing.part.is_nudged


def test_a_worker_keeps_the_only_node_it_has():
    overseeing = Overseeing()
    overseeing.part.note(overseeing.part.numbers[1:])
    overseeing.look(is_room=True)
    assert overseeing.worker.sent == []
    assert overseeing.part.is_nudged  # and gets nothing more
    waiting = Slice(overseeing.job, 2, [], [], 0.0)  # but not what waits behind it
    overseeing.worker.slices[2] = waiting
    overseeing.look(is_room=True)
    assert overseeing.worker.sent == [("nudge", 2)]


def test_one_that_has_not_begun_is_given_more_time():
    overseeing = Overseeing()
    overseeing.worker.current = -1
    overseeing.worker.since = time.monotonic() + 1000
    overseeing.look(is_room=True)
    assert overseeing.worker.sent == []
    overseeing.worker.since = time.monotonic() - 100
    overseeing.look(is_room=True)
    assert overseeing.worker.sent == [("nudge", 1)]


def test_one_that_was_just_heard_of_is_left_alone():
    overseeing = Overseeing()
    overseeing.worker.since = time.monotonic() + 100
    overseeing.look(is_room=True)
    assert overseeing.worker.sent == []


def test_observers_hear_of_a_call_that_takes_long_once():
    overseeing = Overseeing()
    state, coroutine = overseeing.job.state, Coroutine(overseeing.job, [], time.time())
    overseeing.worker.coroutines[7, 1] = coroutine
    told = []
    state.note_started = lambda number, began, worker: told.append((number, worker))
    for _ in range(2):
        overseeing.look(is_room=False)
    assert sorted(told) == [(0, "somebody"), (1, "somebody")]


# Timeouts


def test_nobody_is_watched_without_a_timeout():
    overseeing = Overseeing()
    overseeing.overseer.watch(overseeing.worker, overseeing.part)
    assert overseeing.later == []


def test_a_node_whose_time_is_up_ends_and_its_worker_may_report_before_it_is_killed():
    overseeing = Overseeing(timeout=5.0)
    overseeing.overseer.watch(overseeing.worker, overseeing.part)
    overseeing.worker.seconds = 2.0
    assert overseeing.call_next() == 5.0
    overseeing.worker.seconds = 5.1
    assert overseeing.call_next() == 3.0
    error = overseeing.job.state.error_of(0)
    assert type(error.__cause__) is NodeTimeoutError
    assert "int did not end within 5.0 s" in str(error.__cause__)
    assert list(overseeing.job.schedule.state) == [FAILED, RUNNING]
    assert overseeing.worker.timed_out == (7, 0)
    assert overseeing.worker.sent == [("nudge", 1)]
    assert overseeing.part.left() == [1]
    assert overseeing.worker.kills == 0
    overseeing.call_next()
    assert overseeing.worker.kills == 1


def test_a_slice_that_has_ended_is_watched_no_more():
    overseeing = Overseeing(timeout=5.0)
    overseeing.overseer.watch(overseeing.worker, overseeing.part)
    overseeing.worker.slices.clear()
    overseeing.call_next()
    assert overseeing.later == []


def test_the_next_node_has_its_own_time():
    overseeing = Overseeing(timeout=5.0)
    overseeing.overseer.watch(overseeing.worker, overseeing.part)
    overseeing.part.note([0])  # reported, and the cell still says so
    overseeing.worker.seconds = 6.0
    overseeing.call_next()
    assert len(overseeing.later) == 1
    assert not overseeing.job.state.errors


# Calls that nobody wants


def test_a_call_that_nobody_wants_is_killed_after_a_moment():
    overseeing = Overseeing()
    overseeing.overseer.give_up(overseeing.worker, overseeing.job, {0, 1})
    assert overseeing.worker.sent == [("nudge", 1)]
    overseeing.call_next()
    assert overseeing.worker.kills == 1


def test_unless_it_has_ended_by_then():
    overseeing = Overseeing()
    overseeing.overseer.give_up(overseeing.worker, overseeing.job, {0})
    overseeing.part.note([0])
    overseeing.worker.current = 1
    overseeing.call_next()
    assert overseeing.worker.kills == 0


def test_coroutines_are_cancelled_and_other_runs_left_alone():
    overseeing = Overseeing()
    other = make_job(op(int)())
    overseeing.worker.coroutines[7, 1] = Coroutine(overseeing.job, [], time.time())
    overseeing.worker.slices = {2: Slice(other, 2, [0], [], 0.0)}
    overseeing.overseer.give_up(overseeing.worker, overseeing.job, {1})
    assert overseeing.worker.sent == [("cancel", 7, [1])]
    assert overseeing.later == []
