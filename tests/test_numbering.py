"""Numbers on nodes: what holds when several plans have the same nodes."""

import pickle
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_dispatcher import AsyncExecutor, CollectNode, DataNode, DispatchGraph, op
from dask_dispatcher.numbering import Numbers, Users
from dask_dispatcher.plan import Plan, compile_plan


@op
def add(*values: int) -> int:
    return sum(values)


def layers(depth: int, width: int) -> list[list[Any]]:
    """Return layers of nodes of which each takes three of the layer before."""
    found = [[add(position) for position in range(width)]]
    for _ in range(depth):
        before = found[-1]
        found.append([add(*(before[(p + k) % width] for k in range(3))) for p in range(width)])
    return found


def is_right(plan: Plan) -> bool:
    """Return whether a plan numbers each of its nodes once, and finds all of them again."""
    own = {node: number for number, node in enumerate(plan.nodes)}
    needs = [tuple(own[node] for node in each.dependencies) for each in plan.nodes]
    return (
        len(own) == len(plan.nodes)
        and plan.needs == needs
        and all(plan.index[node] == number for node, number in own.items())
    )


def test_a_plan_needs_no_table_until_another_one_has_its_nodes():
    *_, top = layers(2, 5)
    first = compile_plan(top)
    assert is_right(first)
    assert first.index.table is None
    compile_plan(top[::-1])
    assert is_right(first)
    assert first.index.table is not None


def test_plans_that_overlap_keep_their_own_numbers():
    *_, middle, top = layers(3, 5)
    plans = [compile_plan(nodes) for nodes in (top, middle, top[::-1], top[2:], middle[1:], top)]
    assert all(map(is_right, plans))
    assert all(map(is_right, reversed(plans)))


def test_a_smaller_plan_is_not_misled_by_larger_numbers():
    *_, top = layers(30, 5)
    compile_plan(top)
    assert is_right(compile_plan([top[0].dependencies[0]]))


def test_nodes_of_another_plan_are_not_in_it():
    one, other = add(1), add(1)
    plan = compile_plan([one])
    compile_plan([other])
    assert one in plan.index
    assert other not in plan.index
    with pytest.raises(KeyError):
        plan.index[other]


def test_who_compiles_in_the_midst_of_another_does_not_disturb_it():
    *_, shared = layers(3, 5)
    inner = []

    class Curious:
        """Compiles what is being compiled, when it is hashed; then in another thread."""

        def __dask_tokenize__(self) -> str:
            inner.append(compile_plan(shared[::-1]))
            thread = threading.Thread(target=lambda: inner.append(compile_plan(shared[2:])))
            thread.start()
            thread.join()
            return "curious"

    pure = op(lambda thing, *values: sum(values), pure=True)
    # Found between the shared nodes and what these need.
    plan = compile_plan([*shared, pure(Curious(), *shared)])
    assert len(inner) == 2
    assert all(map(is_right, [plan, *inner]))
    assert plan.index.table is None
    assert is_right(compile_plan(shared))


def test_an_error_while_compiling_lets_the_next_one_write():
    class Broken:
        def __dask_tokenize__(self) -> str:
            raise RuntimeError("no token")

    with pytest.raises(TypeError, match="cannot be hashed"):
        compile_plan([op(str, pure=True)(Broken())])
    assert compile_plan([add(1)]).index.table is None


def test_threads_that_compile_the_same_nodes_all_the_time():
    *_, middle, top = layers(20, 20)
    begin = threading.Barrier(4)
    wrong = []

    def work(nodes: list[Any]) -> None:
        begin.wait()
        for _ in range(30):
            plan = compile_plan(nodes)
            if not is_right(plan):
                wrong.append(plan)

    turns = (top, middle, top[::-1], middle[::-1])
    threads = [threading.Thread(target=work, args=(nodes,)) for nodes in turns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_runs_of_overlapping_graphs_at_the_same_time():
    *_, middle, top = layers(10, 10)
    nested = op(len)([top, {"some": middle}])
    requests = [[*top, nested], [CollectNode(middle)], top[::-1], [add(top[0], 1, middle[3])]]
    with AsyncExecutor() as one, AsyncExecutor() as other:
        alone = [[r.value.fetch() for r in one.run(nodes)] for nodes in requests]
        runs = [(one if n % 2 else other).start(nodes) for n, nodes in enumerate(requests * 5)]
        found = [[r.value.fetch() for r in run.results()] for run in runs]
    assert found == alone * 5


def test_inputs_given_to_one_of_two_runs():
    a = add(1)
    b = add(a, a, 5)
    top = add(b, a)
    with AsyncExecutor() as executor:
        graph = DispatchGraph([top], inputs=[b])
        runs = [executor.start([top]), executor.start(graph, inputs={b: 100}), executor.start([b])]
        assert [run.results()[0].value.fetch() for run in runs] == [8, 101, 7]


def test_a_future_that_stands_in_several_plans():
    with AsyncExecutor() as executor:
        future = executor.run([add(5)])[0].value
        one, other = add(future, 1), add(add(2), future)
        plans = [compile_plan([one]), compile_plan([other, one]), compile_plan([other])]
        assert [plan.nodes[plan.index[future]] for plan in plans] == [future] * 3
        assert [r.value.fetch() for r in executor.run([one, other])] == [6, 7]


def test_a_number_does_not_travel():
    node = add(add(1), 2)
    before = pickle.dumps(node)
    compile_plan([add(7, 8), node])
    assert pickle.dumps(node) == before
    copy = pickle.loads(before)
    assert is_right(compile_plan([copy, node]))


def test_merged_nodes_share_a_number():
    pure = op(abs, pure=True)
    one, other = pure(-1), pure(-1)
    plan = compile_plan([add(one, other), other])
    assert plan.index[one] == plan.index[other]
    read = plan.index.reader(list("abc"))
    assert read(one) == read(other)
    compile_plan([other, one])
    assert plan.index[one] == plan.index[other]
    assert read(one) == read(other)


def test_a_reader_looks_where_another_plan_has_written():
    *_, top = layers(1, 5)
    plan = compile_plan(top)
    read = plan.index.reader(plan.nodes)
    compile_plan([DataNode(0), *top[::-1]])
    assert all(read(node) is node for node in plan.nodes)


def test_numbers_as_a_mapping():
    *_, top = layers(1, 5)
    index = compile_plan(top).index
    assert isinstance(index, Numbers)
    assert dict(index) == {node: number for number, node in enumerate(index.nodes)}
    assert len(index) == len(index.nodes)
    assert index.get("no node", -5) == -5


@given(st.lists(st.sets(st.integers(0, 20)), min_size=21, max_size=21))
def test_users_are_needs_turned_round(rows: list[set[int]]) -> None:
    users = Users.of([tuple(row) for row in rows])
    turned = [[user for user, row in enumerate(rows) if need in row] for need in range(len(rows))]
    assert [list(users[number]) for number in range(len(users))] == turned
    counts = users.counts()
    assert counts == list(map(len, turned))
    counts[0] += 5
    assert users.counts() == list(map(len, turned))
