"""What a Dask graph holds, on a cluster that lives in this process."""

import gc
import pickle
import threading
import weakref

import dask
import dask.array
import distributed
import numpy
import pytest
from dask._task_spec import convert_legacy_graph
from dask.callbacks import Callback

from dask_dispatcher import AsyncExecutor, DaskExecutor
from dask_dispatcher.interop.graphs import translate
from dask_dispatcher.interop.sharing import Shared
from tests.support import eventually


@pytest.fixture
def executor():
    """An executor on workers that are threads of this process."""
    with (
        distributed.LocalCluster(
            n_workers=2,
            processes=False,
            threads_per_worker=1,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # 8787 may be taken
        ) as cluster,
        DaskExecutor(cluster) as executor,
    ):
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


def test_coroutine_functions():
    async def is_lock(value):
        return value is lock

    lock = threading.Lock()
    graph = convert_legacy_graph({"x": lock, "y": (is_lock, "x"), "z": (bool, "y")})
    with AsyncExecutor() as executor:
        assert executor.compute(translate(graph, ["z"], shared=True)["z"]) is True


def test_callbacks(executor):
    told = []
    seen = []
    with Callback(posttask=lambda key, *_: told.append(key)):
        executor.get({"x": (seen.append, 1)}, "x")
    assert (told, seen) == (["x"], [1])


def test_workers_elsewhere_get_copies(shared_cluster):
    seen = []
    with DaskExecutor(shared_cluster.address) as executor:
        assert not executor.shares_memory
        executor.get({"x": (seen.append, 1)}, "x")
    assert seen == []


class Held:
    """Something to look at from afar."""


def test_a_graph_goes_with_its_run(executor):
    held = Held()
    is_there = weakref.ref(held)
    executor.get({"x": (lambda *_: None, held)}, "x")
    del held
    # The worker's thread may still be on its way out.
    eventually(lambda: gc.collect() >= 0 and is_there() is None)


def test_a_name_is_of_no_use_once_its_object_is_gone():
    name = pickle.dumps(Shared([1]))
    with pytest.raises(LookupError, match="after its run"):
        pickle.loads(name)
