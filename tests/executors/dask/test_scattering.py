"""`Scatterer`: a large value goes to the workers once, and nodes wait until it is there."""

import concurrent.futures
from types import SimpleNamespace

import pytest

from dask_dispatcher import WorkerLostError
from dask_dispatcher.executors.dask.scattering import _TRIES, Scattered, Scatterer

HERE, THERE = "tcp://10.0.0.1:4", "tcp://10.0.0.2:4"


class Engine:
    """An engine whose connection sends nothing, and says so when it is told to."""

    def __init__(self):
        self.connection = self
        self.sent = []  # of each value its key, box and address
        self.answers = []
        self.timers = []
        self.is_renewed = False

    def scatter(self, key, box, address):
        self.sent.append((key, box, address))
        self.answers.append(concurrent.futures.Future())
        return self.answers[-1]

    def has_lost(self, future):
        return self.is_renewed or future.status == "cancelled"

    def post(self, function):
        function()

    def later(self, seconds, function):
        self.timers.append(function)

    def arrive(self, status="finished"):
        self.answers[-1].set_result(SimpleNamespace(status=status))

    def wait(self):
        while self.timers:
            self.timers.pop()()


class Job:
    """A job that notes which nodes may be sent."""

    def __init__(self):
        self.schedule = self
        self.back = []

    def put_back(self, numbers):
        self.back += numbers


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def scatterer(engine):
    return Scatterer(engine)


@pytest.fixture
def value():
    return Scattered((b"head", [memoryview(bytearray(b"body"))]))


def test_it_goes_once_and_nodes_wait_for_it(engine, scatterer, value):
    job, other = Job(), Job()
    assert scatterer.find(value, HERE, "group") is None
    scatterer.hold(value, job, [1, 2])
    assert scatterer.find(value, THERE, "other") is None  # on its way to another one already
    scatterer.hold(value, other, [7])
    assert [address for _, _, address in engine.sent] == [HERE]
    assert job.back == []
    engine.arrive()
    assert job.back == [2, 1]  # as of a stack the last is sent first
    assert other.back == [7]
    assert scatterer.find(value, THERE, "other") is engine.answers[0].result()
    assert len(engine.sent) == 1


@pytest.mark.parametrize("status", ["lost", "cancelled"])
def test_a_lost_one_is_sent_again_under_another_key(engine, scatterer, value, status):
    scatterer.find(value, HERE, "group")
    engine.arrive()
    value.future.status = status
    assert scatterer.find(value, THERE, "other") is None
    engine.arrive()
    assert scatterer.find(value, HERE, "group").status == "finished"
    assert [(key, address) for key, _, address in engine.sent] == [
        (("group", 1), HERE),
        (("other", 2), THERE),
    ]
    assert value.key_group == "other"


def test_what_another_scheduler_had_is_sent_again(engine, scatterer, value):
    scatterer.find(value, HERE, "group")
    engine.arrive()
    engine.is_renewed = True
    assert scatterer.find(value, THERE, "other") is None
    assert len(engine.sent) == 2


def test_after_a_failure_nodes_ask_again_a_little_later(engine, scatterer, value):
    job = Job()
    scatterer.find(value, HERE, "group")
    scatterer.hold(value, job, [1])
    engine.answers[0].set_exception(OSError("refused"))
    assert job.back == []
    assert scatterer.find(value, THERE, "other") is None  # not before
    assert len(engine.sent) == 1
    engine.wait()
    assert job.back == [1]
    assert scatterer.find(value, THERE, "other") is None
    assert len(engine.sent) == 2


def test_what_is_on_its_way_to_a_worker_that_is_gone_is_given_up(engine, scatterer, value):
    scatterer.find(value, HERE, "group")
    scatterer.worker_gone(THERE)
    assert not engine.answers[0].cancelled()
    scatterer.worker_gone(HERE)
    assert engine.answers[0].cancelled()
    engine.wait()
    assert scatterer.find(value, THERE, "other") is None
    assert len(engine.sent) == 2


def test_what_never_arrives_is_an_error_in_the_end(engine, scatterer, value):
    for _ in range(_TRIES):
        assert scatterer.find(value, HERE, "group") is None
        engine.answers[-1].set_exception(OSError("killed"))
        engine.wait()
    with pytest.raises(WorkerLostError, match=rf"sent to workers {_TRIES} times, last to {HERE}"):
        scatterer.find(value, THERE, "other")


def test_what_arrives_after_the_end_is_let_go(engine, scatterer, value):
    job = Job()
    scatterer.find(value, HERE, "group")
    scatterer.hold(value, job, [1])
    scatterer.close()
    engine.arrive()
    assert value.future is None
    assert job.back == []


def test_a_worker_in_this_process_is_given_a_copy(engine, scatterer, value):
    scatterer.find(value, "inproc://10.0.0.1/1/2", "group")
    value.dumped[1][0][0] = 0
    ((_, box, _),) = engine.sent
    _, (head, body) = box.__reduce_ex__(4)
    assert (head, bytes(body)) == (b"head", b"body")
