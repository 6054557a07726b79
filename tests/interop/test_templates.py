"""Tasks that are alike, as calls of one function."""

import pickle
import weakref
from operator import add, mul, neg

import cloudpickle
import dask
import dask.array
import pytest
from dask.task_spec import Alias, GraphNode, List, Task, TaskRef

from dask_dispatcher import ParallelExecutor
from dask_dispatcher.interop.tasks import fused
from dask_dispatcher.interop.templates import Template, TemplateTranslation, parted


def template_of(task):
    found = parted(task)
    return Template("kind", tuple(found.steps), found.objects), found.leaves


def value_of(task, **results):
    """Return what a task's template, sent elsewhere, makes of results by key."""
    template, leaves = template_of(task)
    filled = [results[leaf.key] if type(leaf) is TaskRef else leaf for leaf in leaves]
    return pickle.loads(cloudpickle.dumps(template))(*filled)


def test_alike_tasks_share_a_template():
    graph = {"a": Task("a", abs, -1), "b": Task("b", abs, -2)}
    graph |= {("s", n): Task(("s", n), add, List(TaskRef(k)), (n, [n])) for n, k in enumerate("ab")}
    nodes = TemplateTranslation(graph).run([("s", 0), ("s", 1)])
    first, second = nodes["s", 0], nodes["s", 1]
    assert first.func is second.func
    assert first.func.__name__ == "s"
    assert nodes["a"].args == (-1,)


def test_other_functions_make_another_template():
    graph = {("s", 0): Task(("s", 0), abs, -1), ("s", 1): Task(("s", 1), neg, -1)}
    nodes = TemplateTranslation(graph).run(list(graph))
    assert nodes["s", 0].func is not nodes["s", 1].func


def test_a_result_that_is_used_twice_is_one_leaf():
    task = Task("t", add, TaskRef("x"), Task(None, mul, TaskRef("x"), 3))
    assert template_of(task)[1] == [TaskRef("x"), 3]
    assert value_of(task, x=2) == 8


def test_keyword_arguments():
    task = Task("t", dict, [("a", 0)], b=TaskRef("x"), c=slice(1, None), d=int)
    assert value_of(task, x=2) == {"a": 0, "b": 2, "c": slice(1, None), "d": int}


def test_a_name_for_another():
    assert value_of(Alias("t", "x"), x=5) == 5


def chain():
    first = Task("a", add, TaskRef("x"), 1)
    second = Task("b", mul, TaskRef("a"), TaskRef("a"))
    return first, second, Task("c", add, TaskRef("b"), TaskRef("y"))


def test_fused_tasks():
    first, second, third = chain()
    assert value_of(GraphNode.fuse(third, first, second), x=2, y=10) == 19


def test_fused_inside_fused():
    first, second, third = chain()
    inner = GraphNode.fuse(second, first)
    assert value_of(fused({"b": inner, "c": third}, "c"), x=2, y=10) == 19


def test_values_of_steps_go_when_nobody_needs_them():
    class Value:
        pass

    made = []

    def make():
        value = Value()
        made.append(weakref.ref(value))
        return value

    def look(_):
        return made[0]() is None

    tasks = {
        "a": Task("a", make),
        "b": Task("b", id, TaskRef("a")),
        "c": Task("c", look, TaskRef("b")),
    }
    template, leaves = template_of(fused(tasks, "c"))
    assert template(*leaves) is True


def test_tasks_of_a_kind_that_is_not_known():
    class Own(Task):
        def __call__(self, values=()):
            return values["x"] + 1

    task = Task("t", neg, Own("o", abs, TaskRef("x")))
    template, leaves = template_of(task)
    assert template(*[2 if type(leaf) is TaskRef else leaf for leaf in leaves]) == -3


@pytest.mark.timeout(120)
def test_arrays_on_processes():
    x = dask.array.arange(64, chunks=4).reshape(8, 8).rechunk(2)
    with ParallelExecutor(2) as executor:
        found = (x + x.T)[1:, ::2].sum(axis=0).compute(scheduler=executor.get)
    assert found.tolist() == (x + x.T)[1:, ::2].sum(axis=0).compute(scheduler="sync").tolist()


def test_what_is_inside_fused_tasks_is_taken_apart_once_and_filled_anew():
    first, second, third = chain()
    whole = GraphNode.fuse(third, first, second)
    inside, output, outer, *_ = whole.args
    others = Task("d", whole.func, inside, output, outer, *map(TaskRef, "pq"))
    graph = {key: Task(key, int, n) for n, key in enumerate("xypq", 2)} | {"c": whole, "d": others}
    insides = {}
    found = [parted(graph[key], insides) for key in "cd"]
    assert len(insides) == 1
    assert found[0].steps == found[1].steps
    with ParallelExecutor(1) as executor:
        assert executor.get(graph, ["c", "d"]) == dask.get(graph, ["c", "d"])


def test_short_lists_and_mappings_of_plain_values_are_part_of_the_pattern():
    task = Task("t", dict, [], a={"dtype": int, "out": None}, b=[1, [2]])
    found = parted(task)
    assert [leaf for leaf in found.leaves if isinstance(leaf, (list, dict))] == [[1, [2]]]
    assert value_of(task) == {"a": {"dtype": int, "out": None}, "b": [1, [2]]}
