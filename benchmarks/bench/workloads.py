"""The workloads of the benchmark, written once and built by every engine in its own way.

A workload is a function `build(wrap, collect)`. `wrap(f)` gives the engine's way to call `f`
later (`op(f)`, `dask.delayed(f)`, …), `collect(handles)` its way to make one list of many, and
`build` returns the handle of the one value wanted. So each engine builds its graph from the same
lines of code, by its own natural means, and building is part of what is measured.

The functions live at the top of this module because workers import them from here. The oracle is
the same program without any engine: `build(direct, list)` calls everything at once.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Handle = Any
Wrap = Callable[[Callable[..., Any]], Callable[..., Handle]]
Collect = Callable[[list[Handle]], Handle]
Build = Callable[[Wrap, Collect], Handle]

WIDTH = 100  # nodes in one layer of `layered`
SPIN_SECONDS = 0.010
LONG_SECONDS = 0.050


class WrongResultError(AssertionError):
    """An engine computed something else than the plain program does."""


@dataclass(frozen=True)
class Workload:
    """A computation with its known answer.

    Parameters
    ----------
    name : str
        As in the tables; `:coroutines` or a layout is appended after a colon.
    nodes : int
        Number of nodes, the divisor of the time a node.
    build : Build
        Builds the graph with an engine's `wrap` and `collect`.
    expected : object
        The value every engine must arrive at.
    coroutines : bool
        Whether the functions are `async def`, which only some engines take.
    seconds : float
        Work inside the functions, 0 for no-ops.
    critical_path : float
        The longest chain of that work, in seconds.
    rehearsed : bool
        Whether an engine runs it once, unmeasured, right before each measured run. A virtual machine
        may give memory back to its host that nobody has used for two seconds (free page reporting);
        touching it again is slow, and an engine would pay for the others' turns.
    """

    name: str
    nodes: int
    build: Build
    expected: Any
    coroutines: bool = False
    seconds: float = 0.0
    critical_path: float = 0.0
    rehearsed: bool = False

    def check(self, value: Any) -> None:
        """Raise WrongResultError unless `value` is the known answer."""
        if value != self.expected:
            raise WrongResultError(
                f"{self.name}: expected {self.expected!r:.80}, got {value!r:.80}"
            )


# Functions of the tiny workloads, plain and as coroutines that never suspend.


def noop(x: int) -> int:
    return x


def inc(x: int) -> int:
    return x + 1


def add(x: Any, y: Any) -> Any:
    return x + y


def mix(x: int, y: int, z: int) -> int:
    return (x + y + z) & 0xFFFF  # bounded: a sum over 1,000 layers would measure big integers


async def async_noop(x: int) -> int:
    return x


async def async_inc(x: int) -> int:
    return x + 1


async def async_add(x: Any, y: Any) -> Any:
    return x + y


async def async_mix(x: int, y: int, z: int) -> int:
    return (x + y + z) & 0xFFFF


class Kit(NamedTuple):
    """The functions a shape is made of."""

    noop: Callable[..., Any]
    inc: Callable[..., Any]
    add: Callable[..., Any]
    mix: Callable[..., Any]


PLAIN = Kit(noop, inc, add, mix)
COROUTINES = Kit(async_noop, async_inc, async_add, async_mix)


def wide(n: int, kit: Kit) -> Build:
    """n independent no-ops and one collect."""

    def build(wrap: Wrap, collect: Collect) -> Handle:
        step = wrap(kit.noop)
        return collect([step(i) for i in range(n)])

    return build


def chain(n: int, kit: Kit) -> Build:
    """n increments, each of the one before."""

    def build(wrap: Wrap, _collect: Collect) -> Handle:
        step = wrap(kit.inc)
        x: Handle = 0
        for _ in range(n):
            x = step(x)
        return x

    return build


def tree(n: int, kit: Kit) -> Build:
    """Binary reduction with n nodes in all (n - 1 if n is even)."""

    def build(wrap: Wrap, _collect: Collect) -> Handle:
        leaf, join = wrap(kit.noop), wrap(kit.add)
        level = [leaf(i) for i in range((n + 1) // 2)]
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=False)
            odd = level[-1:] if len(level) % 2 else []
            level = [join(a, b) for a, b in pairs] + odd
        return level[0]

    return build


def layered(n: int, kit: Kit) -> Build:
    """n nodes in layers of 100, each with 3 random parents in the layer above, and one collect."""
    draw = random.Random(n)
    layers = [
        [draw.sample(range(WIDTH), 3) for _ in range(WIDTH)] for _ in range(max(1, n // WIDTH) - 1)
    ]

    def build(wrap: Wrap, collect: Collect) -> Handle:
        leaf, join = wrap(kit.noop), wrap(kit.mix)
        above = [leaf(i) for i in range(WIDTH)]
        for layer in layers:
            above = [join(above[a], above[b], above[c]) for a, b, c in layer]
        return collect(above)

    return build


SHAPES: dict[str, Callable[[int, Kit], Build]] = {
    "wide": wide,
    "chain": chain,
    "tree": tree,
    "layered": layered,
}


def tiny(shape: str, n: int, *, coroutines: bool = False) -> Workload:
    """Make the workload of one shape with about n nodes that do nothing.

    Examples
    --------
    >>> tiny("chain", 5).expected
    5
    """
    expected, nodes = run_plain(SHAPES[shape](n, PLAIN))
    build = SHAPES[shape](n, COROUTINES if coroutines else PLAIN)
    name = f"{shape}:coroutines" if coroutines else shape
    return Workload(name, nodes, build, expected, coroutines)


def run_plain(build: Build) -> tuple[Any, int]:
    """Run the program without any engine: its value and the number of its nodes."""
    nodes = 0

    def wrap(func: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            nonlocal nodes
            nodes += 1
            return func(*args)

        return call

    return build(wrap, wrap(list)), nodes


# Work that takes time: CPU, data.


def spin(loops: int) -> int:
    """Use the CPU for a fixed amount of pure-Python work; returns `loops` modulo 128.

    A count and not a clock: spinning until a time has passed would hide the CPU time that a
    controller takes away from its workers. And no number above 256, which Python would have to
    allocate: how fast that goes depends on the process it happens in (docs/decisions/peers.md).
    """
    count = 0
    for _ in itertools.repeat(None, loops):
        count = (count + 1) & 127
    return count


def loops_for(seconds: float) -> int:
    """Number of `spin` loops that take `seconds` on this machine when it is idle."""
    probe = 300_000
    best = min(_timed_spin(probe) for _ in range(9))
    return max(1, round(seconds / best * probe))


def _timed_spin(loops: int) -> float:
    start = time.perf_counter()
    spin(loops)
    return time.perf_counter() - start


def cpu(loops: int, n: int) -> Workload:
    """n spins of 10 ms; `loops` is `loops_for(SPIN_SECONDS)`."""

    def build(wrap: Wrap, collect: Collect) -> Handle:
        work = wrap(spin)
        return collect([work(loops) for _ in range(n)])

    expected = [spin(loops)] * n
    return Workload("cpu", n + 1, build, expected, False, n * SPIN_SECONDS, SPIN_SECONDS)


def mixed(layout: str, loops: int, short: int, long: int) -> Workload:
    """Many no-ops and a few spins of 50 ms, `random` or `adjacent` among them."""
    total = short + long
    if layout == "random":
        spots = set(random.Random(total).sample(range(total), long))
    else:
        spots = set(range(short // 2, short // 2 + long))

    def build(wrap: Wrap, collect: Collect) -> Handle:
        work, rest = wrap(spin), wrap(noop)
        return collect([work(loops) if i in spots else rest(i) for i in range(total)])

    spun = spin(loops)
    expected = [spun if i in spots else i for i in range(total)]
    seconds = long * LONG_SECONDS
    return Workload(f"mixed:{layout}", total + 1, build, expected, False, seconds, LONG_SECONDS)


def make_array(value: int, length: int) -> np.ndarray[Any, Any]:
    return np.full(length, float(value))


def double(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array * 2


def total(array: np.ndarray[Any, Any]) -> float:
    return float(array.sum())


def data(arrays: int = 8, megabytes: int = 50) -> Workload:
    """Arrays made, doubled, summed as a tree; one number is fetched."""
    length = megabytes * 1_000_000 // 8

    def build(wrap: Wrap, _collect: Collect) -> Handle:
        make, twice, join = wrap(make_array), wrap(double), wrap(add)
        level = [twice(make(i, length)) for i in range(1, arrays + 1)]
        while len(level) > 1:
            level = [join(a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
        return wrap(total)(level[0])

    expected = float(arrays * (arrays + 1) * length)
    return Workload("data", 3 * arrays, build, expected, rehearsed=True)
