"""What happened, as frozen records, and the protocol of those who want to know.

Records are named tuples: they are frozen and cost a third of a microsecond. They are built only
when an observer looks at them, and reach observers in batches. Times are seconds since the epoch, as
``time.time()`` gives them; of nodes that ran on another machine, by that machine's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from .nodes import DispatchNode
    from .view import RunView

__all__ = [
    "Event",
    "NodeFailed",
    "NodeFinished",
    "NodeLost",
    "NodeRetried",
    "NodeStarted",
    "Observer",
    "Progressed",
    "RunEnded",
    "RunStarted",
]


class RunStarted(NamedTuple):
    """A run began, with this many nodes to compute; `view` lets an observer look at it."""

    time: float
    nodes: int
    view: RunView | None = None


class NodeStarted(NamedTuple):
    """An attempt of a node began (on Dask: was handed to the scheduler).

    An attempt that ends within a few milliseconds may have no such record: its end tells both
    times.
    """

    time: float
    node: DispatchNode[Any]
    label: str
    attempt: int
    worker: str | None


class NodeFinished(NamedTuple):
    """A node has its value.

    `started` is when this attempt began to run, `moved` how many bytes of its inputs were brought
    to its worker for it; None where the executor does not measure that.
    """

    time: float
    node: DispatchNode[Any]
    label: str
    attempt: int
    worker: str | None
    started: float
    moved: int | None = None


class NodeRetried(NamedTuple):
    """An attempt failed; the next one begins in `delay` seconds.

    `traceback` is the user's own, as text.
    """

    time: float
    node: DispatchNode[Any]
    label: str
    attempt: int
    worker: str | None
    error: BaseException
    delay: float
    traceback: str = ""


class NodeFailed(NamedTuple):
    """A node failed for good. Its dependents, which fail with it, have no record of their own.

    `traceback` is the user's own, as text; `arguments` says of what type and size they were.
    """

    time: float
    node: DispatchNode[Any]
    label: str
    attempt: int
    worker: str | None
    error: BaseException
    traceback: str = ""
    arguments: tuple[str, ...] = ()


class NodeLost(NamedTuple):
    """A node, or the value it had computed, was lost with its worker and runs again if needed."""

    time: float
    node: DispatchNode[Any]
    label: str
    worker: str | None


class Progressed(NamedTuple):
    """The counts so far; comes when they have changed, and at least once a second."""

    time: float
    nodes: int
    done: int
    failed: int


class RunEnded(NamedTuple):
    """A run is over; failed nodes include those that depend on a failure or were cancelled."""

    time: float
    nodes: int
    done: int
    failed: int


Event = (
    RunStarted
    | NodeStarted
    | NodeFinished
    | NodeRetried
    | NodeFailed
    | NodeLost
    | Progressed
    | RunEnded
)


class Observer(Protocol):
    """Who wants to know what happens in a run.

    ``on_events`` is called on a thread of the run's own, one batch at a time, at least every 50 ms
    while something happens, and once more when the run is over. An observer that raises is reported
    through ``logging`` and dropped. One that has an attribute ``counts_only = True`` gets no
    records of single nodes, only of the run as a whole, which then cost nothing.

    The records of finished nodes are made when a batch is first looked at. A log that keeps batches
    as they are, and reads them once the run is over, is the cheapest.
    """

    def on_events(self, batch: Sequence[Event]) -> None:
        """Take the records of what happened since the last call, in order."""
