"""What checks expect, in words: assertions that need no pytest and stay on under ``python -O``."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["equal", "is_instance", "raises", "true"]

E = TypeVar("E", bound=BaseException)


def true(what: str, condition: object) -> None:
    """Raise AssertionError unless `condition` holds."""
    if not condition:
        raise AssertionError(what)


def equal(what: str, actual: object, expected: object) -> None:
    """Raise AssertionError unless the two are equal, and of one type."""
    if type(actual) is not type(expected) or actual != expected:
        raise AssertionError(f"{what}: expected {expected!r:.500}, got {actual!r:.500}")


def is_instance(what: str, value: object, expected: type | tuple[type, ...]) -> None:
    """Raise AssertionError unless `value` is of the type."""
    if not isinstance(value, expected):
        raise AssertionError(f"{what}: expected {expected!r}, got {value!r:.500}")


class Caught:
    """The exception that `raises` caught."""

    error: Any = None


@contextmanager
def raises(what: str, expected: type[BaseException]) -> Generator[Caught, None, None]:
    """Raise AssertionError unless the block raises the expected exception."""
    caught = Caught()
    try:
        yield caught
    except expected as error:
        caught.error = error
    else:
        raise AssertionError(f"{what}: expected {expected.__name__}, nothing was raised")
