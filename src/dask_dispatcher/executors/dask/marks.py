"""Marks of groups in a worker's process: which of them may not begin.

The program has thought better of one, and it goes elsewhere; or it has been here before. Dask runs a
task again when its result was moved and then lost; here that is the program's to decide.
"""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["may_begin", "note_left", "revoke"]

_marks: dict[str, bool] = {}  # by name: whether it was revoked before it began
_left: dict[str, None] = {}  # names of those whose values stayed here
_marks_lock = threading.Lock()  # guards _marks and _left
_MOST_MARKS = 10_000
_MOST_LEFT = 100_000


def may_begin(group: str) -> bool:
    """Note that a group begins; return whether it may."""
    with _marks_lock:
        if group in _marks or group in _left:
            return False
        _add(_marks, group, False, _MOST_MARKS)
        return True


def note_left(group: str) -> None:
    """Note that values of a group stay here."""
    with _marks_lock:
        _add(_left, group, None, _MOST_LEFT)


def _add(names: dict[str, Any], name: str, mark: Any, most: int) -> None:
    names[name] = mark
    if len(names) > most:
        del names[next(iter(names))]


def revoke(groups: list[str]) -> list[str]:
    """Keep groups from beginning; return those that had not."""
    with _marks_lock:
        found = [group for group in groups if group not in _marks and group not in _left]
        _marks.update(dict.fromkeys(found, True))
    return found
