"""`CoroutineRunner`: the coroutine nodes of a worker, all at once on one event loop."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ...deferred.links import NODE, Caller
from ...errors import NodeTimeoutError
from ..slices.packing import Entry
from ..slices.running import MissingInputError, Outbox, SliceRunner, Values

__all__ = ["CoroutineRunner"]


class CoroutineRunner:
    """Runs coroutines on a loop in a thread of its own.

    Parameters
    ----------
    worker : str
        Its name in errors.
    report : callable
        Takes a run and an outbox, and tells the controller what is in it.
    """

    def __init__(self, worker: str, report: Callable[[int, Outbox], None]) -> None:
        self._worker = worker
        self._tell = report
        self._runners: dict[int, SliceRunner] = {}  # by run: what is to be reported
        self._tasks: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._is_reporting = False
        self._attempts = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        threading.Thread(
            target=self._loop.run_forever, name="dask-dispatcher-coroutines", daemon=True
        ).start()

    def start(
        self,
        run: int,
        entries: list[Entry],
        values: Values,
        functions: Sequence[Callable[..., Any]],
        keep: Callable[..., tuple[Any, Any]],
        timeouts: dict[int, tuple[float, str]],
        *,
        observed: bool,
    ) -> None:
        """Begin coroutine nodes; each is reported when it ends."""

        def begin() -> None:
            runner = self._runners.get(run)
            if runner is None:
                runner = self._runners[run] = SliceRunner(functions, keep, self._worker, [0])
            for entry in entries:
                number = entry[0]
                context = contextvars.copy_context()
                context.run(NODE.set, Caller((run, number), next(self._attempts)))
                work = self._run(runner, entry, values, timeouts.get(number), observed)
                task = context.run(self._loop.create_task, work)
                self._tasks[run, number] = task
                task.add_done_callback(lambda _, number=number: self._ended(run, number))  # type: ignore[misc]

        self._loop.call_soon_threadsafe(begin)

    def cancel(self, run: int, numbers: Sequence[int]) -> None:
        """Cancel coroutine nodes; each ends, and is reported, as one that failed."""

        def end() -> None:
            for number in numbers:
                task = self._tasks.get((run, number))
                if task is not None:
                    task.cancel()

        self._loop.call_soon_threadsafe(end)

    async def _run(
        self,
        runner: SliceRunner,
        entry: Entry,
        values: Values,
        limit: tuple[float, str] | None,
        observed: bool,
    ) -> None:
        number, target, args, where, names = entry
        started, moved = time.time(), 0
        try:
            values.moved = 0
            given = values.arguments(args, where) if where else list(args)
            moved = values.moved
            count = len(given) - len(names)
            named = dict(zip(names, given[count:], strict=True))
            coroutine = runner.functions[target](*given[:count], **named)
            value = await self._limited(coroutine, *(limit or (None, "")))
        except MissingInputError:
            runner.outbox.skipped.append(number)
        except BaseException as error:
            runner.fail(number, error)
        else:
            runner.put(number, value)
            if observed:
                runner.outbox.times.append((number, started, time.time(), moved))

    async def _limited(self, coroutine: Any, timeout: float | None, label: str) -> Any:
        # A task of its own: whatever it raises, SystemExit included, must not reach the loop.
        task = self._loop.create_task(_caught(coroutine))
        try:
            done, _ = await asyncio.wait({task}, timeout=timeout)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        if not done:
            task.cancel()
            raise NodeTimeoutError(f"{label} did not end within {timeout} s")
        value, error = task.result()
        if error is not None:
            raise error
        return value

    def _ended(self, run: int, number: int) -> None:
        self._tasks.pop((run, number), None)
        if not self._is_reporting:  # all that end in one turn of the loop come in one report
            self._is_reporting = True
            self._loop.call_soon(self._report)

    def _report(self) -> None:
        self._is_reporting = False
        for run, runner in tuple(self._runners.items()):
            self._tell(run, runner.outbox)
            if not any(key[0] == run for key in self._tasks):
                del self._runners[run]


async def _caught(coroutine: Any) -> tuple[Any, BaseException | None]:
    try:
        return await coroutine, None
    except BaseException as error:
        return None, error
