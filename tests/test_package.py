"""The package from outside: every public thing there, documented, and shown in few safe words."""

import inspect
import pickle

import pytest

import dask_dispatcher
from dask_dispatcher import (
    AsyncExecutor,
    CollectNode,
    DataNode,
    DispatchGraph,
    Err,
    IndexNode,
    Ok,
    errors,
    op,
)

EVIL = "<script>\x1b[31m\x00\u202e../../etc\n" + "x" * 10**6
CONTRACT = [
    *("DispatchNode", "Op", "op", "DataNode", "IndexNode", "CollectNode", "DispatchGraph"),
    *("Ok", "Err", "Result", "NodeFuture", "Run", "Executor", "Observer"),
    *("AsyncExecutor", "DaskExecutor", "Client", "Worker"),
    *errors.__all__,
]


@pytest.mark.parametrize("name", CONTRACT)
def test_what_the_contract_names_is_public(name):
    assert name in dask_dispatcher.__all__
    assert name in dir(dask_dispatcher)
    assert getattr(dask_dispatcher, name) is not None


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = dask_dispatcher.Nothing


@pytest.mark.parametrize("name", dask_dispatcher.__all__)
def test_public_things_are_documented(name):
    thing = getattr(dask_dispatcher, name)
    if name == "Result":  # a union has no place for it
        return
    assert inspect.getdoc(thing)
    assert thing.__module__.startswith("dask_dispatcher.")
    if inspect.isclass(thing):
        assert pickle.loads(pickle.dumps(thing)) is thing


def things():
    """One of each public thing that can carry a label, all with the worst one there is."""
    factory = op(int, label=EVIL)
    node = factory("1")
    nodes = [node, DataNode(1), IndexNode(node, EVIL), CollectNode([node])]
    for one in nodes[1:]:
        one.label = EVIL
    graph = DispatchGraph(nodes)
    kinds = [getattr(errors, name) for name in errors.__all__]
    simple = [cls("text") for cls in kinds if cls is not errors.RemoteError]
    plain = [Ok(EVIL), Ok(node), Ok(graph), Err(ValueError(EVIL)), Err(simple[0])]
    return [factory, *nodes, IndexNode(node, EVIL), graph, *plain, *simple]


@pytest.mark.parametrize("thing", things(), ids=lambda thing: type(thing).__name__)
def test_the_repr_is_short_and_safe(thing):
    assert repr(thing).isprintable()
    assert 0 < len(repr(thing)) < 600


def test_reprs_tell_the_state():
    node = op(int, label=EVIL)("1")
    bad = op(int)("x")
    executor = AsyncExecutor()
    assert repr(executor) == "<AsyncExecutor: 0 runs under way>"
    run = executor.start([node, bad])
    good, failed = run.results()
    shown = [repr(thing) for thing in (run, good, failed, good.value)]
    assert all(text.isprintable() and len(text) < 600 for text in shown)
    assert "ready" in repr(good.value)
    good.value.release()
    assert "released" in repr(good.value)
    executor.close()
    assert repr(executor) == "<AsyncExecutor: closed>"
