"""`Job`: a run as the in-process engine sees it."""

from __future__ import annotations

import asyncio
import bisect
import contextvars
import types
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import NodeTimeoutError
from ...ops import Op

if TYPE_CHECKING:
    from ...options import Options
    from ..state import RunState

__all__ = ["Job"]

# What hashes and compares by identity, or as the interpreter's own; other callables may refuse.
_HASHABLE = (types.FunctionType, types.BuiltinFunctionType, type)


class Job:
    """A run under way, with its ready nodes sorted by where they run.

    Its ready nodes stay in the schedule if all of them are plain calls; if there are coroutines
    among them they are taken from the schedule at once and sorted into two queues.

    Parameters
    ----------
    state : RunState
    loop : asyncio.AbstractEventLoop or None
        Where its coroutine nodes run; None is the engine's own loop.
    """

    def __init__(self, state: RunState, loop: asyncio.AbstractEventLoop | None) -> None:
        self.state = state
        self.schedule = state.schedule
        self.nodes = state.plan.nodes
        self.values = state.values
        self.needs = state.plan.needs
        self.look_up = state.plan.index.reader(state.values)
        self.loop = loop
        # Nodes see the context variables of whoever started the run, each a copy of its own.
        self.context: contextvars.Context = contextvars.copy_context()
        self.guarded: dict[int, Options] = dict(state.plan.special)
        """The nodes of which options ask something."""
        self.all_guarded = state.owner.policy.timeout is not None
        self.is_careful = bool(self.guarded) or self.all_guarded
        """Whether a slice may hold calls that must be handed out one by one."""
        self.has_coroutines = bool(state.plan.coroutines)
        # By number: whether it is a coroutine node.
        self._is_coroutine = bytearray(len(self.nodes) if self.has_coroutines else 0)
        for number in state.plan.coroutines:
            self._is_coroutine[number] = True
        self._has_leaders = False  # whether the schedule knows what does not follow coroutines
        self.has_timeouts: bool = self.all_guarded or any(
            options.timeout is not None for options in self.guarded.values()
        )
        # Stacks, as in the schedule: what has just become ready runs first.
        self.coroutines: list[int] = []
        self._calls: list[int] = []
        # The schedule hands out by priority; what is sorted here has to be kept in that order.
        self._has_priorities = self.has_coroutines and any(
            options.priority for options in self.guarded.values()
        )
        self.slice_size = 1

    def timeout_of(self, number: int) -> float | None:
        """Return the seconds that one attempt of a node may take, or None."""
        if not self.has_timeouts:
            return None
        return self.state.owner.policy.timeout_of(self.state.plan.options(number))

    def timed_out(self, number: int, timeout: float | None) -> NodeTimeoutError:
        """Return the error of a node that has outlived its timeout."""
        return NodeTimeoutError(f"{self.nodes[number].label} did not end within {timeout} s")

    @property
    def has_calls(self) -> bool:
        """Whether a plain call is ready."""
        return bool(self._calls) or self.schedule.has_ready

    def sort_ready(self) -> None:
        """Sort what is ready into calls and coroutines."""
        if not self.schedule.has_ready:
            return
        is_coroutine = self._is_coroutine
        taken = self.schedule.take(len(self.nodes))
        calls = [number for number in taken if not is_coroutine[number]]
        coroutines = [number for number in taken if is_coroutine[number]]
        if self._has_priorities:
            self._insert(calls, coroutines)
        else:
            self._calls += calls
            self.coroutines += coroutines

    def _insert(self, calls: Iterable[int], coroutines: Iterable[int]) -> None:
        for number in calls:
            bisect.insort(self._calls, number, key=self._priority)
        for number in coroutines:
            bisect.insort(self.coroutines, number, key=self._priority)

    def _priority(self, number: int) -> float:
        options = self.guarded.get(number)
        return options.priority if options else 0

    def take_calls(self, limit: int, *, follow: bool) -> list[int]:
        """Begin up to `limit` calls, as `Schedule.take` does; the one to run first comes last."""
        if not self.has_coroutines:
            return self.schedule.take(limit, follow=follow)
        self.sort_ready()
        taken = self._calls[-limit:]
        del self._calls[-limit:]
        return taken

    def take_coroutines(self, limit: int) -> list[int]:
        """Begin up to `limit` ready coroutines; the one to run first comes last."""
        self.sort_ready()
        taken = self.coroutines[-limit:]
        del self.coroutines[-limit:]
        return taken

    def with_followers(self, begun: list[int], limit: int) -> list[int]:
        """Begin also coroutines that wait for nothing but `begun`, up to `limit` with these."""
        if self._has_priorities or 2 * len(begun) > limit:
            return begun
        if not self._has_leaders:
            self._has_leaders = True
            calls = {number for number, flag in enumerate(self._is_coroutine) if not flag}
            self.schedule.leaders = calls.union(self.guarded)
        return self.schedule.follow(begun, limit)

    def drop_ready(self) -> None:
        """Forget what was ready: the run is stopped."""
        self._calls.clear()
        self.coroutines.clear()

    def function_of(self, number: int) -> Callable[..., Any] | None:
        """Return the function an Op calls, by which its cost is known; else None."""
        node = self.nodes[number]
        return _function(node._callee) if type(node) is Op else None

    def look_for_slow(self, slow: Mapping[Callable[..., Any], Any]) -> None:
        """Be careful if any call is known to be slow; other runs of the executor may have told."""
        if slow and not self.is_careful:
            callees = {node._callee for node in self.nodes if type(node) is Op}
            self.is_careful = any(_function(callee) in slow for callee in callees)

    def rank(self, costs: Mapping[Callable[..., Any], tuple[float, bool]]) -> None:
        """Let what most slow work hangs on begin first, as far as costs are known by now."""
        usual = sum(mean for mean, _ in costs.values()) / len(costs)
        known = {function: mean for function, (mean, _) in costs.items()}
        self.schedule.rank(
            [
                known.get(_function(node._callee), usual) if type(node) is Op else 0.0
                for node in self.nodes
            ]
        )


def _function(callee: Any) -> Any:
    function = callee.func
    plain = function.__func__ if type(function) is types.MethodType else function
    return function if type(plain) in _HASHABLE else callee
