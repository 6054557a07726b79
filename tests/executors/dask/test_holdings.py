"""`Holdings`: large values on workers, and who hears when one is lost."""

import threading
from types import SimpleNamespace

import pytest
from distributed.client import FutureState

from dask_dispatcher import SchedulerLostError
from dask_dispatcher.arguments import NOT_HERE
from dask_dispatcher.executors.dask.boxes import Box
from dask_dispatcher.executors.dask.holdings import Holdings, names_of
from dask_dispatcher.executors.dask.values import Given, Held


class Engine:
    """Says what it was asked to do."""

    def __init__(self):
        self.lock = threading.RLock()
        self.jobs = []
        self.calls = []
        self.has_lost = False
        self.connection = SimpleNamespace(has_lost=lambda future: self.has_lost)

    def lose_users(self, held):
        self.calls.append(("lose users", held.name))

    def launch(self, state, *, blocking):
        self.calls.append(("launch", state, blocking))


class State:
    """A run whose only value was computed on worker ``w``."""

    def __init__(self, engine, *, is_over):
        self.owner, self.defunct = engine, None
        self.schedule = SimpleNamespace(is_over=is_over)
        self.values = [None]

    def lost(self, under_way, numbers, worker, reason):
        self.owner.calls.append(("lost", under_way, numbers, worker))
        self.schedule.is_over = False


@pytest.fixture
def engine():
    return Engine()


def hold(engine, holdings, state, *small, size=10):
    member = SimpleNamespace(address="w")
    future = SimpleNamespace(key=("g", 0), status="finished", _state=FutureState("g"))
    group = SimpleNamespace(job=SimpleNamespace(state=state), future=future, member=member)
    state.values[0] = holdings.add(group, 0, size, *small)
    return state.values[0]


def test_a_value_lost_in_the_middle_of_its_run_is_computed_again(engine):
    holdings, state = Holdings(engine), State(engine, is_over=False)
    held = hold(engine, holdings, state)
    holdings.lose({"another"})
    assert engine.calls == []
    holdings.lose({"g"})
    assert held.is_lost
    assert engine.calls == [("lose users", "g"), ("lost", [], [0], "w")]
    holdings.lose({"g"})  # told twice
    assert len(engine.calls) == 2


def test_a_value_of_a_run_that_is_over_waits_until_somebody_asks(engine):
    holdings, state = Holdings(engine), State(engine, is_over=True)
    held = hold(engine, holdings, state)
    holdings.lose({"g"})
    assert engine.calls == [("lose users", "g")]
    holdings.compute_again(held)
    assert engine.calls[1:] == [("lost", [], [0], "w"), ("launch", state, False)]


def test_a_value_that_dask_calls_lost_is_lost(engine):
    holdings, state = Holdings(engine), State(engine, is_over=False)
    held = hold(engine, holdings, state)
    held.future.status = "lost"
    holdings.lose(set())
    assert held.is_lost


@pytest.mark.parametrize(("reason", "is_lost"), [("already forgotten", True), (None, False)])
def test_a_value_that_dask_has_forgotten_is_lost_but_not_one_that_somebody_cancelled(
    engine, reason, is_lost
):
    holdings, state = Holdings(engine), State(engine, is_over=False)
    held = hold(engine, holdings, state)
    held.future.status = "cancelled"
    held.future._state.cancel(reason=reason)
    holdings.lose(set())
    assert held.is_lost == is_lost


def test_a_value_that_came_along_is_not_lost(engine):
    holdings, state = Holdings(engine), State(engine, is_over=False)
    held = hold(engine, holdings, state, 5)
    holdings.lose({"g"})
    assert not held.is_lost
    assert holdings.look(state, 0) == 5


def test_what_is_on_a_worker_is_not_here_until_it_is_fetched(engine):
    holdings, state = Holdings(engine), State(engine, is_over=True)
    held = hold(engine, holdings, state)
    assert holdings.look(state, 0) is NOT_HERE
    held.box = Box([1, 2])
    assert holdings.look(state, 0) == [1, 2]


def test_a_value_that_went_with_its_scheduler_cannot_be_an_input(engine):
    holdings, state = Holdings(engine), State(engine, is_over=True)
    held = hold(engine, holdings, state)
    node = SimpleNamespace(label="sum")
    future = SimpleNamespace(_checked=lambda: state, _number=0, node=node)
    assert holdings.adopt(future) is held
    engine.has_lost = True
    with pytest.raises(SchedulerLostError, match="the value of sum is gone"):
        holdings.adopt(future)
    held.box = Box([1, 2])  # fetched before
    assert type(holdings.adopt(future)) is Given


def test_names_of_groups_by_key():
    assert names_of([("a", 0), "b"]) == {"a", "b"}
    assert type(Held(None, 0, SimpleNamespace(key="b")).name) is str
