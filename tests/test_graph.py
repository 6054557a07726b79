"""`DispatchGraph`: what it holds, its edges, its parts, and how it compares."""

import operator

import cloudpickle
import pytest

from dask_dispatcher import AsyncExecutor, CycleError, DataNode, DispatchGraph, op
from tests.support.hostile import Hostile


def node(name, *needs, after=()):
    """Return a node that needs others, under a name of its own."""
    return op(lambda *values: (name, *values), label=name, after=after)(*needs)


def names(nodes):
    return sorted(n.label for n in nodes)


def edges(graph):
    return {(a.label, b.label) for a, b in graph.edges}


@pytest.fixture
def five():
    """A diamond with a tail: a -> b, a -> c, (b, c) -> d -> e."""
    a = node("a")
    b, c = node("b", a), node("c", a)
    d = node("d", b, c)
    return a, b, c, d, node("e", d)


# What it holds


def test_a_graph_is_its_outputs_and_all_they_need(five):
    a, b, c, d, e = five
    graph = DispatchGraph([d])
    assert set(graph) == set(graph.nodes) == {a, b, c, d}
    assert len(graph) == 4
    assert d in graph
    assert e not in graph
    assert graph.outputs == (d,)
    assert edges(graph) == {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}


def test_an_empty_graph():
    graph = DispatchGraph()
    assert (len(graph), list(graph), graph.nodes, graph.edges, graph.outputs) == (0, [], (), (), ())
    assert graph == DispatchGraph()


def test_a_graph_does_not_look_past_its_inputs(five):
    a, b, c, d, _ = five
    graph = DispatchGraph([d], inputs=[b])
    assert set(graph) == {a, b, c, d}, "a is still needed for c"
    assert graph.inputs == {b}
    assert set(DispatchGraph([d], inputs=[b, c])) == {b, c, d}
    assert set(DispatchGraph([d], inputs=[d])) == {d}
    assert set(DispatchGraph([b], inputs=[c])) == {a, b}


def test_edges_into_inputs_are_kept_where_both_ends_are(five):
    a, b, _, d, _ = five
    assert ("a", "b") in edges(DispatchGraph([d], inputs=[b]))
    assert DispatchGraph([d], inputs=[b]).dependencies(b) == (a,)


def test_after_is_an_edge():
    first = node("first")
    graph = DispatchGraph([node("second", after=first)])
    assert edges(graph) == {("first", "second")}


def test_nodes_in_containers_and_shared_ones_are_found_once(five):
    a, b, *_ = five
    top = op(dict)({"x": [a, (b, {a})], b: a})
    graph = DispatchGraph([top, top])
    assert len(graph) == 3
    assert graph.outputs == (top,)


def test_one_node_is_taken_for_a_list_of_one(five):
    assert DispatchGraph(five[3]).outputs == (five[3],)


@pytest.mark.parametrize("bad", [3, None, "text", ["a"]])
def test_only_nodes_are_taken(five, bad):
    a = five[0]
    for use in (
        lambda: DispatchGraph([a, bad]),
        lambda: DispatchGraph([a], inputs=[bad]),
        lambda: DispatchGraph().add_node(bad),
        lambda: DispatchGraph().add_edge(a, bad),
        lambda: DispatchGraph().add_edge(bad, a),
        lambda: DispatchGraph([a]).subgraph([bad]),
        lambda: DispatchGraph([a]).subgraph(inputs=[bad]),
    ):
        with pytest.raises(TypeError, match="must be nodes"):
            use()


def test_anything_can_be_asked_for_and_only_nodes_are_in():
    graph = DispatchGraph([node("a")])
    assert 3 not in graph
    assert [] not in graph
    assert Hostile() not in graph
    assert node("a") not in graph


def test_dependencies_and_dependents(five):
    a, b, c, d, e = five
    graph = DispatchGraph([e])
    assert graph.dependencies(d) == (b, c)
    assert set(graph.dependents(a)) == {b, c}
    assert graph.dependents(e) == graph.dependencies(a) == ()
    for ask in (graph.dependencies, graph.dependents):
        with pytest.raises(KeyError, match="stranger"):
            ask(node("stranger"))


# Growing


def test_added_nodes_bring_what_they_need(five):
    a, b, c, d, e = five
    graph = DispatchGraph()
    graph.add_node(b)
    assert set(graph) == {a, b}
    assert graph.outputs == (b,)
    graph.add_node(e)
    graph.add_node(e)
    assert set(graph) == set(five)
    assert graph.outputs == (e,)
    assert graph.dependents(b) == (d,)
    assert c in graph


def test_given_outputs_stay_the_outputs(five):
    _, b, _, d, e = five
    graph = DispatchGraph([b])
    graph.add_node(e)
    assert graph.outputs == (b,)
    assert d in graph


def test_an_added_edge_adds_missing_nodes_and_orders(five):
    a, b, *_ = five
    other = node("other", node("its own"))
    graph = DispatchGraph([b])
    assert graph.dependents(a) == (b,)
    graph.add_edge(other, b)
    graph.add_edge(other, b)
    assert set(names(graph)) == {"a", "b", "other", "its own"}
    assert graph.dependencies(b) == (a, other)
    assert graph.dependents(other) == (b,)
    assert graph.edges.count((other, b)) == 1
    assert b.dependencies == (a,), "the node itself is as it was"


