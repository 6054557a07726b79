"""`Watch`: what follows from what the scheduler says of its workers."""

import concurrent.futures
from types import SimpleNamespace

import pytest

from dask_dispatcher import NoWorkersError
from dask_dispatcher.executors.dask import watching
from dask_dispatcher.executors.dask.crew import Crew
from dask_dispatcher.executors.dask.reclaiming import Reclaimer
from dask_dispatcher.executors.dask.watching import Watch


class Engine:
    """One run is under way; what the watch does is noted down."""

    def __init__(self):
        self.states, self.jobs, self.crew = ["state"], [], Crew()
        self.calls = []
        self.reclaimer = Reclaimer(self)
        self.answer = concurrent.futures.Future()
        self.connection = SimpleNamespace(
            is_alive=True, address="tcp://s:1", client=None, identity=lambda: self.answer
        )

    def later(self, seconds, call):
        self.calls.append("look again")

    def post(self, call):
        call()

    def gone(self, members, names):
        self.calls += [f"gone {member.address}" for member in members]

    def scheduler_lost(self, why):
        self.calls.append(f"lost: {why}")

    def stop_all(self, error, text, *, again):
        self.calls.append((error, text, again))


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr(watching, "listen", lambda *_: None)
    return Engine()


def told(engine, **workers):
    known = {name: {"nthreads": 1, "status": status} for name, status in workers.items()}
    engine.answer.set_result({"id": "s", "workers": known})
    engine.answer = concurrent.futures.Future()


def test_looks_as_long_as_a_run_is_under_way(engine):
    watch = Watch(engine, 30)
    watch.begin()
    watch.begin()  # looks already
    assert engine.calls == ["look again"]
    engine.states.clear()
    watch._look()
    assert engine.calls == ["look again"]


def test_who_has_left_is_gone(engine):
    watch = Watch(engine, 30)
    watch.begin()
    told(engine, a="running", b="running")
    watch._look()
    told(engine, b="running")
    assert engine.calls == ["look again", "look again", "gone a"]


def test_one_question_at_a_time(engine):
    watch = Watch(engine, 30)
    watch.begin()
    first = engine.answer
    engine.answer = None
    watch._look()
    assert watch._asked is first


def test_no_answer_means_that_the_scheduler_is_lost(engine):
    Watch(engine, 30).begin()
    engine.answer.set_exception(TimeoutError())
    assert engine.calls == ["look again", "lost: it does not answer"]


def test_a_broken_connection_means_that_the_scheduler_is_lost(engine):
    engine.connection.is_alive = False
    Watch(engine, 30).begin()
    assert engine.calls == ["look again", "lost: the connection broke"]


@pytest.mark.parametrize(
    ("workers", "words"),
    [({}, "dask worker tcp://s:1"), ({"a": "paused", "b": "paused"}, "are paused")],
)
def test_without_workers_that_take_tasks_runs_end(engine, workers, words):
    watch = Watch(engine, -1)  # time is up at once
    watch.begin()
    told(engine, **workers)
    error, text, again = engine.calls[-1]
    assert (error, again) == (NoWorkersError, False)
    assert words in text


def test_there_is_hope_until_time_is_up(engine):
    watch = Watch(engine, 30)
    watch.begin()
    told(engine, a="paused")
    assert engine.calls == ["look again"]
    assert not watch.is_hopeless
