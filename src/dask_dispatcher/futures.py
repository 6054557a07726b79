"""`NodeFuture`: a handle on one node's value, which stays where it was computed until fetched."""

from __future__ import annotations

import _thread
import itertools
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from .cards import card
from .errors import ExecutorError
from .nesting import PLACEHOLDERS

if TYPE_CHECKING:
    from .executors.state import RunState
    from .nodes import DispatchNode

__all__ = ["NodeFuture"]

T = TypeVar("T")

_serials = itertools.count()


class NodeFuture(Generic[T]):
    """A handle on the value of one node of one run.

    It may be an argument of a later graph's Op. When the last reference goes, the value may go.

    Attributes
    ----------
    node : DispatchNode
    """

    __slots__ = ("__weakref__", "_number", "_place", "_serial", "_state", "node")

    def __init__(self, state: RunState, number: int, node: DispatchNode[T]) -> None:
        self._state: RunState | None = state
        self._number = number
        self._place = -1  # in a plan that takes it as an argument; see `numbering`
        self._serial = next(_serials)
        self.node = node

    @property
    def key(self) -> str:
        """Its own, as the value is that of one run; for pure nodes that take it."""
        return f"future-{self._serial}"

    def fetch(self, timeout: float | None = None) -> T:
        """Return the value, waiting for it if need be.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; None waits as long as the run lasts.

        Raises
        ------
        DependencyError
            If the node, or one it depends on, failed.
        TimeoutError
            If time is up.
        ExecutorError
            If the value was released, or went with `reset` or `close`.
        """
        return cast(T, self._checked().fetch(self._number, timeout))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the node has ended, well or not; return False if time is up first."""
        return self._checked().wait_for(self._number, timeout)

    def ready(self) -> bool:
        """Return whether the node has ended, well or not."""
        return self._checked().has_ended(self._number)

    def release(self) -> None:
        """Let the value go; `fetch` then raises ExecutorError."""
        state, self._state = self._state, None
        if state is not None:
            state.discard(self._number)

    def __await__(self) -> Generator[Any, None, T]:
        return cast(
            "Generator[Any, None, T]", self._checked().fetch_async(self._number).__await__()
        )

    def __del__(self) -> None:
        try:
            if getattr(self, "_state", None) is not None:
                self.release()
        except KeyboardInterrupt:
            # Ctrl-C has come in this very moment; what a finalizer raises is lost, so it comes
            # once more, from another thread and hence after this.
            _thread.start_new_thread(_thread.interrupt_main, ())

    def __repr__(self) -> str:
        state = "released" if self._state is None else self._state.describe(self._number)
        return f"<NodeFuture {self.node!r}: {state}>"

    def _repr_html_(self) -> str:
        state = "released" if self._state is None else self._state.describe(self._number)
        tone = {"ready": "good", "error": "bad"}.get(state, "plain")
        return card("NodeFuture", self.node.label, (("state", state),), tone)

    def __reduce__(self) -> Any:
        raise TypeError(
            f"{self!r} cannot be pickled: its value belongs to an executor of this process; "
            "give it to a node as an argument, or fetch it"
        )

    def _checked(self) -> RunState:
        if self._state is None:
            raise ExecutorError(f"the value of {self.node!r} was released", node=self.node)
        return self._state


PLACEHOLDERS.add(NodeFuture)
