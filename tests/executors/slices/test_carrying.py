"""Values and failures as bytes: what comes out is what went in, or says why it is not."""

import builtins
import threading

import numpy as np
import pytest

from dask_dispatcher import SerializationError
from dask_dispatcher.errors import RemoteError
from dask_dispatcher.executors.policy import Failure
from dask_dispatcher.executors.slices.carrying import (
    SMALL,
    dump,
    dump_failure,
    is_atom,
    load,
    load_failure,
)


def failure_of(error):
    try:
        raise error
    except BaseException as caught:
        return Failure.of(caught, "process 1")


def carried(error):
    """Return the exception as it arrives."""
    return load_failure(dump_failure(failure_of(error)))


# Values


@pytest.mark.parametrize("value", [0, True, None, 1.5, 2j, "", "x" * SMALL, b"x" * SMALL])
def test_atoms(value):
    assert is_atom(value)


@pytest.mark.parametrize("value", ["x" * (SMALL + 1), b"x" * (SMALL + 1), [], (), np.int64(1)])
def test_no_atoms(value):
    assert not is_atom(value)


def test_small_buffers_stay_inside_and_large_ones_outside():
    for length, outside in ((SMALL, 0), (SMALL + 1, 1)):
        array = np.zeros(length, dtype="u1")
        pickled, buffers = dump(array, "it")
        assert len(buffers) == outside
        assert (load(pickled, buffers) == array).all()


def test_large_buffers_are_not_copied():
    array = np.arange(1_000)
    _, (buffer,) = dump([array, "and more"], "it")
    assert np.shares_memory(np.frombuffer(buffer), array)


def test_arrays_that_are_not_contiguous_come_out_equal():
    array = np.arange(10_000.0).reshape(100, 100)[::2, ::3]
    pickled, buffers = dump(array, "it")
    assert (load(pickled, buffers) == array).all()


def test_lambdas_and_closures_travel():
    captured = [1, 2]
    pickled, buffers = dump(lambda: captured, "it")
    assert load(pickled, buffers)() == [1, 2]


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), MemoryError()]
)
def test_whatever_pickling_raises_is_one_error_that_says_what(error):
    class Stubborn:
        def __reduce__(self):
            raise error

    with pytest.raises(
        SerializationError, match=r"the answer, a Stubborn, cannot be pickled"
    ) as info:
        dump(Stubborn(), "the answer")
    assert info.value.__cause__ is error
    assert type(error).__name__ in str(info.value)


def test_too_deep_to_pickle():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SerializationError, match="a list, cannot be pickled: .* deep recursion"):
        dump(deep, "it")


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_whatever_unpickling_raises_is_one_error(error):
    with pytest.raises(SerializationError, match="cannot be unpickled") as info:
        load(dump(RaisingWhenLoaded(error), "it")[0])
    assert type(info.value.__cause__) is type(error)


class RaisingWhenLoaded:
    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        return _raise, (self.error,)


def _raise(error):
    raise error


def test_a_missing_module_is_named():
    with pytest.raises(ModuleNotFoundError, match="no module 'not_there' here") as info:
        load(b"cnot_there\nthing\n.")
    assert info.value.name == "not_there"


def test_bytes_that_are_no_pickle():
    with pytest.raises(SerializationError):
        load(b"nonsense")


# Failures


class Custom(Exception):
    def __init__(self, code, *, detail):
        super().__init__(f"code {code}")
        self.code, self.detail = code, detail

    def __reduce__(self):
        return _custom, (self.code, self.detail)


def _custom(code, detail):
    return Custom(code, detail=detail)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a", 1),
        KeyError("missing"),
        OSError(28, "no room", "a file"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        SyntaxError("bad", ("file.py", 3, 5, "x =", 3, 7)),
        SystemExit(7),
        StopIteration(3),
        KeyboardInterrupt(),
        SerializationError("of ours"),
    ],
    ids=repr,
)
def test_exceptions_arrive_as_they_are(error):
    found = carried(error)
    assert type(found.cause) is type(error)
    assert found.cause.args == error.args
    assert str(found.cause) == str(error)
    assert vars(found.cause) == vars(error)
    assert found.worker == "process 1"
    assert type(error).__name__ in found.traceback
    assert "in failure_of" in found.traceback


