"""Nodes inside arguments: found at any depth, filled in, and all else left as it was."""

import dataclasses
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from dask_dispatcher import CollectNode, DataNode, IndexNode, Op, op
from dask_dispatcher.nesting import PLACEHOLDERS, Input, Nested, enclose, fill, rename
from tests.support.hostile import Hostile

A, B, C = (op(int)(text) for text in "123")
VALUES = {A: 1, B: 2, C: 3}
Point = namedtuple("Point", "x y")


class Typed(NamedTuple):
    left: object
    right: object = 0


@dataclasses.dataclass(frozen=True)
class Bounds:
    low: object
    high: object = dataclasses.field(default=0, kw_only=True)


@dataclasses.dataclass
class Derived:
    low: object
    width: dataclasses.InitVar[int]
    high: object = dataclasses.field(init=False)

    def __post_init__(self, width):
        self.high = width


def filled(value):
    """Return what the call sees for an argument."""
    return fill(enclose(value), VALUES.__getitem__)


CASES = [
    ([A], [1], [A]),
    ([1, A, "x"], [1, 1, "x"], [A]),
    ((A,), (1,), [A]),
    ({"k": A}, {"k": 1}, [A]),
    ({A: "v"}, {1: "v"}, [A]),
    ({A: B}, {1: 2}, [A, B]),
    ({(A, 0): B}, {(1, 0): 2}, [A, B]),
    ({A}, {1}, [A]),
    (frozenset({A, 7}), frozenset({1, 7}), [A]),
    ({frozenset({A})}, {frozenset({1})}, [A]),
    (Point(A, [B]), Point(1, [2]), [A, B]),
    (Typed(A), Typed(1), [A]),
    (slice(A, None, B), slice(1, None, 2), [A, B]),
    (Bounds(A, high=[B]), Bounds(1, high=[2]), [A, B]),
    ([Bounds(Bounds(A)), A], [Bounds(Bounds(1)), 1], [A]),
    (OrderedDict([("b", A), ("a", B)]), OrderedDict([("b", 1), ("a", 2)]), [A, B]),
    (defaultdict(list, k=[A]), defaultdict(list, k=[1]), [A]),
    ([[[[A]]], (B, [C])], [[[[1]]], (2, [3])], [A, B, C]),
    ([B, A, B], [2, 1, 2], [B, A]),
    ({"a": [{"b": (A,)}]}, {"a": [{"b": (1,)}]}, [A]),
]


@pytest.mark.parametrize(("argument", "expected", "nodes"), CASES)
def test_nodes_are_found_and_filled_in(argument, expected, nodes):
    nested = enclose(argument)
    assert type(nested) is Nested
    assert list(nested.nodes) == nodes
    value = filled(argument)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(("argument", "expected", "nodes"), CASES)
def test_nodes_in_arguments_are_dependencies_and_shown_as_they_were_given(
    argument, expected, nodes
):
    for node in (Op(lambda x: x, argument), Op(lambda *, x: x, x=argument)):
        assert list(node.dependencies) == nodes
        (shown,) = (*node.args, *node.kwargs.values())
        assert type(shown) is type(argument)
        assert shown == argument, "nodes compare by identity, so this holds for the same nodes only"


def test_a_filled_namedtuple_skips_its_constructor():
    class Picky(namedtuple("Picky", "a b")):
        def __new__(cls, text):
            return super().__new__(cls, *text.split())

    value = Picky("x y")._replace(a=A)
    assert filled(value) == (1, "y")
    assert type(filled(value)) is Picky


def test_a_defaultdict_keeps_its_factory():
    value = filled(defaultdict(list, k=A))
    assert value["new"] == []
    assert value["k"] == 1


def test_every_kind_of_node_is_found():
    kinds = [DataNode(1), IndexNode(A, 0), CollectNode([A]), A + 1, op(int)("1")]
    assert list(enclose([kinds]).nodes) == kinds
    assert {type(node) for node in kinds} <= PLACEHOLDERS


def test_the_first_found_comes_first():
    assert list(enclose([[C], A, {"k": B}]).nodes) == [C, A, B]


@pytest.mark.parametrize(
    "value",
    [
        1,
        "text",
        None,
        [],
        (),
        {},
        [1, [2, (3, {"k": {4}})]],
        {"a": [1]},
        Point(1, 2),
        slice(1, 2),
        np.arange(3),
        [np.arange(3), np.arange(3)],
        (x for x in ()),
        object(),
        range(3),
        Bounds([1]),
        Bounds,
    ],
)
def test_what_holds_no_node_is_passed_as_it_is(value):
    assert enclose(value) is value
    assert Op(id, value).args[0] is value


@pytest.mark.parametrize(
    "value",
    [
        deque([A]),
        Counter("ab"),
        SimpleNamespace(a=A),
        type("MyList", (list,), {})([A]),
        type("MyBounds", (Bounds,), {})(A),
        Derived(A, 2),
    ],
)
def test_other_classes_are_plain_values(value):
    assert enclose(value) is value


