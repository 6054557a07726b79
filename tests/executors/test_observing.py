"""`Pump`: what observers are told, when, and what one can break."""

import asyncio
import gc
import threading
import weakref

import pytest

from dask_dispatcher import AsyncExecutor, op
from dask_dispatcher.events import (
    NodeFailed,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    Progressed,
    RunEnded,
    RunStarted,
)
from tests.support import eventually

WAIT = 20.0


class Recorder:
    """Keeps every batch."""

    def __init__(self):
        self.batches = []
        self.threads = set()
        self.changed = threading.Condition()

    def on_events(self, batch):
        with self.changed:
            self.batches.append(list(batch))
            self.threads.add(threading.current_thread().name)
            self.changed.notify_all()

    @property
    def events(self):
        return [event for batch in self.batches for event in batch]

    def of(self, *kinds):
        return [event for event in self.events if isinstance(event, kinds)]

    def wait_for(self, is_true):
        with self.changed:
            assert self.changed.wait_for(lambda: is_true(self), WAIT)


@pytest.fixture
def recorder():
    return Recorder()


def identity(value):
    return value


async def coroutine(value):
    return value


async def suspending(value):
    await asyncio.sleep(0)
    return value


def test_observers_may_come_from_an_iterator(executor, recorder):
    executor.run([op(identity)(1)], observers=iter([recorder]))
    recorder.wait_for(lambda recorder: recorder.of(RunEnded))


def test_a_run_is_told_from_its_start_to_its_end(executor, recorder):
    node = op(identity)(1)
    executor.run([node + 1, op(identity)(2)], observers=[recorder])
    first, *_, last = recorder.events
    assert isinstance(first, RunStarted)
    assert first.nodes == 3
    assert isinstance(last, RunEnded)
    assert (last.nodes, last.done, last.failed) == (3, 3, 0)
    counts = [event.done for event in recorder.of(Progressed)]
    assert counts == sorted(counts)
    assert counts[-1] == 3
    assert len(recorder.of(RunStarted)) == len(recorder.of(RunEnded)) == 1


@pytest.mark.parametrize("function", [identity, coroutine, suspending])
def test_each_node_that_finishes_has_a_record(executor, recorder, function):
    nodes = [op(function, label=f"n{number}")(number) for number in range(50)]
    nodes += [op(function, label="slow", timeout=WAIT)(nodes[0])]
    executor.run(nodes, observers=[recorder])
    finished = recorder.of(NodeFinished)
    assert {event.node for event in finished} == set(nodes)
    assert len(finished) == len(nodes)
    (ended,) = recorder.of(RunEnded)
    started = recorder.of(RunStarted)[0].time
    for event in finished:
        assert event.label == event.node.label
        assert event.attempt == 1
        assert isinstance(event.worker, str)
        assert started <= event.started <= event.time <= ended.time
    times = [event.time for event in finished]
    assert len({event.node for event in recorder.of(NodeStarted)}) == len(recorder.of(NodeStarted))
    assert times == sorted(times) or function is identity  # plain calls end on many threads


def test_a_node_that_takes_long_is_told_when_it_starts(executor, recorder, release):
    node = op(release.wait)(WAIT)
    run = executor.start([node], observers=[recorder])
    recorder.wait_for(lambda r: [event.node for event in r.of(NodeStarted)] == [node])
    assert recorder.of(NodeFinished) == []
    release.set()
    run.results(WAIT)
    assert [event.node for event in recorder.of(NodeStarted)] == [node]
    (finished,) = recorder.of(NodeFinished)
    assert finished.started == recorder.of(NodeStarted)[0].time


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_failures_and_retries_are_told_with_their_errors(executor, recorder, is_coroutine):
    attempts = []

    def fail():
        attempts.append(1)
        raise ValueError(len(attempts))

    async def fail_later():
        await asyncio.sleep(0)
        fail()

    node = op(fail_later if is_coroutine else fail, retries=2, retry_delay=0)()
    dependent = op(identity)(node)
    executor.run([dependent], observers=[recorder], raise_errors=False)
    retried, failed = recorder.of(NodeRetried), recorder.of(NodeFailed)
    assert [event.attempt for event in retried] == [1, 2]
    assert [event.error.args for event in (*retried, *failed)] == [(1,), (2,), (3,)]
    assert all(event.delay >= 0 and event.node is node for event in retried)
    (last,) = failed
    assert (last.node, last.attempt) == (node, 3)
    assert recorder.of(NodeFinished) == []
    assert recorder.events[-1].failed == 2


