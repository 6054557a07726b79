"""`Inbox`: what groups say, and what their tasks' ends mean, for the run; no cluster needed."""

import concurrent.futures
import pickle
from types import SimpleNamespace

import pytest
from distributed.client import FutureState

from dask_dispatcher import WorkerLostError, op
from dask_dispatcher.executors.batches import Finished
from dask_dispatcher.executors.dask.batches import Batch
from dask_dispatcher.executors.dask.boxes import Kept
from dask_dispatcher.executors.dask.groups import Group
from dask_dispatcher.executors.dask.inbox import Inbox
from dask_dispatcher.executors.dask.scattering import Scattered
from dask_dispatcher.executors.dask.sending import Sent
from dask_dispatcher.executors.engine import Engine
from dask_dispatcher.executors.policy import Failure, Policy
from dask_dispatcher.executors.slices.carrying import dump
from dask_dispatcher.executors.slices.failures import dump_failure
from dask_dispatcher.executors.state import RunState
from dask_dispatcher.plan import compile_plan
from dask_dispatcher.schedule import DONE, READY, RUNNING

ADDRESS = "tcp://10.0.0.1:4"


class Desk(Engine):
    """An engine that notes what it was told, and the one group it has."""

    def __init__(self, count=3, **job):
        super().__init__(Policy())
        self.calls, self.failures = [], {}
        self.holdings = SimpleNamespace(add=lambda group, number, size, *small: (size, *small))
        self.connection = SimpleNamespace(is_alive=True, collect=self._collect)
        self.reclaimer = SimpleNamespace(free=lambda member: None, recall=self._recall)
        self.answer = concurrent.futures.Future()
        step = op(int)
        self.state = RunState(self, compile_plan([step(n) for n in range(count)]), fail_fast=False)
        self.schedule = self.state.schedule
        self.group = self._make_group(job)
        self._inbox = Inbox(self)

    def _make_group(self, job):
        costs, sizes = [], {}
        job = {"keeps": False, "note_costs": costs.extend, "note_size": sizes.__setitem__, **job}
        numbers = sorted(self.schedule.take(100))
        future = SimpleNamespace(key="name", status="pending", _state=FutureState("name"))
        sent = Sent("name", future, numbers, set(), [], {}, None)
        made = SimpleNamespace(state=self.state, schedule=self.schedule, **job)
        self.costs, self.sizes = costs, sizes
        member = SimpleNamespace(address=ADDRESS, changed=lambda: None)
        return Group(made, sent, Batch(numbers, 0.1), member, {})

    def _recall(self, group, reason):
        self.calls.append(("recall", reason))

    def _collect(self, keys):
        self.calls.append(("collect", keys))
        return self.answer

    # What an engine can do

    def launch(self, state, *, blocking):
        raise AssertionError

    def stop(self, state, running):
        raise AssertionError

    def close(self):
        raise AssertionError

    def post(self, function):
        function()

    def note_started(self, state, number, address):
        self.calls.append(("started", number, address))

    def knows(self, group):
        return ("drop",) not in self.calls and ("remove",) not in self.calls

    def remove(self, group):
        self.calls.append(("remove",))

    def drop(self, group):
        self.calls.append(("drop",))

    def take_back(self, names):
        self.calls.append(("take back", *names))

    def lose(self, group, reason):
        self.calls.append(("lose", reason))

    def scheduler_lost(self, why):
        self.calls.append(("scheduler lost", why))

    def failed(self, state, number, failure):
        self.failures[number] = failure

    # What a worker and Dask say

    def say(self, *, is_final=True, is_late=False, waits=False, back=(), under_way=(), **report):
        message = {"waits": waits, "back": back, "under_way": under_way, "is_final": is_final}
        message["is_late"] = is_late
        said = None if report.get("withheld") else pickle.dumps(reported(**report))
        with self.lock:
            self._inbox.reported(self.group, {**message, "report": said})

    def end(self, status):
        self.group.future.status = status
        with self.lock:
            self._inbox.ended(self.group)

    @property
    def states(self):
        return list(self.schedule.state)


def reported(
    atoms=None, pickled=(), large=(), failed=(), skipped=(), costs=(), times=(), used_up=()
):
    atoms = atoms or {}
    lists = map(list, (pickled, large, failed, skipped, costs, times, used_up))
    return (list(atoms), list(atoms.values()), *lists)


