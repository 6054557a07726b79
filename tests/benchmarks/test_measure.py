"""Measuring: taking turns, checking, medians and ratios."""

from typing import Any

import pytest

from bench.engines import Engine
from bench.measure import Comparison, Timing, compare
from bench.workloads import Build, WrongResultError, run_plain, tiny


class Noting(Engine):
    """Runs plainly, and notes in a common list that it did."""

    def __init__(self, name: str, notes: list[str], error: int = 0) -> None:
        self.name, self.notes, self.error = name, notes, error

    def run(self, build: Build) -> Any:
        self.notes.append(self.name)
        return run_plain(build)[0] + self.error


def test_engines_take_turns() -> None:
    notes: list[str] = []
    found = compare(tiny("chain", 5), 5, [Noting("a", notes), Noting("b", notes)], rounds=2)
    assert notes == ["a", "b"] * 16  # quick ones get eight times the rounds
    assert len(found.timings["a"].seconds) == len(found.timings["a"].building) == 16


def test_a_wrong_result_stops_the_benchmark() -> None:
    with pytest.raises(WrongResultError):
        compare(tiny("chain", 5), 5, [Noting("a", [], error=1)], rounds=1)


def test_figures() -> None:
    timing = Timing(1_000, seconds=[3e-3, 1e-3, 2e-3], building=[1e-3, 1e-3, 1e-3])
    assert timing.per_node == pytest.approx(2.0)
    assert timing.build_per_node == pytest.approx(1.0)
    assert timing.spread == pytest.approx((1.0, 3.0))


def test_ratio() -> None:
    timings = {"a": Timing(1, [4.0]), "b": Timing(1, [2.0])}
    comparison = Comparison(tiny("chain", 1), 1, timings)
    assert comparison.ratio("a", "b") == 2.0
    assert comparison.ratio("a", "c") is None


@pytest.mark.parametrize(("seconds", "rounds"), [(0.01, 40), (0.2, 10), (1.0, 5), (6.0, 2)])
def test_rounds_depend_on_the_time_of_the_first(seconds: float, rounds: int) -> None:
    timing = Timing(1)
    while timing.wants_more(5):
        timing.seconds.append(seconds)
    assert len(timing.seconds) == rounds