def test_an_edge_that_is_there_is_not_added(five):
    a, b, *_ = five
    graph = DispatchGraph([b])
    graph.add_edge(a, b)
    assert graph.edges == ((a, b),)
    assert graph == DispatchGraph([b])


def test_an_added_edge_orders_a_run():
    ran = []
    first, second = (op(lambda name=name: ran.append(name))() for name in ("first", "second"))
    for early, late in ((first, second), (second, first)):
        ran.clear()
        graph = DispatchGraph([first, second])
        graph.add_edge(early, late)
        with AsyncExecutor() as executor:
            executor.run(graph)
        assert ran == [name for n in (early, late) for name in n.func.__defaults__]


def test_an_added_edge_gives_no_data_and_needs_no_output():
    ran = []
    early = op(lambda: ran.append("early"))()
    late = op(lambda: len(ran))()
    graph = DispatchGraph([late])
    graph.add_edge(early, late)
    with AsyncExecutor() as executor:
        (result,) = executor.run(graph)
        assert result.unwrap().fetch() == 1


# Parts


def test_a_part_with_outputs_is_all_they_need(five):
    a, b, c, d, e = five
    part = DispatchGraph([e]).subgraph([d])
    assert set(part) == {a, b, c, d}
    assert part.outputs == (d,)
    assert part == DispatchGraph([d])


def test_a_part_with_outputs_and_inputs_is_what_lies_between(five):
    a, b, c, d, e = five
    graph = DispatchGraph([e])
    assert set(graph.subgraph([e], [d])) == {d, e}
    assert set(graph.subgraph([d], [b])) == {a, b, c, d}
    assert set(graph.subgraph([d], [b, c])) == {b, c, d}
    assert set(graph.subgraph([b], [d])) == {a, b, d}, "an input is kept though nothing needs it"
    assert graph.subgraph([e], [d]).inputs == {d}
    assert graph.subgraph([d], [d]).nodes == (d,)


def test_a_part_with_inputs_only_is_all_but_what_served_them(five):
    a, b, c, d, e = five
    graph = DispatchGraph([e])
    assert set(graph.subgraph(inputs=[d])) == {d, e}
    assert set(graph.subgraph(inputs=[b])) == set(five), "a serves c as well"
    assert set(graph.subgraph(inputs=[b, c])) == {b, c, d, e}
    assert set(graph.subgraph(inputs=[a])) == set(five)
    assert set(graph.subgraph(inputs=[e])) == {e}
    assert graph.subgraph() == graph


def test_a_part_with_inputs_keeps_what_has_nothing_to_do_with_them(five):
    _, b, c, d, e = five
    beside = node("beside", node("its own"))
    graph = DispatchGraph([e, beside])
    assert names(graph.subgraph(inputs=[b, c])) == ["b", "beside", "c", "d", "e", "its own"]


def test_edges_into_inputs_are_kept_in_a_part(five):
    a, b, c, d, e = five
    part = DispatchGraph([e]).subgraph([d], [b])
    assert edges(part) == {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}
    part = DispatchGraph([e]).subgraph([e], [d])
    assert edges(part) == {("d", "e")}
    part = DispatchGraph([e]).subgraph([a, d], [b, c])
    assert ("a", "b") in edges(part)


def test_added_edges_are_kept_in_a_part(five):
    a, _, c, d, e = five
    extra = node("extra")
    graph = DispatchGraph([e])
    graph.add_edge(extra, c)
    part = graph.subgraph([d])
    assert extra in part
    assert ("extra", "c") in edges(part)
    assert extra not in graph.subgraph([e], [d])
    assert extra not in graph.subgraph([d], [c])
    assert a in graph.subgraph([d], [c])


def test_a_part_is_a_graph_of_its_own(five):
    _, b, c, d, e = five
    graph = DispatchGraph([e])
    part = graph.subgraph([d])
    part.add_edge(b, c)
    assert (b, c) not in graph.edges
    part.add_node(e)
    assert graph.outputs == (e,)
    assert part.outputs == (d,)


def test_parts_of_what_is_not_there_are_refused(five):
    graph = DispatchGraph([five[1]])
    for use in (lambda: graph.subgraph([five[4]]), lambda: graph.subgraph(inputs=[five[4]])):
        with pytest.raises(KeyError, match="'e'"):
            use()


def test_a_part_runs_with_values_for_its_inputs(five):
    _, b, c, d, _ = five
    part = DispatchGraph([d]).subgraph([d], [b, c])
    with AsyncExecutor() as executor:
        (result,) = executor.run(part, inputs={b: 1, c: 2})
        assert result.unwrap().fetch() == ("d", 1, 2)
        with pytest.raises(ValueError, match="no value: c"):
            executor.run(part, inputs={b: 1})


# Comparing


