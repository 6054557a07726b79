"""Values that are on the cluster before a run."""

import operator

import dask
import distributed
import numpy
import pytest

from dask_dispatcher import AsyncExecutor, DaskExecutor, ExecutorError, op


@pytest.fixture
def client(shared_cluster):
    with distributed.Client(shared_cluster.address, set_as_default=False) as client:
        yield client


@pytest.fixture(params=["own client", "another client"])
def executor(request, client, shared_cluster):
    address = client if request.param == "own client" else shared_cluster.address
    with DaskExecutor(address) as executor:
        yield executor


def test_the_value_of_a_future(executor, client):
    future = client.submit(operator.add, 1, 2, pure=False)
    assert executor.compute(op(operator.mul)(future, 5)) == 15


def test_a_pending_one(executor, client, tmp_path):
    go = tmp_path / "go"

    def wait():
        while not go.exists():
            pass
        return 3

    future = client.submit(wait, pure=False)
    run = executor.start([op(operator.neg)([future, 1][0])])
    go.touch()
    assert run.results()[0].unwrap().fetch() == -3


def test_itself(executor, client):
    persisted = client.persist(dask.delayed(operator.add)(1, 2))
    assert persisted.compute(scheduler=executor.get) == 3


def test_a_failed_one(executor, client):
    future = client.submit(operator.truediv, 1, 0, pure=False)
    (result,) = executor.run([op(abs)(future)], raise_errors=False)
    assert isinstance(result.unwrap_err().__cause__, ZeroDivisionError)


def test_the_value_does_not_move(executor, client, shared_cluster):
    address = sorted(client.scheduler_info(n_workers=-1)["workers"])[1]
    future = client.submit(numpy.ones, 1_000_000, workers=[address], pure=False)

    def where(array):
        return distributed.get_worker().address

    assert executor.compute(op(where)(future)) == address


def test_one_of_another_scheduler_is_refused(shared_cluster, cluster):
    with (
        distributed.Client(cluster.address, set_as_default=False) as elsewhere,
        DaskExecutor(shared_cluster.address) as executor,
        pytest.raises(ExecutorError, match="another scheduler"),
    ):
        executor.compute(op(abs)(elsewhere.submit(abs, -1)))


def test_a_graph_with_futures_runs_anywhere(client, shared_cluster):
    node = op(operator.neg)(client.submit(abs, -3, pure=False))
    with AsyncExecutor() as local, DaskExecutor(shared_cluster.address) as executor:
        assert [local.compute(node), executor.compute(node)] == [-3, -3]
