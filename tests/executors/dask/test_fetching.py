"""`fetch`: values in one exchange, lost ones computed again, and no wait without an end."""

import concurrent.futures
import threading
from types import SimpleNamespace

import pytest

from dask_dispatcher import ExecutorError, NoWorkersError, SchedulerLostError, SerializationError
from dask_dispatcher.executors.dask import fetching
from dask_dispatcher.executors.dask.boxes import Box, Kept
from dask_dispatcher.executors.dask.fetching import fetch
from dask_dispatcher.executors.dask.values import Given, Held, Pickled
from dask_dispatcher.executors.slices.carrying import dump

LONG = 20.0  # seconds, which no test waits for


class Cluster:
    """The engine, the connection and the watch; tasks by key, with what is on the workers.

    Attributes
    ----------
    asked : list of list
        The keys of each exchange.
    """

    def __init__(self):
        self.lock = threading.RLock()
        self.connection = self.holdings = self.watch = self
        self.client = object()
        self.is_alive = True
        self.is_hopeless = False
        self.worker_timeout = 3.0
        self.asked = []
        self.data = {}
        self.answers = []  # before the data: statuses, exceptions, or None for silence
        self.pending = []
        self.is_known = True  # whether the scheduler answers when asked who it is
        self.computed_again = []

    def check_process(self):
        pass

    def collect(self, keys):
        self.asked.append(keys)
        answer = self.answers.pop(0) if self.answers else {"status": "OK", "data": self.data}
        self.pending.append(_future(answer))
        return self.pending[-1]

    def identity(self):
        return _future({} if self.is_known else OSError("no connection"))

    def compute_again(self, held):
        self.computed_again.append(held)
        self.hold(held.state, held.number, "again", "computed again")

    def hold(self, run, number, key, value, inside=None):
        """Leave a value on a worker, alone or in a group's result."""
        box = Box(value)
        if inside is not None:
            kept = self.data.setdefault(key, Kept())
            kept.boxes[inside] = box
        else:
            self.data[key] = box
        future = SimpleNamespace(key=key, status="finished", client=self.client, _state=None)
        run.values[number] = Held(run, number if inside is None else inside, future, "w", 10)
        return run.values[number]


def _future(answer):
    future = concurrent.futures.Future()
    if isinstance(answer, Exception):
        future.set_exception(answer)
    elif answer is not None:
        future.set_result(answer)
    return future


class Run:
    """A run whose nodes have ended, or have not."""

    def __init__(self, count):
        self.values = [None] * count
        self.plan = SimpleNamespace(nodes=[SimpleNamespace(label=f"n{n}") for n in range(count)])
        self.defunct = None
        self.is_over = True
        self.errors = {}

    def wait_for(self, number, timeout):
        return self.is_over

    def error_of(self, number):
        return self.errors.get(number)

    def fetch(self, cluster, *numbers, timeout=LONG):
        return fetch(cluster, [(self, number) for number in numbers], timeout)


@pytest.fixture
def cluster():
    """Give the test a cluster that does as it is told."""
    return Cluster()


# Values


def test_what_is_here_is_not_asked_for(cluster):
    run = Run(4)
    run.values[:3] = ["atom", Pickled(dump([1], "it")[0]), Given("given")]
    held = cluster.hold(run, 3, "key", "value")
    held.small = Pickled(dump([2], "it")[0])
    assert run.fetch(cluster, 0, 1, 2, 3) == ["atom", [1], "given", [2]]
    assert cluster.asked == []


def test_many_values_come_in_one_exchange_and_each_task_is_asked_for_once(cluster):
    run = Run(4)
    for number in range(3):
        cluster.hold(run, number, "group", number * 10, inside=number)
    cluster.hold(run, 3, "other", "alone")
    assert run.fetch(cluster, 0, 3, 2, 1, 0) == [0, "alone", 20, 10, 0]
    assert cluster.asked == [["group", "other"]]
    assert run.fetch(cluster, 1) == [10]  # which is here by now
    assert len(cluster.asked) == 1


def test_a_group_is_asked_for_when_it_has_ended(cluster, monkeypatch):
    run = Run(1)
    future = cluster.hold(run, 0, "key", "value").future
    future.status = "pending"

    def sleep(_):
        assert cluster.asked == []
        future.status = "finished"

    monkeypatch.setattr(fetching.time, "sleep", sleep)
    assert run.fetch(cluster, 0) == ["value"]


def test_a_holder_that_has_just_gone_is_asked_again(cluster):
    run = Run(1)
    cluster.hold(run, 0, "key", "value")
    cluster.answers = [{"status": "error"}]
    assert run.fetch(cluster, 0) == ["value"]
    assert cluster.asked == [["key"]] * 2


def test_a_value_that_cannot_be_unpickled_names_its_node(cluster):
    run = Run(1)
    cluster.hold(run, 0, "key", None)
    cluster.data["key"] = Box.of(b"nonsense", ())
    with pytest.raises(SerializationError, match="n0: the value cannot be unpickled") as caught:
        run.fetch(cluster, 0)
    assert caught.value.node is run.plan.nodes[0]


# Losses


