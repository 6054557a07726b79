"""Coroutine nodes on a worker: all of a group at once, on one event loop for the whole process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...deferred.links import NODE, Caller
from ...errors import NodeTimeoutError
from ..slices.carrying import is_atom
from ..slices.packing import Entry
from ..slices.running import MissingInputError, SliceRunner, Values

if TYPE_CHECKING:
    from .parcels import Parcel

__all__ = ["run_all"]


def run_all(
    runner: SliceRunner, parcel: Parcel, values: Values, end: Callable[[list[int]], None]
) -> Callable[[], None]:
    """Begin the coroutines of a parcel.

    Parameters
    ----------
    runner : SliceRunner
        Takes note of what becomes of them.
    parcel : Parcel
    values : Values
    end : callable
        Called, on the loop, when the last has ended.

    Returns
    -------
    callable
        Cancels those that have not ended.
    """
    loop = _loop()

    async def run() -> None:
        await asyncio.gather(*(_run(runner, entry, values, parcel) for entry in parcel.entries()))
        end([])

    outcome = asyncio.run_coroutine_threadsafe(run(), loop)

    def cancel() -> None:
        outcome.cancel()

    return cancel


async def _run(runner: SliceRunner, entry: Entry, values: Values, parcel: Parcel) -> None:
    number, target, args, where, names = entry
    outbox = runner.outbox
    NODE.set(Caller((parcel.run, number), parcel.group))  # in this coroutine's own context
    started, since, moved = time.time(), time.perf_counter(), 0
    try:
        values.moved = 0
        given = values.arguments(args, where) if where else list(args)
        moved = values.moved
        count = len(given) - len(names)
        named = dict(zip(names, given[count:], strict=True))
        coroutine = runner.functions[target](*given[:count], **named)
        value = await _limited(coroutine, parcel.timeouts.get(number))
    except MissingInputError:
        outbox.skipped.append(number)
    except asyncio.CancelledError as error:
        if error.args == _GIVEN_UP:
            raise
        runner.fail(number, error)
    except BaseException as error:
        runner.fail(number, error)
    else:
        if is_atom(value):
            values[number] = value
            outbox.atoms.append(value)
            outbox.numbers.append(number)
        else:
            runner.put(number, value, values)
        outbox.costs.append((target, 1, time.perf_counter() - since))
        if parcel.is_observed:
            outbox.times.append((number, started, time.time(), moved))


async def _limited(coroutine: Any, timeout: float | None) -> Any:
    # A task of its own: whatever it raises, SystemExit included, must not reach the loop.
    task = asyncio.ensure_future(_caught(coroutine))
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        raise asyncio.CancelledError(*_GIVEN_UP) from None
    if not done:
        task.cancel()
        raise NodeTimeoutError(f"it did not end within {timeout} s")
    value, error = task.result()
    if error is not None:
        raise error
    return value


_GIVEN_UP = ("the program wants it no more",)


async def _caught(coroutine: Any) -> tuple[Any, BaseException | None]:
    try:
        return await coroutine, None
    except BaseException as error:
        return None, error


class _LoopThread:
    """An event loop on a daemon thread, for all coroutine nodes of a worker."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self._serve, name="dask-dispatcher-coroutines", daemon=True).start()

    def _serve(self) -> None:
        self.loop.run_forever()


_shared: _LoopThread | None = None
_shared_lock = threading.Lock()  # guards _shared


def _loop() -> asyncio.AbstractEventLoop:
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = _LoopThread()
    return _shared.loop
