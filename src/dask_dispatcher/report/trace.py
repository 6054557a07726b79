"""`ChromeTrace`: an observer that writes a trace for Perfetto and Chrome's ``about:tracing``.

The format's array form, one event a line; its closing bracket is optional, so that a file is whole
wherever it ends. A process a run, a thread a worker. Calls that overlap on one worker, as coroutines
do, are put on rows of their own, since slices of one row must nest.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..drawing import shown_label
from ..errors import printable, safe_text
from ..events import (
    Event,
    NodeFailed,
    NodeFinished,
    NodeLost,
    NodeRetried,
    NodeStarted,
    RunEnded,
    RunStarted,
)

__all__ = ["ChromeTrace"]


class ChromeTrace:
    """Writes a trace of runs as JSON, to be opened at ui.perfetto.dev or in Chrome.

    Parameters
    ----------
    path : str or path-like
        Replaced if it exists.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._run = 0
        self._rows: dict[tuple[str, int], int] = {}  # by worker and lane: the thread's number
        self._busy: dict[str, list[float]] = {}  # by worker: when each of its lanes ends
        self._starts: dict[Any, NodeStarted] = {}
        self._lock = threading.Lock()  # guards all of the above
        self.path.write_text("[\n", encoding="ascii")

    def on_events(self, batch: Sequence[Event]) -> None:
        """Write what happened."""
        with self._lock:
            entries: list[dict[str, Any]] = []
            for event in batch:
                entries += self._entries(event)
            if entries:
                with self.path.open("a", encoding="ascii") as file:
                    file.writelines(f"{json.dumps(entry)},\n" for entry in entries)

    def _entries(self, event: Event) -> list[dict[str, Any]]:
        if isinstance(event, RunStarted):
            self._run += 1
            self._rows.clear()
            self._busy.clear()
            self._starts.clear()
            executor = event.view.executor if event.view else "run"
            return [self._named("process_name", 0, f"{executor} {self._run}")]
        if isinstance(event, NodeStarted):
            self._starts[event.node] = event
            return []
        if isinstance(event, NodeFinished):
            self._starts.pop(event.node, None)
            return self._slice(event, event.worker, event.started)
        if isinstance(event, (NodeFailed, NodeRetried)):
            start = self._starts.pop(event.node, event)
            error = f"{type(event.error).__name__}: {safe_text(event.error, 1_000)}"
            more = {"error": printable(error, 1_000)}
            return self._slice(event, event.worker or start.worker, start.time, more)
        if isinstance(event, (NodeLost, RunEnded)):
            name = f"lost: {shown_label(event.label)}" if isinstance(event, NodeLost) else "end"
            return [{"ph": "i", "name": name, "ts": _us(event.time), "pid": self._run, "s": "p"}]
        return []

    def _slice(
        self, event: Any, worker: str | None, started: float, more: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        row, names = self._row(shown_label(worker or "?"), started, event.time)
        args = {"attempt": event.attempt, **(more or {})}
        if isinstance(event, NodeFinished) and event.moved:
            args["bytes moved"] = event.moved
        return [
            *names,
            {"ph": "X", "name": shown_label(event.label), "pid": self._run, "tid": row,
             "ts": _us(started), "dur": max(0, _us(event.time) - _us(started)), "args": args},
        ]  # fmt: skip

    def _row(self, worker: str, start: float, end: float) -> tuple[int, list[dict[str, Any]]]:
        """Return the row for a call, and what names the row if it is new."""
        lanes = self._busy.setdefault(worker, [])
        # Calls are told of when they end, so a lane is free if its last one ended before this start.
        lane = next((n for n, until in enumerate(lanes) if until <= start), len(lanes))
        if lane == len(lanes):
            lanes.append(end)
        lanes[lane] = end
        row = self._rows.get((worker, lane))
        if row is not None:
            return row, []
        row = self._rows[worker, lane] = len(self._rows) + 1
        name = worker if lane == 0 else f"{worker} ({lane + 1})"
        return row, [self._named("thread_name", row, name)]

    def _named(self, what: str, row: int, name: str) -> dict[str, Any]:
        return {"ph": "M", "name": what, "pid": self._run, "tid": row, "args": {"name": name}}

    def __repr__(self) -> str:
        return f"<ChromeTrace {str(self.path)!r}>"


def _us(time: float) -> int:
    return round(time * 1e6)
