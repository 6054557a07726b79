"""Checks of what observers are told."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from ...events import (
    Event,
    NodeFailed,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    Progressed,
    RunEnded,
    RunStarted,
)
from ...executors.base import Executor
from ...ops import op
from ..calls import Boom, add, boom, mix, stall, stall_async
from ..expecting import equal, is_instance, true
from ..files import Gate, Journal

__all__ = [
    "events_tell_the_whole_story",
    "long_calls_are_seen_to_start",
    "events_of_failures_and_retries",
    "an_observer_that_raises_is_dropped",
    "who_only_counts_gets_no_records_of_nodes",
]

Factory = Callable[[], Executor]


class _Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.batches: list[list[Event]] = []

    def on_events(self, batch: Sequence[Event]) -> None:
        self.batches.append(list(batch))

    @property
    def events(self) -> list[Any]:
        return [event for batch in self.batches for event in batch]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if type(event) is kind]


class _Opener(_Listener):
    """Opens a gate when it is told that a node has started."""

    def __init__(self, node: Any, gate: Gate) -> None:
        super().__init__()
        self._node = node
        self._gate = gate

    def on_events(self, batch: Sequence[Event]) -> None:
        super().on_events(batch)
        if any(type(event) is NodeStarted and event.node is self._node for event in batch):
            self._gate.open()


class _Counter(_Listener):
    counts_only = True


class _Raising:
    def __init__(self) -> None:
        self.asked = 0

    def on_events(self, batch: Sequence[Event]) -> None:
        self.asked += 1
        raise ValueError("as planned")


def events_tell_the_whole_story(factory: Factory) -> None:
    """Between the run's start and its end each node finishes once, after all that it needs."""
    listener = _Listener()
    first = op(add, label="first")(1)
    middle = [first + n for n in range(10)]
    last = op(sum)(middle)
    with factory() as executor:
        executor.run([last], observers=[listener])
    events = listener.events
    equal("the first event", type(events[0]), RunStarted)
    equal("the number of nodes", events[0].nodes, 12)
    equal("the last event", type(events[-1]), RunEnded)
    equal("the counts at the end", events[-1][1:], (12, 12, 0))
    equal("how often it starts", len(listener.of(RunStarted)), 1)
    equal("how often it ends", len(listener.of(RunEnded)), 1)
    finished = listener.of(NodeFinished)
    order = [event.node for event in finished]
    true("each node finishes once", order[0] is first and order[-1] is last and len(order) == 12)
    true("all nodes finish", set(order) == {first, *middle, last})
    equal("label and attempt", (finished[0].label, finished[0].attempt), ("first", 1))
    for event in finished:
        true(f"{event.label} ends after it began", event.started <= event.time)
    for event in listener.of(NodeStarted):
        place = events.index(event)
        true(f"{event.label} starts first", place < events.index(finished[order.index(event.node)]))


def long_calls_are_seen_to_start(factory: Factory) -> None:
    """An observer learns that a call has started while it is still under way."""
    for function in (stall, stall_async):
        with factory() as executor, Gate() as gate:
            held = op(function)(gate)
            # It opens the gate: if it is told too late, the node gives up.
            listener = _Opener(held, gate)
            equal(
                "the value", executor.gather(executor.run([held], observers=[listener])), ["passed"]
            )
        equal("starts", [event.node for event in listener.of(NodeStarted)], [held])


def events_of_failures_and_retries(factory: Factory) -> None:
    """Each attempt has its record; dependents of a failure have none, but are counted."""
    listener = _Listener()
    with Journal() as journal, factory() as executor:
        flaky = op(mix, retries=2, retry_delay=0.001)(journal, "flaky", 1)
        bad = op(boom)("as planned")
        executor.run([flaky, bad + 1], raise_errors=False, observers=[listener])
    (retried,), (finished,) = listener.of(NodeRetried), listener.of(NodeFinished)
    (failed,) = listener.of(NodeFailed)
    true("what was tried again", retried.node is flaky and finished.node is flaky)
    equal("the attempts", (retried.attempt, finished.attempt), (1, 2))
    true("what was not", failed.node is bad)
    is_instance("the error that was tried again", retried.error, Boom)
    is_instance("the error that was not", failed.error, Boom)
    starts = Counter(event.node for event in listener.of(NodeStarted))
    true("no attempt starts twice", starts[flaky] <= 2 and starts[bad] <= 1 and len(starts) <= 2)
    equal("the counts at the end", listener.events[-1][1:], (3, 1, 2))


def an_observer_that_raises_is_dropped(factory: Factory) -> None:
    """It is asked once, and neither the run nor other observers are disturbed."""
    raising, listener = _Raising(), _Listener()
    with factory() as executor, _quiet():
        results = executor.run([op(add)(1), op(add)(2)], observers=[raising, listener])
        equal("values", executor.gather(results), [1, 2])
    equal("how often it was asked", raising.asked, 1)
    equal("the other observer's last event", type(listener.events[-1]), RunEnded)


def who_only_counts_gets_no_records_of_nodes(factory: Factory) -> None:
    """An observer with `counts_only` is told of the run as a whole."""
    counter = _Counter()
    with factory() as executor:
        executor.run([op(add)(n) for n in range(5)], observers=[counter])
    true("no records of nodes", not any(hasattr(event, "node") for event in counter.events))
    equal("the last count", counter.of(Progressed)[-1][1:], (5, 5, 0))
    equal("the end", counter.events[-1][1:], (5, 5, 0))


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """Keep the report of the dropped observer off the screen."""
    log = logging.getLogger("dask_dispatcher")
    log.addFilter(_rejects)
    try:
        yield
    finally:
        log.removeFilter(_rejects)


def _rejects(record: logging.LogRecord) -> bool:
    return False
