"""`Shares`: resources are used by one node at a time, and nobody waits for what never comes."""

import pytest

from dask_dispatcher import AsyncExecutor, NoWorkersError, op
from dask_dispatcher.executors.shares import Shares
from dask_dispatcher.executors.state import RunState
from dask_dispatcher.plan import compile_plan
from dask_dispatcher.schedule import FAILED, READY, RUNNING


@pytest.fixture
def make_state(executor: AsyncExecutor):
    """Give the test runs of independent nodes that were all begun, as an engine would."""

    def make(n=2):
        call = op(int)
        nodes = [call(i) for i in range(n)]
        state = RunState(executor._engine, compile_plan(nodes), fail_fast=False)
        assert len(state.schedule.take(n)) == n
        return state

    with executor._engine.lock:  # as whatever an engine does with its runs
        yield make


def test_a_second_node_waits_until_the_first_gives_back(make_state):
    shares, state = Shares({"GPU": 1}), make_state()
    assert shares.acquire(state, 0, {"GPU": 1})
    assert not shares.acquire(state, 1, {"GPU": 1})
    assert state.schedule.state[1] == RUNNING  # parked: nobody else takes it
    shares.release({"GPU": 1})
    assert state.schedule.state[1] == READY
    assert state.schedule.take() == [1]
    assert shares.acquire(state, 1, {"GPU": 1})


def test_as_many_at_once_as_there_is_of_it(make_state):
    shares, state = Shares({"slot": 1.0}), make_state(4)
    assert [shares.acquire(state, number, {"slot": 0.4}) for number in range(4)] == [
        True,
        True,
        False,
        False,
    ]
    shares.release({"slot": 0.4})
    assert sorted(state.schedule.take(4)) == [2, 3]


def test_all_or_nothing_of_several(make_state):
    shares, state = Shares({"a": 1, "b": 1}), make_state(3)
    assert shares.acquire(state, 0, {"a": 1})
    assert not shares.acquire(state, 1, {"a": 1, "b": 1})
    assert shares.acquire(state, 2, {"b": 1})  # the one that waits holds nothing


def test_what_there_will_never_be_enough_of_fails_its_node(make_state):
    shares, state = Shares({"GPU": 1}), make_state()
    assert not shares.acquire(state, 0, {"GPU": 2})
    assert not shares.acquire(state, 1, {"disk": 1})
    assert [state.schedule.state[number] for number in (0, 1)] == [FAILED, FAILED]
    for number, missing in enumerate(("GPU", "disk")):
        error = state.error_of(number)
        assert type(error) is NoWorkersError
        assert error.node is state.plan.nodes[number]
        assert missing in str(error)
        assert "resources=" in str(error)


def test_runs_share_and_those_that_are_over_are_forgotten(make_state):
    shares, one, two = Shares({"GPU": 1}), make_state(), make_state()
    assert shares.acquire(one, 0, {"GPU": 1})
    assert not shares.acquire(one, 1, {"GPU": 1})
    assert not shares.acquire(two, 0, {"GPU": 1})
    shares.forget(one)
    shares.release({"GPU": 1})
    assert one.schedule.state[1] == RUNNING
    assert two.schedule.state[0] == READY


def test_nothing_is_there_unless_it_was_given(make_state):
    shares, state = Shares(None), make_state(1)
    assert not shares.acquire(state, 0, {"GPU": 1})
    assert type(state.error_of(0)) is NoWorkersError
