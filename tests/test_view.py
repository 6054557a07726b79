"""`RunView`: the nodes of a run and their states, for as long as the run goes on."""

import gc
import weakref

import pytest

from dask_dispatcher import AsyncExecutor, op
from dask_dispatcher.events import NodeFailed, RunEnded, RunStarted
from dask_dispatcher.view import STATES


class Looker:
    """Looks at the run at its start, after each failure, and at its end."""

    def __init__(self):
        self.view = None
        self.seen = []

    def on_events(self, batch):
        for event in batch:
            if isinstance(event, RunStarted):
                self.view = event.view
            if isinstance(event, (RunStarted, NodeFailed, RunEnded)):
                self.seen.append(self.look())

    def look(self):
        states = self.view.states()
        return {self.view.nodes[n].label: STATES[state] for n, state in enumerate(states)}


def fail():
    raise ValueError


@pytest.fixture
def looker():
    return Looker()


def test_states_from_the_start_to_the_end(looker):
    good, bad = op(int, label="good")("1"), op(fail, label="bad", retries=1, retry_delay=0)()
    nodes = [good, op(abs, label="after bad")(bad)]
    with AsyncExecutor() as executor:
        executor.run(nodes, raise_errors=False, observers=[looker])
    first, *_, last = looker.seen
    assert first == {"good": "ready", "bad": "ready", "after bad": "waiting"}
    assert last == {"good": "done", "bad": "failed", "after bad": "failed"}


def test_it_tells_how_nodes_hang_together():
    found = {}

    class Reader:
        def on_events(self, batch):
            for event in batch:
                if isinstance(event, RunStarted):
                    self.view = event.view
                if isinstance(event, RunEnded):
                    self.read(self.view)

        def read(self, view):
            found.update(
                executor=view.executor,
                numbers=[view.number(node) for node in (total, part)],
                needs=[list(needs) for needs in view.needs],
                requested=list(view.requested),
                given=[0 in view.given, 1 in view.given],
                workers=view.workers(),
            )

    part = op(int)("1")
    total = part + 1
    with AsyncExecutor() as executor:
        executor.run([total], observers=[Reader()])
    assert found == {
        "executor": "AsyncExecutor",
        "numbers": [0, 1],
        "needs": [[1], []],
        "requested": [0],
        "given": [False, False],
        "workers": 1,
    }


def test_it_lets_go_of_the_run_when_that_is_over(looker):
    class Value:
        pass

    def make():
        value = Value()
        made.append(weakref.ref(value))
        return value

    made = []
    with AsyncExecutor() as executor:
        results = executor.run([op(make)()], observers=[looker])
        assert made[0]() is not None
        del results
        gc.collect()
        assert made[0]() is None
    for question in (lambda: looker.view.nodes, looker.view.states):
        with pytest.raises(ValueError, match="over"):
            question()
    assert looker.view.workers() is None
    assert looker.view.failures() == {}
