"""What can befall the connection between the program and its scheduler: row 34."""

import pytest
from tests.support import eventually
from tests.support.proxy import Proxy

from dask_dispatcher import Client, DaskExecutor, ExecutorError, SchedulerLostError, op

# A client whose connection breaks connects anew; stopped in the middle of that, it loses a socket.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
    pytest.mark.reconnects,
]

BOUND = 20.0  # seconds: an answer is missed after 5, and 10 more
LARGE = 5_000  # items of a value that stays on its worker
FAULTS = ["black_hole", "reset", "trickle"]


@pytest.fixture
def proxy(shared_cluster):
    with Proxy(shared_cluster.address) as proxy:
        yield proxy


def ok_or_lost(function):
    """Return what a function returns; None if it says that the scheduler is lost."""
    try:
        return function()
    except SchedulerLostError:
        return None


@pytest.mark.parametrize("fault", FAULTS)
def test_connection_fails_in_the_middle_of_a_run(proxy, starts_log, gate, fault):
    record, passing = starts_log.record, gate.passing
    fetched = op(lambda: record("fetched") or [1] * LARGE)()
    finished = op(lambda: record("finished") or [2] * LARGE)()
    blocked = op(lambda: record("blocked") or passing() or 3)()
    with DaskExecutor(proxy.address) as executor:
        run = executor.start([fetched, finished, blocked, op(abs)(blocked)])
        completed = run.as_completed()
        there = dict(next(completed) for _ in range(2))
        assert there[fetched].unwrap().fetch(BOUND) == [1] * LARGE
        gate.wait()
        getattr(proxy, fault)()
        results = run.results(BOUND)
        gate.open()
        assert all(
            result.is_ok() or type(result.unwrap_err()) is SchedulerLostError for result in results
        )
        assert results[0].unwrap().fetch(1) == [1] * LARGE
        assert ok_or_lost(lambda: executor.compute(op(abs)(-4))) in (None, 4)
        proxy.heal()
        # Nothing that was sent into the void keeps the next run from working.
        assert eventually(lambda: ok_or_lost(lambda: executor.compute(op(abs)(-5))), BOUND) == 5
    assert set(starts_log.counts().values()) == {1}


@pytest.mark.parametrize("fault", FAULTS)
def test_connection_fails_while_a_value_is_fetched(proxy, fault):
    with Client(proxy.address) as client:
        future = client.submit(op(lambda: [2] * LARGE)())
        assert future.wait(BOUND)
        getattr(proxy, fault)()
        assert ok_or_lost(lambda: client.gather([future])) in (None, [[2] * LARGE])


@pytest.mark.parametrize("fault", ["black_hole", "trickle"])
def test_close_without_a_connection_ends(proxy, fault):
    executor = DaskExecutor(proxy.address)
    (result,) = executor.run([op(lambda: [2] * LARGE)()])
    getattr(proxy, fault)()
    executor.close()
    with pytest.raises(ExecutorError, match="closed"):
        result.unwrap().fetch()


@pytest.mark.parametrize("fault", ["black_hole", "trickle"])
def test_scheduler_that_cannot_be_reached_from_the_start(proxy, fault):
    getattr(proxy, fault)()
    with pytest.raises(ExecutorError, match="says nothing within"):
        DaskExecutor(proxy.address)
