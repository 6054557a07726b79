"""Event records: frozen, cheap, and the same in every batch; what an observer has to be."""

import pickle
from typing import get_args

import pytest

from dask_dispatcher import AsyncExecutor, Observer, events, op
from dask_dispatcher.events import (
    Event,
    NodeFailed,
    NodeFinished,
    NodeLost,
    NodeRetried,
    NodeStarted,
    Progressed,
    RunEnded,
    RunStarted,
)

RECORDS = get_args(Event)
NODE = op(int)("1")
VALUES = {
    "time": 1.5,
    "node": NODE,
    "label": "int",
    "attempt": 2,
    "worker": None,
    "started": 1.0,
    "error": ValueError("x"),
    "delay": 0.5,
    "nodes": 3,
    "done": 2,
    "failed": 1,
    "view": None,
    "moved": 100,
    "traceback": "Traceback",
    "arguments": ("0: int",),
}


def example(record):
    return record(**{name: VALUES[name] for name in record._fields})


def test_every_record_is_an_event():
    named = {getattr(events, name) for name in events.__all__} - {Observer, Event}
    assert named == set(RECORDS)


@pytest.mark.parametrize("record", RECORDS)
def test_records_are_frozen_named_and_timed(record):
    event = example(record)
    assert record._fields[0] == "time"
    for name in record._fields:
        assert getattr(event, name) == VALUES[name]
        with pytest.raises(AttributeError):
            setattr(event, name, None)


@pytest.mark.parametrize("record", RECORDS)
def test_records_pickle(record):
    back = pickle.loads(pickle.dumps(example(record)))
    assert type(back) is record
    assert back.time == 1.5


def test_records_match_by_class():
    match example(NodeFailed):
        case NodeFinished() | NodeStarted():
            pytest.fail("another record")
        case NodeFailed(label=label, error=error):
            assert (label, str(error)) == ("int", "x")


def test_a_run_tells_its_story_in_order():
    class Seen:
        def __init__(self):
            self.batches = []

        def on_events(self, batch):
            self.batches.append(list(batch))

    tried = []

    def flaky():
        tried.append(1)
        if len(tried) == 1:
            raise ValueError("first")

    def fails():
        raise KeyError("k")

    good = op(flaky, retries=1, retry_delay=0)()
    bad = op(fails)()
    seen: Observer = Seen()
    with AsyncExecutor() as executor:
        executor.run([good, -bad], raise_errors=False, observers=[seen])
    told = [event for batch in seen.batches for event in batch]
    assert type(told[0]) is RunStarted
    assert [type(event) for event in told[-2:]] == [Progressed, RunEnded]
    assert all(seen.batches)
    # The start of an attempt that ends at once need not be told.
    ends = [event for event in told if type(event) in (NodeRetried, NodeFinished, NodeFailed)]
    assert [type(event) for event in ends if event.node is good] == [NodeRetried, NodeFinished]
    assert [event.attempt for event in ends if event.node is good] == [1, 2]
    assert [type(event) for event in ends if event.node is bad] == [NodeFailed]
    assert isinstance(ends[[event.node for event in ends].index(bad)].error, KeyError)
    (end,) = [event for event in told if type(event) is RunEnded]
    assert (end.nodes, end.done, end.failed) == (3, 1, 2)
    assert not [event for event in told if type(event) is NodeLost]
