"""`Parcel`: some nodes of one run on their way to a worker, as plain data.

User code and user data in it are bytes of our own: the scheduler never sees inside, and nothing of
the user's is unpickled except by the `Runner`, inside a try. Workers need this package installed;
the scheduler does not.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..slices.columns import Columns, from_columns
from .boxes import Kept
from .running import BUDGET, Runner

if TYPE_CHECKING:
    from ..slices.packing import Entry

__all__ = ["Parcel"]


@dataclass
class Parcel:
    """A group of nodes; called on a worker with the values of its Dask dependencies.

    Attributes
    ----------
    group : str
        The name of its Dask task.
    topic : str
        Where it reports.
    columns : Columns
        Of the nodes, in the order in which they run.
    functions : dict of int to bytes
        Pickled functions, by target.
    atoms : dict of int to object
    pickled : dict of int to bytes
        Small values and literals, by number.
    dumped : dict of int to (bytes, list of bytearray)
        Larger ones, with their buffers.
    parts : list of (int, int, int)
        Of each value that is a Dask dependency, or part of one: its number, the position of the
        dependency, and under which number it is in there.
    timeouts : dict of int to float
    passing : dict of int to list of int
        By node: the values made here that it takes, and no node elsewhere; they go when the last that
        takes them has succeeded.
    is_async : bool
        The nodes are coroutines, to be run all at once.
    is_observed : bool
        When each node began and ended is to be told.
    keeps : bool
        Small values too are to stay on the worker.
    run, home : str
        The run, and the program, which keeps the books of its deferred references.
    sender : str
        The name of the connection that sends it.
    budget : float
        Seconds after which it begins no further node.
    python : tuple of int
        The version of Python whose byte code is inside.
    """

    group: str
    topic: str
    columns: Columns
    functions: dict[int, bytes]
    atoms: dict[int, Any]
    pickled: dict[int, bytes]
    dumped: dict[int, tuple[bytes, list[bytearray]]]
    parts: list[tuple[int, int, int]]
    timeouts: dict[int, float]
    passing: dict[int, list[int]] = field(default_factory=dict)
    is_async: bool = False
    is_observed: bool = False
    keeps: bool = False
    run: str = ""
    home: str = ""
    sender: str = ""
    budget: float = BUDGET
    python: tuple[int, int] = field(default=sys.version_info[:2])

    @property
    def numbers(self) -> list[int]:
        """Those of the nodes."""
        numbers: list[int] = self.columns[0]
        return numbers

    def entries(self) -> list[Entry]:
        """Return the nodes as entries, made anew."""
        return from_columns(self.columns)

    def __call__(self, *dependencies: Any) -> Kept:
        return Runner(self, dependencies).run()
