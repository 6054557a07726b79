"""`Scatterer`: brings large values of the program's to the workers, once, past the scheduler.

::

    Sender --asks for it--> Scatterer --bytes--> one worker --> others, as they need it
                                |
    nodes that take it are held here until it is there, then go back to the schedule

To Dask such a value is data without a recipe: when the last worker that has it is gone, Dask forgets
it, and cancels the tasks that take it. The program keeps the value until the run is over, and sends
it again when somebody asks for it.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import logging
from typing import TYPE_CHECKING, Any

from ...errors import WorkerLostError
from .boxes import Box

if TYPE_CHECKING:
    import distributed

    from ..slices.carrying import Dumped
    from .engine import DaskEngine
    from .job import Job

__all__ = ["Scattered", "Scatterer"]

log = logging.getLogger("dask_dispatcher")

_TRIES = 10  # times it is sent without a word of a group that takes it
_PAUSE = 0.2  # seconds after one that failed; we may not have heard of a worker's end


class Scattered:
    """A large value of the program's, for the time of one run.

    Parameters
    ----------
    dumped : Dumped
        The value; its buffers are those of the caller's own object.

    Attributes
    ----------
    future : distributed.Future or None
        The value on the workers; None until it is there.
    key_group : str
        Of its key; the first task that takes it is to share it. Dask keeps more of a key group for
        ever than of a task, and a new span if the group has none of a task's.
    address : str
        Of the worker to which it was sent last.
    tries : int
        How often it was sent since a group that takes it was last heard of.
    held : list of (Job, list of int)
        Nodes that wait until it is there.
    """

    __slots__ = ("address", "dumped", "future", "held", "key_group", "tries")

    def __init__(self, dumped: Dumped) -> None:
        self.dumped = dumped
        self.future: distributed.Future[Any] | None = None
        self.key_group = ""
        self.address = ""
        self.tries = 0
        self.held: list[tuple[Job, list[int]]] = []


class Scatterer:
    """Scatters for an engine, with whose lock held it is used.

    Parameters
    ----------
    engine : DaskEngine
    """

    def __init__(self, engine: DaskEngine) -> None:
        self._engine = engine
        self._under_way: dict[Scattered, concurrent.futures.Future[Any]] = {}
        self._serial = itertools.count(1)  # tasks have 0
        self._is_closed = False

    def find(
        self, value: Scattered, address: str, key_group: str
    ) -> distributed.Future[Any] | None:
        """Return a value on the workers; if it is not there, let it go to one, and return None.

        Parameters
        ----------
        value : Scattered
        address : str
            Of the worker to which it goes.
        key_group : str
            A name for its key, if it goes.

        Raises
        ------
        WorkerLostError
            If it never arrives anywhere.
        """
        if value in self._under_way:
            return None
        if value.future is not None and self.has(value.future):
            return value.future
        if value.tries >= _TRIES:
            raise WorkerLostError(
                f"a value that it takes was sent to workers {value.tries} times, last to "
                f"{value.address}, and was lost each time before a node could use it; "
                "it may be too large for their memory"
            )
        self._begin(value, address, key_group)
        return None

    def has(self, future: distributed.Future[Any]) -> bool:
        """Return whether a value that was scattered is still there, as far as we have heard."""
        return future.status == "finished" and not self._engine.connection.has_lost(future)

    def hold(self, value: Scattered, job: Job, numbers: list[int]) -> None:
        """Let nodes wait that were begun but not sent, until a value is there."""
        value.held.append((job, numbers))

    def worker_gone(self, address: str) -> None:
        """Give up what is on its way to a worker."""
        for value, answer in self._under_way.items():
            if value.address == address:
                answer.cancel()

    def close(self) -> None:
        """Let what is still on its way go when it arrives."""
        self._is_closed = True

    def _begin(self, value: Scattered, address: str, key_group: str) -> None:
        connection = self._engine.connection
        value.future, value.address, value.key_group = None, address, key_group
        value.tries += 1
        pickled, buffers = value.dumped
        if address.startswith("inproc://"):  # there nothing is pickled on its way
            box = Box.of(pickled, [bytearray(buffer) for buffer in buffers])
        else:
            box = Box.of(pickled, buffers)
        answer = connection.scatter((key_group, next(self._serial)), box, address)
        self._under_way[value] = answer
        answer.add_done_callback(lambda done: self._answered(value, done))

    def _answered(
        self, value: Scattered, answer: concurrent.futures.Future[distributed.Future[Any]]
    ) -> None:
        if not self._is_closed:
            self._engine.post(lambda: self._arrived(value, answer))

    def _arrived(
        self, value: Scattered, answer: concurrent.futures.Future[distributed.Future[Any]]
    ) -> None:
        error = "its worker is gone" if answer.cancelled() else answer.exception()
        if error is None:
            value.future = answer.result()
            self._go_on(value)
        else:
            log.info("a value did not reach %s: %s", value.address, error)
            self._engine.later(_PAUSE, lambda: self._go_on(value))

    def _go_on(self, value: Scattered) -> None:
        """Let the nodes that wait for a value be sent; if it is not there, they ask for it again."""
        self._under_way.pop(value, None)
        held, value.held = value.held, []
        for job, numbers in reversed(held):  # what comes last here is sent first
            job.schedule.put_back(numbers[::-1])
