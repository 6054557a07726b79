"""`Client`: nodes sent to a Dask cluster one by one, their values held there.

An executor runs graphs; a client submits single nodes and keeps their values, and those of what
they depend on, on the cluster for as long as somebody holds a future. It works through a
`DaskExecutor`, each submission being a run of its own that takes what is there already as its
inputs.
"""

from __future__ import annotations

import dataclasses
import logging
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import distributed

from .errors import ExecutorError
from .executors.dask.engine import DaskEngine
from .executors.dask.executor import DaskExecutor
from .executors.dask.values import Held
from .executors.state import RunState
from .futures import NodeFuture
from .identity import ancestors
from .nodes import DataNode, DispatchNode
from .options import Options, check_count
from .plan import compile_plan

if TYPE_CHECKING:
    from distributed.security import Security

__all__ = ["Client"]

log = logging.getLogger("dask_dispatcher")

T = TypeVar("T")


class Client:
    """A client of a Dask scheduler that takes nodes.

    Parameters
    ----------
    address : str, distributed.Client or cluster object, optional
        As for `DaskExecutor`.
    security : distributed.security.Security, optional

    Raises
    ------
    ValueError
        If `address` is a str but no address; before connecting.
    ExecutorError
        If no scheduler answers.
    """

    def __init__(self, address: Any = None, *, security: Security | None = None) -> None:
        self._init(DaskExecutor(address, security=security), is_owner=True)

    @classmethod
    def of(cls, executor: DaskExecutor) -> Client:
        """Return a client that shares an executor, which outlives it; it closes with the executor."""
        client = cls.__new__(cls)
        client._init(executor, is_owner=False)
        return client

    def _init(self, executor: DaskExecutor, *, is_owner: bool) -> None:
        self._executor = executor
        self._is_owner = is_owner
        self._is_closed = False
        self._states: weakref.WeakSet[RunState] = weakref.WeakSet()
        self._sent: weakref.WeakValueDictionary[DispatchNode[Any], NodeFuture[Any]]
        self._sent = weakref.WeakValueDictionary()
        # A future keeps those of the nodes that were sent along with it, so that these need not be
        # sent again for as long as it lives.
        self._with: weakref.WeakKeyDictionary[NodeFuture[Any], list[NodeFuture[Any]]]
        self._with = weakref.WeakKeyDictionary()
        self._stopped_manager = False

    @property
    def dask(self) -> distributed.Client:
        """The ``distributed.Client`` underneath."""
        return self._engine.connection.client

    @property
    def _engine(self) -> DaskEngine:
        self._check_open()
        return cast(DaskEngine, self._executor._engine)

    def submit(self, node: DispatchNode[T], *, workers: Any = None) -> NodeFuture[T]:
        """Send a node, and what it depends on and is not there yet.

        Parameters
        ----------
        node : DispatchNode
        workers : str or list of str, optional
            Addresses or names of the workers that may run this node; its dependencies are free.

        Returns
        -------
        NodeFuture
        """
        engine = self._engine
        if not isinstance(node, DispatchNode):
            raise TypeError(f"only nodes can be submitted, not {type(node).__name__}")
        bound = Options(workers=workers).workers
        sent = self._sent.get(node)
        if sent is not None and self._is_usable(sent):
            return cast("NodeFuture[T]", sent)
        there = {n: future for n, future in self._sent.items() if self._is_usable(future)}
        missing = [n for n in ancestors(node, there) if not isinstance(n, DataNode)]
        requested = [node, *missing]
        plan = compile_plan(requested, there)
        if bound:
            number = plan.requested[0]
            plan.special[number] = dataclasses.replace(plan.options(number), workers=bound)
        engine.prepare(plan)
        state = RunState(engine, plan, fail_fast=False)
        self._states.add(state)
        self._executor._states.add(state)
        engine.keeping.add(state)
        futures = [
            NodeFuture(state, number, n)
            for number, n in zip(plan.requested, requested, strict=True)
        ]
        self._sent.update(zip(requested, futures, strict=True))
        used = [there[n] for n in plan.index if n in there]
        self._with[futures[0]] = [*futures[1:], *used]
        if not state.schedule.is_over:
            engine.launch(state, blocking=False)
        return cast("NodeFuture[T]", futures[0])

    def _is_usable(self, future: NodeFuture[Any]) -> bool:
        state = future._state
        if state is None or state.defunct is not None:
            return False
        return not future.ready() or state.has_succeeded(future._number)

    def gather(self, futures: Iterable[NodeFuture[T]]) -> list[T]:
        """Return the values of futures, also of another client's; raise the first failure."""
        self._check_open()
        return self._executor.gather(futures)

    def cancel(self, futures: Iterable[NodeFuture[Any]]) -> None:
        """Cancel nodes, and what depends on them in the same submission; their values go."""
        self._check_open()
        for future in _futures(futures):
            state = future._checked()
            with state.owner.lock:
                state.cancel([future._number])

    def replicate(
        self, futures: Iterable[NodeFuture[Any]] | None = None, n: int | None = None
    ) -> None:
        """Copy values to several workers; the copies last.

        Dask's active memory manager would drop extra copies within seconds; so it is stopped, for
        the whole scheduler, until this client closes.

        Parameters
        ----------
        futures : iterable of NodeFuture, optional
            Default: all of this client's.
        n : int, optional
            How many workers are to have each value; default: all.
        """
        engine = self._engine
        check_count("n", n, minimum=1)
        wanted = list(self._sent.values()) if futures is None else _futures(futures)
        for future in wanted:
            future.wait()
        values = [future._checked().values[future._number] for future in wanted]
        keys = [value.future for value in values if isinstance(value, Held)]
        manager = engine.connection.client.amm
        if not self._stopped_manager and manager.running():
            manager.stop()
            self._stopped_manager = True
            log.info("stopped the active memory manager, which would drop the copies")
        engine.connection.client.replicate(keys, n=n)

    def _check_open(self) -> None:
        if self.is_closed:
            raise ExecutorError("this Client is closed; make a new one")
        self._executor._check_open()

    @property
    def is_closed(self) -> bool:
        """Whether it, or the executor that it belongs to, has been closed."""
        return self._is_closed or self._executor._closed

    def close(self) -> None:
        """Disconnect and let the values go; scheduler and workers live on.

        So does the executor of which this is ``executor.client``. A second close is harmless; anything
        else afterwards raises ExecutorError.
        """
        if self.is_closed:
            return
        if self._stopped_manager:
            try:
                self.dask.amm.start()
            except Exception as error:
                log.warning("the active memory manager stays stopped: %r", error)
        self._is_closed = True
        if self._is_owner:
            self._executor.close()
        else:
            self._executor._forget("the client is closed", self._states)

    def __enter__(self) -> Client:
        self._check_open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client: {'closed' if self.is_closed else self._executor._describe()}>"


def _futures(futures: Iterable[NodeFuture[Any]]) -> list[NodeFuture[Any]]:
    found: list[NodeFuture[Any]] = list(futures)
    for future in found:
        if not isinstance(future, NodeFuture):
            raise TypeError(f"futures are needed here, not {type(future).__name__}")
        if not isinstance(future._checked().owner, DaskEngine):
            raise ExecutorError(f"{future!r} is not on a Dask cluster", node=future.node)
    return found
