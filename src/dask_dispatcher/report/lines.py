"""`EventLog`: an observer that writes every event as a line of JSON, for programs to read."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import printable, safe_text
from ..events import Event
from ..nodes import DispatchNode

__all__ = ["EventLog"]

_LONGEST = 20_000  # characters of a label or traceback


class EventLog:
    """Writes each event as one JSON object a line, with the fields of its record.

    A node is told by its number in the run, an error by its type and message. Values are not
    written.

    Parameters
    ----------
    path : str or path-like
        Replaced if it exists.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._run = 0
        self._view: Any = None
        self._lock = threading.Lock()  # guards the file's order
        self.path.write_bytes(b"")

    def on_events(self, batch: Sequence[Event]) -> None:
        """Write what happened."""
        with self._lock:
            lines = [json.dumps(self._record(event)) for event in batch]
            with self.path.open("a", encoding="ascii") as file:
                file.writelines(f"{line}\n" for line in lines)

    def _record(self, event: Any) -> dict[str, Any]:
        kind = type(event).__name__
        record: dict[str, Any] = {"event": kind}
        if kind == "RunStarted":
            self._run += 1
            self._view = event.view
        record["run"] = self._run
        for name, value in zip(event._fields, event, strict=True):
            if name == "view":
                record["executor"] = value.executor if value else ""
            else:
                record[name] = self._shown(value)
        return record

    def _shown(self, value: Any) -> Any:
        if isinstance(value, DispatchNode):
            return self._view.number(value)
        if isinstance(value, BaseException):
            message = printable(safe_text(value), _LONGEST)
            return {"type": type(value).__name__, "message": message}
        return value[:_LONGEST] if isinstance(value, str) else value

    def __repr__(self) -> str:
        return f"<EventLog {str(self.path)!r}>"
