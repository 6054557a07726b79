"""``distributed.Future`` as nodes, where there is no cluster of the executor's own."""

import operator

import dask
import pytest
from dask.task_spec import Task
from distributed import Client

from dask_dispatcher import AsyncExecutor, op


@pytest.fixture
def client(shared_cluster):
    with Client(shared_cluster.address, set_as_default=False) as client:
        yield client


@pytest.fixture
def local():
    with AsyncExecutor() as executor:
        yield executor


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x, {"k": x}]])
def test_its_value_is_meant(local, client, wrap):
    future = client.submit(operator.add, 1, 2)
    assert local.compute(op(lambda given: given)(wrap(future))) == wrap(3)


def test_its_failure_is_the_node_s(local, client):
    future = client.submit(operator.truediv, 1, 0)
    (result,) = local.run([op(abs)(future)], raise_errors=False)
    assert isinstance(result.unwrap_err().__cause__, ZeroDivisionError)


def test_in_a_dask_graph(local, client):
    future = client.submit(operator.add, 1, 2)
    assert local.get({"x": Task("x", operator.neg, future)}, "x") == -3
    assert local.get({future.key: future, "y": (operator.neg, future.key)}, "y") == -3


def test_a_persisted_collection(local, client):
    persisted = client.persist(dask.delayed(operator.add)(1, 2))
    assert (persisted + 1).compute(scheduler=local.get) == 4


def test_persisting_our_own_nodes(local, client):
    (there,) = dask.persist(op(operator.add)(1, 2), scheduler=client)
    assert local.compute(there * 2) == 6
