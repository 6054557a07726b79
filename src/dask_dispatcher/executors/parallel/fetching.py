"""Bringing large values to the program."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from ...errors import ExecutorError
from ..slices.values import opened
from .memory import GoneError
from .places import bring
from .values import Given, Held, Pickled

if TYPE_CHECKING:
    from ..engine import Engine
    from ..state import RunState

__all__ = ["fetch"]

_NOTICE = 0.02  # seconds until the death of a worker that could not be read is surely noticed


def fetch(engine: Engine, state: RunState, number: int, timeout: float | None) -> Any:
    """Return the value of a node that has succeeded, wherever it is.

    Raises
    ------
    SerializationError
        If it cannot be unpickled here.
    TimeoutError
        If it was lost and has not been computed again in time.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    node = state.plan.nodes[number]
    while True:
        with engine.lock:
            if state.defunct is not None:
                raise ExecutorError(state.defunct, node=node, label=node.label)
            value = state.values[number]
            source = value.source if isinstance(value, Held) else None
        if isinstance(value, Pickled):
            return opened(node, value.open)
        if not isinstance(value, Held):
            return value.value if isinstance(value, Given) else value
        if value.is_open:
            return value.value
        if source is not None:
            try:
                dumped = bring(source.place)
            except GoneError:
                time.sleep(_NOTICE)
            else:
                return opened(node, functools.partial(value.open, dumped))
        left = None if deadline is None else deadline - time.monotonic()
        if (left is not None and left <= 0) or not state.wait_for(number, left):
            raise TimeoutError(f"{node!r} was lost and is computed again")
        error = state.error_of(number)
        if error is not None:
            raise error.with_traceback(None)
