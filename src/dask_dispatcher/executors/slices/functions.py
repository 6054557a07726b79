"""Functions as they come to a worker: pickled, plain or as what `op` made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...callee import Callee
from .carrying import load

__all__ = ["load_function", "raising"]


def load_function(data: bytes) -> Callable[..., Any]:
    """Unpickle a function that nodes call."""
    function = load(data)
    return function.func if isinstance(function, Callee) else function


def raising(error: Exception) -> Callable[..., Any]:
    """Return what stands for a function that cannot be unpickled: each node that calls it says why."""

    def function(*_: Any, **__: Any) -> Any:
        raise error

    return function
