"""Operators on nodes: each builds the node of what Python itself would compute."""

import operator
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from dask_dispatcher import DispatchNode, IndexNode, Op, op

BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    divmod,
    pow,
    operator.and_,
    operator.or_,
    operator.xor,
    operator.lshift,
    operator.rshift,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
]
UNARY = [operator.neg, operator.pos, operator.invert, abs]


def value(node, of):
    """Compute a node from the values of those it depends on."""
    assert isinstance(node, DispatchNode)
    return node.evaluate(of.__getitem__)


@pytest.mark.parametrize("operation", BINARY)
def test_binary_operators_build_nodes(operation):
    left, right = op(int)("13"), op(int)("3")
    of = {left: 13, right: 3}
    expected = operation(13, 3)
    for node in (operation(left, right), operation(left, 3), operation(13, right)):
        assert type(node) is Op
        assert value(node, of) == expected
        assert set(node.dependencies) <= {left, right}


@pytest.mark.parametrize("operation", UNARY)
def test_unary_operators_build_nodes(operation):
    node = op(int)("13")
    assert value(operation(node), {node: 13}) == operation(13)


def test_matmul():
    node = op(np.eye)(2)
    array = np.arange(4).reshape(2, 2)
    of = {node: 2 * np.eye(2)}
    for built in (node @ array, array @ node, node @ node):
        assert type(built) is Op
        assert value(built, of).shape == (2, 2)


def test_pow_with_a_modulus():
    node = op(int)("5")
    built = pow(node, 3, 7)
    assert built.args == (node, 3, 7)
    assert value(built, {node: 5}) == 6


def test_in_place_operators_build_new_nodes():
    first = node = op(int)("5")
    node += 1
    node *= 2
    assert node.args[0].args == (first, 1)


@pytest.mark.parametrize("operation", [*BINARY, operator.matmul])
@pytest.mark.parametrize(
    "other",
    [
        np.array([1, 2]),
        np.array([[1.5]]),
        np.array(3),
        np.float64(2),
        np.int32(2),
        np.array(["a"], dtype=object),
    ],
    ids=lambda x: type(x).__name__,
)
def test_arrays_on_the_left_leave_the_operation_to_the_node(operation, other):
    node = op(int)("1")
    built = operation(other, node)
    assert type(built) is Op
    assert node in built.dependencies
    assert any(argument is other for argument in built.args)


def test_a_masked_array_on_the_left_leaves_arithmetic_to_the_node():
    node, other = op(int)("1"), np.ma.array([1, 2])
    assert (other + node).args[0] is other


@pytest.mark.parametrize("operation", [operator.add, operator.sub, divmod, operator.lt])
def test_an_array_on_the_left_gives_what_numpy_gives(operation):
    node, array = op(int)("3"), np.array([5, 6])
    built = operation(array, node)
    assert np.array_equal(value(built, {node: 3}), operation(array, 3))


@pytest.mark.parametrize("other", [1.5, Fraction(1, 2), Decimal(2), True, 2j, [1], "text", None])
def test_anything_on_the_left_leaves_the_operation_to_the_node(other):
    node = op(int)("1")
    built = other * node
    assert (built.args[0] is other, built.args[1]) == (True, node)


def test_text_on_the_left_of_percent_is_formatted_by_python():
    node = op(int)("1")
    assert "%s" % node == str(node)  # noqa: UP031 - what str itself does with it


def test_equality_is_identity():
    node, other = op(int)("1"), op(int)("1")
    assert (node == other, node != other, node == 1) == (False, True, False)
    assert (np.array([1, 2]) == node) is False
    assert node in [other, node]
    assert [other, node].index(node) == 1


def test_an_item_of_a_node_is_an_index_node():
    node = op(list)()
    for index in (0, -1, "k", (1, 2), slice(1, None), None, ..., np.array([True])):
        built = node[index]
        assert type(built) is IndexNode
        assert built.index is index


def test_an_index_with_nodes_inside_is_found():
    node, place = op(list)([4, 5, 6]), op(int)("1")
    of = {node: [4, 5, 6], place: 1}
    assert value(node[place], of) == 5
    assert value(node[place:], of) == [5, 6]
    assert value(node[:place:1], of) == [4]
    assert node[place].dependencies == (node, place)
    assert value(node[(place, 2)], {node: {(1, 2): "v"}, place: 1}) == "v"


def test_items_cannot_be_assigned():
    node = op(list)()
    with pytest.raises(TypeError):
        node[0] = 1
    with pytest.raises(TypeError):
        del node[0]


def test_the_label_of_an_operation_is_its_name():
    node = op(int)("1")
    assert [(node + 1).label, (-node).label, divmod(node, 2).label] == ["add", "neg", "divmod"]
