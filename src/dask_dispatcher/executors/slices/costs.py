"""`Costs`: what a call of each function has cost so far, kept for an executor's life."""

from __future__ import annotations

import types
from typing import Any

from ...callee import Kindred

__all__ = ["Costs"]

_MEMORY = 100  # calls after which an older one counts for half as much, roughly
_UNLIKE = 10.0  # times what all calls that are remembered took: these are of another kind
_WORTH = 1e-3  # of a call, below which that does not matter
_MOST = 1000  # functions remembered
# What hashes and compares by identity, or as the interpreter's own; other callables may refuse.
_HASHABLE = (types.FunctionType, types.BuiltinFunctionType, type)


class Costs:
    """Running means of seconds a call, by function, or by the kind of one that is `Kindred`."""

    def __init__(self) -> None:
        self._means: dict[Any, tuple[float, float]] = {}  # mean and weight

    def mean(self, callee: Any) -> float | None:
        """Return the mean seconds of a call; None if nothing is known."""
        found = self._means.get(_function(callee))
        return None if found is None else found[0]

    def add(self, callee: Any, count: int, seconds: float) -> None:
        """Take note of some calls."""
        function = _function(callee)
        mean, weight = self._means.pop(function, (0.0, 0.0))
        if seconds > max(_UNLIKE * mean * weight, _WORTH * count):
            weight = min(weight, count)  # it was tried on a little, and has all the data now
        total = weight + count
        self._means[function] = (mean * weight + seconds) / total, min(total, _MEMORY)
        if len(self._means) > _MOST:
            del self._means[next(iter(self._means))]  # the one that was not heard of for longest


def _function(callee: Any) -> Any:
    function = callee.func
    plain = function.__func__ if type(function) is types.MethodType else function
    if type(plain) in _HASHABLE:
        return function
    return function.__name__ if issubclass(type(function), Kindred) else callee
