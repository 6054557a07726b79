"""`Helper`: a thread that runs nodes in the place of one of a worker's own.

No thread can be taken out of a call. So a Dask task does not run its nodes itself: it hands them to
a helper and waits, and can leave when the program wants them no longer or their time is up; the
worker has its thread back, and the helper goes on in vain until the call returns. Each of a worker's
threads has one helper, so that what libraries keep a thread stays warm, and takes another one after
it has left one behind.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable

__all__ = ["Helper", "helper"]


class Helper:
    """A daemon thread that calls what it is given, until nobody refers to it any more."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        work = self._work
        threading.Thread(
            target=lambda: _serve(work), name="dask-dispatcher-nodes", daemon=True
        ).start()

    def begin(self, function: Callable[[], object]) -> None:
        """Call `function`, which never raises, in the context of this moment; do not wait."""
        context = contextvars.copy_context()
        self._work.put(lambda: context.run(function))

    def __del__(self) -> None:
        self._work.put(None)


def _serve(work: queue.SimpleQueue[Callable[[], object] | None]) -> None:
    while (function := work.get()) is not None:
        function()
        del function  # or the values of the last group would stay until the next one comes


_own = threading.local()  # of each of the worker's threads: its helper


def helper(*, fresh: bool = False) -> Helper:
    """Return the calling thread's helper.

    Parameters
    ----------
    fresh : bool, default False
        The one there was is left behind.
    """
    found: Helper | None = getattr(_own, "helper", None)
    if found is None or fresh:
        found = _own.helper = Helper()
    return found
