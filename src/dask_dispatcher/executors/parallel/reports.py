"""What workers say, and what their deaths mean, for the runs whose nodes they ran."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...schedule import DONE, READY
from ..batches import Finished
from ..slices.failures import load_failure
from .values import Held, Pickled

if TYPE_CHECKING:
    from ..state import RunState
    from .attempts import Attempts
    from .holdings import Holdings
    from .job import Job
    from .process import WorkerProcess
    from .slices import Slice

__all__ = ["lose_coroutine", "lose_slice", "report", "unreadable"]

_MOST_MISSES = 20  # times that a value cannot be brought until it counts as lost


def report(
    holdings: Holdings,
    attempts: Attempts,
    worker: WorkerProcess,
    job: Job,
    part: Slice | None,
    said: Sequence[Any],
    back: Sequence[int],
) -> list[int]:
    """Pass on what became of some nodes; return those whose values are used up, and needed again.

    Parameters
    ----------
    holdings : Holdings
    attempts : Attempts
    worker : WorkerProcess
    job : Job
    part : Slice or None
        None if they are coroutines.
    said : Report
        What the worker's outbox held.
    back : sequence of int
        Nodes that it gives back, not having begun them.
    """
    numbers, atoms, pickled, large, failed, skipped, costs, times, used_up = said
    state, values = job.state, job.state.values
    if worker.timed_out is not None and worker.timed_out[0] == job.serial:
        _drop_late(holdings, worker, said)
    for number, value in zip(numbers, atoms, strict=True):
        values[number] = value
    for number, data in pickled:
        values[number] = Pickled(data)
        numbers.append(number)
    for number, place in large:
        values[number] = held = holdings.put(job, number, worker, place)
        job.note_size(number, held.size)
        numbers.append(number)
        job.held, job.is_even = True, False
    if state.events is not None and times:
        state.events.append(Finished.of(times, worker.name))
    numbers += used_up
    ended = [*numbers, *(number for number, _ in failed), *skipped, *back]
    if part is not None:
        part.note(ended)
    else:
        for number in ended:
            worker.coroutines.pop((job.serial, number), None)
    attempts.end(job, ended)
    state.finished(numbers)
    for number, data in failed:
        attempts.fail(job, number, load_failure(data))
    attempts.take_back(job, [*back, *skipped])
    job.note_costs(costs)
    # Who took it was lost meanwhile with what it had come to, or another user was.
    return [number for number in used_up if job.schedule.state[number] == DONE]


def _drop_late(holdings: Holdings, worker: WorkerProcess, said: Sequence[Any]) -> None:
    """Forget what a node that has timed out came to; another attempt may be under way."""
    assert worker.timed_out is not None
    number = worker.timed_out[1]
    numbers, atoms, pickled, large, failed, *_ = said
    if number in numbers:
        place = numbers.index(number)
        del numbers[place], atoms[place]
    for where in [where for late, where in large if late == number]:
        holdings.drop(worker.timed_out, worker, where)
    for items in (pickled, large, failed):
        items[:] = [item for item in items if item[0] != number]


def unreadable(job: Job, skipped: Sequence[int]) -> dict[RunState, list[int]]:
    """Return the values that a worker was told of and could not bring, again and again, by run.

    As a rule their holder is dead, which is about to be noticed.
    """
    lost: dict[RunState, list[int]] = {}
    for number in skipped:
        if job.schedule.state[number] != READY:
            continue
        job.misses[number] = misses = job.misses.get(number, 0) + 1
        if misses % _MOST_MISSES:
            continue
        for need in job.state.plan.needs[number]:
            held = job.state.values[need]
            state = held.state() if isinstance(held, Held) else None
            if state is not None:
                held.source = None
                lost.setdefault(state, []).append(held.key[1])
    return lost


def lose_slice(attempts: Attempts, worker: WorkerProcess, part: Slice) -> None:
    """Count as lost what a worker that is gone had begun of a slice; put back what it had not."""
    job, left = part.job, part.left()
    current = worker.node_of(part.serial)
    if current is None:
        begun = left
    elif current in part.pending:
        begun = left[: left.index(current) + 1]
        job.suspect(current)
    elif current in part.numbers:  # it has been heard of: the next had not begun
        before = part.numbers[: part.numbers.index(current)]
        begun = [number for number in before if number in part.pending]
    else:
        begun = []
    attempts.end(job, left)
    job.schedule.put_back([number for number in left if number not in set(begun)])
    job.state.lost(begun, [], worker.name, worker.reason)


def lose_coroutine(attempts: Attempts, worker: WorkerProcess, job: Job, number: int) -> None:
    """Count as lost a coroutine node of a worker that is gone."""
    attempts.end(job, [number])
    job.state.lost([number], [], worker.name, worker.reason)