def test_an_exception_with_a_recipe_of_its_own():
    found = carried(Custom(5, detail=[1])).cause
    assert (type(found), found.code, found.detail) == (Custom, 5, [1])


def test_an_exception_of_a_class_that_nobody_can_import():
    class Local(Exception):
        pass

    found = carried(Local("text")).cause
    assert (type(found).__name__, str(found)) == ("Local", "text")


class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"only text {one}")
        self.two = two


class OddFile(OSError):
    def __init__(self, name):
        super().__init__(2, "no such thing", name)


class OddGroup(getattr(builtins, "ExceptionGroup", Exception)):
    def __new__(cls, *numbers):
        return super().__new__(cls, "several", [Odd(number, 0) for number in numbers])

    def __init__(self, *numbers):
        pass


ODD = [
    Odd(1, 2),
    OddFile("a file"),
    *([OddGroup(3, 4)] if hasattr(builtins, "ExceptionGroup") else []),
]


@pytest.mark.parametrize("error", ODD, ids=repr)
def test_an_exception_whose_init_takes_other_arguments_than_it_keeps(error):
    found = carried(error).cause
    assert type(found) is type(error)
    assert (str(found), repr(found.args)) == (str(error), repr(error.args))
    assert vars(found) == vars(error)
    assert getattr(found, "filename", None) == getattr(error, "filename", None)


class Attached(Exception):
    attached = "nothing"


class Told(Attached):
    def __str__(self):
        return f"with {self.attached}"


def test_an_exception_leaves_behind_what_cannot_travel():
    error = Attached("text")
    error.attached, error.number = threading.Lock(), 3
    found = carried(error).cause
    assert (type(found), found.args, found.attached) == (Attached, ("text",), "nothing")
    assert found.number == 3


def test_an_exception_that_would_say_something_else_without_it_keeps_its_text():
    error = Told()
    error.attached = threading.Lock()
    found = carried(error).cause
    assert type(found) is RemoteError
    assert str(error.attached) in str(found)


def test_an_exception_that_cannot_be_pickled_keeps_type_text_and_traceback():
    error = ValueError("hello", threading.Lock())
    found = carried(error)
    assert type(found.cause) is RemoteError
    assert "ValueError" in str(found.cause)
    assert "hello" in str(found.cause)
    assert "in failure_of" in found.traceback


def test_an_exception_that_cannot_be_unpickled_keeps_type_and_text():
    class Trap(Exception):
        def __reduce__(self):
            return _raise, (RuntimeError("sprung"),)

    found = carried(Trap("text"))
    assert "Trap" in str(found.cause)
    assert "text" in str(found.cause)


def test_an_exception_whose_str_raises():
    class Silent(Exception):
        def __str__(self):
            raise RuntimeError

    data = dump_failure(failure_of(Silent()))
    assert "Silent" in load_failure(data).traceback


def test_an_endless_message_is_cut():
    data = dump_failure(failure_of(ValueError("x" * 100_000_000)))
    assert len(data) < 200_000
    found = load_failure(data)
    assert type(found.cause) is RemoteError
    assert "ValueError" in str(found.cause)


def test_an_exception_that_turns_into_something_else():
    class Changeling(Exception):
        def __reduce__(self):
            return int, ("3",)

    assert type(carried(Changeling("text")).cause) is RemoteError


def test_causes_that_lead_in_a_circle():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert str(carried(one).cause) == "one"


def test_the_frames_of_the_worker_do_not_come_along():
    # They would keep alive, or try to pickle, whatever the call's variables held.
    failure = failure_of(ValueError("no"))
    assert failure.cause.__traceback__ is not None
    assert load_failure(dump_failure(failure)).cause.__traceback__ is None
