"""`PlainCalls`: calls of nothing but nodes, each once, or of nothing but atoms."""

import operator

import pytest

from dask_dispatcher import CollectNode, DataNode, op
from dask_dispatcher.plain import PlainCalls
from dask_dispatcher.plan import compile_plan


def some(*args, **kwargs):
    return args, kwargs


def plain(*nodes):
    """Return what is called by each plain call of a graph, by node."""
    plan = compile_plan(nodes)
    calls = plan.plain
    return {
        node: calls.callees[code - 1].func
        for node, code in zip(plan.nodes, calls.codes, strict=True)
        if code
    }


def test_calls_of_nodes_or_of_atoms_are_plain():
    first, second = op(some)(), op(some)(1, None, 2.5)
    both = op(operator.add)(first, second)
    assert plain(both) == {both: operator.add, first: some, second: some}


@pytest.mark.parametrize(
    "call",
    [
        lambda node: op(some)(node, 1),
        lambda node: op(some)(node, node),
        lambda node: op(some)([node]),
        lambda node: op(some)(a=node),
        lambda node: op(some)(a=1),
        lambda node: op(some)("text"),
        lambda node: op(some)([1]),
        lambda node: CollectNode([node]),
        lambda node: node[0],
        lambda node: DataNode(1),
    ],
)
def test_others_are_not(call):
    node = op(some)()
    assert call(node) not in plain(node, call(node))
    assert node in plain(node)


def test_a_code_is_one_byte():
    plan = compile_plan([op(lambda: 1)() for _ in range(300)])
    calls = PlainCalls(plan.nodes, plan.needs)
    assert len(calls.callees) == 255
    assert sum(map(bool, calls.codes)) == 255
