"""`Call`: one node, taken out of its graph, computes anywhere what it would have computed there."""

import pickle
import subprocess
import sys

import pytest

from dask_dispatcher import CollectNode, DataNode, IndexNode, op
from dask_dispatcher.call import Call, bind
from dask_dispatcher.nesting import Input
from dask_dispatcher.plan import compile_plan

A, B = op(int, label="a")("1"), op(int, label="b")("2")


def call_of(node):
    plan = compile_plan([node])
    return Call.of(node, plan.needs[0], plan.index)


@pytest.mark.parametrize(
    ("node", "inputs", "value"),
    [
        (
            op(lambda *a, **k: (a, k))(A, [B, A], 5, k={A: B}),
            [1, 2],
            ((1, [2, 1], 5), {"k": {1: 2}}),
        ),
        (op(lambda: 7)(), [], 7),
        (A + B, [1, 2], 3),
        (IndexNode(A, "k"), [{"k": 4}], 4),
        (A[1:], [[1, 2]], [2]),
        (CollectNode([A, B, A]), [1, 2], [1, 2, 1]),
        (CollectNode([]), [], []),
    ],
)
def test_a_call_computes_its_node_from_the_inputs(node, inputs, value):
    call = call_of(node)
    assert call(inputs) == value
    assert pickle.loads(pickle.dumps(call))(inputs) == value
    assert bind(call, inputs)() == value
    assert pickle.loads(pickle.dumps(bind(call, inputs)))() == value


def test_a_call_holds_no_node():
    call = call_of(op(lambda *a: a)(A, [B]))
    assert type(call.args[0]) is Input
    assert b"DispatchNode" not in pickle.dumps(call)
    assert b"IndexNode" not in pickle.dumps(call_of(A[0]))


def test_equal_pure_inputs_share_a_place():
    def pure():
        return op(abs, pure=True)(-1)

    top = op(lambda *a: a)(pure(), [pure()])
    plan = compile_plan([top])
    call = Call.of(top, plan.needs[0], plan.index)
    assert len(plan.needs[0]) == 1
    assert call([1]) == (1, [1])


def test_a_coroutine_is_run_to_its_end():
    async def double(x):
        return 2 * x

    call = call_of(op(double)(A))
    assert call.is_coroutine
    assert call([4]) == 8
    coroutine = call.start([4])
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    assert end.value.value == 8
    assert not call_of(A + 1).is_coroutine


def test_data_has_nothing_to_call():
    with pytest.raises(TypeError, match="nothing to call"):
        Call.of(DataNode(1), [], {})


def test_an_error_comes_out_as_it_is():
    def boom():
        raise KeyError("k")

    with pytest.raises(KeyError):
        call_of(op(boom)())([])


def test_closures_travel_to_another_interpreter():
    amount = 40
    data = pickle.dumps(bind(call_of(op(lambda x: x + amount)(A)), [2]))
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer)())"
    run = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert run.stdout.split() == [b"42"]
