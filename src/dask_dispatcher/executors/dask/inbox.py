"""`Inbox`: takes what groups have to say, and what Dask says of their tasks."""

from __future__ import annotations

import concurrent.futures
import pickle
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import WorkerLostError, shown
from ..batches import Finished
from ..policy import Failure
from ..slices.failures import load_failure
from .failing import never_arrived, read_failure, was_forgotten, why_scheduler_lost
from .values import Pickled

if TYPE_CHECKING:
    from .engine import DaskEngine
    from .groups import Group

__all__ = ["Inbox"]


class Inbox:
    """Hears for an engine, with whose lock held it is used.

    Parameters
    ----------
    engine : DaskEngine
    """

    def __init__(self, engine: DaskEngine) -> None:
        self._engine = engine

    def reported(self, group: Group, message: dict[str, Any]) -> None:
        """Take a message of the `Runner`'s."""
        group.has_begun = True
        for value in group.scattered:
            value.tries = 0
        group.is_waiting |= message["waits"]
        report = message["report"]
        if report is None:
            group.is_withheld = True
        else:
            self._report(group, pickle.loads(report))
        self._give_back(group, message["back"])
        if not message["is_final"]:
            self._note_begun(group, message["under_way"], is_late=message["is_late"])
        elif not group.is_withheld and not group.kept:
            self._close(group)

    def _note_begun(self, group: Group, numbers: Sequence[int], *, is_late: bool) -> None:
        group.is_long |= is_late
        group.member.changed()
        self._engine.reclaimer.free(group.member)
        for number in set(numbers) & group.pending - group.started:
            group.started.add(number)
            self._engine.note_started(group.job.state, number, group.member.address)

    def _close(self, group: Group) -> None:
        self._engine.remove(group)
        if group.job.state.defunct is not None:
            return
        self._put(group)
        if left := group.left():  # begun, and left there: Dask had told the worker to
            reason = f"{group.member.address} was told to give it up"
            group.lose(left, reason)

    def _put(self, group: Group) -> None:
        """Note where large values are: only now does Dask know of them, and look after them."""
        job, kept = group.job, group.kept
        for number, (size, *small) in kept.items():
            job.state.values[number] = self._engine.holdings.add(group, number, size, *small)
            if size:
                job.note_size(number, size)
        group.note(kept)
        job.state.finished(kept)

    def _give_back(self, group: Group, numbers: Sequence[int]) -> None:
        group.note(numbers)
        group.job.schedule.put_back(numbers)

    def _report(self, group: Group, report: Sequence[Any]) -> None:
        numbers, atoms, pickled, large, failed, skipped, costs, times, used_up = report
        job, state = group.job, group.job.state
        if state.defunct is not None:
            return
        values = dict(zip(numbers, atoms, strict=True))
        values.update((number, Pickled(data)) for number, data in pickled)
        group.kept.update((number, (size,)) for number, size in large)
        if job.keeps:
            group.kept.update((number, (0, value)) for number, value in values.items())
            values.clear()
        for number, value in values.items():
            state.values[number] = value
        if state.events is not None and times:
            state.events.append(Finished.of(times, group.member.address))
        group.note([*values, *(number for number, _ in failed), *skipped])
        state.finished(values)
        for number, data in failed:
            self._engine.failed(state, number, load_failure(data))
        job.schedule.put_back(skipped)
        self._pass(group, used_up)
        job.note_costs(costs)

    def _pass(self, group: Group, numbers: Sequence[int]) -> None:
        """Note that large values were used in their own group, and are gone."""
        known = [number for number in numbers if number in group.kept]  # others are in its result
        for number in known:
            (size, *_) = group.kept.pop(number)
            group.job.note_size(number, size)
        group.used_up += known
        group.note(known)
        group.job.state.finished(known)

    def ended(self, group: Group) -> None:
        """Take note of the end of a group's task before its last report has come."""
        status = group.future.status
        if status == "finished" and group.is_withheld:
            self._collect(group)
        elif status == "finished" and group.kept:
            self._close(group)
        elif status == "error":
            self._failed(group)
        elif status == "cancelled":
            self._cancelled(group)
        else:  # it has gone with its worker before it could say so
            reason = f"what {group.member.address} had to say of it never came"
            self._engine.lose(group, reason)

    def _collect(self, group: Group) -> None:
        """Come for what was too long for a message."""
        answer = self._engine.connection.collect([group.future.key])
        post = self._engine.post
        answer.add_done_callback(lambda done: post(lambda: self._collected(group, done)))

    def _collected(self, group: Group, answer: concurrent.futures.Future[dict[str, Any]]) -> None:
        if answer.cancelled() or not self._engine.knows(group):
            return
        error = answer.exception()
        if error is not None or answer.result()["status"] != "OK":
            self._engine.lose(group, f"what it had computed is gone: {error}")
            return
        for report in answer.result()["data"][group.future.key].reports:
            self._report(group, pickle.loads(report))
        self._close(group)

    def _failed(self, group: Group) -> None:
        """Deal with a task that Dask could not run."""
        try:
            error = group.future.exception(timeout=10)
        except Exception as unreadable:
            error = unreadable
        self._drop(group, lambda label: read_failure(label, error))

    def _cancelled(self, group: Group) -> None:
        """Deal with a task that went with the scheduler or what it takes, or that somebody cancelled."""
        why = why_scheduler_lost(group.future)
        if why or not self._engine.connection.is_alive:
            self._engine.scheduler_lost(why or "the connection broke")
            return
        if never_arrived(group.future):
            self._engine.take_back([group.name])
            return
        if was_forgotten(group.future):
            self._engine.reclaimer.recall(group, "Dask has forgotten it with a value that it takes")
            return
        self._drop(group, _was_cancelled)

    def _drop(self, group: Group, failure: Callable[[str], Failure]) -> None:
        """Let what is left of a group fail, by label; what is tried again may lack what was used up."""
        self._engine.drop(group)
        state, left = group.job.state, group.left()
        for number in left:
            self._engine.failed(state, number, failure(shown(state.plan.nodes[number].label)))
        group.lose([], "what took it has failed")


def _was_cancelled(label: str) -> Failure:
    error = WorkerLostError(f"the task of {label} was cancelled on the scheduler")
    return Failure(error, "", None)
