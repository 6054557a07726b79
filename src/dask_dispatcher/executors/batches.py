"""`Finished` and `Batch`: what observers are told, as columns until somebody looks.

A record a node, made while the run goes on, costs more than most nodes do, and the cycle collector
looks through all that are kept. So whoever runs nodes notes numbers and times, a list each for many
nodes in a row, and the records are made of these when an observer first looks at its batch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, overload

from ..events import Event, NodeFinished
from ..ops import Op

__all__ = ["Batch", "Finished"]

_record = functools.partial(tuple.__new__, NodeFinished)  # without a call in between


class Finished:
    """Nodes that one worker has finished, in its order.

    Parameters
    ----------
    numbers : sequence of int
    started, ended : sequence of float
        Seconds since the epoch.
    worker : str or None
    moved : sequence of int, optional
        Bytes brought to the worker for each.
    """

    __slots__ = ("ended", "moved", "numbers", "started", "worker")

    def __init__(
        self,
        numbers: Sequence[int],
        started: Sequence[float],
        ended: Sequence[float],
        worker: str | None,
        moved: Sequence[int] | None = None,
    ) -> None:
        self.numbers = numbers
        self.started = started
        self.ended = ended
        self.worker = worker
        self.moved = moved

    @classmethod
    def of(cls, times: Iterable[tuple[int, float, float, int]], worker: str | None) -> Finished:
        """Return what `Outbox.times` of a worker says."""
        numbers, started, ended, moved = zip(*times, strict=True)
        return cls(numbers, started, ended, worker, moved)


class _Columns:
    """What is needed to make the records of some nodes, whatever becomes of the run."""

    __slots__ = ("_attempts", "_finished", "_nodes")

    def __init__(self, finished: Finished, nodes: Sequence[Any], starts: Mapping[int, int]) -> None:
        numbers = finished.numbers
        self._finished = finished
        self._nodes = [nodes[number] for number in numbers]
        self._attempts = [starts.get(number, 1) for number in numbers] if starts else None

    def records(self) -> Iterator[NodeFinished]:
        finished, nodes = self._finished, self._nodes
        return map(
            _record,
            zip(
                finished.ended,
                nodes,
                map(_label, nodes),
                self._attempts or repeat(1),
                repeat(finished.worker),
                finished.started,
                finished.moved or repeat(None),
            ),
        )


def _label(node: Any) -> str:
    if type(node) is Op and node._label is None:
        return node._callee.label  # type: ignore[no-any-return]
    return node.label  # type: ignore[no-any-return]


class Batch(Sequence[Event]):
    """Records of what happened, in order; those of finished nodes are made when one is looked at.

    Parameters
    ----------
    nodes : sequence
        Those of the run, by number.
    starts : mapping of int to int
        How often nodes were started, of those started more than once.
    """

    __slots__ = ("_events", "_length", "_nodes", "_parts", "_starts")

    def __init__(self, nodes: Sequence[Any], starts: Mapping[int, int]) -> None:
        self._nodes = nodes
        self._starts = starts
        self._parts: list[Event | _Columns] = []
        self._length = 0
        self._events: list[Event] | None = None

    def add(self, what: Event | Finished) -> None:
        """Append what has been noted."""
        if type(what) is Finished:
            self._parts.append(_Columns(what, self._nodes, self._starts))
            self._length += len(what.numbers)
        else:
            self._parts.append(what)  # type: ignore[arg-type]
            self._length += 1

    def close(self) -> None:
        """Let go of the run, which whoever keeps a batch must not keep alive."""
        self._nodes = ()
        self._starts = {}

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> list[Event]: ...
    def __getitem__(self, place: int | slice) -> Event | list[Event]:
        return self._made()[place]

    def __iter__(self) -> Iterator[Event]:
        return iter(self._made())

    def __repr__(self) -> str:
        return f"<Batch of {self._length} events>"

    def _made(self) -> list[Event]:
        events = self._events
        if events is None:
            events = []
            for part in self._parts:
                if type(part) is _Columns:
                    events.extend(part.records())
                else:
                    events.append(part)  # type: ignore[arg-type]
            self._events = events
            self._parts = []
        return events
