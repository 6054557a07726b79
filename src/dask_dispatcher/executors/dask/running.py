"""`Runner`: runs the nodes of a parcel on a worker, and tells the program what became of them.

::

    worker's thread     hands the nodes to its helper, waits
    helper              runs them one after the other, until they have taken the parcel's budget
    worker's event loop looks after them: what has not begun when a node takes longer than that, or
                        when somebody else waits for the thread, is given back, a node whose time is
                        up is left behind, a task that nobody wants any more is left altogether

Reports travel as events of the worker's, from where they reach the program's client two hops and
about 6 ms later; a result would have to be fetched, which takes 5 ms more. They say nothing twice.
A report that is too long for that becomes part of the task's result.
"""

from __future__ import annotations

import functools
import pickle
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from distributed import Status, get_worker, secede
from distributed.sizeof import safe_sizeof

from ...deferred.links import LINK, set_site
from ...errors import ExecutorError, NodeTimeoutError
from ...shared import Shared
from ..slices.carrying import load
from ..slices.packing import Entry
from ..slices.passing import Passing
from ..slices.running import Lazy, SliceRunner, Values
from .boxes import Box, Kept
from .coroutines import run_all
from .functions import functions_of
from .marks import may_begin, note_left
from .threads import helper
from .waits import Waits
from .wires import GroupLink, cancelled

if TYPE_CHECKING:
    import asyncio

    from .parcels import Parcel

__all__ = ["BUDGET", "ENOUGH", "Runner"]

BUDGET = 0.05
"""Seconds after which a group begins no further node, if it was not expected to take so long, or if
somebody else waits for its thread."""

ENOUGH = 1_000_000
"""Bytes of large values, which are to stay, after which a group begins no further node."""

_GLANCE = 0.002  # seconds between two looks, by whoever runs it, at whether a group is to go on
_LOOK = 0.1  # seconds between two looks at a group that takes longer
_SILENCE = 0.25  # seconds after which a group that is within its budget says that it has begun
_PATIENCE = 0.005  # seconds coroutines may take before their thread makes room for others
_LONGEST_REPORT = 60_000  # bytes; the scheduler remembers a thousand of them
_LEAVING = (Status.closing, Status.closed, Status.failed)
_RUNNING = ("executing", "long-running")  # states of a task that somebody wants