def failure(error):
    return dump_failure(Failure(error, "", ADDRESS))


# Reports


def test_small_values_are_there_with_the_report():
    desk = Desk()
    desk.say(atoms={0: "a", 1: None}, pickled=[(2, dump([1], "it")[0])], costs=[(0, 3, 0.5)])
    assert desk.state.values[:2] == ["a", None]
    assert desk.state.values[2].open() == [1]
    assert desk.states == [DONE] * 3
    assert desk.calls == [("remove",)]
    assert desk.costs == [(0, 3, 0.5)]


def test_large_values_count_once_dask_knows_of_them():
    desk = Desk(2)
    desk.say(atoms={0: 0}, large=[(1, 5_000)])
    assert desk.states == [DONE, RUNNING]
    assert desk.calls == []
    desk.end("finished")
    assert desk.states == [DONE, DONE]
    assert desk.state.values[1] == (5_000,)
    assert desk.sizes == {1: 5_000}
    assert desk.calls == [("remove",)]


def test_large_values_that_were_used_up_are_not_waited_for():
    desk = Desk()
    desk.say(atoms={2: 0}, large=[(0, 5_000), (1, 6_000)], used_up=[0, 1])
    assert desk.states == [DONE] * 3
    assert desk.sizes == {0: 5_000, 1: 6_000}
    assert desk.state.values == [None, None, 0]
    assert desk.calls == [("remove",)]


def test_a_value_whose_report_is_withheld_counts_though_it_is_used_up():
    desk = Desk(2)
    desk.say(is_final=False, withheld=True)
    desk.say(atoms={1: 1}, used_up=[0])
    assert desk.states == [RUNNING, DONE]
    kept = Kept()
    kept.reports = [pickle.dumps(reported(large=[(0, 5_000)]))]
    desk.end("finished")
    desk.answer.set_result({"status": "OK", "data": {"name": kept}})
    assert desk.states == [DONE, DONE]


def test_for_a_client_small_values_stay_on_the_worker_too():
    desk = Desk(1, keeps=True)
    desk.say(atoms={0: "a"})
    assert desk.states == [RUNNING]
    desk.end("finished")
    assert desk.states == [DONE]
    assert desk.state.values[0] == (0, "a")
    assert desk.sizes == {}


def test_what_is_given_back_is_ready_again_and_so_is_what_misses_an_input():
    desk = Desk()
    desk.say(atoms={0: 0}, skipped=[1], back=[2])
    assert desk.states == [DONE, READY, READY]
    assert desk.group.left() == []


def test_what_was_begun_and_left_counts_as_lost():
    desk = Desk()
    desk.say(atoms={0: 0}, back=[1])
    assert desk.states == [DONE, READY, READY]
    assert desk.schedule.losses == {2: 1}


def test_failures_are_the_engines_to_judge():
    desk = Desk(2)
    desk.say(atoms={0: 0}, failed=[(1, failure(ValueError("no")))])
    assert str(desk.failures[1].cause) == "no"
    assert desk.failures[1].worker == ADDRESS


def test_a_group_that_takes_long_says_what_is_under_way():
    desk = Desk()
    desk.say(is_final=False, under_way=[0])
    assert not desk.group.is_long
    desk.say(is_final=False, is_late=True, under_way=[1], back=[2], atoms={0: 0})
    assert desk.group.is_long
    assert not desk.group.is_waiting
    assert desk.states == [DONE, RUNNING, READY]
    desk.say(is_final=False, waits=True, under_way=[1])
    assert desk.group.is_waiting
    assert desk.calls == [("started", 0, ADDRESS), ("started", 1, ADDRESS)]  # once
    desk.say(atoms={1: 1})
    assert desk.states == [DONE, DONE, READY]
    assert desk.schedule.losses == {}


def test_observers_learn_where_nodes_ran():
    desk = Desk(1)
    desk.state.events = events = []
    desk.say(atoms={0: 0}, times=[(0, 1.0, 2.0, 30)])
    (finished,) = (event for event in events if type(event) is Finished)
    columns = finished.numbers, finished.started, finished.ended, finished.moved
    assert [*map(list, columns)] == [[0], [1.0], [2.0], [30]]
    assert finished.worker == ADDRESS