def test_a_lost_value_is_computed_again(cluster):
    run = Run(2)
    lost = cluster.hold(run, 0, "key", "value")
    cluster.hold(run, 1, "other", "there")
    lost.is_lost = True
    assert run.fetch(cluster, 0, 1) == ["computed again", "there"]
    assert cluster.computed_again == [lost]
    assert cluster.asked == [["again", "other"]]


def test_a_value_that_is_lost_while_it_is_asked_for(cluster):
    run = Run(1)
    lost = cluster.hold(run, 0, "key", "value")
    cluster.answers = [{"status": "error"}]

    def collect(keys):
        lost.is_lost = keys == ["key"]
        return Cluster.collect(cluster, keys)

    cluster.collect = collect
    assert run.fetch(cluster, 0) == ["computed again"]


def test_a_value_whose_group_dask_has_run_again_in_vain(cluster):
    run = Run(1)
    lost = cluster.hold(run, 0, "key", "value", inside=0)
    cluster.answers = [{"status": "OK", "data": {"key": Kept()}}] * 2

    def collect(keys):
        lost.is_lost = len(cluster.asked) == 1  # which is heard of after the second answer
        return Cluster.collect(cluster, keys)

    cluster.collect = collect
    assert run.fetch(cluster, 0) == ["computed again"]


def test_a_node_that_fails_when_it_is_computed_again(cluster):
    run = Run(1)
    cluster.hold(run, 0, "key", "value").is_lost = True
    run.errors[0] = SchedulerLostError("gone meanwhile")
    with pytest.raises(SchedulerLostError, match="gone meanwhile"):
        run.fetch(cluster, 0)


def test_a_lost_value_without_workers(cluster):
    run = Run(1)
    run.is_over, cluster.is_hopeless = False, True
    with pytest.raises(NoWorkersError, match="value of n0 was lost.* for 3 s") as caught:
        run.fetch(cluster, 0)
    assert caught.value.node is run.plan.nodes[0]


# Ends of the wait


@pytest.mark.parametrize("is_silent", [True, False])
def test_time_is_up(cluster, is_silent):
    run = Run(1)
    future = cluster.hold(run, 0, "key", "value").future
    if is_silent:
        cluster.answers = [None]
    else:
        future.status = "pending"
    with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
        run.fetch(cluster, 0, timeout=0.01)
    assert all(pending.cancelled() for pending in cluster.pending)


def test_time_is_up_for_a_node_that_is_computed_again(cluster):
    run = Run(1)
    run.is_over = False
    with pytest.raises(TimeoutError):
        run.fetch(cluster, 0, timeout=0.0)


def test_a_run_that_was_reset(cluster):
    run = Run(1)
    run.defunct = "it was reset"
    with pytest.raises(ExecutorError, match="it was reset"):
        run.fetch(cluster, 0)


def broken(cluster, future):
    cluster.is_alive = False


def renewed(cluster, future):
    cluster.client = object()


def cancelled(cluster, future):
    future.status = "cancelled"


@pytest.mark.parametrize("event", [broken, renewed, cancelled])
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_value_that_went_with_its_scheduler(cluster, event, is_lost):
    run = Run(1)
    held = cluster.hold(run, 0, "key", "value")
    held.is_lost = is_lost
    event(cluster, held.future)
    if event is cancelled and is_lost:  # its worker took it along, and that was heard of first
        assert run.fetch(cluster, 0) == ["computed again"]
        return
    with pytest.raises(SchedulerLostError, match="value of n0 is gone|gone, and with it the value"):
        run.fetch(cluster, 0)
    assert cluster.computed_again == []


def test_a_value_whose_task_has_failed(cluster):
    run = Run(1)
    future = cluster.hold(run, 0, "key", "value").future
    future.status, cause = "error", MemoryError("full")
    future.exception = lambda timeout: cause
    with pytest.raises(ExecutorError, match="n0.*failed: full") as caught:
        run.fetch(cluster, 0)
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("error", [OSError("reset"), concurrent.futures.CancelledError()])
def test_a_connection_that_breaks_meanwhile(cluster, error):
    run = Run(1)
    cluster.hold(run, 0, "key", "value")
    cluster.answers = [error]
    with pytest.raises(SchedulerLostError, match="gone with the scheduler"):
        run.fetch(cluster, 0)


def test_a_scheduler_that_says_nothing_at_all(cluster, monkeypatch):
    monkeypatch.setattr(fetching, "_SILENCE", 0.0)
    monkeypatch.setattr(fetching, "_LOOK", 0.001)
    run = Run(1)
    cluster.hold(run, 0, "key", "value")
    cluster.answers, cluster.is_known = [None], False
    with pytest.raises(SchedulerLostError, match="has not answered"):
        run.fetch(cluster, 0)


def test_a_scheduler_that_answers_is_waited_for(cluster, monkeypatch):
    monkeypatch.setattr(fetching, "_SILENCE", 0.0)
    monkeypatch.setattr(fetching, "_LOOK", 0.001)
    run = Run(1)
    cluster.hold(run, 0, "key", "value")
    cluster.answers = [None]
    asked = iter(range(5))

    def identity():
        if next(asked) == 4:
            cluster.pending[0].set_result({"status": "OK", "data": cluster.data})
        return _future({})

    cluster.identity = identity
    assert run.fetch(cluster, 0) == ["value"]
