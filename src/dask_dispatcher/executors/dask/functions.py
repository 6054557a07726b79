"""The functions of a parcel, by target, as its worker calls them.

One is unpickled once as long as it is in use, however many groups bring it; one that cannot be fails
the nodes that call it, and says why.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..slices.functions import load_function, raising
from ..slices.packing import BUILT_IN

__all__ = ["functions_of"]

_function = functools.lru_cache(maxsize=1000)(load_function)


def functions_of(pickled: dict[int, bytes]) -> list[Callable[..., Any]]:
    """Return the table of functions; what is not in it is never asked for."""
    found: list[Any] = [*BUILT_IN, *[None] * (max(pickled, default=0) + 1 - len(BUILT_IN))]
    for target, data in pickled.items():
        try:
            found[target] = _function(data)
        except Exception as error:
            found[target] = raising(error)
    return found
