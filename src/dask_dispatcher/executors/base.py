"""`Executor`: what every executor does for its user.

The base class turns what the user asks for into a plan, a state and a `Run`, and hands it to an
engine. A third party's executor gives only ``submit`` and gets the engine for it; ours bring
engines of their own.
"""

from __future__ import annotations

import concurrent.futures
import logging
import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from ..errors import DispatcherError, ExecutorClosedError, RunCancelledError, one
from ..futures import NodeFuture
from ..graph import DispatchGraph
from ..nodes import DispatchNode
from ..options import RetryOn, check_count
from ..plan import Plan, compile_plan
from ..results import Err, Ok, Result
from .drive import PoolDrive
from .observing import Pump
from .policy import Policy
from .run import Results, Run
from .state import RunState, cancelled

if TYPE_CHECKING:
    from ..events import Observer
    from ..pool import Pool
    from .engine import Engine

__all__ = ["Executor"]

T = TypeVar("T")

log = logging.getLogger("dask_dispatcher")

Requested = DispatchGraph | Iterable[DispatchNode[Any]]
Inputs = Mapping[DispatchNode[Any], Any]


class Executor:
    """Runs graphs. Subclass it and define ``submit`` to run them somewhere new.

    Parameters
    ----------
    max_workers : int, optional
        How many nodes are submitted at once; default: the number of cores.
    resources : dict of str to float, optional
        What nodes that ask for ``resources`` share.
    retries, retry_on, retry_delay, timeout, max_losses : optional
        Defaults for nodes that say nothing; see `op`.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from dask_dispatcher import Executor, op
    >>> class PoolExecutor(Executor):
    ...     def __init__(self):
    ...         super().__init__(max_workers=2)
    ...         self.pool = ThreadPoolExecutor(2)
    ...
    ...     def submit(self, call):
    ...         return self.pool.submit(call)
    ...
    ...     def close(self):
    ...         super().close()
    ...         self.pool.shutdown()
    >>> with PoolExecutor() as executor:
    ...     executor.compute(op(sum)([1, 2, 3]))
    6
    """

    in_process = False
    """Whether all nodes run in this process, where their values need not travel."""

    shares_memory = False
    """Whether all nodes run in this process, although what they are given is pickled."""

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        resources: Mapping[str, float] | None = None,
        retries: int = 0,
        retry_on: RetryOn = Exception,
        retry_delay: float = 0.1,
        timeout: float | None = None,
        max_losses: int = 3,
    ) -> None:
        self._closed = True  # until everything below has been accepted
        self._pid = os.getpid()
        check_count("max_workers", max_workers, minimum=1)
        policy = Policy(retries, retry_on, retry_delay, timeout, max_losses)
        self._states: weakref.WeakSet[RunState] = weakref.WeakSet()
        self._engine = self._make_engine(policy, max_workers, resources)
        self._closed = False

    def submit(
        self, call: Callable[[], Any], /
    ) -> concurrent.futures.Future[Any]:  # pragma: no cover - the hook has no body of its own
        """Run `call` somewhere, once, soon: the one hook that a new executor must implement.

        Parameters
        ----------
        call : callable
            Takes no arguments; computes a node and returns its value, or raises what the node
            raises. Pickles if the node's function and inputs do, lambdas included.

        Returns
        -------
        concurrent.futures.Future
        """
        raise NotImplementedError(f"{type(self).__name__} must define submit(call)")

    def _make_engine(
        self, policy: Policy, max_workers: int | None, resources: Mapping[str, float] | None
    ) -> Engine:
        return PoolDrive(policy, self.submit, max_workers, dict(resources) if resources else None)

    # Running

    def run(
        self,
        nodes: Requested,
        *,
        inputs: Inputs | None = None,
        raise_errors: bool = True,
        progress: bool = False,
        observers: Sequence[Observer] = (),
    ) -> Results:
        """Run nodes, or the outputs of a graph, and wait for them.

        Parameters
        ----------
        nodes : iterable of DispatchNode, or DispatchGraph
        inputs : mapping of DispatchNode to object, optional
            Values, or NodeFutures of earlier runs, that stand in for nodes; what only these needed
            does not run.
        raise_errors : bool, default True
            Stop at the first failure, start nothing new, and raise it. False: everything that does
            not depend on a failure completes, and failures come back as `Err`.
        progress : bool, default False
            Show how far the run is.
        observers : sequence of Observer, optional

        Returns
        -------
        list of Result
            One `Ok` with a `NodeFuture`, or `Err` with a `DispatcherError`, a node, in order.

        Raises
        ------
        DependencyError
            With `raise_errors`: the first failure; its ``results`` holds the results so far.
        ExecutorClosedError
            With `raise_errors`: what befell the run. Always: if the executor is closed.
        CycleError, TypeError, ValueError
            Before anything runs: if the graph has a cycle, something is no node, or a declared
            input has no value.
        """
        run = self._start(nodes, inputs, raise_errors, progress, observers, blocking=True)
        try:
            results = run.results()
        except BaseException:
            # Whatever ends the wait, Ctrl-C above all, ends the run; its coroutines unwind first.
            run.cancel()
            run._state.wait_until(run.done, None)
            raise
        if raise_errors:
            _raise_first(run, results)
        return results

    def start(
        self,
        nodes: Requested,
        *,
        inputs: Inputs | None = None,
        progress: bool = False,
        observers: Sequence[Observer] = (),
    ) -> Run:
        """Start a run and return at once; see `run` for the parameters.

        Returns
        -------
        Run
        """
        return self._start(nodes, inputs, False, progress, observers, blocking=False)

    @overload
    def compute(self, nodes: DispatchNode[T]) -> T: ...
    @overload
    def compute(self, nodes: Iterable[DispatchNode[Any]]) -> list[Any]: ...
    def compute(self, nodes: Any) -> Any:
        """Return the value of one node, or the list of several; raise if one fails."""
        if isinstance(nodes, DispatchNode):
            return self.gather(self.run([nodes]))[0]
        return self.gather(self.run(nodes))

    def gather(self, results: Iterable[Result[NodeFuture[T]] | NodeFuture[T]]) -> list[T]:
        """Return the values of results or futures; raise the first failure.

        All values that one process holds come in one exchange.
        """
        futures = []
        for result in results:
            if isinstance(result, Err):
                result.unwrap()
            futures.append(result.value if isinstance(result, Ok) else result)
        for future in futures:
            if not isinstance(future, NodeFuture):
                raise TypeError(
                    f"gather takes results and futures of runs, not {type(future).__name__}"
                )
            future.wait()
        owners = dict.fromkeys(future._checked().owner for future in futures)
        values: dict[NodeFuture[T], T] = {}
        for owner in owners:
            own = [future for future in futures if future._checked().owner is owner]
            values.update(zip(own, owner.gather(own), strict=True))
        return [values[future] for future in futures]

    # Dask's side, and the standard library's

    def get(self, dsk: Any, keys: Any, **kwargs: Any) -> Any:
        """Return the values of keys of a Dask graph: an executor in the place of a Dask scheduler.

        Parameters
        ----------
        dsk : mapping of key to task, or expression
        keys : key, or nested lists of keys
        **kwargs
            Annotations that hold for all tasks (``retries``, ``priority``, ``resources``,
            ``workers``); what else Dask hands to schedulers is passed over.

        Returns
        -------
        object
            The value of the key, or nested tuples of values.

        Raises
        ------
        BaseException
            What a task raised, as it raised it.

        Examples
        --------
        >>> import dask
        >>> from dask_dispatcher import AsyncExecutor
        >>> total = dask.delayed(sum)([dask.delayed(abs)(-1), 2])
        >>> with AsyncExecutor() as executor:
        ...     total.compute(scheduler=executor.get)
        3
        """
        from ..interop.getting import get  # here, as it loads dask

        return get(self, dsk, keys, **kwargs)

    def as_pool(self) -> Pool:
        """Return this executor as a ``concurrent.futures.Executor``, for what takes a pool.

        Examples
        --------
        >>> from dask_dispatcher import AsyncExecutor
        >>> with AsyncExecutor() as executor, executor.as_pool() as pool:
        ...     pool.submit(pow, 2, 10).result(), list(pool.map(abs, [-1, -2]))
        (1024, [1, 2])
        """
        from ..pool import Pool  # here, as few ask for it

        return Pool(self)

    # Its own life

    def reset(self) -> None:
        """Forget every computed value, and cancel what runs; workers and engine stay."""
        self._check_open()
        self._forget("the executor was reset", self._states)

    def close(self) -> None:
        """Cancel what runs and end all that this executor started; a second close is harmless."""
        if self._leave():
            self._engine.close()

    def _leave(self) -> bool:
        """Be closed from now on; return whether there is anything to end."""
        # A forked process has a copy of the executor, but none of what belongs to it.
        if self._closed or os.getpid() != self._pid:
            return False
        self._closed = True
        self._forget("the executor is closed", self._states)
        return True

    def _forget(self, why: str, states: Iterable[RunState]) -> None:
        """End some of its runs, and let go of what they have computed."""
        with self._engine.lock:
            for state in list(states):
                if not state.schedule.is_over:
                    state.stop(lambda node: cancelled(node, why))
                state.forget(f"{why}, which let the value go")
                self._states.discard(state)

    def __enter__(self: Self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self: Self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *exc_info: object) -> None:
        import asyncio  # here, as programs without a loop need not pay for it

        await asyncio.to_thread(self.close)

    def __del__(self) -> None:
        if not self._closed:
            self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{one(type(self))} cannot travel to another process; make one inside the node "
            "that needs it"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._describe()}>"

    def _describe(self) -> str:
        if self._closed:
            return "closed"
        running = sum(not state.schedule.is_over for state in list(self._states))
        return f"{running} runs under way"

    def _check_open(self) -> None:
        if self._closed:
            raise ExecutorClosedError(f"this {type(self).__name__} is closed; make a new one")
        if os.getpid() != self._pid:
            raise ExecutorClosedError(
                f"this {type(self).__name__} was made in process {self._pid}, before a fork; make "
                "a new one in this process"
            )

    # How a run begins

    def _start(
        self,
        nodes: Requested,
        inputs: Inputs | None,
        fail_fast: bool,
        progress: bool,
        observers: Sequence[Observer],
        *,
        blocking: bool,
    ) -> Run:
        self._check_open()
        watching = [*observers]
        _check_observers(watching)
        requested, plan = self._plan(nodes, inputs)
        self._engine.prepare(plan)
        state = RunState(self._engine, plan, fail_fast=fail_fast)
        with self._engine.lock:
            self._check_open()
            self._states.add(state)  # from now on `reset` and `close` end this run too
        log.info(
            "run %.8s of %d nodes begins on %s",
            state.name,
            state.schedule.remaining,
            type(self).__name__,
        )
        if progress:
            from ..progress import ProgressBar  # here, as not every program wants it

            watching.append(ProgressBar())
        pump = Pump(state, watching, type(self).__name__) if watching else None
        if state.schedule.is_over:
            with self._engine.lock:
                state.settle()
        else:
            try:
                self._engine.launch(state, blocking=blocking)
            except BaseException:  # Ctrl-C may come while the first nodes run already
                with self._engine.lock:
                    state.stop()
                raise
        return Run(self, state, requested, pump)

    def _plan(
        self, nodes: Requested, inputs: Inputs | None
    ) -> tuple[list[DispatchNode[Any]], Plan]:
        if inputs is not None and not isinstance(inputs, Mapping):
            raise TypeError(f"inputs must map nodes to values, which {one(type(inputs))} does not")
        inputs = dict(inputs) if inputs else {}
        for node in inputs:
            if not isinstance(node, DispatchNode):
                raise TypeError(f"inputs must map nodes to values, not {type(node).__name__}")
        if isinstance(nodes, DispatchGraph):
            missing = [node.label for node in nodes.inputs if node in nodes and node not in inputs]
            if missing:
                raise ValueError(f"these inputs of the graph have no value: {', '.join(missing)}")
            requested = list(nodes.outputs)
            return requested, compile_plan(requested, inputs, nodes)
        if isinstance(nodes, DispatchNode):
            raise TypeError("run takes several nodes: run([node]); or use compute(node)")
        requested = nodes if isinstance(nodes, list) else list(nodes)
        return requested, compile_plan(requested, inputs)


Self = TypeVar("Self", bound=Executor)


def _check_observers(observers: Iterable[Observer]) -> None:
    for observer in observers:
        if not callable(getattr(observer, "on_events", None)):
            kind = one(type(observer))
            raise TypeError(f"an observer has a method on_events(batch), which {kind} has not")


def _raise_first(run: Run, results: Results) -> None:
    """Raise the failure that stopped a run, with the results so far."""
    errors = [result.error for result in results if isinstance(result, Err)]
    if not errors and not run._state.errors:
        return
    # What was cancelled because of a failure comes after that failure itself; and a failure may
    # have hit only nodes that were not requested by themselves, before anything requested failed.
    failures: list[DispatcherError] = [*run._state.errors.values(), *errors]
    first = next((e for e in failures if not isinstance(e, RunCancelledError)), failures[0])
    if hasattr(first, "results"):
        first.results = results
    raise first.with_traceback(None)
