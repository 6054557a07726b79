"""Nodes where Dask takes collections."""

import operator
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import dask
import dask.array
import pytest
from dask.base import is_dask_collection

from dask_dispatcher import AsyncExecutor, CollectNode, DataNode, op

cloudpickle.register_pickle_by_value(sys.modules[__name__])


def add_all(*values):
    return sum(values)


@pytest.fixture
def node():
    """Nine, by way of every kind of node."""
    a, b = op(divmod, nout=2)(17, 7)
    return op(add_all)(a, *CollectNode([b, DataNode(4)]))


def test_a_node_is_a_collection(node):
    assert is_dask_collection(node)


@pytest.fixture
def threads():
    """The threads of Dask's threaded scheduler, which would outlive a test."""
    with ThreadPoolExecutor(2) as pool, dask.config.set(pool=pool):
        yield


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_compute(node, scheduler, threads):
    assert dask.compute(node, {"k": node}, scheduler=scheduler) == (9, {"k": 9})


def test_compute_on_threads_if_nobody_is_named(node, threads):
    assert dask.compute(node) == (9,)


def test_compute_on_our_own_executor(node):
    with AsyncExecutor() as executor:
        assert dask.compute(node, scheduler=executor.get) == (9,)


def test_compute_on_a_cluster(node, shared_cluster):
    from distributed import Client

    with Client(shared_cluster.address, set_as_default=False) as client:
        assert dask.compute(node, scheduler=client) == (9,)


def test_an_argument_of_delayed(node):
    total = dask.delayed(operator.add)(node, [node][0])
    assert total.compute(scheduler="sync") == 18


def test_delayed_of_a_node(node):
    assert (dask.delayed(node) + 1).compute(scheduler="sync") == 10


def test_beside_a_dask_collection(node):
    x = dask.array.ones(3, chunks=2)
    assert dask.compute(node, x.sum(), scheduler="sync") == (9, 3)


def test_shared_nodes_are_computed_once(starts_log):
    record = starts_log.record
    shared = op(lambda: record("shared") or 1)()
    assert dask.compute(shared + 1, shared + 2, scheduler="sync") == (2, 3)
    assert starts_log.counts() == {"shared": 1}


def test_equal_pure_nodes_have_one_key():
    first, second = (op(operator.add, pure=True)(1, 2) for _ in range(2))
    assert dask.base.tokenize(first) == dask.base.tokenize(second)
    assert first.__dask_keys__() == second.__dask_keys__()


def test_containers_and_keyword_arguments():
    one = op(abs)(-1)
    node = op(lambda given, k: (given, k))([one, {"a": (one, 2)}], k={one})
    assert dask.compute(node, scheduler="sync") == (([1, {"a": (1, 2)}], {1}),)


def test_order_without_data():
    seen = []
    first = op(seen.append)("first")
    second = op(seen.append, after=[first])("second")
    dask.compute(second, scheduler="sync")
    assert seen == ["first", "second"]


def test_coroutine_nodes():
    async def answer(n):
        return n + 1

    assert dask.compute(op(answer)(41), scheduler="sync") == (42,)


def test_options_go_along_as_annotations():
    inner = op(abs)(-1)
    node = op(operator.neg, retries=2, priority=3, resources={"GPU": 1}, workers="alice")(inner)
    layers = node.__dask_graph__().layers
    assert layers[inner.key].annotations is None
    assert layers[node.key].annotations == {
        "retries": 2,
        "priority": 3,
        "resources": {"GPU": 1},
        "workers": ["alice"],
    }


def test_a_future_of_an_earlier_run():
    with AsyncExecutor() as executor:
        (result,) = executor.run([op(abs)(-3)])
        assert dask.compute(op(operator.neg)(result.value), scheduler="sync") == (-3,)


def test_persist(node):
    (there,) = dask.persist(node, scheduler="sync")
    assert isinstance(there, DataNode)
    assert there.value == 9


def test_persist_takes_values_as_they_are():
    (there,) = dask.persist(op(lambda: (len, "text"))(), scheduler="sync")
    assert there.value == (len, "text")


def test_optimize(node):
    (optimized,) = dask.optimize(node)
    with AsyncExecutor() as executor:
        assert executor.compute(optimized) == 9


def test_errors_are_the_user_s_own():
    with pytest.raises(ZeroDivisionError):
        dask.compute(op(operator.truediv)(1, 0), scheduler="sync")


def test_the_graph_travels_without_the_nodes(node):
    graph = dict(node.__dask_graph__())
    there = pickle.loads(cloudpickle.dumps(graph))
    assert dask.get(there, node.key) == 9


def test_tasks_have_the_labels_of_their_nodes():
    node = op(abs, label="absolute")(-1)
    assert dict(node.__dask_graph__())[node.key].func.__name__ == "absolute"


def test_a_node_loads_dask_only_when_asked():
    code = "import sys; from dask_dispatcher import op; n = op(abs)(1); n.__dask_keys__()"
    code += "; print(*sys.modules.keys() & {'dask', 'distributed'})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not run.stdout.split()