def test_graphs_with_the_same_nodes_and_edges_are_equal(five):
    *_, d, e = five
    assert DispatchGraph([e]) == DispatchGraph([e, d])
    assert DispatchGraph([e]) != DispatchGraph([d])
    one, other = DispatchGraph([e]), DispatchGraph([e])
    one.add_edge(five[1], five[2])
    assert one != other
    other.add_edge(five[1], five[2])
    assert one == other


def test_graphs_of_equal_looking_nodes_differ():
    assert DispatchGraph([node("a")]) != DispatchGraph([node("a")])


def test_graphs_compare_with_nothing_else(five):
    graph = DispatchGraph([five[0]])
    assert graph != 3
    assert graph != [five[0]]
    assert graph.__eq__(3) is NotImplemented


def test_graphs_do_not_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(DispatchGraph())


def test_a_graph_pickles_with_its_edges_and_outputs(five):
    *_, d, e = five
    graph = DispatchGraph([e], inputs=[d])
    graph.add_edge(node("extra"), e)
    back = cloudpickle.loads(cloudpickle.dumps(graph))
    assert [n.key for n in back] == [n.key for n in graph]
    assert [(a.key, b.key) for a, b in back.edges] == [(a.key, b.key) for a, b in graph.edges]
    assert [n.key for n in back.outputs] == [e.key]
    assert {n.key for n in back.inputs} == {d.key}
    back.add_node(node("later"))
    assert len(back) == len(graph) + 1


# Cycles


def check_cycle(error, graph):
    cycle = error.value.cycle
    assert cycle[0] is cycle[-1]
    assert len(set(cycle)) == len(cycle) - 1
    assert set(zip(cycle, cycle[1:])) <= set(graph.edges)
    assert isinstance(error.value, ValueError)
    return set(cycle[1:])


def test_a_cycle_is_refused_when_the_graph_is_run(five):
    a, b, c, d, e = five
    graph = DispatchGraph([e])
    graph.add_edge(d, b)
    assert len(graph) == 5
    with AsyncExecutor() as executor:
        for run in (executor.run, executor.start, executor.compute):
            with pytest.raises(CycleError, match="b -> d -> b|d -> b -> d") as error:
                run(graph)
            assert check_cycle(error, graph) == {b, d}


def test_a_cycle_of_one(five):
    a = five[0]
    graph = DispatchGraph([a])
    graph.add_edge(a, a)
    with AsyncExecutor() as executor, pytest.raises(CycleError, match="a -> a") as error:
        executor.run(graph)
    assert error.value.cycle == [a, a]


def test_a_cycle_without_an_output_is_refused(five):
    a, b, *_ = five
    graph = DispatchGraph()
    graph.add_edge(b, a)
    assert graph.outputs == ()
    with AsyncExecutor() as executor, pytest.raises(CycleError) as error:
        executor.run(graph)
    assert check_cycle(error, graph) == {a, b}


def test_a_cycle_beside_the_outputs_is_refused(five):
    a, b, *_ = five
    graph = DispatchGraph([node("other")])
    graph.add_edge(b, a)
    with AsyncExecutor() as executor, pytest.raises(CycleError) as error:
        executor.run(graph)
    assert check_cycle(error, graph) == {a, b}


def test_a_cycle_through_data_is_refused():
    data = DataNode(1)
    user = node("user", data)
    graph = DispatchGraph([user])
    graph.add_edge(user, data)
    with AsyncExecutor() as executor, pytest.raises(CycleError) as error:
        executor.run(graph)
    assert check_cycle(error, graph) == {data, user}


def test_an_input_cuts_a_cycle(five):
    a, b, *_ = five
    graph = DispatchGraph([b])
    graph.add_edge(b, a)
    with AsyncExecutor() as executor:
        (result,) = executor.run(graph, inputs={a: 1})
        assert result.unwrap().fetch() == ("b", 1)


def test_a_big_cycle_is_named_briefly():
    chain = [op(int)("0")]
    for _ in range(50_000):
        chain.append(-chain[-1])
    graph = DispatchGraph([chain[-1]])
    graph.add_edge(chain[-1], chain[0])
    chain[0].label = "<b>\x00\u202e" + "x" * 10**6
    with AsyncExecutor() as executor, pytest.raises(CycleError) as error:
        executor.run(graph)
    assert check_cycle(error, graph.subgraph()) == set(chain)
    assert len(str(error.value)) < 3_000
    assert str(error.value).isprintable()


# Big ones


def test_a_graph_of_a_hundred_thousand_is_built_compared_cut_and_shown():
    chain = [op(int)("0")]
    for _ in range(99_999):
        chain.append(-chain[-1])
    graph = DispatchGraph([chain[-1]])
    assert len(graph) == 100_000
    assert graph == DispatchGraph(chain)
    assert repr(graph) == "<DispatchGraph: 100000 nodes, 1 outputs>"
    part = graph.subgraph([chain[-1]], [chain[50_000]])
    assert len(part) == 50_000
    assert graph.dependents(chain[0]) == (chain[1],)
    for text in (graph.to_mermaid(), graph.to_dot()):
        assert text.count("neg") == 99_999


def test_operators_in_a_graph_have_names():
    a = node("a")
    assert names(DispatchGraph([operator.add(a, 1)])) == ["a", "add"]