class Runner:
    """Runs one parcel, once.

    Parameters
    ----------
    parcel : Parcel
    dependencies : sequence of Kept or Box
        The values of its Dask dependencies.
    """

    def __init__(self, parcel: Parcel, dependencies: Sequence[Any]) -> None:
        self._parcel = parcel
        self._numbers = parcel.numbers
        self._dependencies = dependencies
        self._worker = get_worker()
        self._loop: asyncio.AbstractEventLoop = self._worker.loop.asyncio_loop  # type: ignore[attr-defined]
        self._kept = Kept()
        self._kept_bytes = 0
        self._passing = Passing(parcel.passing)
        self._current = [-1, 0]
        self._slice = SliceRunner(
            functions_of(parcel.functions), self._keep, self._worker.address, self._current
        )
        self._values = Values({}, {})
        self._lock = threading.Lock()  # of those who report: nothing follows the final report
        self._is_over = False
        self._has_told = False  # that it has begun
        self._has_said_late = False  # that it takes longer than its budget
        # For the worker's thread: whether it may return, or is to make room for others.
        self._signals: queue.SimpleQueue[bool] = queue.SimpleQueue()
        group = parcel.group
        line = parcel.topic, parcel.sender
        self._link = GroupLink(self._worker, line, group, parcel.home)
        self._waits = Waits(parcel.run, group, self._current, self._loop, self._make_room)
        self._cancel_all: Callable[[], None] = lambda: None
        self._period = min([_LOOK, *parcel.timeouts.values()])
        self._since = time.perf_counter()

    def run(self) -> Kept:
        """Run the nodes; return what is to stay on this worker."""
        if not may_begin(self._parcel.group):
            return self._kept
        own = helper()
        own.begin(self._work)
        self._loop.call_soon_threadsafe(self._look_later, min(BUDGET, self._period))
        self._stay()
        if self._current[0] >= 0:  # a call that nobody waits for goes on
            helper(fresh=True)
        if self._kept.boxes:
            note_left(self._parcel.group)
        return self._kept

    def _stay(self) -> None:
        """Wait for the end of the nodes; leave the worker's thread to others if they wait."""
        try:
            is_over = self._signals.get(timeout=_PATIENCE if self._parcel.is_async else None)
        except queue.Empty:
            is_over = False
        if not is_over:
            secede()
            while not self._signals.get():
                pass

    # What the helper does

    def _work(self) -> None:
        set_site(self._waits)
        LINK.set(self._link)  # in the context of this group
        try:
            self._run_nodes()
        finally:
            set_site(None)

    def _run_nodes(self) -> None:
        parcel = self._parcel
        try:
            self._check_python()
            self._values = self._gather()
        except BaseException as error:
            for number in self._numbers:
                self._slice.fail(number, error)
            self._end([])
            return
        if parcel.is_async:
            self._cancel_all = run_all(self._slice, parcel, self._values, self._end)
            return
        until = self._since + parcel.budget
        next_look = 0.0
        back: list[int] = []

        def pause(now: float) -> None:
            nonlocal next_look
            if parcel.passing:
                self._use_up(self._current[0])
            if now < next_look and self._kept_bytes < ENOUGH:
                return
            next_look = now + _GLANCE
            if now > until or self._kept_bytes >= ENOUGH or self._is_unwanted():
                back.extend(_taken(self._slice.todo))

        self._slice.run(
            parcel.entries(),
            self._values,
            pause,
            observed=parcel.is_observed,
            stamps=bool(parcel.timeouts),
        )
        self._current[0] = -1  # or the helper, which is free again, would be left behind
        self._end(back)

    def _check_python(self) -> None:
        here, there = sys.version_info[:2], self._parcel.python
        if here != there:
            raise ExecutorError(
                f"worker {self._worker.address} runs Python {here[0]}.{here[1]}, this program "
                f"{there[0]}.{there[1]}; functions can only travel between equal versions"
            )

    def _gather(self) -> Values:
        values = Values(self._parcel.atoms, self._parcel.pickled)
        for number, dumped in self._parcel.dumped.items():
            values[number] = Lazy(functools.partial(load, *dumped))
        for number, position, inside in self._parcel.parts:
            found = self._dependencies[position]
            box: Box | None = found.boxes.get(inside) if isinstance(found, Kept) else found
            if box is not None:  # else it is lost, of which the program hears as well
                values[number] = Lazy(box.open, box.travelled)
        return values

    def _keep(
        self, number: int, pickled: bytes, buffers: list[memoryview], value: Any
    ) -> tuple[int, Any]:
        if type(value) is Shared:
            value = value.value  # workers are threads of one process, and hand on boxes as they are
            size = safe_sizeof(value)
        else:
            size = len(pickled) + sum(buffer.nbytes for buffer in buffers)
        self._kept.boxes[number] = Box(value)
        if number not in self._passing:
            self._kept_bytes += size
        return size, value

    def _use_up(self, number: int) -> None:
        """Drop the large values that nobody needs any more, now that a node has taken them."""
        if number in self._values:  # or it has failed, and may be tried again
            for need in filter(self._passing.is_last_use, self._passing.taken_by(number)):
                del self._values[need]
                if self._kept.boxes.pop(need, None) is not None:
                    self._slice.outbox.used_up.append(need)

    # What is told

    def _end(self, back: list[int]) -> None:
        """Tell the rest, and let the worker's thread go."""
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            if self._parcel.keeps:
                self._keep_small()
            self._link.flush()  # once the nodes have ended, all is known that they did
            self._say(back, is_final=True)
            # Or the thread's context would hold them until its next group.
            self._values, self._dependencies = Values({}, {}), ()
        self._waits.end(error := cancelled())
        self._link.end(error)
        self._signals.put(True)

    def _keep_small(self) -> None:
        for number in self._numbers:
            if number in self._values and number not in self._kept.boxes:
                self._kept.boxes[number] = Box(self._values[number])

    def _say(self, back: list[int], *, is_final: bool, waits: bool = False) -> None:
        self._has_told = True
        self._has_said_late = self._is_over_budget
        report: bytes | None = pickle.dumps(self._slice.outbox.take(), protocol=5)
        if report is not None and len(report) > _LONGEST_REPORT:
            self._kept.reports.append(report)
            report = None
        self._worker.log_event(
            self._parcel.topic,
            {
                "group": self._parcel.group,
                "report": report,
                "back": back,
                "under_way": [] if is_final else self._under_way(),
                "is_final": is_final,
                "is_late": self._has_said_late,
                "waits": waits,
            },
        )

    def _under_way(self) -> list[int]:
        if self._parcel.is_async:
            return self._numbers
        return self._current[:1]

    # What the event loop does meanwhile

    def _look_later(self, seconds: float) -> None:
        self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        if self._is_over:
            return
        if self._is_unwanted():
            self._cancel_all()
            self._end(_taken(self._slice.todo))
        elif self._is_late():
            self._time_out()
        else:
            self._tell()
            self._look_later(self._until_next_look())

    def _is_unwanted(self) -> bool:
        if self._worker.status in _LEAVING:
            return True
        task = self._worker.state.tasks.get((self._parcel.group, 0))
        return task is None or task.state not in _RUNNING

    def _make_room(self) -> None:
        """Let others use this thread, as the node under way waits for what they may put."""
        with self._lock:
            if self._is_over or self._parcel.is_async:
                return
            self._say(_taken(self._slice.todo), is_final=False, waits=True)
        self._signals.put(False)

    @property
    def _is_over_budget(self) -> bool:
        return time.perf_counter() - self._since >= self._parcel.budget

    def _tell(self) -> None:
        """Say what is new; give back what has not begun if that takes too long, or others wait."""
        is_late, elapsed = self._is_over_budget, time.perf_counter() - self._since
        gives_back = is_late or (elapsed >= BUDGET and self._others_wait())
        if not (gives_back or self._parcel.is_observed or elapsed >= _SILENCE):
            return
        with self._lock:
            if self._is_over:
                return
            back = _taken(self._slice.todo) if gives_back else []
            box = self._slice.outbox
            has_news = box.numbers or box.pickled or box.large or box.failed
            if back or has_news or not self._has_told or is_late > self._has_said_late:
                self._say(back, is_final=False)

    def _others_wait(self) -> bool:
        """Return whether a task of another run or program waits for a thread here."""
        ours = f"-{self._parcel.run}-"
        return any(ours not in str(task.key) for task in self._worker.state.ready)

    def _seconds_left(self) -> float | None:
        """Return how much longer the node under way may take; None: as long as it likes."""
        number, since = self._current
        limit = self._parcel.timeouts.get(number)
        return None if limit is None else limit - (time.monotonic_ns() - since) * 1e-9

    def _is_late(self) -> bool:
        left = self._seconds_left()
        return left is not None and left <= 0

    def _time_out(self) -> None:
        """Leave a call whose time is up to itself, and give back the rest."""
        number = self._current[0]
        back = _taken(self._slice.todo)
        if self._is_late() and self._current[0] == number:
            limit = self._parcel.timeouts[number]
            self._slice.fail(number, NodeTimeoutError(f"it did not end within {limit} s"))
        self._end(back)

    def _until_next_look(self) -> float:
        left = self._seconds_left()
        return self._period if left is None else min(max(left, 0.001), self._period)


def _taken(todo: list[Entry]) -> list[int]:
    rest = []
    while todo:
        try:
            rest.append(todo.pop()[0])
        except IndexError:  # the helper has just taken the last one
            break
    return rest
