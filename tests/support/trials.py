"""One run that meets with a fault, and what must hold of it all the same.

V1  one Ok or Err a requested node, in order       V2  values equal those of an oracle
V3  starts within 1 + retries + recorded losses    V4  it ends within `BOUND`
V5  no orphan, V6 no leak: the fixture `no_leaks`  V7  the next run works
V8  stderr shows nothing that went unseen: the fixture `make_trial`
"""

import re
from collections import Counter
from typing import Any, NamedTuple

import numpy

from dask_dispatcher import DependencyError, DispatchGraph, Err, Ok, op
from dask_dispatcher.events import NodeLost
from tests.support.starts import StartsLog

__all__ = ["BOUND", "Fails", "Stopped", "Trial", "check_stderr"]

BOUND = 15.0  # seconds in which a run must have ended after a fault: noticing it, and 10 more

_UNSEEN = re.compile(r"never retrieved|never awaited|Exception ignored|Traceback|was destroyed")


class Fails(NamedTuple):
    """An expected Err: of which node, because of what."""

    node: Any
    cause: type[BaseException]
    text: str = ""

    def matches(self, error: BaseException) -> bool:
        """Return whether this error is what is expected."""
        cause = error.__cause__
        is_one = type(error) is DependencyError and type(cause) is self.cause
        return is_one and error.node is self.node and self.text in f"{cause}"


class Stopped(NamedTuple):
    """An expected Err that befell the run."""

    error: type[BaseException]
    text: str = ""

    def matches(self, error: BaseException) -> bool:
        """Return whether this error is what is expected."""
        return type(error) is self.error and self.text in f"{error}"


class Trial:
    """Runs graphs on an executor that is about to have trouble.

    Attributes
    ----------
    executor : Executor
    log : StartsLog
        Nodes call ``log.record(label)`` with their own label.
    losses : Counter
        By label, what observers were told.
    counts_late : bool
        Workers are lost after the end of runs too, of which observers hear nothing: take the
        schedule's word for it.
    """

    def __init__(self, executor: Any, log: StartsLog) -> None:
        self.executor = executor
        self.log = log
        self.losses: Counter[str] = Counter()
        self.counts_late = False
        self._allowed: Counter[str] = Counter()

    def on_events(self, batch: Any) -> None:
        """Count the losses."""
        self.losses.update(event.label for event in batch if type(event) is NodeLost)

    def start(self, nodes: list[Any]) -> Any:
        """Start a run that is watched."""
        default = self.executor._engine.policy.retries
        for node in DispatchGraph(nodes).nodes:
            retries = getattr(getattr(node, "options", None), "retries", None)
            self._allowed[node.label] += 1 + (default if retries is None else retries)
        return self.executor.start(nodes, observers=[self])

    def check(self, run: Any, expected: list[Any], bound: float = BOUND) -> None:
        """Wait for the end of a run; V1 to V4 and V7.

        Parameters
        ----------
        run : Run
        expected : list
            By requested node the value, `Fails` or `Stopped`.
        bound : float
            Seconds.
        """
        results = run.results(bound)
        assert len(results) == len(expected)
        for result, wanted in zip(results, expected, strict=True):
            _check_one(result, wanted, bound)
        # Starts before losses: one that is lost is recorded as that before it starts again.
        starts = self.log.counts()
        if self.counts_late:
            self._count_late(run)
        self._check_starts(starts)
        self.check_works()

    def _count_late(self, run: Any) -> None:
        nodes = run._state.plan.nodes
        for number, count in dict(run._state.schedule.losses).items():
            self.losses[nodes[number].label] = max(self.losses[nodes[number].label], count)

    def check_starts(self) -> None:
        """Check V3."""
        self._check_starts(self.log.counts())

    def _check_starts(self, starts: Counter[str]) -> None:
        for label, count in starts.items():
            allowed = self._allowed[label] + self.losses[label]
            assert count <= allowed, f"{label} started {count} times, {allowed} are allowed"

    def check_works(self) -> None:
        """Check V7."""
        run = self.executor.start([op(pow)(2, op(int)("10"))])
        assert run.results(BOUND)[0].unwrap().fetch(BOUND) == 1024


def _check_one(result: Any, wanted: Any, bound: float) -> None:
    match result:
        case Ok(future):
            assert not isinstance(wanted, (Fails, Stopped)), f"{future!r} is not {wanted}"
            assert _equal(future.fetch(bound), wanted), f"{future!r} has another value"
        case Err(error):
            assert isinstance(wanted, (Fails, Stopped)), f"{error!r} caused by {error.__cause__!r}"
            assert wanted.matches(error), f"{error!r} caused by {error.__cause__!r} is not {wanted}"
        case _:
            raise AssertionError(f"neither Ok nor Err: {result!r}")


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, numpy.ndarray):
        return type(value) is type(wanted) and numpy.array_equal(value, wanted)
    return type(value) is type(wanted) and value == wanted


def check_stderr(text: str) -> None:
    """Check V8 of all that a program and its workers wrote."""
    assert not _UNSEEN.search(text), text
