"""`Watch`: an event loop on a thread of the engine's own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

__all__ = ["NODES_TASK", "Watch"]

NODES_TASK = "dask-dispatcher-nodes"
"""The name of the tasks that carry nodes."""


class Watch:
    """Runs coroutine nodes of runs that bring no loop, timers, and the look at stalled threads.

    Parameters
    ----------
    lock : threading.RLock
        Held while a timer's or a post's function runs.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._is_ending = False
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="dask-dispatcher-loop", daemon=True)
        try:
            self.thread.start()
        except BaseException:  # Ctrl-C, while the thread may be under way already
            self.leave()
            raise

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._is_ending:
            # asyncio lets these two through when a task that a node has made raises them; the
            # task keeps its exception all the same.
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                self.loop.run_forever()
        try:
            self.loop.run_until_complete(self._unwind())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            self.loop.close()

    async def _unwind(self) -> None:
        """See what is left to its end; tasks that nodes have made are cancelled first."""
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                if task.get_name() != NODES_TASK:  # theirs were when their runs were stopped
                    task.cancel()
            await asyncio.wait(tasks)

    def post(self, function: Callable[[], None]) -> None:
        """Call `function` soon on the loop, with the lock held."""
        self.loop.call_soon_threadsafe(self._call, function)

    def later(self, delay: float, function: Callable[[], None]) -> None:
        """Call `function` after `delay` seconds on the loop, with the lock held."""

        def arm() -> None:
            self.loop.call_later(delay, self._call, function)

        if threading.current_thread() is self.thread:  # which need not be woken for it
            arm()
        else:
            self.post(arm)

    def _call(self, function: Callable[[], None]) -> None:
        with self._lock:
            function()

    def leave(self) -> None:
        """Stop the loop, once what runs on it has unwound; called once."""
        self.loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._is_ending = True
        self.loop.stop()

    def close(self) -> None:
        """Stop the loop and wait for its thread."""
        self.leave()
        if threading.current_thread() is not self.thread:
            self.thread.join()
