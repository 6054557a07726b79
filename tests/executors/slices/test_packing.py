"""`Packer`: nodes as tuples of atoms, and the arguments that their calls get in the end."""

import collections
import operator
import threading

import numpy as np
import pytest

from dask_dispatcher import CollectNode, DataNode, IndexNode, SerializationError, op
from dask_dispatcher.executors.slices.carrying import ATOMS, load
from dask_dispatcher.executors.slices.packing import BUILT_IN
from tests.executors.slices.local import Local
from tests.support.hostile import Hostile

Point = collections.namedtuple("Point", "x y")


def everything(*args, **kwargs):
    return args, kwargs


def three():
    return 3


@pytest.mark.parametrize(
    "build",
    [
        lambda n: (n,),
        lambda n: ([n],),
        lambda n: ([n, n, 1],),
        lambda n: ([n, "text", [n, (n, 2)]],),
        lambda n: ({"a": n, "b": [1, {"c": n}]},),
        lambda n: ({n: "its key"},),
        lambda n: ({n, 4},),
        lambda n: (Point(n, [n]),),
        lambda n: (slice(n, None, 2),),
        lambda n: (collections.OrderedDict(x=n, y=1),),
        lambda n: ([1, 2], {"plain": (None, True)}, b"bytes", 1.5, 2j),
        lambda n: ([], (), {}),
        lambda n: ("long " * 1000, n),
    ],
)
def test_a_call_gets_what_was_written(build):
    node = op(three)()
    call = op(everything)(*build(node))
    assert Local(call).compute(call) == (build(3), {})


def test_the_value_of_a_data_node_is_a_need_like_others():
    data = DataNode(["never searched"])
    call = op(everything)(data, [data])
    local = Local(call)
    packed, _ = local.packer.pack([local.number(call)])
    assert packed.needs == [local.number(data)]
    assert packed.entries[0][2] == (local.number(data), [local.number(data)])


def test_arguments_by_name_are_given_by_name():
    node = op(three)()
    call = op(everything)(1, node, first=node, second=[node, {"deep": node}], third="plain")
    expected = (1, 3), {"first": 3, "second": [3, {"deep": 3}], "third": "plain"}
    assert Local(call).compute(call) == expected


def test_nodes_of_all_kinds():
    pair = op(lambda: ("zero", [10, 20]))()
    inner = IndexNode(pair, 1)
    outputs = CollectNode([inner[0], pair[0], inner[op(int)("1")], inner])
    assert Local(outputs).compute(outputs) == [10, "zero", 20, [10, 20]]
    empty = CollectNode([])
    assert Local(empty).compute(empty) == []


def test_entries_are_tuples_of_atoms_in_the_order_asked_for():
    first = op(three)()
    second = op(operator.add)(first, 2)
    local = Local(second)
    one, two = local.number(first), local.number(second)
    packed, failed = local.pack()
    assert failed == []
    assert [entry[0] for entry in packed.entries] == [one, two]
    assert packed.entries[0] == (one, len(BUILT_IN), (), (), ())
    assert packed.entries[1] == (two, len(BUILT_IN) + 1, (one, 2), (0,), ())
    assert packed.functions == {2, 3}
    assert [callee.func for callee in local.packer.functions] == [three, operator.add]


def test_needs_are_the_values_from_elsewhere_each_once():
    a, b = op(three)(), op(three)()
    c = op(operator.add)(a, b)
    d = op(everything)(a, [b, c])
    local = Local(d)
    packed, _ = local.packer.pack([local.number(c), local.number(d)])
    assert sorted(packed.needs) == sorted([local.number(a), local.number(b)])


def test_alike_places_are_one_object_so_that_pickle_writes_them_once():
    step = op(operator.add)
    node = op(three)()
    first, second = step(node, 1), step(node, 2)
    local = Local(first, second)
    packed, _ = local.packer.pack(local.order)
    places = [entry[3] for entry in packed.entries if entry[3]]
    assert places == [(0,), (0,)]
    assert places[0] is places[1]


# Literals


