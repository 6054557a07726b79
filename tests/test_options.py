"""Options: what is accepted, and what is refused where it is given, in the words of the option."""

from decimal import Decimal
from fractions import Fraction

import pytest

from dask_dispatcher import op
from dask_dispatcher.options import OptionNames, Options, check_count, check_number

nan, inf = float("nan"), float("inf")
NODE = op(int)("1")

REFUSED = [
    ("label", 3, TypeError),
    ("label", b"x", TypeError),
    *[("retries", value, TypeError) for value in (True, 1.5, "3", [3])],
    ("retries", -1, ValueError),
    *[("max_losses", value, TypeError) for value in (False, 0.0, "0")],
    ("max_losses", -1, ValueError),
    *[("nout", value, TypeError) for value in (True, 2.0, "2")],
    ("nout", -1, ValueError),
    *[("timeout", value, TypeError) for value in ("5", True, [1], Decimal(1))],
    *[("timeout", value, ValueError) for value in (nan, inf, -inf, -1, 0, 0.0)],
    *[("retry_delay", value, TypeError) for value in ("1", False)],
    *[("retry_delay", value, ValueError) for value in (nan, inf, -0.1)],
    *[("retry_on", value, TypeError) for value in (3, "x", int, (), (ValueError, 3), (int,))],
    ("retry_on", [ValueError], TypeError),
    *[("pure", value, TypeError) for value in (1, None, "yes")],
    *[("priority", value, TypeError) for value in (True, "high", None)],
    *[("priority", value, ValueError) for value in (nan,)],
    *[("after", value, TypeError) for value in (3, "ab", [NODE, 3], {"a": NODE})],
    *[("resources", value, TypeError) for value in ("GPU", [("GPU", 1)], {1: 1}, {"GPU": "1"})],
    *[("resources", value, TypeError) for value in ({"GPU": True}, {"GPU": None})],
    *[("resources", value, ValueError) for value in ({"GPU": -1}, {"GPU": nan}, {"GPU": inf})],
    *[("workers", value, TypeError) for value in ([1.5], True, [None], 2.0)],
]


@pytest.mark.parametrize(("name", "value", "error"), REFUSED)
def test_nonsense_is_refused_where_it_is_given(name, value, error):
    with pytest.raises(error, match=name[:8]):
        op(int, **{name: value})
    with pytest.raises(error):
        op(**{name: value})
    with pytest.raises(error):
        op(int).options(**{name: value})


ACCEPTED = [
    ("label", ""),
    ("label", "<b>\x00\x1b[31m\u202e../" * 1000),
    ("retries", 0),
    ("retries", 10**9),
    ("max_losses", 0),
    ("nout", 0),
    ("timeout", 0.001),
    ("timeout", 5),
    ("retry_delay", 0),
    ("retry_on", ValueError),
    ("retry_on", (ValueError, KeyError)),
    ("retry_on", BaseException),
    ("retry_on", lambda error: True),
    ("pure", True),
    ("priority", -2.5),
    ("after", NODE),
    ("after", [NODE, NODE]),
    ("after", iter([NODE])),
    ("after", ()),
    ("resources", {}),
    ("resources", {"GPU": 0.5}),
    ("workers", "tcp://127.0.0.1:1"),
    ("workers", ["a", "b"]),
]


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_sense_is_accepted(name, value):
    factory = op(int, **{name: value})
    assert name in Options.__dataclass_fields__
    assert factory("1").options is factory.settings


def test_unknown_options_are_type_errors():
    with pytest.raises(TypeError, match="op has no option 'retrys'; it has label, retries, "):
        op(int, retrys=1)
    with pytest.raises(TypeError, match="op has no option 'retrys'"):
        op(int).options(retrys=1)


def test_the_typed_names_are_the_options():
    assert set(OptionNames.__annotations__) == set(Options.__dataclass_fields__)


def test_one_or_many():
    assert Options(after=NODE).after == (NODE,)
    assert Options(after=[NODE]).after == (NODE,)
    assert Options(after=None).after == ()
    assert Options(workers="a").workers == ("a",)
    assert Options(workers=["a", "b"]).workers == ("a", "b")
    assert Options(workers=None).workers == ()


def test_options_do_not_change_with_what_was_given():
    resources, after = {"GPU": 1}, [NODE]
    options = Options(resources=resources, after=after)
    resources["GPU"] = 5
    after.clear()
    assert options.resources == {"GPU": 1}
    assert options.after == (NODE,)


def test_given_are_those_that_differ():
    assert Options().given() == {}
    assert Options(retries=2, pure=True).given() == {"retries": 2, "pure": True}


def test_given_never_compares_what_the_user_gave():
    class Hostile:
        def __eq__(self, other):
            raise RuntimeError("compared")

        __hash__ = None

        def __call__(self, error):
            return True

    predicate = Hostile()
    assert Options(retry_on=predicate).given()["retry_on"] is predicate


@pytest.mark.parametrize(
    ("options", "asks"),
    [
        ({}, False),
        ({"label": "x", "nout": 2, "retries": 3, "retry_delay": 1.0}, False),
        ({"pure": True}, True),
        ({"after": NODE}, True),
        ({"priority": 1}, True),
        ({"resources": {"GPU": 1}}, True),
        ({"workers": "a"}, True),
        ({"timeout": 1.0}, True),
        ({"max_losses": 0}, True),
    ],
)
def test_asks_something_of_the_plan(options, asks):
    assert Options(**options).asks_something is asks


def test_counts_and_numbers():
    check_count("n", None)
    check_count("n", 0)
    with pytest.raises(ValueError, match="n must be at least 1, not 0"):
        check_count("n", 0, minimum=1)
    check_number("t", None)
    check_number("t", 0, zero=True)
    with pytest.raises(TypeError, match="t must be a number"):
        check_number("t", Fraction(1, 2))
