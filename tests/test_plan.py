"""Plans: what of a graph is to run, by number, with every edge in both directions."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_dispatcher import (
    AsyncExecutor,
    CollectNode,
    CycleError,
    DataNode,
    DispatchGraph,
    IndexNode,
    Op,
    op,
)
from dask_dispatcher.options import Options
from dask_dispatcher.plan import DEFAULTS, DepthFirst, compile_plan


def names(plan, numbers):
    return [plan.nodes[n].label for n in numbers]


def node(name, *needs, **options):
    return op(lambda *values: (name, *values), label=name, **options)(*needs)


def check(plan):
    """Hold a plan to what it says of itself."""
    total = len(plan.nodes)
    assert len(plan.needs) == len(plan.dependents) == total
    users = [set() for _ in range(total)]
    for number in range(total):
        before = [*plan.needs[number], *plan.after.get(number, ())]
        assert len(set(before)) == len(before), "each edge is there once, as data or as order"
        for other in before:
            users[other].add(number)
    for number in range(total):
        assert len(set(plan.dependents[number])) == len(plan.dependents[number])
        assert set(plan.dependents[number]) == users[number]
    assert all(not plan.needs[number] for number in plan.given)
    assert set(plan.index.values()) <= set(range(total))


def test_a_plan_knows_whether_it_is_to_be_walked_depth_first():
    node = op(abs)(-1)
    assert compile_plan(DepthFirst([node])).depth_first
    assert not compile_plan([node]).depth_first


def test_the_requested_nodes_and_what_they_need_are_numbered_once():
    a = node("a")
    b, c = node("b", a), node("c", a, [a])
    plan = compile_plan([b, c, b])
    check(plan)
    assert names(plan, range(len(plan.nodes))) == ["b", "c", "a"]
    assert names(plan, plan.requested) == ["b", "c", "b"]
    assert [names(plan, needs) for needs in plan.needs] == [["a"], ["a"], []]
    assert names(plan, plan.dependents[plan.index[a]]) == ["b", "c"]
    assert not plan.given


def test_nothing_requested_is_an_empty_plan():
    plan = compile_plan([])
    check(plan)
    assert (plan.nodes, plan.requested) == ([], [])


@pytest.mark.parametrize("bad", [3, None, "text", [op(int)("1")], DispatchGraph()])
def test_only_nodes_can_be_requested(bad):
    with pytest.raises(TypeError, match="only nodes can be run"):
        compile_plan([op(int)("1"), bad])


def test_needs_are_distinct_and_in_argument_order():
    a, b, c = node("a"), node("b"), node("c")
    plan = compile_plan([node("top", b, a, b, [c, {a: b}])])
    check(plan)
    assert names(plan, plan.needs[0]) == ["b", "a", "c"]


def test_data_nodes_are_given():
    plan = compile_plan([node("top", DataNode("x"))])
    check(plan)
    assert plan.given == {1: "x"}


def test_inputs_stand_in_for_nodes_and_what_only_they_need_is_left_out():
    a, b = node("a"), node("b")
    c = node("c", a)
    top = node("top", c, b)
    plan = compile_plan([top], {c: 5})
    check(plan)
    assert sorted(names(plan, range(len(plan.nodes)))) == ["b", "c", "top"]
    assert plan.given == {plan.index[c]: 5}
    assert a in compile_plan([top, a], {c: 5}).index


def test_a_requested_node_may_be_an_input():
    a = node("a")
    plan = compile_plan([a], {a: "given"})
    check(plan)
    assert plan.given == {0: "given"}
    assert compile_plan([node("b")], {a: "not needed"}).given == {}


def test_inputs_match_by_key_after_a_journey():
    node_ = op(abs)(-1)
    top = -node_
    back = pickle.loads(pickle.dumps(top))
    plan = compile_plan([back], {node_: 7})
    check(plan)
    assert list(plan.given.values()) == [7]
    plan = compile_plan([top], {back.dependencies[0]: 7})
    check(plan)
    assert list(plan.given.values()) == [7]


def test_pure_inputs_match_equal_calls():
    def pure():
        return op(abs, pure=True)(-1)

    plan = compile_plan([-pure()], {pure(): 7})
    check(plan)
    assert list(plan.given.values()) == [7]


# Order without data


def test_after_orders_and_needs_nothing():
    first, second = node("first"), node("second")
    plan = compile_plan([node("top", second, after=[first, second])])
    check(plan)
    assert names(plan, plan.needs[0]) == ["second"]
    assert names(plan, plan.after[0]) == ["first"]


def test_added_edges_order():
    a, b = node("a"), node("b")
    graph = DispatchGraph([b])
    graph.add_edge(a, b)
    plan = compile_plan([b], None, graph)
    check(plan)
    assert names(plan, plan.after[plan.index[b]]) == ["a"]
    assert not compile_plan([b]).after


def test_edges_into_inputs_fall_away():
    a, b = node("a"), node("b")
    graph = DispatchGraph([b])
    graph.add_edge(a, b)
    plan = compile_plan([b], {b: 1}, graph)
    check(plan)
    assert names(plan, range(len(plan.nodes))) == ["b"]


def test_cycles_are_refused():
    a = node("a")
    b = node("b", a)
    graph = DispatchGraph([b])
    graph.add_edge(b, a)
    with pytest.raises(CycleError) as error:
        compile_plan([b], None, graph)
    assert set(error.value.cycle) == {a, b}
    check(compile_plan([b], {a: 1}, graph))


# Pure calls


def pure(name, *needs, **options):
    return op(_pure, pure=True, **options)(name, *needs)


def _pure(name, *values):
    return name, *values


def test_equal_pure_calls_are_one():
    one, other = pure("x"), pure("x")
    plan = compile_plan([CollectNode([one, other]), other])
    check(plan)
    assert plan.index[one] == plan.index[other]
    assert len(plan.needs[0]) == 1
    assert plan.requested == [0, plan.index[one]]


def test_equal_pure_calls_are_one_at_any_depth():
    def build():
        return pure("top", [pure("mid", pure("leaf"))], pure("leaf"))

    plan = compile_plan([build(), build(), node("impure", build())])
    check(plan)
    running = set(range(len(plan.nodes))) - set(plan.given)
    assert len(running) == 4


def test_impure_calls_are_never_one():
    plan = compile_plan([node("x"), node("x")])
    assert plan.index[plan.nodes[0]] != plan.index[plan.nodes[1]]


@pytest.mark.parametrize("requested_first", [False, True])
def test_a_pure_call_that_is_data_and_order_of_one_node_counts_once(requested_first):
    one, other = pure("x"), pure("x")
    top = node("top", one, after=other)
    plan = compile_plan([one, other, top] if requested_first else [top])
    check(plan)
    number = plan.index[top]
    assert (len(plan.needs[number]), plan.after.get(number, [])) == (1, [])
    with AsyncExecutor() as executor:
        assert executor.compute(top) == ("top", ("x",))


def test_pure_calls_take_futures():
    with AsyncExecutor() as executor:
        first, second = (executor.run([node("x")])[0].unwrap() for _ in range(2))
        one, same, other = pure("y", first), pure("y", first), pure("y", second)
        assert executor.compute([one, same, other]) == [("y", ("x",))] * 3
        assert one.key == same.key != other.key


# Options


def test_special_are_those_that_ask_something():
    plain, wants = node("plain"), node("wants", timeout=5.0)
    plan = compile_plan([plain, wants, CollectNode([plain])])
    check(plan)
    assert list(plan.special) == [plan.index[wants]]
    assert plan.options(plan.index[wants]).timeout == 5.0
    assert plan.options(plan.index[plain]) == Options(label="plain")
    assert plan.options(2) is DEFAULTS


def test_coroutine_nodes_are_listed():
    async def waits(): ...

    plain, coroutine = node("plain"), op(waits)()
    timed = op(waits, timeout=1)()
    plan = compile_plan([plain, coroutine, timed])
    check(plan)
    assert [plan.nodes[n] for n in plan.coroutines] == [coroutine, timed]


# Whatever the graph


@st.composite
def graphs(draw):
    """Random nodes of all kinds, some of them pure and equal, and what to ask of them."""
    nodes = []
    for n in range(draw(st.integers(1, 15))):
        some = draw(st.lists(st.sampled_from(nodes), max_size=4)) if nodes else []
        after = draw(st.lists(st.sampled_from(nodes), max_size=2)) if nodes else []
        kind = draw(st.sampled_from(["op", "nested", "pure", "data", "index", "collect"]))
        if kind == "op":
            nodes.append(node(str(n), *some, after=after))
        elif kind == "nested":
            nodes.append(Op(dict, [("k", some)], x=tuple(some)))
        elif kind == "pure":
            nodes.append(pure(n % 2, *some[:1], after=after))
        elif kind == "data" or not some:
            nodes.append(DataNode(n))
        else:
            nodes.append(IndexNode(some[0], 0) if kind == "index" else CollectNode(some))
    requested = draw(st.lists(st.sampled_from(nodes), max_size=5))
    inputs = draw(st.lists(st.sampled_from(nodes), max_size=3))
    graph = DispatchGraph(requested)
    for early, late in draw(st.lists(st.tuples(*[st.integers(0, len(nodes) - 1)] * 2), max_size=3)):
        graph.add_edge(nodes[min(early, late)], nodes[max(early, late)])
    return requested, dict.fromkeys(inputs, "given"), draw(st.sampled_from([None, graph]))


@given(graphs())
def test_every_plan_holds_what_it_says(case):
    requested, inputs, graph = case
    try:
        plan = compile_plan(requested, inputs, graph)
    except CycleError:
        assert graph is not None
        return
    check(plan)
    assert [plan.index[n] for n in requested] == plan.requested
    for n, number in plan.index.items():
        if number in plan.given or plan.nodes[number] is not n:
            continue
        needed = [plan.index[d] for d in n.dependencies]
        assert set(needed) <= {*plan.needs[number], *plan.after.get(number, ())}
