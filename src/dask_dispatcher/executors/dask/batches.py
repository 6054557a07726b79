"""`Batch`: nodes that are to go together."""

from __future__ import annotations

from dataclasses import dataclass

from ...options import Options

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch:
    """Nodes that go together.

    Attributes
    ----------
    numbers : list of int
        In the order in which they are to run.
    seconds : float
        What they are expected to take.
    is_known : bool
        Whether that rests on experience.
    is_async : bool
        They are coroutines.
    is_alone : bool
        Nothing else may be on their worker, as they may take it along.
    options : Options or None
        Of a node that is sent alone.
    """

    numbers: list[int]
    seconds: float
    is_known: bool = True
    is_async: bool = False
    is_alone: bool = False
    options: Options | None = None
