"""`ParallelExecutor`: runs graphs on all cores of this machine."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..base import Executor
from .cores import count_cores
from .engine import ParallelEngine

if TYPE_CHECKING:
    from ..policy import Policy

__all__ = ["ParallelExecutor"]


class ParallelExecutor(Executor):
    """Runs graphs on local processes, each with an interpreter of its own.

    Processes are started when they are first needed and stay until `close`. Functions and small
    values travel in messages, lambdas, closures and what a notebook defines included. Large values
    (2 kB pickled and more) stay in the process that made them; others read them directly from its
    memory, once each. Nodes must not change their inputs: arrays are made read-only.

    Numerical libraries in a process share the cores with those in the others: each begins with
    ``OMP_NUM_THREADS`` and the like at its part of them, unless the program has these variables set.

    A process that dies costs its own work: what it was running, and what it alone held and is still
    needed, is computed again elsewhere. A node that outlives its timeout has its process killed.

    Parameters
    ----------
    max_workers : int, optional
        How many processes; default: as many as there are cores for this program.
    resources : dict of str to float, optional
        What nodes that ask for ``resources`` share.
    retries, retry_on, retry_delay, timeout, max_losses : optional
        Defaults for nodes that say nothing; see `op`.

    Examples
    --------
    >>> from dask_dispatcher import ParallelExecutor, op
    >>> squares = [op(pow)(n, 2) for n in range(4)]
    >>> with ParallelExecutor(2) as executor:
    ...     executor.compute(op(sum)(squares))
    14
    """

    _engine: ParallelEngine

    def _make_engine(
        self, policy: Policy, max_workers: int | None, resources: Mapping[str, float] | None
    ) -> ParallelEngine:
        _open.add(self)
        return ParallelEngine(policy, max_workers or count_cores(), resources)

    def __del__(self) -> None:
        if self._leave():
            self._engine.leave()

    def close(self) -> None:
        try:
            super().close()
        except BaseException:  # a second Ctrl-C: no more waiting, and still nothing is left
            self._engine.leave()
            raise
        finally:
            _open.discard(self)


_open: weakref.WeakSet[ParallelExecutor] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Close what the program has left open, while its threads still run."""
    for executor in tuple(_open):
        executor.close()
