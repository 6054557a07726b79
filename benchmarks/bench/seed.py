"""The workload `seed`: Dispatcher.jl's load, process, roll, compare, reduce example.

100 loads and one load of a reference; 100 times process(data, reference); 98 rolls over
consecutive triples; 200 comparisons of two random rolls; one reduction of all comparisons. Each
call sleeps for a random time. The original's times are divided by 10 and drawn with a fixed seed,
so that every engine sleeps exactly the same.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from bench.workloads import Build, Collect, Handle, Workload, Wrap, run_plain

LOADS = 100
COMPARISONS = 200
SLOWDOWN = 0.1  # of the original's sleeps


def load(index: int, seconds: float) -> int:
    if seconds:
        time.sleep(seconds)
    return index


def load_from_sql(seconds: float) -> int:
    if seconds:
        time.sleep(seconds)
    return 1_000


def process(data: int, reference: int, seconds: float) -> int:
    if seconds:
        time.sleep(seconds)
    return data * reference


def roll(a: int, b: int, c: int, seconds: float) -> int:
    if seconds:
        time.sleep(seconds)
    return a + b + c


def compare(a: int, b: int, seconds: float) -> int:
    if seconds:
        time.sleep(seconds)
    return abs(a - b)


def reduce_all(values: list[int], seconds: float) -> int:
    if seconds:
        time.sleep(seconds)
    return sum(values)


async def async_load(index: int, seconds: float) -> int:
    if seconds:
        await asyncio.sleep(seconds)
    return index


async def async_load_from_sql(seconds: float) -> int:
    if seconds:
        await asyncio.sleep(seconds)
    return 1_000


async def async_process(data: int, reference: int, seconds: float) -> int:
    if seconds:
        await asyncio.sleep(seconds)
    return data * reference


async def async_roll(a: int, b: int, c: int, seconds: float) -> int:
    if seconds:
        await asyncio.sleep(seconds)
    return a + b + c


async def async_compare(a: int, b: int, seconds: float) -> int:
    if seconds:
        await asyncio.sleep(seconds)
    return abs(a - b)


async def async_reduce_all(values: list[int], seconds: float) -> int:
    if seconds:
        await asyncio.sleep(seconds)
    return sum(values)


class SeedKit(NamedTuple):
    """The six functions of the example."""

    load: Callable[..., Any]
    load_from_sql: Callable[..., Any]
    process: Callable[..., Any]
    roll: Callable[..., Any]
    compare: Callable[..., Any]
    reduce_all: Callable[..., Any]


PLAIN = SeedKit(load, load_from_sql, process, roll, compare, reduce_all)
COROUTINES = SeedKit(
    async_load,
    async_load_from_sql,
    async_process,
    async_roll,
    async_compare,
    async_reduce_all,
)


class Draw:
    """Random sleeps and pairs, the same for the same seed; `slowdown` 0 means no sleeps."""

    def __init__(self, slowdown: float, seed: int = 20) -> None:
        pick = random.Random(seed)

        def sleeps(count: int, longest: float) -> list[float]:
            return [pick.random() * longest * slowdown for _ in range(count)]

        self.reference = sleeps(1, 1 / 2)[0]
        self.loads = sleeps(LOADS, 1 / 2)
        self.processes = sleeps(LOADS, 1 / 2)
        self.rolls = sleeps(LOADS - 2, 1 / 5)
        self.comparisons = sleeps(COMPARISONS, 1 / 10)
        self.reduction = sleeps(1, 1.0)[0]
        self.pairs = [pick.sample(range(LOADS - 2), 2) for _ in range(COMPARISONS)]


def _program(draw: Draw, kit: SeedKit) -> Build:
    def build(wrap: Wrap, collect: Collect) -> Handle:
        load, load_from_sql, process, roll, compare, reduce_all = map(wrap, kit)
        reference = load_from_sql(draw.reference)
        loaded = [load(i, s) for i, s in enumerate(draw.loads)]
        done = [process(x, reference, s) for x, s in zip(loaded, draw.processes, strict=True)]
        triples = zip(done, done[1:], done[2:], draw.rolls, strict=False)
        rolled = [roll(a, b, c, s) for a, b, c, s in triples]
        draws = zip(draw.pairs, draw.comparisons, strict=True)
        compared = [compare(rolled[a], rolled[b], s) for (a, b), s in draws]
        return reduce_all(collect(compared), draw.reduction)

    return build


def seed(*, sleeps: bool, coroutines: bool = False) -> Workload:
    """Make the example, with or without sleeps, from plain functions or from coroutines."""
    expected, nodes = run_plain(_program(Draw(0), PLAIN))
    draw = Draw(SLOWDOWN if sleeps else 0)
    build = _program(draw, COROUTINES if coroutines else PLAIN)
    work, longest = _work_and_critical_path(build)
    name = ("seed:sleeps" if sleeps else "seed") + (":coroutines" if coroutines else "")
    return Workload(name, nodes, build, expected, coroutines, work, longest)


class _Finish(float):
    """The earliest time, in seconds, at which a value can be there."""


def _work_and_critical_path(build: Build) -> tuple[float, float]:
    """Sum up the sleeps, and the longest way through them; each call's last argument is its own."""
    work = 0.0

    def wrap(_func: Callable[..., Any]) -> Callable[..., _Finish]:
        def call(*args: Any) -> _Finish:
            nonlocal work
            work += args[-1]
            return _Finish(_latest(args) + args[-1])

        return call

    finish = build(wrap, lambda handles: _Finish(_latest(handles)))
    return work, float(finish)


def _latest(args: Iterable[Any]) -> float:
    return max((a for a in args if isinstance(a, _Finish)), default=0.0)
