"""What every executor is held to: one small function a promise, whose docstring states it.

Each takes a factory of executors and raises if the promise is broken.
"""

from __future__ import annotations

from collections.abc import Callable

from ...executors.base import Executor
from . import failures, inputs, lifetime, observing, runs, values

__all__ = ["CHECKS", "Check"]

Check = Callable[[Callable[[], Executor]], None]

CHECKS: tuple[Check, ...] = tuple(
    getattr(module, name)
    for module in (values, inputs, failures, runs, lifetime, observing)
    for name in module.__all__
)
