"""`Runner` on stock workers: parcels as Dask tasks, what they report, and what they leave."""

import os
import pickle
import queue
import sys
import threading
import time
import uuid

import cloudpickle
import distributed
import numpy
import pytest
from dask._task_spec import Task
from dask.utils import apply

from dask_dispatcher import ExecutorError, NodeTimeoutError
from dask_dispatcher.executors.dask.marks import revoke
from dask_dispatcher.executors.dask.parcels import Parcel
from dask_dispatcher.executors.slices.columns import to_columns
from dask_dispatcher.executors.slices.failures import load_failure
from dask_dispatcher.executors.slices.packing import BUILT_IN

cloudpickle.register_pickle_by_value(sys.modules[__name__])

WAIT = 20.0
FIRST = len(BUILT_IN)  # the first function of ours in the table


class Desk:
    """Sends parcels, and hears what they report."""

    def __init__(self, client):
        self.client = client
        self.topic = f"desk-{uuid.uuid4().hex}"
        self.said = queue.Queue()
        self.futures = []  # what nobody holds is dropped
        client.subscribe_topic(self.topic, lambda event: self.said.put(event[1]))

    def parcel(self, function, calls, **more):
        """A parcel of calls: node k is ``function(*calls[k])``; a `Ref` stands for a value."""
        entries = []
        for number, args in enumerate(calls):
            where = tuple(k for k, arg in enumerate(args) if type(arg) is Ref)
            entries.append((number, FIRST, tuple(map(_plain, args)), where, ()))
        functions = {FIRST: cloudpickle.dumps(function)}
        name = f"group-{uuid.uuid4().hex}"
        fields = {"atoms": {}, "pickled": {}, "dumped": {}, "parts": [], "timeouts": {}, **more}
        return Parcel(name, self.topic, to_columns(entries), functions, **fields)

    def send(self, parcel, *dependencies, worker=None):
        task = Task(None, pickle.loads, pickle.dumps(parcel))
        key = (parcel.group, 0)
        future = self.client.submit(
            apply, task, list(dependencies), key=key, pure=False, workers=worker
        )
        self.futures.append(future)
        return future

    def next(self):
        message = self.said.get(timeout=WAIT)
        report = message["report"]
        return message, None if report is None else pickle.loads(report)

    def final(self):
        """Return the reports up to the final one, put together, and all that was given back."""
        together, back = [[] for _ in range(9)], []
        while True:
            message, report = self.next()
            back += message["back"]
            for all_items, items in zip(together, report or []):
                all_items += items
            if message["is_final"]:
                return together, back


class Ref(int):
    pass


def _plain(arg):
    return int(arg) if type(arg) is Ref else arg


@pytest.fixture
def desk(shared_cluster):
    with distributed.Client(shared_cluster.address, set_as_default=False) as client:
        yield Desk(client)


def test_nodes_run_in_order_and_small_values_come_back(desk):
    future = desk.send(desk.parcel(lambda x: x + 1, [(1,), (Ref(0),), (Ref(1),)]))
    (numbers, atoms, *_, costs, times, _), back = desk.final()
    assert (numbers, atoms, back) == ([0, 1, 2], [2, 3, 4], [])
    assert [(target, count) for target, count, _ in costs] == [(FIRST, 3)]
    assert times == []
    assert future.result(WAIT).boxes == {}


def test_a_large_value_stays_and_can_be_taken_from_there(desk):
    made = desk.send(desk.parcel(numpy.full, [(10_000, 7.0)]))
    report, _ = desk.final()
    ((number, size),) = report[3]
    assert number == 0
    assert size > 80_000
    user = desk.parcel(lambda array: float(array.sum()), [(Ref(99),)], parts=[(99, 0, 0)])
    desk.send(user, made)
    report, _ = desk.final()
    assert report[1] == [70_000.0]


def test_a_large_value_that_is_used_up_goes_and_does_not_count(desk):
    def step(before):
        return numpy.full(1_000_000, 1.0)  # more than a group may leave behind

    calls = [(None,), (Ref(0),), (Ref(1),), (None,)]
    future = desk.send(desk.parcel(step, calls, passing={1: [0], 2: [1]}, budget=WAIT))
    report, back = desk.final()
    assert [number for number, _ in report[3]] == [0, 1, 2]
    assert (report[8], back) == ([0, 1], [3])
    assert list(future.result(WAIT).boxes) == [2]


