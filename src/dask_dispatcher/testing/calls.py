"""The functions that the nodes of checks call.

All are on the top level of this module, so that they travel by reference to any process that has
this package.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

from .files import Gate, Journal

__all__ = [
    "Boom",
    "Hostile",
    "Odd",
    "add",
    "boom",
    "give_back",
    "halves",
    "make_hostile",
    "mix",
    "mix_async",
    "note",
    "raise_it",
    "raise_it_async",
    "stall",
    "stall_async",
    "stuck_together",
]


class Boom(Exception):
    """What nodes raise that are meant to fail."""


class Odd(Exception):
    """Takes more than one argument, as many exceptions do whose authors never pickled one."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code


def add(*values: int) -> int:
    """Return the sum."""
    return sum(values)


def note(journal: Journal, name: str, *values: Any) -> str:
    """Note a start and return the name; the values only order."""
    journal.record(name)
    return name


def mix(journal: Journal, name: str, failures: int, *args: Any, **kwargs: Any) -> int:
    """Return a number that depends on every argument; fail the first `failures` times."""
    journal.record(name)
    if journal.counts()[name] <= failures:
        raise Boom(name)
    return zlib.crc32(repr(_sorted((name, args, kwargs))).encode())


async def mix_async(journal: Journal, name: str, failures: int, *args: Any, **kwargs: Any) -> int:
    """Do as `mix` does, after a turn of the event loop."""
    await asyncio.sleep(0)
    return mix(journal, name, failures, *args, **kwargs)


def _sorted(value: Any) -> Any:
    """Return `value` with the sets in it as lists, as the order of a set is nobody's business."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, (list, tuple)):
        return [_sorted(item) for item in value]
    if isinstance(value, dict):
        return [(key, _sorted(item)) for key, item in value.items()]
    return value


def halves(value: int) -> tuple[int, int]:
    """Return two numbers that make up the value."""
    return value // 2, value - value // 2


def boom(message: str, *values: Any) -> None:
    """Raise Boom."""
    raise Boom(message)


def stall(gate: Gate, *values: Any) -> str:
    """Wait at a gate."""
    gate.pass_through()
    return "passed"


async def stall_async(gate: Gate, *values: Any) -> str:
    """Wait at a gate, in a coroutine."""
    await gate.pass_through_async()
    return "passed"


def raise_it(make: Callable[..., BaseException], *args: Any) -> None:
    """Raise what `make` makes."""
    raise make(*args)


async def raise_it_async(make: Callable[..., BaseException], *args: Any) -> None:
    """Raise what `make` makes, in a coroutine."""
    await asyncio.sleep(0)
    raise make(*args)


def give_back(value: Any, *others: Any) -> Any:
    """Return the value itself."""
    return value


class Hostile:
    """A plain value that wants to be asked nothing but its number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    def __hash__(self) -> int:
        raise RuntimeError("hashed")

    def __bool__(self) -> bool:
        raise RuntimeError("asked whether it is true")

    def __len__(self) -> int:
        raise RuntimeError("asked for its length")

    def __iter__(self) -> Any:
        raise RuntimeError("iterated")

    def __repr__(self) -> str:
        raise RuntimeError("shown")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"asked for {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Hostile, (self.number,)


def make_hostile(number: int) -> Hostile:
    """Return a hostile value."""
    return Hostile(number)


def stuck_together(first: Any, second: Any) -> int:
    """Return a number that tells two hostile values from any others, wherever they are."""
    return int(_dig(first).number * 10 + _dig(second).number)


def _dig(value: Any) -> Any:
    while type(value) in (list, tuple, dict):
        value = next(iter(value.values())) if type(value) is dict else value[0]
    return value
