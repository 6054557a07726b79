"""What a run ended in, as plain values and errors."""

from collections.abc import Iterable
from typing import Any

import pytest

from dask_dispatcher import Err, NodeFuture, Ok, Result


def outcome(results: Iterable[Result[NodeFuture[Any]]], bound: float = 20.0) -> list[Any]:
    """Return what each Result holds: the value, or the error.

    Parameters
    ----------
    results
        Of a run.
    bound
        Seconds in which each value must be here.
    """
    found: list[Any] = []
    for result in results:
        match result:
            case Ok(future):
                found.append(future.fetch(bound))
            case Err(error):
                found.append(error)
            case _:
                pytest.fail(f"neither Ok nor Err: {result!r}")
    return found
