"""Checks of what goes wrong in nodes: errors as values, retries, timeouts."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

from ...errors import DependencyError, DispatcherError, NodeTimeoutError, RunCancelledError
from ...executors.base import Executor
from ...nodes import CollectNode, DispatchNode
from ...ops import op
from ..calls import (
    Boom,
    Odd,
    add,
    boom,
    mix,
    mix_async,
    note,
    raise_it,
    raise_it_async,
    stall,
    stall_async,
)
from ..expecting import equal, is_instance, raises, true
from ..files import Gate, Journal

__all__ = [
    "errors_say_what_failed_where_and_why",
    "dependents_carry_the_root_failure",
    "what_does_not_depend_on_a_failure_completes",
    "raise_errors_stops_the_run_and_raises",
    "retries_go_on_until_success",
    "retries_are_bounded",
    "retry_on_says_what_is_tried_again",
    "a_node_that_outlives_its_timeout_fails_alone",
    "timed_out_attempts_are_retried",
    "no_exception_of_a_node_harms_the_executor",
    "exceptions_that_hardly_travel_still_are_errors",
]

Factory = Callable[[], Executor]


def errors_say_what_failed_where_and_why(factory: Factory) -> None:
    """A DependencyError has the node, its label, attempts, traceback text, and the cause."""
    # Tracebacks leave this library's frames out, and thus those of its own checks.
    node: DispatchNode[Any] = op(json.loads, label="the culprit")("not json")
    coroutine: DispatchNode[Any] = op(raise_it_async, label="the culprit")(Boom, "as planned")
    with factory() as executor:
        results = executor.run([node, coroutine], raise_errors=False)
    errors: list[Any] = [result.unwrap_err() for result in results]
    for error, culprit, kind in zip(errors, (node, coroutine), (ValueError, Boom), strict=True):
        is_instance("the error", error, DependencyError)
        true("the node", error.node is culprit)
        equal("the label", error.label, "the culprit")
        equal("attempts", error.attempts, 1)
        is_instance("the cause", error.__cause__, kind)
        for part in ("the culprit", type(error.__cause__).__name__, str(error.__cause__)):
            true(f"{part!r} is in the message {str(error)!r}", part in str(error))
        true(f"the cause is in {error.traceback!r}", str(error.__cause__) in error.traceback)
    equal("the cause's arguments", errors[1].__cause__.args, ("as planned",))
    true(f"the place is in {errors[0].traceback!r}", "raw_decode" in errors[0].traceback)


def dependents_carry_the_root_failure(factory: Factory) -> None:
    """Whatever depends on a failed node, through data or order, has its failure."""
    with Journal() as journal, factory() as executor:
        bad = op(boom)("as planned")
        by_data = op(note)(journal, "by data", [bad])
        by_order = op(note, after=bad)(journal, "by order")
        far = op(note)(journal, "far", by_order)
        nodes: list[DispatchNode[Any]] = [bad, by_data, by_order, far, bad[0], CollectNode([far])]
        for result in executor.run(nodes, raise_errors=False):
            error: Any = result.unwrap_err()
            true(f"{error!r} names the node that failed first", error.node is bad)
            is_instance("the cause", error.__cause__, Boom)
        equal("starts", journal.entries(), [])


def what_does_not_depend_on_a_failure_completes(factory: Factory) -> None:
    """With raise_errors=False half the nodes may fail, and the rest end Ok, in order."""
    with factory() as executor:
        nodes = [op(boom)(str(n)) if n % 2 else op(add)(n) for n in range(20)]
        results = executor.run([node + 1 for node in nodes], raise_errors=False)
        equal("ends", [result.is_ok() for result in results], [True, False] * 10)
        values = executor.gather(results[::2])
        equal("values", values, [n + 1 for n in range(0, 20, 2)])
        for node, result in list(zip(nodes, results, strict=True))[1::2]:
            true("each names its own failure", result.unwrap_err().node is node)


def raise_errors_stops_the_run_and_raises(factory: Factory) -> None:
    """With raise_errors=True the first failure is raised, with the results so far."""
    with Journal() as journal, Gate() as gate:
        with factory() as executor:
            done = op(note, priority=9)(journal, "done")
            bad = op(boom, priority=8, after=done)("as planned")
            held = op(stall)(gate, done)
            late = op(note)(journal, "late", held)
            with raises("a run with a failure", DependencyError) as caught:
                executor.run([done, bad, bad + 1, late])
            true("the failure is the first one", caught.error.node is bad)
            is_instance("the cause", caught.error.__cause__, Boom)
            first, *others, last = caught.error.results
            equal("what had finished", executor.gather([first]), ["done"])
            equal("the others", [result.is_err() for result in others], [True, True])
            is_instance("what was stopped", last.unwrap_err(), RunCancelledError)
            gate.open()
            with raises("compute with a failure", DependencyError):
                executor.compute(bad)
            equal("the next run", executor.compute(op(add)(1)), 1)
        equal("starts", set(journal.entries()), {"done"})


def retries_go_on_until_success(factory: Factory) -> None:
    """A node that fails fewer times than it may be retried ends Ok."""
    with Journal() as journal, factory() as executor:
        for function in (mix, mix_async):
            flaky = op(function, retries=3, retry_delay=0.001)
            results = executor.run([flaky(journal, function.__name__, 2)])
            true("the result", results[0].is_ok())
            equal("starts", journal.counts()[function.__name__], 3)


def retries_are_bounded(factory: Factory) -> None:
    """A node starts at most once more than it may be retried; `attempts` says how often."""
    with Journal() as journal, factory() as executor:
        bad = op(mix, retries=2, retry_delay=0.001)(journal, "bad", 9)
        once = op(mix)(journal, "once", 9)
        results = executor.run([bad, once], raise_errors=False)
        errors: list[Any] = [result.unwrap_err() for result in results]
        equal("attempts", [error.attempts for error in errors], [3, 1])
        equal("starts", dict(journal.counts()), {"bad": 3, "once": 1})


def retry_on_says_what_is_tried_again(factory: Factory) -> None:
    """Only failures that are of a type, or satisfy a predicate, are tried again."""

    def is_planned(error: BaseException) -> bool:
        return "planned" in str(error)

    with Journal() as journal, factory() as executor:
        expected = {}
        for name, retry_on, starts in (
            ("planned type", Boom, 2),
            ("planned tuple", (OSError, Boom), 2),
            ("another type", OSError, 1),
            ("planned predicate", is_planned, 2),
            ("another predicate", is_planned, 1),
        ):
            node = op(mix, retries=1, retry_delay=0.0, retry_on=retry_on)(journal, name, 9)
            (result,) = executor.run([node], raise_errors=False)
            true(f"{name} fails", result.is_err())
            expected[name] = starts
        equal("starts", dict(journal.counts()), expected)


def a_node_that_outlives_its_timeout_fails_alone(factory: Factory) -> None:
    """A node that outlives its timeout is Err(NodeTimeoutError); nodes within theirs are Ok."""
    with factory() as executor:
        for function in (stall, stall_async):
            with Gate() as gate:
                slow = op(function, timeout=0.05)(gate)
                dependent = op(add)(slow)
                other = op(add, timeout=60.0)(1)
                run = executor.start([slow, dependent, other, other + 1])
                for node, _ in run.as_completed():
                    if node is slow:
                        gate.open()
                results = run.results()
            for result in results[:2]:
                error: Any = result.unwrap_err()
                is_instance("the error", error, DependencyError)
                true("the error names the slow node", error.node is slow)
                is_instance("the cause", error.__cause__, NodeTimeoutError)
                is_instance("the cause", error.__cause__, TimeoutError)
            equal("the other values", executor.gather(results[2:]), [1, 2])


def timed_out_attempts_are_retried(factory: Factory) -> None:
    """A timeout is a failure of one attempt, which may be followed by another."""
    with Gate() as gate, factory() as executor:
        slow = op(stall_async, timeout=0.05, retries=2, retry_delay=0.0)(gate)
        run = executor.start([slow])
        for _ in run.as_completed():
            gate.open()
        error: Any = run.results()[0].unwrap_err()
        is_instance("the cause", error.__cause__, NodeTimeoutError)
        equal("attempts", error.attempts, 3)


def no_exception_of_a_node_harms_the_executor(factory: Factory) -> None:
    """SystemExit, CancelledError, RecursionError and their like make an Err; all else goes on."""
    kinds: list[type[BaseException]] = [
        *(SystemExit, asyncio.CancelledError, RecursionError, MemoryError),
        *(GeneratorExit, StopIteration, TimeoutError),
    ]
    with factory() as executor:
        for function in (raise_it, raise_it_async):
            for kind in kinds:
                bad = op(function)(kind, "as planned")
                results = executor.run([bad, op(add)(1), bad + 1], raise_errors=False)
                ends = [result.is_ok() for result in results]
                equal(f"ends with {kind.__name__}", ends, [False, True, False])
                error: Any = results[0].unwrap_err()
                is_instance("the error", error, DependencyError)
                # Python turns a StopIteration that leaves a coroutine into a RuntimeError.
                is_instance("the cause", error.__cause__, (kind, RuntimeError))


def exceptions_that_hardly_travel_still_are_errors(factory: Factory) -> None:
    """An exception that cannot be pickled, unpickled or shown makes an Err; all else goes on."""
    makers: list[Callable[[], BaseException]] = [_unpicklable, _not_unpicklable, _unshowable]
    with factory() as executor:
        for make in makers:
            bad = op(raise_it, label="bad")(make)
            results = executor.run([bad, op(add)(1)], raise_errors=False)
            equal(f"ends with {make.__name__}", [r.is_ok() for r in results], [False, True])
            error: Any = results[0].unwrap_err()
            is_instance("the error", error, DispatcherError)
            true("the error names the node", error.node is bad)
            true("the error can be shown", str(error) and repr(results))


def _unpicklable() -> BaseException:
    return Boom("as planned", threading.Lock())


def _not_unpicklable() -> BaseException:
    return Odd(3, "as planned")


class _Unshowable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("shown")

    __repr__ = __str__


def _unshowable() -> BaseException:
    return _Unshowable()
