"""What a call was given, in words that show no value and ask no user's object anything."""

import numpy as np
import pytest

from dask_dispatcher import CollectNode, DataNode, IndexNode, op
from dask_dispatcher.arguments import NOT_HERE, described, described_arguments, shown_values
from tests.support.hostile import Hostile

SECRET = "correct horse battery staple"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "int"),
        (None, "NoneType"),
        (SECRET, "str of 28 characters"),
        (b"abc", "bytes of 3 bytes"),
        ([1] * 1500, "list of 1,500"),
        ({"a": 1}, "dict of 1"),
        (np.zeros((3, 4)), "ndarray(3, 4) float64"),
        (np.int64(3), "int64() int64"),
        (type("Evil\x1b\u202e", (), {})(), "Evil\\x1b\\u202e"),
    ],
)
def test_a_value_is_its_type_and_size(value, text):
    assert described(value) == text


def test_a_users_object_is_not_asked():
    assert described(Hostile()) == "Hostile"


def test_a_broken_array_is_its_type():
    class Broken:
        __module__ = "numpy.broken"

        @property
        def shape(self):
            raise ValueError

    Broken.__qualname__ = "Broken"
    assert described(Broken()) == "Broken"


def test_arguments_are_named_and_their_values_are_not_told():
    source = op(str, label="source\x1b")(SECRET)
    node = op(print)(source, [source, 1], SECRET, sep=SECRET)
    values = {source: SECRET}
    assert described_arguments(node, values.get) == (
        "0: source\\x1b, str of 28 characters",
        "1: list with 1 nodes",
        "2: str of 28 characters",
        "sep: str of 28 characters",
    )


def test_what_is_elsewhere_is_named_only():
    node = op(abs)(op(int, label="n")("1"))
    assert described_arguments(node, lambda _: NOT_HERE) == ("0: n",)


def test_every_kind_of_node():
    data = DataNode([1])
    data.label = "d"
    assert described_arguments(IndexNode(data, 0), lambda n: n.value) == (
        "0: d, list of 1",
        "index: int",
    )
    assert described_arguments(CollectNode([data]), lambda n: n.value) == ("0: d, list of 1",)
    assert described_arguments(data, lambda n: n.value) == ()


def test_of_many_arguments_the_first_are_told():
    lines = described_arguments(op(max)(*range(1000)), lambda _: NOT_HERE)
    assert len(lines) == 21
    assert lines[-1] == "… and 980 more"


def test_values_for_who_asks():
    node = op(print)(SECRET, op(int)("1"), Hostile(), "\x1b", end="x" * 1000)
    values = shown_values(node)
    assert values["0"] == repr(SECRET)
    assert "1" not in values
    assert values["2"] == "its __repr__ raised Asked"
    assert values["3"] == r"'\x1b'"
    assert len(values["end"]) == 301
