"""`Pump`: carries the records of a run to its observers, on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..events import Event, Observer, Progressed, RunEnded, RunStarted
from ..view import RunView
from .batches import Batch

if TYPE_CHECKING:
    from .state import RunState

__all__ = ["Pump"]

log = logging.getLogger("dask_dispatcher")

_PERIOD = 0.05  # seconds between two deliveries
_LARGEST_BATCH = 10_000
_LONGEST_SILENCE = 1.0  # seconds without a word while the run goes on


class Pump:
    """Delivers a batch every 50 ms until the run is over, and a last one then.

    Parameters
    ----------
    state : RunState
    observers : sequence of Observer
    executor : str
        The name of the executor's class.
    """

    def __init__(self, state: RunState, observers: Sequence[Observer], executor: str) -> None:
        self._state = state
        self._view = RunView(
            executor, state.plan, state.schedule, state.failures, state.owner.count_workers
        )
        self._observers = list(observers)
        self._over = threading.Event()
        if not all(getattr(observer, "counts_only", False) for observer in observers):
            state.events = deque()
        self._thread = threading.Thread(target=self._run, name="dask-dispatcher-observers")
        self._thread.daemon = True
        state.watchers.append(self._look)
        nodes = len(state.plan.nodes) - len(state.plan.given)
        self._deliver([RunStarted(time.time(), nodes, self._view)])
        self._thread.start()

    def join(self) -> None:
        """Wait until observers have had their last batch."""
        self._thread.join()

    def _look(self) -> None:
        if self._state.schedule.is_over:
            # The run, which knows us by this, is then gone with its last reference.
            self._state.watchers.remove(self._look)
            self._over.set()

    def _run(self) -> None:
        seen: tuple[int, int] | None = None
        told = time.monotonic()
        while not self._over.wait(_PERIOD):
            self._deliver_records()
            counts = self._state.schedule.done, self._state.schedule.failed
            # Now and then even if nothing has changed: a clock has to go on, a file to be written.
            if counts != seen or time.monotonic() - told > _LONGEST_SILENCE:
                self._deliver([self._counted(Progressed)])
                told = time.monotonic()
            seen = counts
        self._deliver_records()
        self._deliver([self._counted(Progressed), self._counted(RunEnded)])
        self._view.close()  # an observer that keeps it must not keep the run's values

    def _deliver_records(self) -> None:
        """Deliver what has been recorded by now, in batches of a bounded size."""
        events = self._state.events
        left = len(events) if events is not None else 0
        while events is not None and left > 0:
            batch = Batch(self._state.plan.nodes, self._state.schedule.starts)
            while left > 0 and len(batch) < _LARGEST_BATCH:
                batch.add(events.popleft())
                left -= 1
            batch.close()
            self._deliver(batch)

    def _counted(self, record: type[Progressed] | type[RunEnded]) -> Event:
        schedule, plan = self._state.schedule, self._state.plan
        nodes = len(plan.nodes) - len(plan.given)
        return record(time.time(), nodes, schedule.done, schedule.failed)

    def _deliver(self, batch: Sequence[Event]) -> None:
        for observer in tuple(self._observers):
            try:
                observer.on_events(batch)
            except KeyboardInterrupt:  # as a run begins: it is the user's
                raise
            except BaseException:  # a SystemExit would end our thread, unseen, for all observers
                log.exception("observer %r raised and is dropped", type(observer).__name__)
                self._observers.remove(observer)
