"""What Dask's users rely on, on a `DaskExecutor`: annotations, pictures, frames, futures."""

import operator
import os
import sys

import cloudpickle
import dask
import dask.array
import dask.dataframe
import dask.dot
import distributed
import numpy
import pandas
import pytest
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import Task, TaskRef

from dask_dispatcher import DaskExecutor, op

cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def executor(shared_cluster):
    with DaskExecutor(shared_cluster.address) as executor:
        yield executor


def layered(tasks, annotations):
    """Return a graph of a layer a task, some with annotations."""
    layers = {
        task.key: MaterializedLayer({task.key: task}, annotations=annotations.get(task.key))
        for task in tasks
    }
    return HighLevelGraph(layers, {task.key: set(task.dependencies) for task in tasks})


def test_retries(executor, starts_log):
    record = starts_log.record

    def fail_twice():
        record("start")
        if starts_log.counts()["start"] < 3:
            raise ValueError("on purpose")
        return "third time"

    with dask.annotate(retries=2):
        node = dask.delayed(fail_twice)()
    assert node.compute(scheduler=executor.get, optimize_graph=False) == "third time"


def test_priorities(scheduler, starts_log):
    scheduler.add_worker()
    record = starts_log.record
    tasks = [Task("first", record, "first")]
    # All wait for the first, so that they are ready at once, wherever their order is decided.
    tasks += [Task(f"p{n}", lambda _, n=n: record(str(n)), TaskRef("first")) for n in (1, 3, 2)]
    tasks += [Task("all", lambda *_: None, *(TaskRef(f"p{n}") for n in (1, 2, 3)))]
    annotations = {f"p{n}": {"priority": n} for n in (1, 2, 3)}
    with DaskExecutor(scheduler.address) as executor:
        executor.get(layered(tasks, annotations), "all")
    assert [label for label, *_ in starts_log.starts()] == ["first", "3", "2", "1"]


def test_resources_of_collections(make_cluster):
    cluster = make_cluster(workers=1)
    worker = cluster.add_worker("with-gpu", resources={"GPU": 1})
    with dask.annotate(resources={"GPU": 1}):
        pids = dask.array.ones(4, chunks=1).map_blocks(lambda _: numpy.array([os.getpid()]))
    with DaskExecutor(cluster.address) as executor:
        found = pids.compute(scheduler=executor.get, optimize_graph=False)
    assert set(found) == {worker.pid}


def test_a_picture(monkeypatch):
    # Either engine of Dask's draws what it is handed; neither is installed everywhere.
    monkeypatch.setattr(dask.dot, "cytoscape_graph", lambda graph, **_: graph)
    node = op(operator.neg, label="minus")(op(abs)(-1))
    drawn = dask.dot._to_cytoscape_json(dask.visualize(node, engine="cytoscape"))
    labels = [box["data"]["label"] for box in drawn["nodes"]]
    assert {"abs", "minus"} <= set(labels)
    assert drawn["edges"]


class Watched:
    """A value that records each process in which it arrives."""

    def __init__(self, record):
        self.record = record

    def __reduce__(self):
        return arrive, (self.record,)


def arrive(record):
    record("arrived")
    return Watched(record)


@pytest.fixture(params=["own client", "another client"])
def client(request, executor, shared_cluster):
    """The executor's client, or one beside it."""
    if request.param == "own client":
        yield executor.client.dask
    else:
        with distributed.Client(shared_cluster.address, set_as_default=False) as client:
            yield client


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [{"k": x}]])
def test_values_of_futures_do_not_pass_through_here(executor, client, starts_log, wrap):
    future = client.submit(Watched, starts_log.record, pure=False)
    assert executor.compute(op(lambda given: type(given).__name__)(wrap(future)))
    assert os.getpid() not in starts_log.pids("arrived")


def test_values_of_persisted_collections_do_not_either(executor, client, starts_log):
    persisted = client.persist(dask.delayed(Watched)(starts_log.record))
    kind = dask.delayed(lambda given: type(given).__name__)(persisted)
    assert kind.compute(scheduler=executor.get) == "Watched"
    assert executor.compute(op(lambda given: type(given).__name__)(persisted)) == "Watched"
    assert os.getpid() not in starts_log.pids("arrived")


@pytest.fixture
def frame():
    rows = pandas.DataFrame({"key": [1, 2, 1, 2], "value": [1, 2, 3, 4]})
    return dask.dataframe.from_pandas(rows, npartitions=2)


def test_frames_as_arguments(executor, frame):
    total = op(lambda rows, mean: int(rows.value.sum() - mean))(frame, frame.value.mean())
    assert executor.compute(total) == 7


def test_frames_inside_arguments(executor, frame):
    sums = frame.groupby("key").value.sum()
    found = executor.compute(op(lambda given: given["sums"][0].to_dict())({"sums": [sums]}))
    assert found == {1: 4, 2: 6}
