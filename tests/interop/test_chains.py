"""Chains of Dask tasks, made one."""

from operator import add, neg

import dask.bag
import pytest
from dask.task_spec import Alias, Task, TaskRef
from dask.task_spec import DataNode as Literal

from dask_dispatcher import ParallelExecutor, op
from dask_dispatcher.call import Call
from dask_dispatcher.interop.chains import fuse_chains
from dask_dispatcher.interop.futures import futures_in
from dask_dispatcher.interop.tasks import Step, is_fused
from dask_dispatcher.options import Options

A = Task("a", add, 1, 2)
B = Task("b", neg, TaskRef("a"))
C = Task("c", abs, TaskRef("b"))


def short(*tasks, keys=("c",), options=None):
    return fuse_chains({task.key: task for task in tasks}, keys, options or {})


def test_a_chain_is_one_task_under_its_last_key():
    found = short(A, B, C)
    assert list(found) == ["c"]
    assert is_fused(found["c"])
    assert found["c"]() == 3


def test_a_chain_may_begin_with_several_inputs():
    inputs = [Literal("x", 5), Literal("y", 2)]
    found = short(*inputs, Task("a", add, TaskRef("x"), TaskRef("y")), B, C)
    assert found.keys() == {"x", "y", "c"}
    assert found["c"]({"x": 5, "y": 2}) == 7


def test_what_is_wanted_stays():
    assert short(A, B, C, keys=["b", "c"]).keys() == {"b", "c"}


def test_what_two_need_stays():
    found = short(A, B, Task("c", add, TaskRef("a"), TaskRef("b")))
    assert found.keys() == {"a", "b", "c"}


def test_what_nobody_needs_is_left_out():
    assert short(A, B, C, Task("d", neg, TaskRef("b"))).keys() == {"c"}


def test_only_tasks_of_equal_options_are_joined():
    asked = Options(retries=2)
    assert short(A, B, C, options={"b": asked, "c": asked}).keys() == {"a", "c"}


def test_keys_that_are_elsewhere():
    assert short(Task("c", neg, TaskRef("elsewhere")))["c"].dependencies == {"elsewhere"}


def test_aliases_make_no_chain():
    found = short(A, Alias("b", "a"), Alias("c", "b"))
    assert found.keys() == {"a", "b", "c"}


def test_a_task_need_not_know_its_key():
    graph = {"a": A, "b": Alias("a"), "c": C}  # as `from_delayed` makes them
    found = fuse_chains(graph, ["c"], {})
    assert found["c"]() == 3


def test_values_stay():
    assert short(Literal("a", 3), B, C).keys() == {"a", "c"}


def test_nodes_of_ours_stay():
    node = op(neg)(inner := op(abs)(-3))
    step = Step(node, "b", "neg", Call.of(node, [0], {inner: 0}))
    assert short(A, Task("b", step, TaskRef("a")), C).keys() == {"a", "b", "c"}


def test_what_dask_has_fused_is_part_of_a_chain():
    dasks = Task.fuse(Task("inner", neg, TaskRef("a")), Task("b", add, TaskRef("inner"), -10))
    assert short(A, dasks, C)["c"]() == 13


def test_futures_are_found_in_what_was_fused_twice():
    class Future(TaskRef):
        def result(self):
            """As in ``distributed.Future``."""

    future = Future("there")
    dasks = Task.fuse(Task("inner", neg, future), Task("a", add, TaskRef("inner"), 1))
    assert list(futures_in(short(dasks, B, C)["c"])) == [future]


def test_what_must_not_be_fused_is_not():
    class Barrier(Task):
        block_fusion = True

    assert short(A, Barrier("b", neg, TaskRef("a")), C).keys() == {"a", "b", "c"}


def test_a_circle_is_left_to_others():
    found = short(Task("a", neg, TaskRef("b")), B, C)
    assert found.keys() == {"a", "b", "c"}


def test_a_long_chain():
    tasks = [A, *(Task(n, add, TaskRef(n - 1 or "a"), 1) for n in range(1, 5_000))]
    (task,) = short(*tasks, keys=[4_999]).values()
    assert len(task.args[0]) == 5_000


def negated(numbers):
    """Yield numbers: a generator, which cannot travel."""
    return (-number for number in numbers)


@pytest.mark.parametrize("annotations", [{}, {"retries": 1}])
def test_a_bag_of_iterators_with_and_without_annotations(annotations):
    with dask.annotate(**annotations):
        bag = dask.bag.from_sequence(range(6), npartitions=2).map_partitions(negated).map(abs)
    with ParallelExecutor(1) as executor:
        assert bag.compute(scheduler=executor.get, optimize_graph=False) == [0, 1, 2, 3, 4, 5]


def test_coroutines_are_awaited_one_by_one():
    async def plus_one(n):
        return n + 1

    graph = {"a": Task("a", plus_one, 1), "b": Task("b", plus_one, TaskRef("a"))}
    with ParallelExecutor(1) as executor:
        assert executor.get(graph, "b") == 3