def test_a_large_value_goes_with_the_last_that_takes_it(desk):
    def step(before, fails=False):
        if fails:
            raise ValueError
        return numpy.full(100_000, 1.0) if before is None else 7

    calls = [(None,), (None,), (Ref(0),), (Ref(1),), (Ref(0),), (Ref(1), True)]
    passing = {2: [0], 3: [1], 4: [0], 5: [1]}
    future = desk.send(desk.parcel(step, calls, passing=passing, budget=WAIT))
    report, _ = desk.final()
    assert report[0] == [2, 3, 4]
    assert report[8] == [0]
    assert list(future.result(WAIT).boxes) == [1]  # the last that takes it has failed


def test_a_large_value_stays_if_whoever_takes_it_fails(desk):
    def step(before):
        if before is not None:
            raise ValueError
        return numpy.full(100_000, 1.0)

    future = desk.send(desk.parcel(step, [(None,), (Ref(0),)], passing={1: [0]}, budget=WAIT))
    report, _ = desk.final()
    assert report[8] == []
    assert [number for number, _ in report[4]] == [1]
    assert list(future.result(WAIT).boxes) == [0]


def test_what_fails_takes_only_its_own_dependents_along(desk):
    desk.send(desk.parcel(lambda x: 1 // x, [(0,), (Ref(0),), (1,)]))
    (numbers, atoms, _, _, failed, skipped, *_), _ = desk.final()
    assert (numbers, atoms, skipped) == ([2], [1], [1])
    ((number, data),) = failed
    assert number == 0
    assert type(load_failure(data).cause) is ZeroDivisionError


def test_what_has_not_begun_is_given_back_while_a_node_takes_long(desk, gate):
    passing = gate.passing
    desk.send(desk.parcel(lambda x: passing() if x else x, [(0,), (1,), (0,), (0,)]))
    message, report = desk.next()
    assert not message["is_final"]
    assert report[0] == [0]
    assert sorted(message["back"]) == [2, 3]
    assert list(message["under_way"]) == [1]
    gate.open()
    report, back = desk.final()
    assert (report[0], back) == ([1], [])


def test_what_has_not_begun_is_given_back_if_somebody_else_waits(desk, gate, shared_cluster):
    worker, passing = shared_cluster.workers[0].address, gate.passing
    desk.send(
        desk.parcel(lambda x: x or passing(), [(0,), (1,)], run="ours", budget=WAIT), worker=worker
    )
    gate.wait()
    later = desk.parcel(lambda: "of the same run", [()])
    later.group = f"later-ours-{uuid.uuid4().hex}"
    desk.send(later, worker=worker)
    message, _ = desk.next()
    assert not message["back"]  # it only says that it has begun
    desk.send(desk.parcel(lambda: "of another", [()]), worker=worker)
    message, _ = desk.next()
    assert list(message["back"]) == [1]
    assert not message["is_late"]
    gate.open()
    atoms = [desk.final()[0][1] for _ in range(3)]
    assert [None] in atoms
    assert ["of the same run"] in atoms
    assert ["of another"] in atoms


def test_a_group_that_is_dropped_leaves_the_call_and_frees_the_thread(desk, gate, shared_cluster):
    passing = gate.passing
    futures = [desk.send(desk.parcel(lambda: passing(), [()])) for _ in shared_cluster.workers]
    gate.wait(2)
    for future in futures:
        future.release()
    desk.futures.clear()
    desk.send(desk.parcel(lambda: "free", [()]))
    texts = []
    while texts != ["free"]:
        _, report = desk.next()
        texts = report[1]


def test_a_node_whose_time_is_up_is_left_behind(desk, gate):
    passing = gate.passing
    timeouts = {0: 0.05}
    future = desk.send(desk.parcel(lambda x: x or passing(), [(0,), (1,)], timeouts=timeouts))
    report, back = desk.final()
    ((number, data),) = report[4]
    assert number == 0
    assert type(load_failure(data).cause) is NodeTimeoutError
    assert back == [1]
    future.result(WAIT)


@pytest.mark.parametrize("limit", [None, 0.05])
def test_coroutines_run_all_at_once(desk, gate, limit):
    passing = gate.passing_async

    async def meet(n):
        await passing()
        return [n]

    timeouts = {} if limit is None else {0: limit}
    desk.send(desk.parcel(meet, [(n,) for n in range(20)], is_async=True, timeouts=timeouts))
    gate.wait(20)
    if limit is not None:
        while not (report := desk.next()[1])[4]:
            pass
        assert type(load_failure(report[4][0][1]).cause) is NodeTimeoutError
    gate.open()
    report, _ = desk.final()
    assert {number for number, _ in report[2]} >= set(range(1, 20))


def test_a_long_report_becomes_part_of_the_result(desk):
    future = desk.send(desk.parcel(lambda x: x * 1_500, [(f"{n % 10}",) for n in range(100)]))
    message, report = desk.next()
    assert message["is_final"]
    assert report is None
    (data,) = future.result(WAIT).reports
    assert pickle.loads(data)[1] == [f"{n % 10}" * 1_500 for n in range(100)]


def test_small_values_may_be_asked_to_stay(desk):
    future = desk.send(desk.parcel(lambda x: x, [(1,), ("b",)], keeps=True))
    report, _ = desk.final()
    assert report[1] == [1, "b"]
    boxes = future.result(WAIT).boxes
    assert {number: box.open() for number, box in boxes.items()} == {0: 1, 1: "b"}


def test_when_each_node_ran_is_told_to_who_observes(desk):
    before = time.time()
    desk.send(desk.parcel(lambda x: x, [(1,), (2,)], is_observed=True))
    report, _ = desk.final()
    (first, second) = report[7]
    assert (first[0], second[0]) == (0, 1)
    assert before - 1 < first[1] <= first[2] <= second[1] <= second[2] < time.time() + 1


def test_a_function_that_cannot_be_unpickled_fails_only_its_own_nodes(desk):
    parcel = desk.parcel(lambda x: x, [(1,), (2,)])
    parcel.functions[FIRST + 1] = b"no pickle"
    _, second = parcel.entries()
    parcel.columns = to_columns([(0, FIRST + 1, (1,), (), ()), second])
    desk.send(parcel)
    report, _ = desk.final()
    assert report[0] == [1]
    assert [number for number, _ in report[4]] == [0]


def test_another_python_is_refused_before_anything_is_unpickled(desk):
    parcel = desk.parcel(lambda x: x, [(1,), (2,)], python=(2, 7))
    parcel.functions[FIRST] = b"no pickle"
    desk.send(parcel)
    report, _ = desk.final()
    for _, data in report[4]:
        cause = load_failure(data).cause
        assert type(cause) is ExecutorError
        assert "this program 2.7" in str(cause)
    assert len(report[4]) == 2


def test_a_group_that_was_revoked_does_not_begin(desk, shared_cluster):
    parcel = desk.parcel(lambda x: x, [(1,)])
    other = desk.parcel(lambda x: x, [(1,)])
    desk.send(other).result(WAIT)
    names = [parcel.group, other.group]
    answers = desk.client.run(revoke, names)
    assert all(parcel.group in answer for answer in answers.values())
    assert sorted(map(len, answers.values())) == [1, 2]
    desk.send(parcel).result(WAIT)
    desk.send(desk.parcel(lambda x: x, [(5,)]))
    reports = [desk.final()[0][1] for _ in range(2)]
    assert reports == [[1], [5]]  # of the second and the third


def test_groups_that_end_well_leave_no_helper_behind(desk):
    def where():
        return os.getpid(), threading.get_native_id()

    found = set()
    for _ in range(6):
        desk.send(desk.parcel(where, [()]))
        (_, _, pickled, *_), back = desk.final()
        assert back == []
        found.update(pickle.loads(data) for _, data in pickled)
    # One helper for each of the workers' threads.
    assert len(found) <= sum(desk.client.nthreads().values())
