"""`Policy` and `Failure`: what is tried again, and what is told of a failure."""

import traceback
from dataclasses import dataclass

import pytest

from dask_dispatcher import DependencyError, op
from dask_dispatcher.executors.policy import Failure, Policy
from dask_dispatcher.options import Options


def delay(failures, error=ValueError(), policy=None, **options):
    return (policy or Policy()).delay_before_retry(Options(**options), failures, error)


def test_nothing_is_tried_again_by_default():
    assert delay(1) is None


@pytest.mark.parametrize("retries", [1, 3])
def test_a_node_is_tried_again_as_often_as_its_retries(retries):
    answers = [delay(failures, retries=retries) for failures in range(1, 6)]
    assert [answer is not None for answer in answers] == [n < retries for n in range(5)]


def test_the_executors_defaults_hold_for_nodes_that_say_nothing():
    policy = Policy(retries=2, retry_on=KeyError, retry_delay=5.0, timeout=3.0)
    assert 5.0 <= delay(1, KeyError(), policy) <= 6.25
    assert delay(1, ValueError(), policy) is None
    assert delay(1, KeyError(), policy, retries=0) is None
    assert delay(1, ValueError(), policy, retry_on=ValueError) is not None
    assert delay(1, KeyError(), policy, retry_delay=0) == 0
    assert policy.timeout_of(Options()) == 3.0
    assert policy.timeout_of(Options(timeout=1.0)) == 1.0


def test_delays_double_and_are_bounded():
    for failures, floor in ((1, 0.5), (2, 1.0), (3, 2.0), (2000, 60.0)):
        waits = [delay(failures, retries=10**6, retry_delay=0.5) for _ in range(20)]
        assert all(floor <= wait <= 1.25 * floor for wait in waits)
        assert len(set(waits)) > 1  # with jitter
    # A first wait that is longer than the bound is what its author asked for.
    assert delay(3, retries=5, retry_delay=100.0) >= 100.0


@pytest.mark.parametrize(
    ("retry_on", "error", "again"),
    [
        (ValueError, ValueError(), True),
        (ValueError, KeyError(), False),
        ((ValueError, OSError), ConnectionError(), True),
        ((ValueError, OSError), KeyError(), False),
        (lambda error: "busy" in str(error), RuntimeError("busy"), True),
        (lambda error: "busy" in str(error), RuntimeError("gone"), False),
        (None, ValueError(), True),
        (None, SystemExit(), False),
        (BaseException, SystemExit(), True),
        (BaseException, KeyboardInterrupt(), False),
    ],
)
def test_retry_on(retry_on, error, again):
    assert (delay(1, error, retries=1, retry_on=retry_on) is not None) is again


@pytest.mark.parametrize("raised", [ZeroDivisionError(), SystemExit(3)], ids=repr)
def test_a_predicate_that_raises_is_reported_and_means_no(raised, caplog):
    def predicate(error):
        raise raised

    assert delay(1, retries=1, retry_on=predicate) is None
    (record,) = caplog.records
    assert "retry_on raised" in record.message
    assert record.exc_info[1] is raised


# What is told of a failure


def caught(function):
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing raised")


def test_an_exception_that_refuses_assignment_is_taken():
    @dataclass(frozen=True)
    class Frozen(Exception):
        code: int

    def fail():
        raise Frozen(3)

    failure = Failure.of(caught(fail))
    assert failure.cause == Frozen(3)
    assert "Frozen" in failure.traceback


def test_a_message_that_raises_is_replaced():
    class Silent(Exception):
        def __str__(self):
            raise SystemExit

    def fail():
        raise Silent

    text = Failure.of(caught(fail)).traceback
    assert "Silent" in text
    assert "in fail" in text


def test_long_text_is_cut_in_the_middle():
    def fail():
        raise ValueError("x" * 10**6)

    text = Failure.of(caught(fail)).traceback
    assert len(text) < 21_000
    assert text.startswith("Traceback")
    assert "characters" in text


def test_a_cyclic_cause_is_no_trouble():
    def fail():
        first, second = ValueError("first"), ValueError("second")
        first.__cause__, second.__cause__ = second, first
        raise first

    text = Failure.of(caught(fail)).traceback
    assert "first" in text
    assert "second" in text


# Tracebacks of real runs


def lines_of(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def deeper(x):
    return 1 / x


def shallow(x):
    return deeper(x)


async def coroutine(x):
    return shallow(x)


async def late_coroutine(x):
    import asyncio

    await asyncio.sleep(0)
    return shallow(x)


@pytest.mark.parametrize("function", [shallow, coroutine, late_coroutine])
@pytest.mark.parametrize("nested", [False, True])
def test_a_traceback_shows_the_users_lines_only(executor, function, nested):
    node = op(function)(x=op(int)(0)) if nested else op(function)(0)
    with pytest.raises(DependencyError) as raised:
        executor.compute(node)
    error = raised.value
    first = [] if function is shallow else [function.__name__]
    assert lines_of(error.__cause__) == [*first, "shallow", "deeper"]
    assert "dask_dispatcher" not in error.traceback
    assert "return 1 / x" in error.traceback
    assert error.traceback.endswith("ZeroDivisionError: division by zero\n")


def test_a_builtin_that_fails_has_no_lines_but_its_message(executor):
    with pytest.raises(DependencyError) as raised:
        executor.compute(op(int)("x"))
    assert lines_of(raised.value.__cause__) == []
    assert raised.value.traceback.startswith("ValueError: invalid literal")


def test_a_run_inside_a_node_that_fails_shows_the_line_that_ran_it(executor):
    def outer():
        return executor.compute(op(deeper)(0))

    (result,) = executor.run([op(outer)()], raise_errors=False)
    assert lines_of(result.error.__cause__)[0] == "outer"
    assert isinstance(result.error.__cause__, DependencyError)
    assert "in deeper" in result.error.traceback
    assert "in outer" in result.error.traceback


def test_the_callers_own_traceback_ends_at_the_call(executor):
    with pytest.raises(DependencyError) as raised:
        executor.compute(op(deeper)(0))
    # Raised a second time, it does not grow.
    length = len(raised.traceback)
    result = executor.run([op(deeper)(0)], raise_errors=False)[0]
    for _ in range(3):
        with pytest.raises(DependencyError) as again:
            result.unwrap()
        assert len(again.traceback) < length + 2
