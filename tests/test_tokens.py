"""Tokens: equal for equal values, different for different ones, whatever they are made of.

That they are equal in fresh interpreters too is in `test_identity.py`.
"""

import dataclasses
import datetime
import decimal
import enum
import functools
import math
import threading
from collections import OrderedDict, defaultdict, deque, namedtuple
from pathlib import PurePosixPath

import numpy as np
import pytest

from dask_dispatcher.tokens import tokenize

LIMIT = 1
lock = threading.Lock()  # of the same name as an attribute below


def make_class(value=1, base=object):
    """Return a class that no other interpreter could import."""

    class Made(base):
        """Text that does not matter."""

        attribute: int = value

        def method(self):
            return Made, value

    return Made


def make_data(**fields):
    return dataclasses.make_dataclass("Data", fields)(**fields)


def using_global():
    return LIMIT


def make_user():
    return lambda x: (x.lock, LIMIT)


Point = namedtuple("Point", "x y")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


EQUAL = [
    lambda: None,
    lambda: "x" * 1_000,
    lambda: b"x" * 1_000,
    lambda: 10**5_000,
    lambda: float("nan"),
    lambda: [1, (2, {"k": {3}})],
    lambda: {"b": 1, "a": 2},
    lambda: {1, "a", None, (2,)},
    lambda: frozenset({frozenset({"a", "b"}), "c"}),
    lambda: OrderedDict(a=1, b=2),
    lambda: defaultdict(list, a=[1]),
    lambda: deque([1, 2]),
    lambda: Point(1, 2),
    lambda: slice(1, [2]),
    lambda: range(5),
    lambda: bytearray(b"x"),
    lambda: datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc),
    lambda: decimal.Decimal("1.50"),
    lambda: PurePosixPath("/a"),
    lambda: np.arange(5),
    lambda: np.float32(1.5),
    lambda: np.dtype("i4"),
    lambda: [np.arange(3), {"k": np.ones(2)}],
    lambda: Colour.RED,
    lambda: math,
    lambda: math.sin,
    lambda: [1].append,
    lambda: len,
    lambda: int,
    lambda: Point,
    lambda: make_class(),
    lambda: make_class()(),
    lambda: make_class().method,
    lambda: make_class()().method,
    lambda: make_class(base=make_class()),
    lambda: make_data(a=1, b={"x", "y"}),
    lambda: make_user(),
    lambda: using_global,
    lambda: functools.partial(make_user(), 1, k=[2]),
    lambda: functools.lru_cache(using_global),
    lambda: property(make_user()),
    lambda: ValueError("x", 1),
]


@pytest.mark.parametrize("make", EQUAL)
def test_equal_values_have_equal_tokens(make):
    assert tokenize(make()) == tokenize(make())
    assert len(tokenize([make()])) == 32


def test_different_values_have_different_tokens():
    assert len({tokenize([make()]) for make in EQUAL}) == len(EQUAL)


def test_the_order_of_a_dict_does_not_count():
    assert tokenize({"a": 2, "b": 1}) == tokenize({"b": 1, "a": 2})


DIFFERENT = [
    (1, 1.0),
    (1, True),
    (0.0, -0.0),
    ("1", b"1"),
    ("x" * 1_000, "x" * 1_001),
    (["ab", "c"], ["a", "bc"]),
    ([[1], 2], [[1, 2]]),
    ([], ()),
    ({1}, frozenset({1})),
    ({}, OrderedDict()),
    (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)),
    (defaultdict(list), defaultdict(set)),
    (Point(1, 2), (1, 2)),
    (Colour.RED, Colour.BLUE),
    (np.arange(3), np.arange(3).astype("f8")),
    (make_class(1), make_class(2)),
    (make_class(1)(), make_class(2)()),
    (make_data(a=1), make_data(a=2)),
    (make_data(a=1), make_data(b=1)),
    (functools.partial(len, 1), functools.partial(len, 2)),
    ([1].append, [2].append),
    (math.sin, math.cos),
    (lambda: 1, lambda: 2),
    (lambda x: x.real, lambda x: x.imag),
    (lambda x: [y for y in x], lambda x: {y for y in x}),  # noqa: C416
    (lambda: 1, lambda x: 1),
    (ValueError("x"), ValueError("y")),
    (ValueError("x"), TypeError("x")),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_values_that_differ_have_different_tokens(one, other):
    assert tokenize(one) != tokenize(other)
    assert tokenize([one]) != tokenize([other])


def test_text_that_is_equal_but_not_the_same_object_is_equal():
    one, other = make_class()(), make_class()()
    one.a = one.b = "some text"
    other.a, other.b = "some text", "".join(["some", " text"])
    assert tokenize(one) == tokenize(other)


def test_a_function_changes_with_the_globals_it_uses(monkeypatch):
    before = tokenize(make_user())
    monkeypatch.setitem(globals(), "LIMIT", 2)
    assert tokenize(make_user()) != before


def test_a_function_does_not_change_with_attributes_that_share_a_globals_name():
    assert tokenize(make_user()), "`lock` is an attribute here, not the global that has no token"
    with pytest.raises(TypeError):
        tokenize(lambda: lock)


def test_a_function_that_can_be_imported_counts_by_name(monkeypatch):
    before = tokenize(using_global)
    monkeypatch.setitem(globals(), "LIMIT", 2)
    assert tokenize(using_global) == before


def test_functions_that_use_each_other_have_tokens():
    def make():
        def even(n):
            return n == 0 or odd(n - 1)

        def odd(n):
            return n != 0 and even(n - 1)

        return even, odd

    (even, odd), (other_even, other_odd) = make(), make()
    assert tokenize(even) == tokenize(other_even) != tokenize(odd) == tokenize(other_odd)


def test_values_that_contain_themselves_have_tokens():
    def loop():
        around = [1]
        around.append({"k": around})
        return around

    assert tokenize(loop()) == tokenize(loop()) != tokenize([1, {"k": [1]}])


def test_shared_parts_are_tokenized_once():
    value = ["x"]
    for _ in range(60):
        value = [value, value]
    assert tokenize(value) == tokenize(list(value))


def test_dask_tokenize_counts_wherever_it_is():
    class Counted:
        def __init__(self, value):
            self.value, self.noise = value, object()

        def __dask_tokenize__(self):
            return "Counted", self.value

    for wrap in (lambda x: x, lambda x: [{"k": (x,)}], lambda x: {x}, lambda x: lambda: x):
        assert tokenize(wrap(Counted(1))) == tokenize(wrap(Counted(1)))
        assert tokenize(wrap(Counted(1))) != tokenize(wrap(Counted(2)))


@pytest.mark.parametrize(
    "make",
    [
        object,
        threading.Lock,
        lambda: (x for x in ()),
        lambda: lambda: lock,
        lambda: [{"k": {object()}}],
        lambda: make_class(object()),
    ],
)
def test_what_has_no_parts_to_go_by_is_refused(make):
    with pytest.raises(TypeError):
        tokenize(make())
