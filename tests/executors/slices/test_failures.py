"""Failures as bytes: an exception arrives as what it is, or says what it was."""

import builtins
import threading
import traceback

import pytest

from dask_dispatcher import SerializationError
from dask_dispatcher.errors import RemoteError
from dask_dispatcher.executors.policy import Failure
from dask_dispatcher.executors.slices.failures import dump_failure, load_failure


def failure_of(error):
    try:
        raise error
    except BaseException as caught:
        return Failure.of(caught, "process 1")


def carried(error):
    """Return the exception as it arrives."""
    return load_failure(dump_failure(failure_of(error)))


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


def _raise(error):
    raise error


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


def _outer(*, hidden=False):
    try:
        _inner()
    except KeyError as error:
        raise ValueError("outer") from (None if hidden else error)


def _inner():
    raise KeyError("inner")


def _in_the_context():
    try:
        _inner()
    finally:
        raise ValueError("outer")


def test_causes_and_their_lines_come_along():
    for fail, relation in ((_outer, "direct cause"), (_in_the_context, "During handling")):
        with pytest.raises(ValueError, match="outer") as raised:
            fail()
        failure = Failure.of(raised.value, "process 1")
        text = "".join(traceback.format_exception(load_failure(dump_failure(failure)).cause))
        assert relation in text
        assert "in _inner\n    raise KeyError" in text
        assert text.index("KeyError: 'inner'") < text.index("ValueError: outer")


def test_what_from_none_hides_stays_hidden():
    with pytest.raises(ValueError, match="outer") as raised:
        _outer(hidden=True)
    found = load_failure(dump_failure(Failure.of(raised.value))).cause
    assert "KeyError" not in "".join(traceback.format_exception(found))


def test_a_cause_that_cannot_be_pickled_is_told_by_type_and_text():
    error = ValueError("outer")
    error.__cause__ = ValueError("inner", threading.Lock())
    cause = carried(error).cause.__cause__
    assert type(cause) is RemoteError
    assert "inner" in str(cause)


def test_an_endless_recursion_is_cut():
    def descend(n):
        return descend(n + 1)

    with pytest.raises(RecursionError) as raised:
        descend(0)
    found = load_failure(dump_failure(Failure.of(raised.value))).cause
    assert len(list(traceback.walk_tb(found.__traceback__))) == 100


def test_the_lines_come_along_and_nothing_that_the_frames_held():
    # Frames would keep alive, or try to pickle, whatever the call's variables held.
    failure = failure_of(ValueError("no"))
    lines = [(frame.f_code.co_name, line) for frame, line in walked(failure)]
    found = load_failure(dump_failure(failure))
    assert [(frame.f_code.co_name, line) for frame, line in walked(found)] == lines
    assert not any(frame.f_locals for frame, _ in walked(found))


def walked(failure):
    return list(traceback.walk_tb(failure.cause.__traceback__))