def test_of_a_run_that_was_reset_nothing_is_kept():
    desk = Desk(2)
    desk.state.defunct = "it was reset"
    desk.say(atoms={0: 0}, large=[(1, 5_000)])
    assert desk.state.values == [None, None]
    assert desk.calls == [("remove",)]
    assert desk.schedule.losses == {}


# A report that is too long for a message


def test_a_withheld_report_is_fetched_when_the_task_has_ended():
    desk = Desk(2)
    desk.say(withheld=True)
    assert (desk.calls, desk.group.has_begun) == ([], True)
    desk.end("finished")
    assert desk.calls == [("collect", ["name"])]
    kept = Kept()
    kept.reports = [pickle.dumps(reported(atoms={n: n})) for n in range(2)]
    desk.answer.set_result({"status": "OK", "data": {"name": kept}})
    assert desk.state.values == [0, 1]
    assert desk.states == [DONE, DONE]
    assert desk.calls[1:] == [("remove",)]


@pytest.mark.parametrize("answer", [{"status": "error"}, OSError("no connection")])
def test_a_withheld_report_that_is_gone_costs_the_group(answer):
    desk = Desk()
    desk.say(withheld=True)
    desk.end("finished")
    if isinstance(answer, Exception):
        desk.answer.set_exception(answer)
    else:
        desk.answer.set_result(answer)
    ((kind, reason),) = desk.calls[1:]
    assert kind == "lose"
    assert "what it had computed is gone" in reason


def test_a_withheld_report_comes_too_late_for_a_group_that_was_dropped():
    desk = Desk()
    desk.say(withheld=True)
    desk.end("finished")
    desk.drop(desk.group)
    desk.answer.set_result({"status": "error"})
    assert desk.calls[2:] == []


# Ends of tasks before the last report


def test_a_task_that_ended_without_a_word_went_with_its_worker():
    desk = Desk()
    desk.end("lost")
    assert desk.calls == [("lose", f"what {ADDRESS} had to say of it never came")]


@pytest.mark.parametrize("is_readable", [True, False])
def test_a_task_that_dask_could_not_run_fails_what_is_left_of_it(is_readable):
    desk = Desk()
    error = MemoryError("full")

    def exception(timeout):
        if is_readable:
            return error
        raise error

    desk.group.future.exception = exception
    desk.say(is_final=False, atoms={0: 0})
    desk.end("error")
    assert desk.calls == [("drop",)]
    assert {number: failed.cause for number, failed in desk.failures.items()} == {
        1: error,
        2: error,
    }


def test_a_task_that_somebody_cancelled_fails_what_is_left_of_it():
    desk = Desk()
    desk.say(is_final=False, atoms={0: 0})
    desk.group.future._state.cancel()
    desk.end("cancelled")
    assert sorted(desk.failures) == [1, 2]
    cause = desk.failures[1].cause
    assert type(cause) is WorkerLostError
    assert "was cancelled on the scheduler" in str(cause)
    assert desk.calls == [("drop",)]


@pytest.mark.parametrize(
    ("reason", "is_alive", "why"),
    [
        ("scheduler-connection-lost", True, "the connection broke"),
        ("scheduler-restart", True, "somebody restarted it"),
        (None, False, "the connection broke"),
    ],
)
def test_a_task_that_went_with_its_scheduler(reason, is_alive, why):
    desk = Desk()
    desk.connection.is_alive = is_alive
    desk.group.future._state.cancel(reason=reason)
    desk.end("cancelled")
    assert desk.calls == [("scheduler lost", why)]
    assert desk.failures == {}


def test_a_task_that_came_after_the_end_of_what_it_takes_never_began():
    desk = Desk()
    desk.group.future._state.cancel(reason="lost dependencies")
    desk.end("cancelled")
    assert desk.calls == [("take back", "name")]
    assert desk.failures == {}


def test_a_task_that_dask_forgot_with_what_it_takes_is_asked_after():
    desk = Desk()
    desk.group.future._state.cancel(reason="already forgotten")
    desk.end("cancelled")
    assert desk.calls == [("recall", "Dask has forgotten it with a value that it takes")]
    assert desk.failures == {}


def test_a_value_of_which_use_is_made_may_be_sent_anew_as_often_as_before():
    desk = Desk()
    value = Scattered((b"", []))
    value.tries = 5
    desk.group.scattered = {value: None}
    desk.say(atoms={0: 0, 1: 1, 2: 2})
    assert value.tries == 0