@pytest.mark.parametrize("value", [1, 1.5, True, None, 2j, "x" * 2_000, b"x" * 2_000])
def test_atoms_travel_as_they_are(value):
    local = Local(op(everything)(value))
    packed, _ = local.pack()
    assert packed.entries[0][2] == (value,)
    assert packed.small == {}
    assert packed.large == []


@pytest.mark.parametrize(
    "value", [[1], {"a": 1}, (1,), {1}, "x" * 2_001, np.float64(1), Point(1, 2)]
)
def test_other_values_travel_as_bytes_of_their_own(value):
    local = Local(op(everything)(value))
    packed, _ = local.packer.pack(local.order)
    (argument,) = packed.entries[0][2]
    assert argument < 0
    assert packed.entries[0][3] == (0,)
    found = packed.small.get(argument) or local.packer.large[argument][0]
    assert load(found) == value


def test_a_subclass_of_an_atom_is_no_atom():
    class Number(int):
        pass

    call = op(lambda value: type(value).__name__)(Number(1))
    assert type(Number(1)) not in ATOMS
    assert Local(call).compute(call) == "Number"


def test_a_large_literal_is_pickled_once_a_run_and_shared_by_identity():
    pickled = []

    class Counted:
        def __reduce__(self):
            pickled.append(1)
            return bytearray, (b"x" * 10_000,)

    value = Counted()
    calls = [op(len)(value) for _ in range(5)]
    local = Local(*calls)
    packed, failed = local.pack()
    assert failed == []
    assert len(set(packed.large)) == 1
    assert list(local.packer.large) == [packed.large[0]]
    more, _ = local.packer.pack(local.order)
    assert set(more.large) == set(packed.large)
    assert pickled == [1]


def test_equal_but_distinct_large_literals_stay_apart():
    calls = [op(len)(bytes(5_000)), op(len)(bytearray(5_000))]
    local = Local(*calls)
    packed, _ = local.pack()
    assert len(set(packed.large)) == 2


def test_a_large_literals_identity_is_its_own_while_the_packer_lives():
    # Made and dropped one by one, such objects would take each other's place in memory.
    calls = [op(lambda array: float(array[0]))(np.full(1_000, float(i))) for i in range(20)]
    outputs = CollectNode(calls)
    assert Local(outputs).compute(outputs) == [float(i) for i in range(20)]


def test_large_buffers_of_literals_stay_out_of_band_uncopied():
    array = np.arange(1_000.0)
    local = Local(op(len)(array))
    packed, _ = local.packer.pack(local.order)
    pickled, (buffer,) = local.packer.large[packed.large[0]]
    assert len(pickled) < 500
    assert np.shares_memory(np.frombuffer(buffer), array)


# What cannot travel


def test_one_argument_that_cannot_be_pickled_fails_its_node_only():
    lock = threading.Lock()
    good, bad = op(everything)([1]), op(everything, label="the bad one")(1, name=[lock])
    local = Local(good, bad)
    packed, failed = local.packer.pack(local.order)
    assert [entry[0] for entry in packed.entries] == [local.number(good)]
    ((number, error),) = failed
    assert number == local.number(bad)
    assert type(error) is SerializationError
    assert "argument 'name' of the bad one, a list, cannot be pickled" in str(error)
    assert isinstance(error.__cause__, TypeError)


def test_the_position_of_the_argument_is_named():
    bad = op(everything)(1, [threading.Lock()])
    local = Local(bad)
    _, ((_, error),) = local.packer.pack(local.order)
    assert "argument 1 of everything" in str(error)


def test_a_container_of_nodes_that_cannot_be_pickled_fails_its_node():
    bad = op(everything)([op(three)(), threading.Lock()])
    local = Local(bad)
    packed, ((number, error),) = local.packer.pack(local.order)
    assert number == local.number(bad)
    assert len(packed.entries) == 1


def test_a_hostile_argument_fails_its_node_in_plain_words():
    good, bad = op(three)(), op(everything)(Hostile())
    local = Local(good, bad)
    packed, ((number, error),) = local.packer.pack(local.order)
    assert number == local.number(bad)
    assert "argument 0 of everything, a Hostile, cannot be pickled" in str(error)
    assert len(packed.entries) == 1
