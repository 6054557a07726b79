"""`AsyncExecutor`: runs graphs in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..base import Executor
from .engine import ThreadEngine

if TYPE_CHECKING:
    from ..policy import Policy

__all__ = ["AsyncExecutor"]


class AsyncExecutor(Executor):
    """Runs graphs in this process: ``async def`` nodes on an event loop, functions on threads.

    Blocking calls overlap, coroutines run concurrently, and a graph of tiny calls costs little more
    than a loop over them. Started where an event loop is running, ``await executor.start(...)``,
    coroutine nodes use that loop; a blocking `run` uses one of the executor's own. Nodes see the
    context variables of whoever started the run.

    A thread cannot be killed: a plain call that outlives its timeout ends as an error in time, and
    the run goes on without it, but its thread lives until the call returns.

    Parameters
    ----------
    max_workers : int, optional
        How many plain calls may be under way at once. Default: as many threads as there are calls
        that wait, up to 64, and as many as there are cores for calls that compute. Coroutines are
        unbounded.
    resources : dict of str to float, optional
        What nodes that ask for ``resources`` share.
    retries, retry_on, retry_delay, timeout, max_losses : optional
        Defaults for nodes that say nothing; see `op`.

    Examples
    --------
    >>> from dask_dispatcher import AsyncExecutor, op
    >>> a = op(pow)(2, 10)
    >>> with AsyncExecutor() as executor:
    ...     executor.compute(a + 1)
    1025
    """

    _engine: ThreadEngine
    in_process = True

    def _make_engine(
        self, policy: Policy, max_workers: int | None, resources: Mapping[str, float] | None
    ) -> ThreadEngine:
        return ThreadEngine(policy, max_workers, resources)

    def __del__(self) -> None:
        # The collector may call this in a thread that the engine's own threads wait for.
        if self._leave():
            self._engine.leave()
