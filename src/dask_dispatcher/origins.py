"""Where in the user's program a node was built.

Nodes are built by the million, so what is kept of the place is one reference: a `Site`, the code
object and the instruction in it, which all nodes built by the same line share. File, line and
source are worked out when somebody asks, which is when something went wrong or a report is written.
"""

from __future__ import annotations

import linecache
from types import CodeType, FrameType
from typing import NamedTuple

from .errors import printable

__all__ = ["BUILDERS", "Origin", "Site", "site_of"]

BUILDERS: set[str] = set()
"""The files of the modules that build nodes on the user's behalf, as their code names them."""

_LONGEST_LINE = 200

Site = tuple[CodeType, int]
"""A code object, and the offset of the instruction that built the node."""


class Origin(NamedTuple):
    """A line of the user's program.

    Attributes
    ----------
    file : str
    line : int
        From 1; 0 if it cannot be known.
    function : str
        The function that the line is in.
    """

    file: str
    line: int
    function: str

    @classmethod
    def of(cls, site: Site) -> Origin:
        """Return what the user knows the place as."""
        code, offset = site
        # co_lines rather than a frame's own number: the frame is long gone.
        for start, end, line in code.co_lines():
            if start <= offset < end:
                return cls(code.co_filename, line or 0, code.co_name)
        return cls(code.co_filename, 0, code.co_name)

    @property
    def source(self) -> str:
        """The text of the line; empty if its file cannot be read any more."""
        return printable(linecache.getline(self.file, self.line).strip(), _LONGEST_LINE)

    def __str__(self) -> str:
        return printable(f"{self.file}:{self.line}, in {self.function}", 2 * _LONGEST_LINE)


def site_of(frame: FrameType, latest: Site | None = None) -> Site:
    """Return the site of the nearest frame, from `frame` outwards, that does not itself build nodes.

    Parameters
    ----------
    frame : FrameType
    latest : Site, optional
        Returned if it is the one; a shortcut for who keeps the latest.
    """
    code = frame.f_code
    while code.co_filename in BUILDERS and frame.f_back is not None:
        frame = frame.f_back
        code = frame.f_code
    offset = frame.f_lasti
    if latest is not None and latest[0] is code and latest[1] == offset:
        return latest
    # By the code's id, as hashing a code object hashes its whole text; the site keeps it alive.
    site = _sites.get((id(code), offset))
    if site is None:
        if len(_sites) >= _MOST_SITES:
            _sites.clear()
        site = _sites[id(code), offset] = (code, offset)
    return site


_sites: dict[tuple[int, int], Site] = {}
_MOST_SITES = 10_000  # in programs that make code as they run, old sites are forgotten
