"""`Columns`: the records of runs as columns of small numbers, in chunks.

A report of a hundred thousand nodes has to stay small and open fast, so nothing is written twice:
labels, functions, workers and sites are numbered, times are whole microseconds since the report's
first run began, and a chunk holds lists of numbers, one a column. A chunk is complete in itself but
for the names that earlier chunks brought, so that a file can end after any of them.

========  ========================================================================================
names     the new ``labels``, ``functions``, ``workers``, and ``sites`` as [file, line, function,
          source]
nodes     what nodes are: ``id``, ``label``, ``function``, ``site`` (-1: unknown), the number of
          those it ``needs``, and their ids one after the other in ``needed``
spans     what ran: ``id``, ``worker`` (-1: unknown), ``start``, ``took``, ``attempt``, ``end``
          (0 finished, 1 failed, 2 to be tried again) and ``moved``, in bytes (-1: not measured)
open      attempts under way, as ``id``, ``worker``, ``start``, ``attempt``
notes     retries, failures and losses, one by one
ends      ``id`` and ``state`` of nodes that never finished, when their run is over
runs      the beginnings and ends of runs
========  ========================================================================================

Ids are a node's number in its run plus the sizes of the runs before, so one report can hold several
runs; a value that one run takes from another makes the two nodes one.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from ..arguments import shown_values
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
from ..futures import NodeFuture
from ..nodes import DispatchNode
from ..ops import Op
from ..origins import Origin, Site
from ..view import STATES, RunView

__all__ = ["Columns"]

FINISHED, FAILED, RETRIED = range(3)
_LONGEST_TEXT = 20_000
_NODE_COLUMNS = ("id", "label", "function", "site", "needs")
_SPAN_COLUMNS = ("id", "worker", "start", "took", "attempt", "end", "moved")
_FINAL_BUT_DONE = {number: name for number, name in STATES.items() if name != "done"}


class Names:
    """Numbers for texts that come again and again; a new one gets the next number."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}
        self._new: list[Any] = []

    def number(self, key: Any, shown: Any) -> int:
        """Return the number of `key`, which is shown as `shown`."""
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.numbers)
            self._new.append(shown)
        return number

    def take_new(self) -> list[Any]:
        """Return what was named since the last time."""
        new, self._new = self._new, []
        return new


