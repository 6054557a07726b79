"""Dask graphs as nodes."""

from collections import namedtuple
from operator import add, mul, neg

import pytest
from dask._task_spec import Dict, Set, Tuple, convert_legacy_graph
from dask.task_spec import Alias, List, Task, TaskRef
from dask.task_spec import DataNode as Literal

from dask_dispatcher import AsyncExecutor, DataNode, DispatchGraph, Op
from dask_dispatcher.interop.graphs import Translation
from dask_dispatcher.interop.sharing import SharedTranslation, unshared
from dask_dispatcher.interop.templates import TemplateTranslation
from dask_dispatcher.options import Options

Pair = namedtuple("Pair", "left right")


def nodes_of(*tasks, keys=None, translation=Translation):
    graph = {task.key: task for task in tasks}
    return translation(graph).run(keys or list(graph))


def value_of(*tasks, translation=Translation):
    """Return the value of the last task."""
    with AsyncExecutor() as executor:
        return unshared(executor.compute(nodes_of(*tasks, translation=translation)[tasks[-1].key]))


X = Literal("x", 5)


def test_a_task_is_an_op_of_its_function():
    node = nodes_of(X, Task("y", add, TaskRef("x"), 1))["y"]
    assert isinstance(node, Op)
    assert (node.func, node.args[1], node.label) == (add, 1, "y")
    assert [type(other) for other in node.dependencies] == [DataNode]


def test_keyword_arguments_may_be_references():
    assert value_of(X, Task("y", dict, a=TaskRef("x"), b=2)) == {"a": 5, "b": 2}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (List(TaskRef("x"), 1), [5, 1]),
        (Tuple(TaskRef("x"), [1]), (5, [1])),
        (Set(TaskRef("x"), 1), {5, 1}),
        (Dict({"a": TaskRef("x"), "b": 1}), {"a": 5, "b": 1}),
        (List(Dict(a=List(TaskRef("x")))), [{"a": [5]}]),
        (List(1, 2), [1, 2]),
        (Alias("x"), 5),
        (Literal(None, "x"), "x"),
        (Task(None, neg, TaskRef("x")), -5),
        (List(Task(None, neg, TaskRef("x")), 2), [-5, 2]),
    ],
)
@pytest.mark.parametrize("translation", [Translation, TemplateTranslation, SharedTranslation])
def test_parts_of_arguments(part, value, translation):
    found = value_of(X, Task("y", lambda given: given, part), translation=translation)
    assert found == value
    assert type(found) is type(value)


def test_containers_of_references_do_not_hide_the_function():
    assert nodes_of(X, Task("y", sum, List(TaskRef("x"), 1)))["y"].func is sum


def test_a_task_within_a_task_is_no_node_of_its_own():
    node = nodes_of(X, Task("y", add, 1, Task(None, neg, TaskRef("x"))))["y"]
    assert len(DispatchGraph([node])) == 2


def test_fused_tasks_are_one_node():
    parts = [Task("a", neg, TaskRef("x")), Task("b", mul, TaskRef("a"), 2)]
    fused = Task.fuse(*parts, key="b")
    assert value_of(X, fused) == -10
    assert len(DispatchGraph([nodes_of(X, fused)["b"]])) == 2


def test_an_alias_is_the_node_of_its_target():
    nodes = nodes_of(X, Task("y", neg, TaskRef("x")), Alias("z", "y"), Alias("zz", "z"))
    assert nodes["zz"] is nodes["y"]


def test_a_key_has_one_node():
    nodes = nodes_of(X, Task("y", neg, TaskRef("x")), Task("z", add, TaskRef("y"), TaskRef("y")))
    assert nodes["z"].dependencies == (nodes["y"],)


def test_only_what_is_needed_becomes_nodes():
    tasks = [X, Task("y", neg, TaskRef("x")), Task("other", neg, 1)]
    assert nodes_of(*tasks, keys=["y"]).keys() == {"x", "y"}


def test_what_a_task_is_given_is_not_searched():
    node = DataNode(1)
    assert value_of(Task("y", lambda given: given, [[node]])) == [[node]]


def test_the_number_of_arguments_is_the_task_s_own_affair():
    node = nodes_of(Task("y", add, 1))["y"]
    with AsyncExecutor() as executor:
        (result,) = executor.run([node], raise_errors=False)
    assert isinstance(result.unwrap_err().__cause__, TypeError)


def test_the_legacy_form():
    legacy = {
        "x": 1,
        ("y", 0): (add, "x", 2),
        "z": ["x", ("y", 0), {"k": "x"}],
        "w": (lambda *given: given, (sum, ["x", ("y", 0)]), "text", Pair("x", 2)),
        "alias": "z",
    }
    nodes = Translation(convert_legacy_graph(legacy)).run(["w", "alias"])
    with AsyncExecutor() as executor:
        w, z = executor.compute([nodes["w"], nodes["alias"]])
    assert w == (4, "text", Pair(1, 2))
    assert z == [1, 3, {"k": "x"}]


def test_options_are_those_of_the_key():
    options = Options(retries=3)
    graph = {"x": Task("x", abs, 1), "y": Task("y", abs, TaskRef("x"))}
    nodes = Translation(graph, {"x": options}).run(["y"])
    assert nodes["x"].options is options
    assert nodes["y"].options.retries is None


def test_a_circle_is_refused_as_dask_refuses_it():
    with pytest.raises(RuntimeError, match="Cycle detected"):
        nodes_of(Task("a", neg, TaskRef("b")), Task("b", neg, TaskRef("a")))


def test_a_task_that_needs_what_is_not_there():
    with pytest.raises(ValueError, match="Missing dependency 'x' for 'y'"):
        nodes_of(Task("y", neg, TaskRef("x")))


def test_a_key_that_is_not_there():
    with pytest.raises(KeyError, match="nowhere"):
        nodes_of(X, keys=["nowhere"])


def test_a_long_chain_needs_no_recursion():
    tasks = [Task(k, add, TaskRef(k - 1), 1) for k in range(1, 20_000)]
    assert value_of(Literal(0, 0), *tasks) == 19_999
