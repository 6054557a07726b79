"""`collector_paused` and `Promoter`."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dask_dispatcher import collector, op, ops
from dask_dispatcher.collector import Promoter, collector_paused

ROW = collector._ROW + 2 * collector._STEP  # after which nodes are moved


@pytest.mark.parametrize("is_on", [True, False])
def test_the_collector_is_as_it_was_afterwards(is_on: bool) -> None:
    if not is_on:
        gc.disable()
    try:
        with collector_paused():
            assert not gc.isenabled()
        assert gc.isenabled() == is_on
    finally:
        gc.enable()


@pytest.fixture(autouse=True)
def usual_collector() -> Iterator[None]:
    """Give each test the settings that CPython has by default, nothing frozen and nothing young."""
    threshold = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    gc.unfreeze()
    gc.collect()
    yield
    gc.set_threshold(*threshold)
    gc.freeze()  # as all tests are run


class Item:
    """What the collector follows, and a weak reference may be had to."""


class Cycle:
    def __init__(self) -> None:
        self.me = self


def build(promoter: Promoter, count: int, others: Callable[[], Any] = lambda: None) -> list[Any]:
    """Make as many objects as if they were nodes, and between them what `others` does."""
    built = []
    for _ in range(count):
        others()
        for _ in promoter.until_step:
            break
        else:
            promoter.step()
        built.append(Item())
    return built


def long_collections() -> int:
    _, middle, full = gc.get_stats()
    return int(middle["collections"] + full["collections"])


def in_oldest(items: list[Any]) -> int:
    oldest = set(map(id, gc.get_objects(generation=2)))
    return sum(id(item) in oldest for item in items)


def test_no_long_collection_falls_due_while_many_are_built() -> None:
    promoter = Promoter()
    kept = build(promoter, ROW)
    before = long_collections()
    kept += build(promoter, 50_000)
    assert long_collections() == before
    assert in_oldest(kept) > len(kept) - 2 * collector._STEP


def test_so_it_is_with_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "_promoter", Promoter())
    step = op(abs)
    kept: list[Any] = [step(number) for number in range(ROW)]
    before = long_collections()
    kept += [step(number) for number in range(50_000)]
    assert long_collections() == before


def test_a_few_nodes_after_a_full_collection_are_left_alone() -> None:
    promoter = Promoter()
    build(promoter, ROW)
    gc.collect()
    before = long_collections()
    kept = build(promoter, collector._ROW - collector._STEP)
    assert long_collections() > before
    assert in_oldest(kept) < len(kept)


def test_nodes_beside_other_work_are_left_alone() -> None:
    promoter = Promoter()
    rest: list[Any] = []

    def others() -> None:
        rest.extend(([], [], [], [], [], [], [], [], [], [], [], [], [], []))

    before = long_collections()
    build(promoter, 2 * ROW, others)
    # As often as it would be without any nodes, if not more often.
    assert long_collections() - before >= len(rest) // 700 // 11


def test_garbage_is_found_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_MOST", ROW)
    promoter = Promoter()
    kept = build(promoter, ROW)
    cycle = Cycle()
    garbage = weakref.ref(cycle)
    del cycle
    # As many as are moved, then as many as a full collection is due after: the counts are 700, and
    # ten times ten of these, and a quarter of what is alive.
    alive = len(gc.get_objects())
    for _ in range((ROW + 2 * 700 * 11 * 11 + alive) // 1000):
        kept += build(promoter, 1000)
    assert garbage() is None


def test_nothing_is_moved_while_the_collector_is_off() -> None:
    promoter = Promoter()
    gc.disable()
    try:
        kept = build(promoter, 2 * ROW)
        assert in_oldest(kept) == 0
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_the_program_froze_stays_frozen() -> None:
    promoter = Promoter()
    kept = build(promoter, ROW)
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        kept += build(promoter, 2 * ROW)
        assert gc.get_freeze_count() > frozen * 0.9  # some of it may be gone
    finally:
        gc.unfreeze()
    fresh = build(promoter, 2 * ROW)  # and from then on nothing is moved any more
    assert in_oldest(fresh[-collector._STEP :]) < collector._STEP


@pytest.mark.parametrize("lines", range(3))
def test_what_another_thread_freezes_in_between_stays_frozen(lines: int) -> None:
    promoter, passed = Promoter(), list[int]()

    def trace(frame: Any, event: str, arg: Any) -> Any:
        if event == "line":
            passed.append(frame.f_lineno)
            if len(passed) == 1 + lines:
                gc.freeze()
        return trace

    before = sys.gettrace()
    sys.settrace(lambda frame, *_: trace if frame.f_code is Promoter._move.__code__ else None)
    try:
        promoter._move()
        frozen = gc.get_freeze_count()
    finally:
        sys.settrace(before)
        gc.unfreeze()
    assert len(passed) > lines
    assert frozen > collector._IMMORTAL


def test_no_setting_changes() -> None:
    def settings() -> tuple[Any, ...]:
        return gc.isenabled(), gc.get_threshold(), gc.get_debug(), list(gc.callbacks)

    before = settings()
    build(Promoter(), 2 * ROW)
    assert settings() == before
    assert gc.get_freeze_count() <= collector._IMMORTAL


def test_nothing_is_done_where_the_collector_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_has_generations", lambda: False)
    kept = build(Promoter(), 2 * ROW)
    assert in_oldest(kept) < len(kept)


# In an interpreter of its own, as Hypothesis has a callback in the collector, which makes this fail.
PARSE_WHILE_BUILDING = """
import ast, threading
from concurrent.futures import ThreadPoolExecutor
from dask_dispatcher import op

source = "x = [" + "(1, 2), " * 2000 + "]"
built = threading.Event()
step = op(abs)

def parse():
    while not built.is_set():
        ast.parse(source)  # C code that fails if another thread parses in its midst

def build():
    return len([step(number) for number in range(100_000)])

with ThreadPoolExecutor(4) as pool:
    parsing = [pool.submit(parse) for _ in range(2)]
    building = [pool.submit(build) for _ in range(2)]
    try:
        lengths = [each.result() for each in building]
    finally:
        built.set()
    assert [each.result() for each in parsing] == [None, None]
assert lengths == [100_000] * 2
"""


def test_threads_may_build_and_parse_meanwhile() -> None:
    subprocess.run([sys.executable, "-c", PARSE_WHILE_BUILDING], check=True)
