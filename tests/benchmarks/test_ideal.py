"""The ideal schedule and the lower bound, on small workflows worked out by hand."""

from hypothesis import given
from hypothesis import strategies as st

from bench.ideal import critical_path, list_schedule, lower_bound, upward_ranks

DIAMOND = {"top": (), "left": ("top",), "right": ("top",), "end": ("left", "right")}
SECONDS = {"top": 1.0, "left": 2.0, "right": 5.0, "end": 1.0}


def test_ranks_reach_to_the_end() -> None:
    assert upward_ranks(DIAMOND, SECONDS) == {"end": 1.0, "right": 6.0, "left": 3.0, "top": 7.0}


def test_diamond() -> None:
    assert critical_path(DIAMOND, SECONDS) == 7.0
    assert list_schedule(DIAMOND, SECONDS, workers=2) == 7.0
    assert list_schedule(DIAMOND, SECONDS, workers=1) == 9.0
    assert lower_bound(DIAMOND, SECONDS, workers=2) == 7.0
    assert lower_bound(DIAMOND, SECONDS, workers=1) == 9.0


def test_long_tail_starts_first() -> None:
    parents = {"a": (), "b": (), "c": (), "tail": ("c",)}
    seconds = {"a": 2.0, "b": 2.0, "c": 1.0, "tail": 3.0}
    # c first, though it is the shortest: its tail runs beside a and b.
    assert list_schedule(parents, seconds, workers=2) == 4.0


def test_nothing_to_do() -> None:
    assert list_schedule({}, {}, workers=2) == lower_bound({}, {}, workers=2) == 0.0


@st.composite
def workflows(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, float]]:
    count = draw(st.integers(1, 12))
    parents = {
        str(i): sorted(draw(st.sets(st.sampled_from([str(j) for j in range(i)])))) if i else []
        for i in range(count)
    }
    seconds = {task: float(draw(st.integers(0, 9))) for task in parents}
    return parents, seconds


@given(workflows(), st.integers(1, 4))
def test_schedule_keeps_to_its_bounds(
    workflow: tuple[dict[str, list[str]], dict[str, float]], workers: int
) -> None:
    parents, seconds = workflow
    makespan = list_schedule(parents, seconds, workers)
    assert lower_bound(parents, seconds, workers) <= makespan <= sum(seconds.values())
    # Graham: no list schedule is worse than the work shared out plus the critical path.
    assert makespan <= sum(seconds.values()) / workers + critical_path(parents, seconds)
