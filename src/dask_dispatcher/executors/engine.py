"""`Engine`: what runs behind an executor.

An engine is given runs (`RunState`), begins their ready nodes wherever it sees fit, and reports to
the state what became of them. One re-entrant lock guards the states of all its runs; re-entrant
since a value that is dropped under it may run a finalizer that asks for it.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from ..arguments import NOT_HERE
from ..errors import ExecutorError

if TYPE_CHECKING:
    from ..futures import NodeFuture
    from ..plan import Plan
    from .policy import Policy
    from .state import RunState

__all__ = ["Engine"]


class Engine(ABC):
    """Where the nodes of an executor run, and where their values stay.

    Parameters
    ----------
    policy : Policy
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.lock = threading.RLock()  # guards every RunState of this engine, and the engine's own

    def prepare(self, plan: Plan) -> None:  # noqa: B027 - optional
        """Raise if a run of this plan cannot begin here."""

    @abstractmethod
    def launch(self, state: RunState, *, blocking: bool) -> None:
        """Begin a run; called without the lock.

        Parameters
        ----------
        state : RunState
        blocking : bool
            Whether the calling thread is going to wait for the run.
        """

    @abstractmethod
    def post(self, function: Callable[[], None]) -> None:
        """Call `function` soon, with the lock held, on a thread of the engine's; never blocks."""

    @abstractmethod
    def close(self) -> None:
        """End every thread and process of the engine's; wait for them."""

    @abstractmethod
    def stop(self, state: RunState, running: Iterable[int]) -> None:
        """Stop what runs for a run that is cancelled; the lock is held."""

    def give_up(self, state: RunState, numbers: Iterable[int]) -> None:  # noqa: B027 - optional
        """Stop single nodes that were running; the lock is held."""

    def is_quiet(self, state: RunState) -> bool:
        """Return whether nothing of a run that is over still has to unwind."""
        return True

    def free(self, state: RunState, numbers: Iterable[int]) -> None:
        """Drop values that nobody needs any more; the lock is held."""
        for number in numbers:
            state.values[number] = None

    def hold(self, value: Any) -> Any:
        """Return what `RunState.values` keeps for a value given by the program."""
        return value

    def adopt(self, future: NodeFuture[Any]) -> Any:
        """Return what `RunState.values` keeps for the value of another run's future."""
        return future.fetch()

    def look(self, state: RunState, number: int) -> Any:
        """Return the value of a finished node if it is in this process, else `NOT_HERE`."""
        return NOT_HERE

    def count_workers(self) -> int | None:
        """Return how many workers there are now; None if that is not known."""
        return None

    def fetch(self, state: RunState, number: int, timeout: float | None) -> Any:
        """Return the value of a node that has succeeded; called without the lock."""
        return state.values[number]

    def gather(self, futures: list[NodeFuture[Any]]) -> list[Any]:
        """Return the values of futures of this engine that have succeeded."""
        return [future.fetch() for future in futures]

    def waiting(self, state: RunState) -> AbstractContextManager[None]:
        """Surround a thread's wait for a run.

        Raises
        ------
        NestedRunError
            On entering, if waiting here would keep the run from ending.
        """
        return nullcontext()

    def making_room(self) -> AbstractContextManager[None]:
        """Surround a coroutine's wait for a run."""
        return nullcontext()

    def internal_error(self, states: Iterable[RunState], error: BaseException) -> None:
        """End runs that a mistake of this library's has left without a driver."""
        text = f"internal error of dask-dispatcher, please report it: {error!r}"
        for state in states:
            state.stop(lambda node: ExecutorError(text, node=node, label=node.label))
