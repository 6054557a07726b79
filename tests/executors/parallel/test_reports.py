"""What workers say, and what their deaths mean, for runs."""

import pytest

from dask_dispatcher import NodeTimeoutError, op
from dask_dispatcher.executors.parallel.attempts import Attempts
from dask_dispatcher.executors.parallel.holdings import Holdings
from dask_dispatcher.executors.parallel.reports import lose_slice, report, unreadable
from dask_dispatcher.executors.parallel.slices import Slice
from dask_dispatcher.executors.parallel.values import Held, Pickled
from dask_dispatcher.executors.policy import Failure
from dask_dispatcher.executors.shares import Shares
from dask_dispatcher.executors.slices.carrying import dump
from dask_dispatcher.executors.slices.failures import dump_failure
from dask_dispatcher.schedule import DONE, FAILED, READY, RELEASED, RUNNING
from tests.executors.parallel.runs import Somebody, make_job

PLACE = ("memory", (1, 2, b"nonce"), [(0, 1_000)])


class Reporting:
    """A run of nodes that one worker was given, and what it says of them."""

    def __init__(self, *nodes, **policy):
        self.job = make_job(*nodes, **policy)
        self.state, self.schedule = self.job.state, self.job.schedule
        self.later = []
        self.attempts = Attempts(Shares(None), lambda delay, call: self.later.append(call))
        self.holdings = Holdings(lambda: None)
        self.worker = Somebody()
        numbers = self.schedule.take(100, follow=True)[::-1]
        self.part = Slice(self.job, 1, numbers, [], 0.0)
        self.worker.slices[1] = self.part

    def say(self, *, atoms=None, pickled=(), large=(), failed=(), skipped=(), back=(), used_up=()):
        atoms = atoms or {}
        said = [
            list(atoms),
            list(atoms.values()),
            *map(list, (pickled, large, failed, skipped)),
            [],
            [],
            list(used_up),
        ]
        with self.state.owner.lock:
            return report(
                self.holdings, self.attempts, self.worker, self.job, self.part, said, back
            )

    def die(self):
        with self.state.owner.lock:
            lose_slice(self.attempts, self.worker, self.part)

    @property
    def states(self):
        return list(self.schedule.state)


@pytest.fixture
def three():
    """Give the test three independent nodes on one worker."""
    step = op(int)
    return Reporting(*[step(n) for n in range(3)])


def failure(error):
    return dump_failure(Failure(error, "", "a worker"))


def test_values_of_all_kinds(three):
    three.say(atoms={0: "value"}, pickled=[(1, dump([1], "it")[0])], large=[(2, PLACE)])
    values = three.state.values
    assert values[0] == "value"
    assert (type(values[1]), values[1].open()) == (Pickled, [1])
    assert (type(values[2]), values[2].source.worker) == (Held, three.worker)
    assert three.states == [DONE] * 3
    assert not three.part.pending
    assert three.job.held


def test_what_was_used_up_is_done_and_not_needed():
    made = op(int)(1)
    reporting = Reporting(op(str)(made))
    made, taken = reporting.part.numbers
    assert reporting.say(atoms={taken: "1"}, used_up=[made]) == []
    assert (reporting.schedule.state[made], reporting.schedule.state[taken]) == (RELEASED, DONE)


def test_what_was_used_up_is_needed_again_if_what_took_it_is_not_done():
    made = op(int)(1)
    reporting = Reporting(op(str)(made))
    made, taken = reporting.part.numbers
    reporting.schedule.lose([taken])  # before its value came
    assert reporting.say(atoms={taken: "1"}, used_up=[made]) == [made]


def test_failures_and_what_is_tried_again():
    reporting = Reporting(op(int)(), op(int, retries=1)())
    reporting.say(failed=[(0, failure(ValueError("a"))), (1, failure(ValueError("b")))])
    assert str(reporting.state.error_of(0).__cause__) == "a"
    assert reporting.states[0] == FAILED
    (resume,) = reporting.later
    resume()
    assert reporting.states[1] == READY


def test_what_is_given_back_is_ready_again(three):
    three.say(atoms={0: 1}, back=[1, 2])
    assert three.states == [DONE, READY, READY]
    assert three.part.left() == []


def test_what_was_skipped_because_its_input_failed_ends_with_it():
    bad = op(int)()
    reporting = Reporting(op(abs)(bad), bad)
    index = reporting.state.plan.index
    number = index[bad]
    reporting.say(failed=[(number, failure(ValueError("no")))], skipped=[1 - number])
    assert reporting.states == [FAILED, FAILED]
    assert reporting.schedule.is_over


@pytest.mark.parametrize(
    "late",
    [
        {"atoms": {0: "late"}},
        {"pickled": [(0, dump(["late"], "it")[0])]},
        {"large": [(0, PLACE)]},
        {"failed": [(0, failure(ValueError("late")))]},
    ],
    ids=lambda late: next(iter(late)),
)
def test_what_comes_of_a_node_after_its_time_counts_no_more(late):
    reporting = Reporting(op(int, retries=1)(), op(int)(1))
    reporting.worker.timed_out = reporting.job.serial, 0
    reporting.attempts.fail(reporting.job, 0, Failure(NodeTimeoutError("too long"), "", None))
    (resume,) = reporting.later
    resume()
    assert reporting.schedule.take() == [0]  # its second attempt, elsewhere
    reporting.say(**late)
    assert reporting.states[0] == RUNNING
    assert reporting.state.values[0] is None
    assert reporting.state.failures[0] == 1
    reporting.say(atoms={1: "in time"})
    assert reporting.states[1] == DONE


# Deaths


def test_a_death_counts_for_the_node_under_way_only(three):
    three.say(atoms={three.part.numbers[0]: 1})
    current, after = three.part.numbers[1:]
    three.worker.current = current
    three.die()
    assert three.states[current] == READY
    assert three.schedule.losses == {current: 1}
    assert three.states[after] == READY
    assert three.job.is_alone(current)
    assert not three.job.is_alone(after)


def test_what_had_run_but_was_not_heard_of_is_run_again_and_not_blamed(three):
    first, current, _ = three.part.numbers
    three.worker.current = current
    three.die()
    assert three.states == [READY] * 3
    assert not three.job.is_alone(first)


def test_a_death_before_anything_began_is_nobodys_fault(three):
    three.worker.current = -1
    three.die()
    assert three.states == [READY] * 3
    assert three.schedule.losses == {}


# Values that cannot be brought


def test_a_value_that_cannot_be_brought_again_and_again_counts_as_lost():
    source = op(int)()
    reporting = Reporting(op(abs)(source))
    number = reporting.state.plan.index[source]
    node = 1 - number
    reporting.say(large=[(number, PLACE)], skipped=[node])
    lost = {}
    for _ in range(100):
        lost = unreadable(reporting.job, [node])
        if lost:
            break
    assert lost == {reporting.state: [number]}
    assert reporting.state.values[number].source is None