class Columns:
    """Takes events, gives chunks.

    Runs are told of one after the other.

    Parameters
    ----------
    values : bool
        Tell the values of the arguments of calls that failed, too.
    """

    def __init__(self, *, values: bool = False) -> None:
        self._tells_values = values
        self._labels, self._functions = Names(), Names()
        self._workers, self._sites = Names(), Names()
        self._known_sites: list[Site] = []  # kept, so that their ids remain theirs
        self._origin = 0.0  # the time from which all others count
        self._view: RunView | None = None
        self._first_id = self._next_id = 0  # of the present run, and of the one after it
        self._defined = bytearray()  # by number: whether the present run's node has been told of
        self._taken: dict[int, int] = {}  # by number: the id of the earlier run's node that it is
        # What a later run may take a value of.
        self._requested: weakref.WeakKeyDictionary[DispatchNode[Any], int]
        self._requested = weakref.WeakKeyDictionary()
        # By id: worker, start and attempt; those not told of yet are new.
        self._under_way: dict[int, tuple[int, int, int]] = {}
        self._new_starts: set[int] = set()
        self._begin()

    def _begin(self) -> None:
        self._nodes: list[tuple[int, ...]] = []
        self._needed: list[int] = []
        self._spans: list[tuple[int, ...]] = []
        self._notes: list[dict[str, Any]] = []
        self._ends: list[tuple[int, str]] = []
        self._runs: list[dict[str, Any]] = []

    def take(self) -> dict[str, Any]:
        """Return the chunk of what was added since the last one."""
        nodes = _columns(_NODE_COLUMNS, self._nodes)
        chunk = {
            "labels": self._labels.take_new(),
            "functions": self._functions.take_new(),
            "workers": self._workers.take_new(),
            "sites": self._sites.take_new(),
            "nodes": {**nodes, "needed": self._needed} if nodes else {},
            "spans": _columns(_SPAN_COLUMNS, self._spans),
            "open": [(n, *self._under_way[n]) for n in self._new_starts if n in self._under_way],
            "notes": self._notes,
            "ends": _columns(("id", "state"), self._ends),
            "runs": self._runs,
        }
        self._begin()
        self._new_starts.clear()
        return {name: content for name, content in chunk.items() if content}

    def add(self, batch: Iterable[Event]) -> None:
        """Take account of records, in their order."""
        for event in batch:
            handler = _HANDLERS.get(type(event))
            if handler is not None:
                handler(self, event)

    # Runs

    def _run_started(self, event: RunStarted) -> None:
        if not self._next_id:
            self._origin = event.time
        view = self._view = event.view
        size = len(view.nodes) if view else 0
        self._first_id = self._next_id
        self._next_id += size
        self._defined = bytearray(size)
        self._taken = self._taken_from_earlier(view) if view else {}
        for number in self._taken:
            self._defined[number] = 1
        self._runs.append(
            {"begins": event.time, "nodes": event.nodes, "at": self._us(event.time),
             "executor": view.executor if view else ""}
        )  # fmt: skip

    def _taken_from_earlier(self, view: RunView) -> dict[int, int]:
        taken = {}
        for number in view.given:
            given = view.nodes[number]
            ident = self._requested.get(given.node if type(given) is NodeFuture else given)
            if ident is not None:
                taken[number] = ident
        return taken

    def _run_ended(self, event: RunEnded) -> None:
        if self._view is not None:
            self._define_rest()
            self._note_ends(self._view)
            self._remember_requested(self._view)
        self._under_way.clear()
        self._view = None
        self._runs.append(
            {"ends": event.time, "at": self._us(event.time), "done": event.done,
             "failed": event.failed}
        )  # fmt: skip

    def _define_rest(self) -> None:
        number = self._defined.find(0)
        while number >= 0:
            self._define(number)
            number = self._defined.find(0, number)

    def _note_ends(self, view: RunView) -> None:
        for number, state in enumerate(view.states()):
            if state in _FINAL_BUT_DONE:
                self._ends.append((self._first_id + number, _FINAL_BUT_DONE[state]))

    def _remember_requested(self, view: RunView) -> None:
        for number in view.requested:
            node = view.nodes[number]
            if isinstance(node, DispatchNode):
                self._requested[node] = self._first_id + number

    # Attempts

    def _started(self, event: NodeStarted) -> None:
        ident = self._node(event.node)
        worker, at = self._worker(event.worker), self._us(event.time)
        self._under_way[ident] = worker, at, event.attempt
        self._new_starts.add(ident)

    def _finished(self, event: NodeFinished) -> None:
        time, node, _, attempt, worker, started, moved = event
        ident = self._node(node)
        if self._under_way:
            self._under_way.pop(ident, None)
        # Clocks of two machines may disagree: no span is shorter than nothing.
        took = max(0, round((time - started) * 1e6))
        known = -1 if moved is None else moved
        span = (ident, self._worker(worker), self._us(started), took, attempt, FINISHED, known)
        self._spans.append(span)

    def _failed(self, event: NodeFailed) -> None:
        lines = list(event.arguments)
        if self._tells_values:
            values = shown_values(event.node)
            names = (line.partition(": ")[0] for line in event.arguments)
            lines = [
                f"{line}: {values[name]}" if name in values else line
                for name, line in zip(names, lines, strict=True)
            ]
        self._attempt_failed(event, FAILED, "failed", arguments=lines)

    def _retried(self, event: NodeRetried) -> None:
        self._attempt_failed(event, RETRIED, "retried", delay=event.delay)

    def _attempt_failed(
        self, event: NodeFailed | NodeRetried, how: int, what: str, **more: Any
    ) -> None:
        ident = self._node(event.node)
        at = self._us(event.time)
        # In this process it is the start that knows the thread.
        worker, start, _ = self._under_way.pop(ident, (-1, at, 1))
        worker = worker if event.worker is None else self._worker(event.worker)
        self._spans.append((ident, worker, start, max(0, at - start), event.attempt, how, -1))
        self._notes.append(
            {"what": what, "id": ident, "at": at, "attempt": event.attempt, "worker": worker,
             "type": printable(type(event.error).__name__, 200),
             "message": printable(safe_text(event.error), 2_000),
             "traceback": _readable(event.traceback), **more}
        )  # fmt: skip

    def _lost(self, event: NodeLost) -> None:
        ident, worker = self._node(event.node), self._worker(event.worker)
        self._under_way.pop(ident, None)
        self._notes.append(
            {"what": "lost", "id": ident, "at": self._us(event.time), "worker": worker}
        )

    def _us(self, time: float) -> int:
        return round((time - self._origin) * 1e6)

    def _worker(self, name: str | None) -> int:
        if name is None:
            return -1
        number = self._workers.numbers.get(name)
        return self._workers.number(name, shown_label(name)) if number is None else number

    # Nodes

    def _node(self, node: DispatchNode[Any]) -> int:
        """Return the id of a node of the present run, telling of it when it is met first."""
        assert self._view is not None
        number = self._view.number(node)
        if not self._defined[number]:
            self._define(number)
        return self._first_id + number

    def _define(self, number: int) -> None:
        view = self._view
        assert view is not None
        self._defined[number] = 1
        node = view.nodes[number]
        needed: Iterable[int] = view.needs[number]
        if number in view.after:
            needed = (*needed, *view.after[number])
        first, taken = self._first_id, self._taken
        ids = [taken.get(need, first + need) for need in needed]
        if type(node) is NodeFuture:
            node = node.node
        label, site = self._label(node.label), self._site(node)
        self._needed.extend(ids)
        self._nodes.append((first + number, label, self._function(node), site, len(ids)))

    def _label(self, label: str) -> int:
        number = self._labels.numbers.get(label)
        return self._labels.number(label, shown_label(label)) if number is None else number

    def _function(self, node: DispatchNode[Any]) -> int:
        name = node._callee.__name__ if type(node) is Op else type(node).__name__
        number = self._functions.numbers.get(name)
        return self._functions.number(name, shown_label(name)) if number is None else number

    def _site(self, node: DispatchNode[Any]) -> int:
        site = node._site
        if site is None:
            return -1
        number = self._sites.numbers.get(id(site))
        if number is not None:
            return number
        origin = Origin.of(site)
        self._known_sites.append(site)
        function = printable(origin.function, 200)
        shown = [printable(origin.file, 500), origin.line, function, origin.source]
        return self._sites.number(id(site), shown)


_HANDLERS: dict[type, Any] = {
    RunStarted: Columns._run_started,
    RunEnded: Columns._run_ended,
    NodeStarted: Columns._started,
    NodeFinished: Columns._finished,
    NodeRetried: Columns._retried,
    NodeFailed: Columns._failed,
    NodeLost: Columns._lost,
}


def _columns(names: Iterable[str], rows: list[Any]) -> dict[str, Any]:
    """Return rows as columns; nothing if there are none."""
    if not rows:
        return {}
    # Not zip(*rows): a call with a hundred thousand arguments costs more than all the rest here.
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _readable(text: str) -> str:
    """Return a traceback with its lines kept and all else that cannot be printed escaped."""
    cut = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
    return "\n".join(printable(line, _LONGEST_TEXT) for line in cut.split("\n"))