@pytest.mark.parametrize(
    ("wrap", "unwrap"),
    [
        (lambda x: x, lambda seen: seen),
        (lambda x: [x], lambda seen: seen[0]),
        (lambda x: [x, A], lambda seen: seen[0]),
        (lambda x: (A, x), lambda seen: seen[1]),
        (lambda x: {"k": x, "n": A}, lambda seen: seen["k"]),
        (lambda x: [[x], [A]], lambda seen: seen[0][0]),
        (lambda x: slice(x, A), lambda seen: seen.start),
        (lambda x: Point(x, A), lambda seen: seen.x),
        (lambda x: Bounds(x, high=A), lambda seen: seen.low),
        (lambda x: defaultdict(list, k=x, n=A), lambda seen: seen["k"]),
    ],
)
def test_hostile_objects_are_never_asked_anything(wrap, unwrap):
    hostile = Hostile()
    node = Op(lambda x, y: (x, y), wrap(hostile), y=wrap(hostile))
    assert node.dependencies in [(), (A,)]
    x, y = node.evaluate(VALUES.__getitem__)
    assert unwrap(x) is hostile
    assert unwrap(y) is hostile


def test_arrays_are_neither_compared_nor_searched():
    array = np.array([A, B], dtype=object)
    node = Op(lambda x: x, [array, C])
    assert node.dependencies == (C,)
    assert node.evaluate(VALUES.__getitem__)[0] is array


DEPTH = 100_000


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: (x,), lambda x: {"k": x}])
def test_nesting_has_no_limit(wrap):
    deep = A
    for _ in range(DEPTH):
        deep = wrap(deep)
    nested = enclose(deep)
    assert nested.nodes == (A,)
    value = nested.fill(VALUES.__getitem__)
    depth = 0
    while type(value) is not int:
        value = value["k"] if type(value) is dict else value[0]
        depth += 1
    assert (value, depth) == (1, DEPTH)


def test_deep_nesting_without_a_node_is_left_alone():
    deep = []
    for _ in range(DEPTH):
        deep = [deep]
    assert enclose(deep) is deep


def test_a_list_that_contains_itself_is_a_plain_value():
    loop = [1]
    loop.append(loop)
    assert enclose(loop) is loop
    around = [loop, A]
    value = filled(around)
    assert value[0] is loop
    assert value[1] == 1


def test_a_dict_that_contains_itself_through_others_is_a_plain_value():
    loop = {}
    loop["k"] = [(loop,)]
    assert filled([loop, A])[0] is loop


@pytest.mark.parametrize("position", [0, 1])
def test_a_container_that_holds_itself_and_a_node_is_refused(position):
    loop = [[1]]
    loop.append(loop)
    loop.insert(position, A)
    with pytest.raises(TypeError, match="both itself and a node"):
        Op(len, loop)
    outer = [[]]
    outer[0].extend([outer, A])
    with pytest.raises(TypeError, match="both itself and a node"):
        Op(len, outer)


def test_a_loop_beside_a_node_inside_a_bigger_loop_is_refused():
    inner, outer = [], []
    inner.append(outer)
    outer.extend([inner, A])
    with pytest.raises(TypeError, match="both itself and a node"):
        Op(len, inner)


def test_shared_containers_stay_shared():
    shared = [A]
    plain = [0]
    value = filled([shared, shared, {"k": shared}, plain, (plain,)])
    assert value[0] == [1]
    assert value[0] is value[1]
    assert value[0] is value[2]["k"]
    assert value[3] is plain
    assert value[4][0] is plain


def test_containers_shared_a_thousandfold_are_searched_once():
    value = [A]
    for _ in range(60):
        value = [value, value]
    result = filled(value)
    for _ in range(60):
        assert result[0] is result[1]
        result = result[0]
    assert result == [1]


@pytest.mark.parametrize(
    "value", [[A, 1], {"k": A}, {A}, [[A]], {"k": [A]}, defaultdict(list, k=A), OrderedDict(k=A)]
)
def test_changing_the_argument_later_changes_nothing(value):
    node = Op(lambda x: x, value)
    before = node.evaluate(VALUES.__getitem__)
    inner = next((part for part in value if type(part) is list), None)
    if inner is None and isinstance(value, dict):
        inner = next((part for part in value.values() if type(part) is list), None)
    if inner is not None:
        inner.append(B)
    value.clear()
    assert node.evaluate(VALUES.__getitem__) == before
    assert node.dependencies == (A,)


@pytest.mark.parametrize("value", [[A], {"k": A}, {A}, [[A]], defaultdict(list, k=A)])
def test_each_run_gets_containers_of_its_own(value):
    node = Op(lambda x: x, value)
    first = node.evaluate(VALUES.__getitem__)
    kept = node.evaluate(VALUES.__getitem__)
    first.clear()
    assert node.evaluate(VALUES.__getitem__) == kept != first
    node.args[0].clear()
    assert node.evaluate(VALUES.__getitem__) == kept


def test_kwargs_and_args_cannot_be_changed_through_the_node():
    node = Op(dict, [("a", A)], b=B)
    node.kwargs["b"] = C
    node.args[0].clear()
    assert node.evaluate(VALUES.__getitem__) == {"a": 1, "b": 2}


def test_rename_puts_other_placeholders_in_their_place():
    places = {A: Input(0), B: Input(1)}
    renamed = rename(enclose({"x": [A, (B, A)]}), places.__getitem__)
    assert fill(renamed, lambda place: place.position * 10) == {"x": [0, (10, 0)]}
    assert rename(A, places.__getitem__) is places[A]
    assert rename("x", places.__getitem__) == "x"


def test_unhashable_results_in_a_set_fail_when_the_call_runs():
    node = Op(len, {A})
    with pytest.raises(TypeError, match="unhashable"):
        node.evaluate(lambda _: [])
