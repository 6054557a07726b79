"""What a Dask graph holds, where all workers are in this process."""

import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import dask
import dask.array
import numpy
import pytest
from dask._task_spec import convert_legacy_graph
from dask.callbacks import Callback

from dask_dispatcher import AsyncExecutor, DaskExecutor, Executor
from dask_dispatcher.interop.sharing import SharedTranslation


class PicklingPool(Executor):
    """Runs in this process what it has pickled, as a cluster in this process does."""

    shares_memory = True

    def __init__(self):
        super().__init__(max_workers=2)
        self.pool = ThreadPoolExecutor(2)

    def submit(self, call):
        return self.pool.submit(pickle.loads(cloudpickle.dumps(call)))

    def close(self):
        super().close()
        self.pool.shutdown()


@pytest.fixture
def executor():
    with PicklingPool() as executor:
        yield executor


def test_tasks_store_into_arrays_of_the_program(executor):
    ones = dask.array.ones((4, 4), chunks=2)
    target = numpy.zeros((4, 4))
    dask.array.store([ones + 1], [target], scheduler=executor.get)
    assert (target == 2).all()


def test_tasks_take_locks_of_the_program(executor):
    lock = threading.Lock()
    rows = dask.array.from_array(numpy.arange(8), chunks=2, lock=lock)
    assert rows.sum().compute(scheduler=executor.get) == 28


def test_closures_are_called_where_they_are(executor):
    seen = []
    calls = [dask.delayed(seen.append, pure=False)(n) for n in range(4)]
    dask.compute(calls, scheduler=executor.get, optimize_graph=False)
    assert sorted(seen) == [0, 1, 2, 3]


def test_literals_are_wanted_as_they_are(executor):
    given = object()
    found = executor.get({"x": given, "y": (lambda x: x is given, "x")}, ["x", "y"])
    assert found == (given, True)


def test_callbacks(executor):
    told, seen = [], []
    with Callback(posttask=lambda key, *_: told.append(key)):
        executor.get({"x": (seen.append, 1)}, "x")
    assert (told, seen) == (["x"], [1])


def test_coroutine_functions():
    async def is_lock(value):
        return value is lock

    lock = threading.Lock()
    graph = convert_legacy_graph({"x": lock, "y": (is_lock, "x"), "z": (bool, "y")})
    with AsyncExecutor() as executor:
        nodes = SharedTranslation(graph).run(["z"])
        assert executor.compute(nodes["z"]) is True


def test_values_are_handed_on_as_they_are(executor):
    graph = {"x": (threading.Lock,), "y": (lambda lock: lock, "x"), "z": (id, "x")}
    x, y, z = executor.get(graph, ["x", "y", "z"])
    assert x is y
    assert z == id(x)


def test_workers_elsewhere_get_copies(shared_cluster):
    seen = []
    with DaskExecutor(shared_cluster.address) as executor:
        assert not executor.shares_memory
        executor.get({"x": (seen.append, 1)}, "x")
    assert seen == []


IN_THIS_PROCESS = """
import gc, threading, weakref
import dask
from distributed import LocalCluster
from dask_dispatcher import DaskExecutor
from tests.support import eventually

class Pinned:
    def __reduce__(self):
        raise TypeError("it stays where it is")

def check_arguments():
    lock = threading.Lock()
    executor.get({"x": (lambda lock: lock.acquire(), lock)}, "x")
    assert lock.locked()
    return weakref.ref(lock)

def check_values():
    workers = list(executor.client.dask.scheduler_info()["workers"])
    assert len(workers) == 2
    with dask.annotate(workers=workers[:1]):
        x = dask.delayed(Pinned)()
    with dask.annotate(workers=workers[1:]):
        y = dask.delayed(lambda pinned: [pinned])(x)
    x, (y,) = dask.compute(x, y, scheduler=executor.get, optimize_graph=False)
    assert type(x) is Pinned and x is y
    return weakref.ref(x)

options = {"dashboard_address": "127.0.0.1:0"}
with (
    LocalCluster(
        n_workers=2, processes=False, dashboard_address=None, scheduler_kwargs=options
    ) as cluster,
    DaskExecutor(cluster) as executor,
):
    assert executor.shares_memory
    for check in (check_arguments, check_values):
        found = check()
        # The worker's thread may still be on its way out.
        eventually(lambda: gc.collect() >= 0 and found() is None)
    print("all well")
"""


def test_a_cluster_in_this_process():
    # In a process of its own: what Dask leaves to the garbage collector as it closes is Dask's.
    command = [sys.executable, "-c", IN_THIS_PROCESS]
    run = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert "all well" in run.stdout, run.stderr