def test_a_node_that_succeeds_at_its_second_attempt_says_so(executor, recorder):
    attempts = []

    def second_time():
        attempts.append(1)
        return 1 / (len(attempts) - 1)

    executor.run([op(second_time, retries=1, retry_delay=0)()], observers=[recorder])
    assert [event.attempt for event in recorder.of(NodeFinished)] == [2]


def test_batches_come_while_the_run_goes_on(executor, recorder, release):
    run = executor.start([op(identity)(1), op(release.wait)(WAIT)], observers=[recorder])
    recorder.wait_for(lambda r: r.of(NodeFinished))
    recorder.wait_for(lambda r: r.of(Progressed) and r.of(Progressed)[-1].done == 1)
    assert not run.done()
    release.set()
    run.results(WAIT)
    assert recorder.events[-1].done == 2


def test_a_run_in_which_nothing_happens_is_told_of_now_and_then(executor, recorder, release):
    run = executor.start([op(release.wait)(WAIT)], observers=[recorder])
    recorder.wait_for(lambda r: len(r.of(Progressed)) >= 3)
    release.set()
    run.results(WAIT)


def test_records_are_frozen(executor, recorder):
    executor.run([op(identity)(1)], observers=[recorder])
    for event in recorder.events:
        with pytest.raises(AttributeError):
            event.time = 0


@pytest.mark.parametrize("batches", [1, 2], ids=["as it begins", "later"])
@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, asyncio.CancelledError])
def test_an_observer_that_raises_is_reported_and_dropped(
    executor, recorder, caplog, error, batches
):
    calls = []

    class Broken:
        def on_events(self, batch):
            calls.append(batch)
            if len(calls) == batches:
                raise error

    assert executor.run([op(identity)(1)], observers=[Broken(), recorder])[0].is_ok()
    assert len(calls) == batches
    (record,) = caplog.records
    assert "'Broken' raised and is dropped" in record.message
    assert record.exc_info[0] is error
    assert isinstance(recorder.events[-1], RunEnded)


def test_counts_only_gets_no_record_of_single_nodes(executor, recorder):
    recorder.counts_only = True
    executor.run([op(identity)(n) for n in range(10)], observers=[recorder])
    assert {type(event) for event in recorder.events} == {RunStarted, Progressed, RunEnded}
    assert recorder.events[-1].done == 10


def test_every_observer_gets_all_when_one_wants_more_than_counts(executor, recorder):
    counting = Recorder()
    counting.counts_only = True
    executor.run([op(identity)(1)], observers=[counting, recorder])
    assert isinstance(counting.events[-1], RunEnded)
    assert len(recorder.of(NodeFinished)) == 1


def test_a_run_of_nothing_is_told_too(executor, recorder):
    executor.run([], observers=[recorder])
    assert [type(event) for event in recorder.events] == [RunStarted, Progressed, RunEnded]


def test_a_run_that_is_cancelled_ends_for_its_observers(executor, recorder, release):
    run = executor.start([op(release.wait)(WAIT), op(identity)(1)], observers=[recorder])
    run.cancel()
    run.results(WAIT)
    last = recorder.events[-1]
    assert isinstance(last, RunEnded)
    assert last.done + last.failed == 2
    release.set()


def test_a_closed_executor_ends_its_runs_for_their_observers(recorder):
    release = threading.Event()
    with AsyncExecutor() as executor:
        run = executor.start([op(release.wait)(WAIT)], observers=[recorder])
        release.set()
    run.results(WAIT)
    assert isinstance(recorder.events[-1], RunEnded)


def test_results_come_after_the_observers_last_batch(executor):
    late = threading.Event()

    class Slow:
        has_ended = False

        def on_events(self, batch):
            if isinstance(batch[-1], RunEnded):
                late.wait(0.05)
                self.has_ended = True

    observer = Slow()
    executor.run([op(identity)(1)], observers=[observer])
    assert observer.has_ended

    async def main():
        again = Slow()
        await executor.start([op(identity)(1)], observers=[again])
        return again.has_ended

    assert asyncio.run(main())


def test_an_observed_run_is_gone_with_its_last_reference():
    class Ignores:
        def on_events(self, batch):
            pass

    def call():
        return 1

    gone = weakref.ref(call)
    with AsyncExecutor() as executor:
        run = executor.start([op(call)()], observers=[Ignores()])
        assert run.results(WAIT)[0].unwrap().fetch() == 1
        executor.compute(op(identity)(2))  # so that no thread is left with the call in its hands
        gc.disable()  # what is not gone now waits for the collector
        try:
            del run, call
            eventually(lambda: gone() is None, WAIT)
        finally:
            gc.enable()
