"""Tracebacks as plain tuples, and as tracebacks again where nothing of the frames is left.

A frame would keep alive, or try to pickle, whatever the variables of a call held. What a reader wants
of it is the line; that is a file's name, a function's and a number.
"""

from __future__ import annotations

import functools
import traceback
from types import TracebackType
from typing import Any

import tblib

__all__ = ["Lines", "lines_of", "traceback_of"]

Lines = tuple[tuple[str, str, int], ...]
"""Of each frame its file, function and line, the outermost first."""

_MOST = 50  # lines that are kept at either end of a deep recursion


def lines_of(frames: TracebackType | None) -> Lines:
    """Return where the frames of a traceback were."""
    lines = tuple(
        (frame.f_code.co_filename, frame.f_code.co_name, line)
        for frame, line in traceback.walk_tb(frames)
    )
    return lines if len(lines) <= 2 * _MOST else lines[:_MOST] + lines[-_MOST:]


@functools.lru_cache(maxsize=128)  # what fails often fails at the same line
def traceback_of(lines: Lines) -> TracebackType | None:
    """Return a traceback that says the same, without anything of the calls themselves."""
    found: dict[str, Any] | None = None
    for file, function, line in reversed(lines):
        frame = {
            "f_globals": {"__file__": file, "__name__": "?"},
            "f_code": {"co_filename": file, "co_name": function},
            "f_lineno": line,
        }
        found = {"tb_frame": frame, "tb_lineno": line, "tb_next": found}
    if found is None:
        return None
    rebuilt: TracebackType = tblib.Traceback.from_dict(found).as_traceback()
    return rebuilt
