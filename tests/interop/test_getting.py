"""`Executor.get`: executors of ours where Dask wants a scheduler."""

import operator
import threading
from concurrent.futures import ThreadPoolExecutor

import dask
import dask.array
import dask.bag
import numpy
import pytest
from dask.task_spec import Task, TaskRef

from dask_dispatcher import AsyncExecutor, DaskExecutor, Executor, NodeTimeoutError, op


class Pool(Executor):
    """What a third party would write."""

    def __init__(self):
        super().__init__(max_workers=2)
        self.pool = ThreadPoolExecutor(2)

    def submit(self, call):
        return self.pool.submit(call)

    def close(self):
        super().close()
        self.pool.shutdown()


@pytest.fixture(params=["async", "pool", "dask"])
def executor(request, shared_cluster):
    """An executor of each kind."""
    if request.param == "dask":
        with DaskExecutor(shared_cluster.address) as executor:
            yield executor
    else:
        with {"async": AsyncExecutor, "pool": Pool}[request.param]() as executor:
            yield executor


@pytest.fixture
def local():
    with AsyncExecutor() as executor:
        yield executor


GRAPH = {"x": 1, "y": (operator.add, "x", 2), "z": (sum, ["x", "y"])}


def test_a_key(executor):
    assert executor.get(GRAPH, "z") == 4


def test_nested_keys(local):
    assert local.get(GRAPH, [["x", "y"], ["z"], "x"]) == ((1, 3), (4,), 1)


def test_no_keys(local):
    assert local.get(GRAPH, []) == ()


def test_a_key_that_is_a_tuple(local):
    assert local.get({("x", 0): 5}, [("x", 0)]) == (5,)


def test_delayed(executor):
    total = dask.delayed(sum)([dask.delayed(abs)(-n) for n in range(4)])
    assert total.compute(scheduler=executor.get) == 6


def test_array(executor):
    x = dask.array.arange(20, chunks=5)
    value = (x * 2).reshape(4, 5).sum(axis=0).compute(scheduler=executor.get)
    assert numpy.array_equal(value, (numpy.arange(20) * 2).reshape(4, 5).sum(axis=0))


def test_bag(executor):
    bag = dask.bag.from_sequence(range(10), npartitions=3)
    found = bag.map(lambda n: n % 3).frequencies().compute(scheduler=executor.get)
    assert dict(found) == {0: 4, 1: 3, 2: 3}


def test_bag_grouped_through_a_folder_that_goes_with_its_object(executor):
    bag = dask.bag.from_sequence(range(30), npartitions=3).groupby(lambda n: n % 3, shuffle="disk")
    found = bag.compute(scheduler=executor.get)
    assert {k: sorted(v) for k, v in found} == {k: [*range(k, 30, 3)] for k in range(3)}


def test_several_collections_at_once(local):
    x = dask.array.ones(6, chunks=2)
    assert dask.compute(x.sum(), {"mean": x.mean()}, scheduler=local.get) == (6, {"mean": 1})


def test_as_the_configured_scheduler(local):
    with dask.config.set(scheduler=local.get):
        assert dask.delayed(threading.get_ident)().compute() != threading.get_ident()


def test_persisted_collections_go_on(local):
    x = dask.array.arange(6, chunks=2).persist(scheduler=local.get)
    assert (x + 1).sum().compute(scheduler=local.get) == 21


def test_the_error_is_the_user_s_own(executor):
    class Broken(Exception):
        pass

    def fail():
        raise Broken("on purpose")

    with pytest.raises(Broken, match="on purpose") as raised:
        dask.delayed(fail)(dask_key_name="culprit").compute(scheduler=executor.get)
    assert raised.value.__cause__ is None
    assert raised.traceback[-1].name == "fail"


def test_the_error_tells_the_task():
    def fail():
        raise ValueError("on purpose")

    with AsyncExecutor() as executor, pytest.raises(ValueError, match="on purpose") as raised:
        dask.delayed(fail)(dask_key_name="culprit").compute(scheduler=executor.get)
    if hasattr(raised.value, "__notes__"):  # Python 3.11
        assert raised.value.__notes__ == ["in task culprit"]


def test_our_frames_are_left_out_of_tracebacks_as_dask_s_are(local):
    def fail():
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose") as raised:
        dask.delayed(fail)().compute(scheduler=local.get)
    functions = [entry.name for entry in raised.traceback]
    assert functions[-1] == "fail"
    assert "get" not in functions


