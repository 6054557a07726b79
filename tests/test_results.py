"""`Ok` and `Err`: frozen, generic, matchable; what they hold comes out as it went in."""

import copy
import dataclasses
import pickle
import traceback

import pytest

from dask_dispatcher import DependencyError, Err, Ok, Result


def test_ok_holds_a_value():
    result = Ok(24)
    assert result.value == 24
    assert result.unwrap() == 24
    assert (result.is_ok(), result.is_err()) == (True, False)


def test_err_holds_an_error():
    error = DependencyError("no")
    result = Err(error)
    assert result.error is error
    assert result.unwrap_err() is error
    assert (result.is_ok(), result.is_err()) == (False, True)


def test_unwrap_raises_the_error_itself_with_its_cause():
    error = DependencyError("no")
    error.__cause__ = KeyError("k")
    with pytest.raises(DependencyError) as caught:
        Err(error).unwrap()
    assert caught.value is error
    assert isinstance(caught.value.__cause__, KeyError)


def test_unwrapping_twice_does_not_grow_the_traceback():
    result = Err(ValueError("no"))
    depths = set()
    for _ in range(5):
        try:
            result.unwrap()
        except ValueError as error:
            depths.add(len(traceback.extract_tb(error.__traceback__)))
    assert len(depths) == 1


def test_unwrap_err_of_ok_is_a_value_error():
    with pytest.raises(ValueError, match=r"Ok\(24\) is not an Err"):
        Ok(24).unwrap_err()


@pytest.mark.parametrize("result", [Ok(1), Err(ValueError("x"))])
def test_frozen(result):
    (field,) = dataclasses.fields(result)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(result, field.name, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(result, field.name)
    with pytest.raises((AttributeError, TypeError)):
        result.other = 1


def test_matchable_by_position_and_by_name():
    def describe(result):
        match result:
            case Ok(0):
                return "zero"
            case Ok(value=int(value)):
                return f"value {value}"
            case Err(DependencyError(label=label)):
                return f"error of {label}"
            case Err(error):
                return repr(error)

    assert describe(Ok(0)) == "zero"
    assert describe(Ok(3)) == "value 3"
    assert describe(Err(DependencyError("x", label="a"))) == "error of a"
    assert describe(Err(ValueError("v"))) == "ValueError('v')"


def test_generic_and_one_of_a_union():
    assert Ok[int](1) == Ok(1)
    assert Err[ValueError].__origin__ is Err
    assert Result[int].__args__[0] == Ok[int]


def test_compare_and_hash_by_what_they_hold():
    error = ValueError("x")
    assert Ok(1) == Ok(1)
    assert Ok(1) != Ok(2)
    assert Ok(1) != Err(1)
    assert Err(error) == Err(error)
    assert len({Ok(1), Ok(1), Err(error), Err(error)}) == 2


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_both_ways(protocol):
    assert pickle.loads(pickle.dumps(Ok([1, 2]), protocol)) == Ok([1, 2])
    back = pickle.loads(pickle.dumps(Err(DependencyError("x", label="a")), protocol))
    assert (str(back.error), back.error.label) == ("x", "a")


def test_copies_equal_the_original():
    assert copy.copy(Ok([1])) == copy.deepcopy(Ok([1])) == Ok([1])


def test_repr_is_short_and_shows_what_is_inside():
    assert repr(Ok(24)) == "Ok(24)"
    assert repr(Err(ValueError("no"))) == "Err(ValueError('no'))"
    assert len(repr(Ok("x" * 10**6))) < 300


def test_repr_survives_values_that_have_none():
    class Hostile:
        def __repr__(self):
            raise RuntimeError("no")

    assert repr(Ok(Hostile())) == "Ok(<Hostile: its __repr__ raised RuntimeError>)"


def test_repr_lets_no_control_characters_through():
    class Escape:
        def __repr__(self):
            return "\x1b[31mred\x00\u202eevil"

    assert repr(Ok(Escape())).isprintable()


@pytest.mark.parametrize("cls", [Ok, Err])
def test_final(cls):
    assert cls.__final__
