"""`Report`: an observer that writes one HTML page about the runs it sees."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ..events import Event, RunEnded
from .columns import Columns
from .page import embedded, head

__all__ = ["Report"]

_PERIOD = 1.0  # seconds between two writes


class Report:
    """Writes a self-contained HTML page: timeline, graph, critical path, failures and more.

    The page is there from the start and grows about once a second, so it can be opened while the
    run goes on, and after a crash. It holds labels, times, tracebacks, and types and sizes of
    arguments; values only if asked for.

    Parameters
    ----------
    path : str or path-like
        Replaced if it exists.
    values : bool, default False
        Show the values of a failed call's own arguments, not only their types and sizes.

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from dask_dispatcher import AsyncExecutor, Report, op
    >>> with tempfile.TemporaryDirectory() as folder, AsyncExecutor() as executor:
    ...     path = pathlib.Path(folder, "run.html")
    ...     _ = executor.run([op(sum)([1, 2])], observers=[Report(path)])
    ...     path.read_text()[:15]
    '<!doctype html>'
    """

    def __init__(self, path: str | os.PathLike[str], *, values: bool = False) -> None:
        self.path = Path(path)
        self._columns = Columns(values=values)
        self._pending: list[Sequence[Event]] = []
        self._written_at = time.monotonic()
        self._lock = threading.Lock()  # guards the above: a second run has a thread of its own
        self.path.write_text(head(), encoding="utf-8")

    def on_events(self, batch: Sequence[Event]) -> None:
        """Take account of what happened, and write it if the last write was a second ago."""
        with self._lock:
            self._pending.append(batch)
            is_over = any(type(event) is RunEnded for event in batch)
            if is_over or time.monotonic() - self._written_at > _PERIOD:
                self._write()

    def _write(self) -> None:
        # Only now: a short run is over by then, and does not share the interpreter with this.
        for batch in self._pending:
            self._columns.add(batch)
        self._pending.clear()
        chunk = self._columns.take()
        if chunk:
            # Opened anew each time: nothing to close when a program ends in the middle.
            with self.path.open("a", encoding="ascii") as file:
                file.write(embedded(chunk))
        self._written_at = time.monotonic()

    def __repr__(self) -> str:
        return f"<Report {str(self.path)!r}>"
