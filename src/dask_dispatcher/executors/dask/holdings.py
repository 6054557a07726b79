"""`Holdings`: the values that are on workers, and what follows when one of them is lost.

Dask could compute a lost value again only on the worker that is gone, as each group is bound to one.
So the run that made it does: at once if the run is under way, or if a run under way takes it; else
when somebody asks for it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ...arguments import NOT_HERE
from ...errors import SchedulerLostError, shown
from ...futures import NodeFuture
from ..slices.carrying import is_atom
from ..slices.values import opened
from .values import Given, Held, Pickled

if TYPE_CHECKING:
    from ...plan import Plan
    from ..state import RunState
    from .engine import DaskEngine
    from .groups import Group

__all__ = ["Holdings", "names_of"]


class Holdings:
    """The values of an engine's runs, with whose lock held it is used.

    Parameters
    ----------
    engine : DaskEngine
    """

    def __init__(self, engine: DaskEngine) -> None:
        self._engine = engine
        self._held: weakref.WeakSet[Held] = weakref.WeakSet()

    def add(self, group: Group, number: int, size: int, *small: Any) -> Held:
        """Return what stands for a value that a group has left on its worker.

        Parameters
        ----------
        group : Group
        number : int
            Of the node.
        size : int
            Bytes.
        *small : object
            The value itself, if it came along.
        """
        address = group.member.address
        held = Held(group.job.state, number, group.future, address, size, *small)
        self._held.add(held)
        return held

    # Losses

    def lose(self, names: set[str]) -> None:
        """Note that the results of groups are gone, and of others that Dask has told of."""
        for held in [held for held in self._held if held.name in names or held.is_gone]:
            if not held.is_lost and not held.is_small:
                self._lose(held)

    def _lose(self, held: Held) -> None:
        held.is_lost = True
        self._engine.lose_users(held)
        state = held.state
        users = [job for job in self._engine.jobs if job.state is not state and job.uses(held)]
        if users or (state is not None and not state.schedule.is_over):
            self.compute_again(held)
        for job in users:
            for number in job.uses(held):
                job.state.await_again(number)

    def compute_again(self, held: Held) -> None:
        """Let a lost value be computed anew, if its run still knows how."""
        state = held.state
        if state is None or state.defunct is not None or state.values[held.number] is not held:
            return
        was_over = state.schedule.is_over
        state.lost([], [held.number], held.worker, f"{held.worker} is gone")
        if was_over and not state.schedule.is_over:
            self._engine.launch(state, blocking=False)

    def prepare(self, plan: Plan) -> None:
        """Have lost values computed anew that a new run is given."""
        for value in plan.given.values():
            state = value._checked() if type(value) is NodeFuture else None
            if state is not None and state.owner is self._engine and state.defunct is None:
                held = state.values[value._number]
                if type(held) is Held and held.is_lost and not held.is_open:
                    self.compute_again(held)

    # What stands for values

    def given(self, value: Any) -> Any:
        """Return what stands for a value of the program's."""
        return value if is_atom(value) else Given(value)

    def adopt(self, future: NodeFuture[Any]) -> Any:
        """Return what stands for the value of another run's future."""
        state = future._checked()
        if state.owner is not self._engine:
            return self.given(future.fetch())
        value = state.values[future._number]
        if (
            type(value) is not Held
            or value.is_small
            or not self._engine.connection.has_lost(value.future)
        ):
            return value
        if value.is_open:
            return self.given(opened(future.node, value.open))
        raise SchedulerLostError(
            f"the value of {shown(future.node.label)} is gone with its scheduler",
            node=future.node,
            label=future.node.label,
        )

    def look(self, state: RunState, number: int) -> Any:
        """Return a value if it is in this process and open, else `NOT_HERE`."""
        value = state.values[number]
        if type(value) is Given:
            return value.value
        if type(value) is Held:
            return value.open() if value.is_open else NOT_HERE
        return NOT_HERE if type(value) is Pickled else value


def names_of(keys: Iterable[Any]) -> set[str]:
    """Return the names of groups by the keys of their tasks."""
    return {str(key[0] if isinstance(key, tuple) else key) for key in keys}
