"""Single Dask tasks as engines call them."""

import pickle
from operator import add, mul, neg

import pytest
from dask.task_spec import GraphNode, Task, TaskRef

from dask_dispatcher import op
from dask_dispatcher.call import Call
from dask_dispatcher.interop.tasks import Evaluate, Fused, Step, is_fused


def test_evaluate_gives_a_task_its_results_by_key():
    task = Task("t", add, TaskRef("x"), Task(None, neg, TaskRef(("y", 0))))
    assert Evaluate("t")(task, ("x", ("y", 0)), 5, 2) == 3


def test_evaluate_has_the_name_of_its_kind():
    assert pickle.loads(pickle.dumps(Evaluate("sum-partial"))).__name__ == "sum-partial"


def fused() -> Task:
    inner = Task("a", add, TaskRef("x"), 1)
    middle = Task("b", mul, TaskRef("a"), TaskRef("a"))
    return GraphNode.fuse(Task("c", add, TaskRef("b"), TaskRef("y")), inner, middle)


def test_fused_computes_what_dask_would():
    task = fused()
    assert is_fused(task)
    inside, output, *_ = task.args
    assert Fused(inside, output)({"x": 2, "y": 10}) == task({"x": 2, "y": 10}) == 19


def test_fused_travels():
    inside, output, *_ = fused().args
    assert pickle.loads(pickle.dumps(Fused(inside, output)))({"x": 2, "y": 10}) == 19


def test_fused_drops_a_value_after_its_last_use():
    class Value:
        alive = 0

        def __init__(self):
            Value.alive += 1
            assert Value.alive <= 2

        def __del__(self):
            Value.alive -= 1

    def following(_):
        return Value()

    keys = [f"k{number}" for number in range(10)]
    chain = {b: Task(b, following, TaskRef(a)) for a, b in zip(keys, keys[1:])}
    assert isinstance(Fused(chain, "k9")({"k0": None}), Value)


def test_a_plain_task_is_not_fused():
    assert not is_fused(Task("a", add, 1, 2))


def test_step_leaves_its_node_behind_when_it_travels():
    node = op(add)(1, 2)
    step = Step(node, node.key, "add", Call.of(node, [], {}))
    there = pickle.loads(pickle.dumps(step))
    assert (step.node, there.node, there(), there.__name__) == (node, None, 3, "add")


@pytest.mark.parametrize("value", [0, -3])
def test_step_calls_with_inputs(value):
    node = op(abs)(given := op(int)("0"))
    assert Step(node, node.key, "abs", Call.of(node, [0], {given: 0}))(value) == abs(value)
