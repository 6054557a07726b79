"""Waiting for a condition, always with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_INTERVAL = 0.01  # seconds


def eventually(predicate: Callable[[], T], timeout: float = 10.0, what: str = "") -> T:
    """Return the predicate's first true value.

    Parameters
    ----------
    predicate
        Asked every 10 ms. What it raises is passed on at once.
    timeout
        Seconds after which an `AssertionError` says what did not come true.
    what
        The condition in words, for that error.
    """
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or predicate}")
        time.sleep(_INTERVAL)
    return value
