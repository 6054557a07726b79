"""The cycle collector held off: for work of our own, and while nodes are built."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap

import pytest

from dask_dispatcher.collector import collector_paused

by_generations = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="its collector goes through old objects bit by bit"
)


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


def run(program: str) -> None:
    """Run a program in a process of its own."""
    start = """
        import gc, weakref
        from dask_dispatcher import op

        class Knot:
            def __init__(self):
                self.me = self

        def build(count):
            node = step(0)
            for _ in range(count):
                node = step(node)
            return node

        def do_something_else():
            kept = [[] for _ in range(50_000)]

        step = op(abs)
        usual = gc.get_threshold()
        build(100)
    """
    source = textwrap.dedent(start) + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@by_generations
def test_old_objects_are_not_looked_at_while_nodes_are_built() -> None:
    run("""
        old = build(20_000)
        before = [generation["collections"] for generation in gc.get_stats()]
        new = build(300_000)
        after = [generation["collections"] for generation in gc.get_stats()]
        assert after[0] > before[0] + 100
        assert after[1] <= before[1] + 10
        assert after[2] <= before[2] + 1
    """)


@by_generations
def test_all_is_as_before_once_something_else_is_done() -> None:
    run("""
        node = build(300_000)
        assert gc.get_threshold() != usual
        knots = [Knot() for _ in range(100)]
        seen = [weakref.ref(knot) for knot in knots]
        build(100_000)
        del knots
        before = gc.get_stats()[2]["collections"]
        do_something_else()
        assert gc.get_threshold() == usual
        assert gc.get_stats()[2]["collections"] > before
        assert not any(ref() for ref in seen)
    """)


@by_generations
def test_cycles_that_die_young_go_while_nodes_are_built() -> None:
    run("""
        node = build(100_000)
        seen = []
        for _ in range(100):
            seen.append(weakref.ref(Knot()))
            node = step(node)
        build(10_000)
        assert gc.get_threshold() != usual
        assert not any(ref() for ref in seen)
    """)


@by_generations
def test_a_threshold_that_is_set_meanwhile_stays() -> None:
    run("""
        node = build(300_000)
        gc.set_threshold(500, 5, 5)
        do_something_else()
        assert gc.get_threshold() == (500, 5, 5)
    """)


@by_generations
def test_a_collector_that_is_off_stays_off() -> None:
    run("""
        gc.disable()
        node = build(300_000)
        do_something_else()
        assert not gc.isenabled() and gc.get_threshold() == usual
    """)