def test_what_is_not_a_node_s_doing_is_raised_as_it_is(local):
    local.close()
    with pytest.raises(Exception, match="closed"):
        local.get(GRAPH, "z")


def test_retries_of_a_layer(executor, starts_log):
    record = starts_log.record

    def fail():
        record("start")
        raise ValueError("on purpose")

    with dask.annotate(retries=2):
        node = dask.delayed(fail)()
    with pytest.raises(ValueError, match="on purpose"):
        node.compute(scheduler=executor.get, optimize_graph=False)
    assert starts_log.counts() == {"start": 3}


def test_retries_for_all(local, starts_log):
    record = starts_log.record

    def fail():
        record("start")
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        dask.delayed(fail)().compute(scheduler=local.get, retries=1)
    assert starts_log.counts() == {"start": 2}


def test_priority():
    order = []
    graph = {name: Task(name, order.append, name) for name in "abc"}
    graph["all"] = Task("all", lambda *_: None, *map(TaskRef, "abc"))
    layers = {name: dask.highlevelgraph.MaterializedLayer({name: graph[name]}) for name in graph}
    for name, priority in {"a": 1, "b": 3, "c": 2}.items():
        layers[name].annotations = {"priority": priority}
    needs = {name: set() for name in "abc"} | {"all": set("abc")}
    with AsyncExecutor(max_workers=1) as executor:
        executor.get(dask.highlevelgraph.HighLevelGraph(layers, needs), "all")
    assert order == ["b", "c", "a"]


def test_resources():
    with dask.annotate(resources={"GPU": 1}):
        node = dask.delayed(abs)(-1)
    with AsyncExecutor(resources={"GPU": 1}) as executor:
        assert node.compute(scheduler=executor.get, optimize_graph=False) == 1
    with AsyncExecutor() as executor, pytest.raises(Exception, match="GPU"):
        node.compute(scheduler=executor.get, optimize_graph=False)


def test_get_inside_a_task(local):
    inner = dask.delayed(operator.add)(1, 2)
    outer = dask.delayed(lambda: inner.compute(scheduler=local.get) + 1)()
    assert outer.compute(scheduler=local.get) == 4


def test_iterators_may_be_handed_on(executor):
    graph = {
        "made": Task("made", lambda: (n for n in range(4))),
        "mapped": Task("mapped", map, operator.neg, TaskRef("made")),
        "sum": Task("sum", sum, TaskRef("mapped")),
    }
    assert executor.get(graph, "sum") == -6


def test_chains_with_annotations_are_not_fused(executor, starts_log):
    record = starts_log.record

    def fail(_):
        record("fail")
        raise ValueError("on purpose")

    first = dask.delayed(lambda: record("first"))()
    with dask.annotate(retries=1):
        second = dask.delayed(fail)(first)
    with pytest.raises(ValueError, match="on purpose"):
        second.compute(scheduler=executor.get, optimize_graph=False)
    assert starts_log.counts() == {"first": 1, "fail": 2}


def test_values_are_used_before_more_are_made():
    alive, most = set(), [0]

    class Block:
        def __init__(self, number):
            alive.add(number)
            most[0] = max(most[0], len(alive))
            threading.Event().wait(0.002)  # slow enough to be noticed
            self.number = number

        def __del__(self):
            alive.discard(self.number)

    def reduce(*blocks):
        return sum(block.number for block in blocks)

    graph = {f"b{n}": Task(f"b{n}", Block, n) for n in range(64)}
    graph |= {
        f"r{n}": Task(f"r{n}", reduce, *(TaskRef(f"b{m}") for m in range(n, n + 4)))
        for n in range(0, 64, 4)
    }
    graph["sum"] = Task(
        "sum", lambda *parts: sum(parts), *(TaskRef(f"r{n}") for n in range(0, 64, 4))
    )
    with AsyncExecutor(max_workers=1) as executor:
        assert executor.get(graph, "sum") == sum(range(64))
    assert most[0] < 16


def test_our_own_nodes_keep_all_their_options(local):
    never = threading.Event()
    try:
        node = op(never.wait, timeout=0.05)()
        with pytest.raises(NodeTimeoutError):
            dask.compute(node, scheduler=local.get)
    finally:
        never.set()


def test_coroutine_functions(local):
    async def answer(n):
        return n + 1

    assert local.get({"x": Task("x", answer, 41)}, "x") == 42
