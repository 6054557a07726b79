"""Values that are on the cluster before a run: ``distributed.Future`` among its nodes.

Such a node need not run here. A task that puts the value in a `Box`, where it is, stands for it;
the value itself does not move. A future may be pending: the scheduler lets what needs it wait.
"""

from __future__ import annotations

import asyncio
import pickle
import time
import uuid
from typing import TYPE_CHECKING, Any

import distributed
from dask._task_spec import Task
from dask.utils import apply as dask_apply

from ...errors import ExecutorError
from ...interop.futures import future_of
from .boxes import Box

if TYPE_CHECKING:
    from ...plan import Plan
    from .connection import Connection

__all__ = ["Borrowed", "borrow", "boxed"]

_PATIENCE = 10.0  # seconds for the scheduler to hear of a task that its client has submitted
_PAUSE = 0.005  # seconds between two looks


class Borrowed:
    """What a plan holds for the value of a ``distributed.Future``."""

    __slots__ = ("future",)

    def __init__(self, future: distributed.Future[Any]) -> None:
        self.future = future


def borrow(plan: Plan, connection: Connection) -> None:
    """Take the futures among the nodes of a plan as given.

    Raises
    ------
    ExecutorError
        If one is of another scheduler, or the scheduler does not know it.
    """
    futures = {n: future for n, node in enumerate(plan.nodes) if (future := future_of(node))}
    if not futures:
        return
    others = {future.client for future in futures.values()} - {connection.client}
    own = _scheduler(connection.client)
    for client in others:
        if _scheduler(client) != own:
            raise ExecutorError(
                f"a distributed.Future of another scheduler, {client.scheduler}, cannot be used "
                f"at {connection.address}; give its result() instead"
            )
    _let_arrive([f.key for f in futures.values() if f.client in others], connection)
    plan.given.update((number, Borrowed(future)) for number, future in futures.items())


def boxed(borrowed: Borrowed, client: distributed.Client) -> distributed.Future[Any]:
    """Return the task that puts a borrowed value in a box."""
    make_box = Task(None, pickle.loads, pickle.dumps(Box))
    key = f"borrowed-{uuid.uuid4().hex}"
    return client.submit(dask_apply, make_box, [borrowed.future], key=key, pure=False)


def _scheduler(client: distributed.Client) -> Any:
    return client.scheduler_info(n_workers=0)["id"]


def _let_arrive(keys: list[Any], connection: Connection) -> None:
    """Wait until the scheduler knows what another client has submitted.

    Each client's messages have a way of their own, and a task that needs a key which has not
    arrived is cancelled.
    """

    async def ask() -> set[Any]:
        scheduler: Any = connection.client.scheduler
        states = await asyncio.wait_for(scheduler.get_task_status(keys=keys), _PATIENCE)
        return {key for key, state in states.items() if state is None}

    deadline = time.monotonic() + _PATIENCE
    while keys and (missing := connection.begin(ask()).result()):
        if time.monotonic() > deadline:
            text = f"the scheduler at {connection.address} knows nothing of {missing}"
            raise ExecutorError(text)
        time.sleep(_PAUSE)
