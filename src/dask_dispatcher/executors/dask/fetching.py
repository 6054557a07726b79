"""Bringing values here from the cluster: one exchange for many, and no wait without an end.

``Client.gather`` cannot be given up without leaving tasks of its own behind, and waits for ever for
a value that was lost. So we wait for the keys ourselves, and then ask the scheduler for the data, as
it does. A value that went with its worker is computed again by its run.
"""

from __future__ import annotations

import concurrent.futures
import time
from typing import TYPE_CHECKING, Any

from ...errors import (
    ExecutorError,
    NoWorkersError,
    SchedulerLostError,
    shown,
)
from ..slices.values import opened
from .boxes import Kept
from .values import Given, Held, Pickled

if TYPE_CHECKING:
    from ..state import RunState
    from .engine import DaskEngine

__all__ = ["fetch"]

_LOOK = 0.2  # seconds between two looks at what may keep a value from coming
_SILENCE = 8.0  # seconds without any answer after which the scheduler counts as lost
_POLL = 0.005  # seconds between two looks at a task that is about to end

Wanted = list[tuple["RunState", int]]


def fetch(engine: DaskEngine, wanted: Wanted, timeout: float | None) -> list[Any]:
    """Return the values of nodes that have succeeded, wherever they are.

    Parameters
    ----------
    engine : DaskEngine
    wanted : list of (RunState, int)
    timeout : float or None
        Seconds to wait for all of them.

    Raises
    ------
    TimeoutError
        If time is up.
    SchedulerLostError, WorkerLostError, NoWorkersError
        If a value is gone for good.
    """
    return _Fetch(engine, wanted, timeout).run()


class _Fetch:
    def __init__(self, engine: DaskEngine, wanted: Wanted, timeout: float | None) -> None:
        self._engine = engine
        self._wanted = wanted
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._heard = time.monotonic()  # when the scheduler last gave a sign of life
        self._asked: concurrent.futures.Future[dict[str, Any]] | None = None

    def run(self) -> list[Any]:
        self._engine.connection.check_process()
        while True:
            values = self._look()
            missing = {
                value.future.key: value
                for value in values
                if type(value) is Held and not value.is_open
            }
            if not missing or self._bring(list(dict.fromkeys(missing)), values):
                return [
                    _opened(value, state, number)
                    for value, (state, number) in zip(values, self._wanted, strict=True)
                ]

    def _look(self) -> list[Any]:
        """Return what stands for the values; have those computed again that are lost."""
        with self._engine.lock:
            values = []
            for state, number in self._wanted:
                if state.defunct is not None:
                    raise ExecutorError(state.defunct, node=state.plan.nodes[number])
                value = state.values[number]
                if type(value) is Held and not value.is_open and value.is_lost:
                    self._check_alive(state, number, value)
                    self._engine.holdings.compute_again(value)
                values.append(value)
        for state, number in self._wanted:
            self._wait_for(state, number)
        with self._engine.lock:
            return [state.values[number] for state, number in self._wanted]

    def _wait_for(self, state: RunState, number: int) -> None:
        while not state.wait_for(number, self._left(_LOOK)):
            self._check_time()
            if self._engine.watch.is_hopeless:
                node = state.plan.nodes[number]
                raise NoWorkersError(
                    f"the value of {shown(node.label)} was lost with its worker, and no worker "
                    f"came to compute it again for {self._engine.watch.worker_timeout:g} s",
                    node=node,
                    label=node.label,
                )
        error = state.error_of(number)
        if error is not None:
            raise error.with_traceback(None)

    def _bring(self, keys: list[Any], values: list[Any]) -> bool:
        """Bring the results of groups; return False if one was lost meanwhile."""
        connection = self._engine.connection
        pending: concurrent.futures.Future[dict[str, Any]] | None = None
        try:
            while True:
                if self._is_any_lost(values):
                    return False
                if pending is None and self._are_there(values):
                    pending = connection.collect(keys)
                    self._heard = time.monotonic()
                answer = self._answer(pending)
                if answer is not None:
                    if answer["status"] == "OK":
                        return _put(values, answer["data"])
                    pending = None  # a holder has just gone, of which we hear sooner or later
                self._check_time()
        finally:
            if pending is not None:
                pending.cancel()

    def _is_any_lost(self, values: list[Any]) -> bool:
        return any(type(value) is Held and value.is_lost for value in values)

    def _are_there(self, values: list[Any]) -> bool:
        """Return whether all groups have ended; raise if a result is gone for good."""
        are_there = True
        for value, (state, number) in zip(values, self._wanted, strict=True):
            if type(value) is Held and not value.is_open:
                self._check_alive(state, number, value)
                are_there = are_there and value.future.status == "finished"
        return are_there

    def _check_alive(self, state: RunState, number: int, value: Held) -> None:
        node = state.plan.nodes[number]
        connection = self._engine.connection
        if not connection.is_alive or value.future.client is not connection.client:
            raise SchedulerLostError(
                f"the scheduler is gone, and with it the value of {shown(node.label)}",
                node=node,
                label=node.label,
            )
        if value.future.status == "error":
            cause = value.future.exception(timeout=10)
            text = f"the value of {shown(node.label)} is gone, as its task on Dask failed: {cause}"
            raise ExecutorError(text, node=node, label=node.label) from cause
        if value.future.status == "cancelled" and not (value.is_lost or value.is_gone):
            raise SchedulerLostError(
                f"the value of {shown(node.label)} is gone: its scheduler was lost, or "
                "somebody cancelled it there",
                node=node,
                label=node.label,
            )

    def _answer(
        self, pending: concurrent.futures.Future[dict[str, Any]] | None
    ) -> dict[str, Any] | None:
        """Return the scheduler's answer, or None after a while without one."""
        if pending is None:
            time.sleep(_POLL)
            return None
        try:
            concurrent.futures.wait([pending], self._left(_LOOK))
            if pending.done():
                return pending.result()
        except (concurrent.futures.CancelledError, OSError, RuntimeError, AttributeError) as error:
            text = f"the value is gone with the scheduler: {error}"
            raise SchedulerLostError(text) from error
        self._check_silence()
        return None

    def _check_silence(self) -> None:
        """Raise if not only the value does not come, but nothing does: the network may be gone."""
        if self._asked is None:
            self._asked = self._engine.connection.identity()
        elif self._asked.done():
            answer, self._asked = self._asked, None
            if not answer.cancelled() and answer.exception() is None:
                self._heard = time.monotonic()
            elif time.monotonic() - self._heard > _SILENCE:
                raise SchedulerLostError(f"the scheduler has not answered for {_SILENCE:g} s")

    def _left(self, most: float) -> float:
        if self._deadline is None:
            return most
        return max(0.0, min(most, self._deadline - time.monotonic()))

    def _check_time(self) -> None:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise TimeoutError(f"the value did not arrive within {self._timeout} s")


def _put(values: list[Any], data: dict[Any, Any]) -> bool:
    """Take values out of the results of groups; return whether all were there.

    Dask may have run a group again whose result was lost: its nodes were not, and we are about to hear.
    """
    for value in values:
        if type(value) is Held and not value.is_open:
            found = data[value.future.key]
            value.box = found.boxes.get(value.number) if isinstance(found, Kept) else found
    return all(value.is_open for value in values if type(value) is Held)


def _opened(value: Any, state: RunState, number: int) -> Any:
    if type(value) in (Held, Pickled):
        return opened(state.plan.nodes[number], value.open)
    return value.value if type(value) is Given else value
