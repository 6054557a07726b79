"""Dask's collections as nodes, by name and as arguments."""

import gc
import operator
import subprocess
import sys

import dask
import dask.array
import dask.bag
import numpy
import pytest

from dask_dispatcher import AsyncExecutor, DataNode, DispatchGraph, from_dask, from_dask_keys, op


@pytest.fixture
def local():
    with AsyncExecutor() as executor:
        yield executor


def test_a_delayed(local):
    node = from_dask(dask.delayed(operator.add)(1, 2))
    assert local.compute(node * 2) == 6


def test_an_array_is_put_together(local):
    value = local.compute(from_dask(dask.array.arange(6, chunks=2)))
    assert value.tolist() == [0, 1, 2, 3, 4, 5]


def test_its_tasks_are_nodes_of_the_graph():
    node = from_dask(dask.array.ones(6, chunks=2).sum())
    assert len(DispatchGraph([node])) > 3


def test_its_options_are_its_annotations():
    with dask.annotate(retries=4):
        collection = dask.delayed(abs)(-1)
    assert from_dask(collection).options.retries == 4


def test_one_node_a_key(local):
    x = dask.array.arange(6, chunks=(2,)).reshape(2, 3)
    blocks = from_dask_keys(x)
    assert [len(row) for row in blocks] == [len(x.chunks[1])] * len(x.chunks[0])
    rows = [numpy.concatenate(local.compute(list(row)), axis=1) for row in blocks]
    assert numpy.concatenate(rows).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_partitions_of_a_bag(local):
    bag = dask.bag.from_sequence([1, 2, 3, 4], npartitions=2).map(operator.neg)
    assert [list(p) for p in local.compute(from_dask_keys(bag))] == [[-1, -2], [-3, -4]]


@pytest.mark.parametrize("convert", [from_dask, from_dask_keys])
def test_only_collections_are_taken(convert):
    with pytest.raises(TypeError, match="a Dask collection is needed here, not list"):
        convert([1])


def test_as_an_argument(local):
    x = dask.array.arange(4, chunks=2)
    assert local.compute(op(operator.add)(x.sum(), 1)) == 7


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"k": (1, x)}, lambda x: [[x], {}]])
def test_inside_an_argument(local, wrap):
    x = dask.delayed(abs)(-3)
    assert local.compute(op(lambda given: given)(wrap(x))) == wrap(3)


def test_as_a_keyword_argument(local):
    assert local.compute(op(dict)(a=dask.delayed(abs)(-3))) == {"a": 3}


def test_with_an_operator_on_either_side(local):
    node, x = op(abs)(-3), dask.array.arange(3, chunks=2)
    assert local.compute(node + x).tolist() == [3, 4, 5]
    assert local.compute(x + node).tolist() == [3, 4, 5]
    assert local.compute(node + dask.delayed(abs)(-1)) == 4


def test_it_runs_on_the_executor_of_the_graph():
    seen = []

    class Observer:
        def on_events(self, batch):
            seen.extend(event.label for event in batch if hasattr(event, "label"))

    inner = dask.delayed(abs)(-3, dask_key_name="inner")
    with AsyncExecutor() as executor:
        executor.run([op(operator.neg)(inner)], observers=[Observer()])
    assert {"inner", "neg"} <= set(seen)


def test_several_ops_share_its_node():
    x = dask.delayed(abs)(-3)
    first, second = op(operator.neg)(x), op(operator.pos)([x])
    assert first.dependencies == second.dependencies


def test_its_node_goes_when_nobody_needs_it():
    x = dask.delayed(abs)(-3)
    first = op(operator.neg)(x)
    kept = id(first.dependencies[0]), first
    del first, kept
    gc.collect()
    assert op(operator.neg)(x).dependencies[0].label == x.key


def test_an_array_that_was_changed_in_place_is_another(local):
    x = dask.array.zeros(3, chunks=3)
    before = op(sum)(x)
    x[0] = 5
    assert local.compute([before, op(sum)(x)]) == [0, 5]


def test_in_a_data_node_it_stays_a_collection(local):
    x = dask.delayed(abs)(-3)
    assert local.compute(op(type)(DataNode(x))) is type(x)


def test_in_a_closure_it_stays_a_collection(local):
    x = dask.delayed(abs)(-3)
    assert local.compute(op(lambda: x)()) is x


def test_building_nodes_loads_no_dask():
    code = "import sys; from dask_dispatcher import op; op(max)([op(abs)(1), {'a': ...}], b'')"
    code += "; print(*sys.modules.keys() & {'dask', 'distributed'})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not run.stdout.split()
