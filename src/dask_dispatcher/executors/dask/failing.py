"""What a failed Dask task means, in plain words.

Whatever a node does, its group's task ends well for Dask; it fails only where our own code could not
run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributed.scheduler import KilledWorker

from ...errors import RemoteError, WorkerLostError
from ..policy import Failure

if TYPE_CHECKING:
    import distributed

__all__ = ["never_arrived", "read_failure", "was_forgotten", "why_scheduler_lost"]

_WITH_ITS_SCHEDULER = {
    "scheduler-connection-lost": "the connection broke",
    "scheduler-restart": "somebody restarted it",
}


def read_failure(label: str, error: BaseException | None) -> Failure:
    """Return why a node of a failed task has failed.

    Parameters
    ----------
    label : str
        Of the node.
    error : BaseException or None
        What Dask holds against the task.
    """
    if isinstance(error, KilledWorker):
        worker = getattr(error.last_worker, "address", None)
        text = f"{label} was running on {error.allowed_failures + 1} workers when they died"
        return Failure(WorkerLostError(f"{text}; the last was {worker}"), "", worker)
    if isinstance(error, ModuleNotFoundError) and error.name == "dask_dispatcher":
        text = "a worker has no dask-dispatcher; install it there: pip install dask-dispatcher"
        return Failure(ModuleNotFoundError(text, name=error.name), "", None)
    return Failure(error or RemoteError("unknown", "Dask gave no reason"), "", None)


def why_scheduler_lost(future: distributed.Future[Any]) -> str:
    """Return why a task's scheduler has forgotten all there was; empty if that is not known of it."""
    return _WITH_ITS_SCHEDULER.get(_reason(future), "")


def never_arrived(future: distributed.Future[Any]) -> bool:
    """Return whether a cancelled task was refused, as a value that it takes was gone by then."""
    return _reason(future) == "lost dependencies"


def was_forgotten(future: distributed.Future[Any]) -> bool:
    """Return whether a task was cancelled as the scheduler forgot it with a value that it takes.

    Or took: a result whose inputs are forgotten is forgotten when its last worker is gone.
    """
    return _reason(future) == "already forgotten"


def _reason(future: distributed.Future[Any]) -> str:
    # Dask tells the reason nowhere else; by now it may be connected again.
    return getattr(getattr(future._state, "exception", None), "reason", "") or ""
