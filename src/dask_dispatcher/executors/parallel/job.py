"""`Job`: a run as the controller of local processes sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import SerializationError, safe_text
from ...ops import Op
from ...pickling import dumps
from ..company import Company
from ..slices.packing import BUILT_IN, Packer
from ..slices.passing import passing_in
from .slices import is_late

if TYPE_CHECKING:
    from ..slices.costs import Costs
    from ..state import RunState
    from .process import WorkerProcess

__all__ = ["Job"]

_TARGET = 0.005  # seconds that a slice is to take
_LARGEST = 1000  # nodes of a slice
_PROBE = 8  # nodes of a slice if it holds functions of which nothing is known
_CHEAP = 50e-6  # seconds: below, nodes need not be looked at one by one
_BULKY = 1_000_000  # bytes of a value from which on it is worth a thought where it is made
_DEAR = 1e-3  # seconds: from there on it matters what begins first


class Job:
    """A run under way: how to pack its nodes, and how many to give at once.

    Parameters
    ----------
    state : RunState
    serial : int
        What workers know it by.
    costs, sizes : Costs
        Seconds of calls, and bytes of values that are large.
    """

    def __init__(self, state: RunState, serial: int, costs: Costs, sizes: Costs) -> None:
        self.state = state
        self.serial = serial
        self.schedule = state.schedule
        self.coroutines = frozenset(state.plan.coroutines)
        self.suspects: set[int] = set()
        """Nodes that were under way when a worker died: each runs alone from then on."""
        self.held = False
        """Whether any value of it is large."""
        self.packer = Packer(state.plan)
        self.demands_out: dict[int, Any] = {}
        """The resources that nodes under way use."""
        self.assigned: dict[WorkerProcess, list[int]] = {}
        """Begun nodes that wait for the worker that has their inputs."""
        self.misses: dict[int, int] = {}
        """How often nodes could not be run as an input could not be brought."""
        self.places: dict[int, Any] = {}
        """Where its large literals are."""
        self.company = Company(state.plan)
        self._over: list[Job] = []
        self._costs, self._sizes = costs, sizes
        self._known: dict[WorkerProcess, set[int]] = {}  # functions that each worker has
        self._pickled: dict[int, bytes | SerializationError] = {}
        self._callees = {node._callee for node in state.plan.nodes if type(node) is Op}
        special = state.plan.special
        self._alone = {n for n, o in special.items() if o.resources or o.max_losses is not None}
        self._demanding = {n: o.resources for n, o in special.items() if o.resources}
        self.schedule.leaders = self._alone | self.coroutines | state.plan.after.keys()
        self._timeouts = {n: o.timeout for n, o in special.items() if o.timeout is not None}
        self._ranked: dict[Any, float] = {}
        self._bulky = {callee for callee in self._callees if self._is_bulky(callee)}
        self._has_large = any(sizes.mean(callee) is not None for callee in self._callees)
        self.limit = _PROBE
        self.lead = _PROBE
        """How many ready nodes are likely to make a slice, where they are not alike."""
        self.is_known = False
        """Whether something is known of the cost of every function."""
        self.is_even = False
        """Whether all nodes ready are alike, cheap, and ask for nothing."""
        self.dearest = 0.0
        """Seconds that the dearest of its functions costs, as far as is known."""
        self.weigh()

    # Costs

    def weigh(self) -> None:
        """Look anew at what the functions cost."""
        means = {callee: self._costs.mean(callee) for callee in self._callees}
        known = [mean for mean in means.values() if mean is not None]
        dearest = self.dearest = max([1e-6, *known])
        self.is_known = len(known) == len(means)
        if not known:
            self.limit = _PROBE
        else:
            self.limit = max(1, min(_LARGEST, int(_TARGET / max(min(known, default=0.0), 1e-6))))
        self.is_even = (
            self.is_known
            and dearest < _CHEAP
            and not (self.coroutines or self._alone or self.suspects or self.held or self._bulky)
        )
        if self.is_even:
            self.limit = max(1, min(_LARGEST, int(_TARGET / dearest)))
        if dearest >= _DEAR:
            self._rank({callee: mean for callee, mean in means.items() if mean is not None})

    def _rank(self, means: dict[Any, float]) -> None:
        """Let what most work hangs on begin first, if costs differ from what was known."""
        if means.keys() == self._ranked.keys() and all(
            0.5 < mean / (self._ranked[callee] or 1e-9) < 2.0
            for callee, mean in means.items()
            if mean >= _DEAR
        ):
            return
        self._ranked = means
        usual = sum(means.values()) / len(means)
        self.schedule.rank(
            [
                means.get(node._callee, usual) if type(node) is Op else 0.0
                for node in self.state.plan.nodes
            ]
        )

    def seconds(self, number: int) -> float | None:
        """Return what a node is expected to cost; None if nothing is known."""
        node = self.state.plan.nodes[number]
        return self._costs.mean(node._callee) if type(node) is Op else 0.0

    def note_costs(self, costs: Sequence[tuple[int, int, float]]) -> None:
        """Take note of what some calls have cost: target, how many, and their seconds in all."""
        dearest = 0.0
        for target, count, seconds in costs:
            if target >= len(BUILT_IN):
                self._costs.add(self.packer.functions[target - len(BUILT_IN)], count, seconds)
                dearest = max(dearest, seconds / count)
        if costs and (not self.is_even or dearest >= _CHEAP):
            self.weigh()

    # Large values

    @property
    def has_bulky(self) -> bool:
        """Whether it matters where nodes are made that will meet."""
        return bool(self._bulky)

    def note_place(self, number: int, worker: WorkerProcess) -> None:
        """Take note of where a node is going to run."""
        if self._bulky and getattr(self.state.plan.nodes[number], "_callee", None) in self._bulky:
            self.company.note(number, worker)

    def note_size(self, number: int, size: int) -> None:
        """Take note of the bytes of a large value."""
        node = self.state.plan.nodes[number]
        if type(node) is Op:
            self._sizes.add(node._callee, 1, size)
            if self._is_bulky(node._callee):
                self._bulky.add(node._callee)

    def tell_over(self, over: list[Job]) -> None:
        """Have the run added to a list as soon as it is over."""
        self._over = over
        self.state.watchers.append(self._watch)

    def _watch(self) -> None:
        if self.schedule.is_over:
            self.state.watchers.remove(self._watch)
            self._over.append(self)

    def _is_bulky(self, callee: Any) -> bool:
        return (self._sizes.mean(callee) or 0.0) >= _BULKY

    def passing(self, numbers: Sequence[int]) -> dict[int, list[int]]:
        """Return, by node, the large values of a slice that need not outlive it.

        None where a node may time out: it could be given up at the very moment at which it has
        taken such a value, and be tried again. None for observers, who are told of the end of a
        node when its value is.
        """
        has_large = self.held or self._has_large
        if len(numbers) == 1 or not has_large or self.has_timeouts or self.state.events is not None:
            return {}
        return passing_in(self.state.plan, self.schedule, numbers)

    # What is special about nodes

    def suspect(self, number: int) -> None:
        """Let a node run alone from now on: it was under way when a worker died."""
        self.suspects.add(number)
        self.is_even = False
        self.schedule.leaders = {*self.schedule.leaders, number}  # type: ignore[misc]

    def assign(self, number: int, worker: WorkerProcess) -> None:
        """Let a begun node wait for a worker."""
        self.assigned.setdefault(worker, []).append(number)

    def take_assigned(self, worker: WorkerProcess) -> list[int]:
        """Return the nodes that wait for a worker."""
        return self.assigned.pop(worker, [])

    def steal_assigned(self) -> list[int]:
        """Return a node that waits for another worker: a late one, or that with the longest queue."""

        def rank(worker: WorkerProcess) -> tuple[bool, int]:
            return is_late(worker.slices.values()), len(self.assigned[worker])

        longest = max(self.assigned, key=rank, default=None)
        if longest is None or rank(longest) < (False, 2):
            return []
        number = self.assigned[longest].pop()
        if not self.assigned[longest]:
            del self.assigned[longest]
        return [number]

    def is_alone(self, number: int) -> bool:
        """Return whether a node must have a slice of its own."""
        return number in self._alone or number in self.suspects

    def demand(self, number: int) -> Any:
        """Return the resources that a node asks for."""
        return self._demanding.get(number)

    def timeout(self, number: int) -> float | None:
        """Return the seconds that one attempt of a node may take."""
        return self._timeouts.get(number, self.state.owner.policy.timeout)

    @property
    def has_timeouts(self) -> bool:
        """Whether any node has a timeout."""
        return bool(self._timeouts) or self.state.owner.policy.timeout is not None

    # Functions

    def functions_for(self, worker: WorkerProcess, targets: set[int]) -> list[tuple[int, bytes]]:
        """Return the functions among `targets` that a worker has not been sent yet.

        Raises
        ------
        SerializationError
            If one of them cannot be pickled.
        """
        known = self._known.setdefault(worker, set(range(len(BUILT_IN))))
        missing = [target for target in targets if target not in known]
        found = [(target, self._function(target)) for target in missing]
        known.update(missing)
        return found

    def _function(self, target: int) -> bytes:
        data = self._pickled.get(target)
        if data is None:
            callee = self.packer.functions[target - len(BUILT_IN)]
            try:
                data = dumps(callee.traveller())
            except BaseException as error:
                data = SerializationError(
                    f"the function {callee.__name__} cannot be pickled: {type(error).__name__}: "
                    f"{safe_text(error, 500)}"
                )
            self._pickled[target] = data
        if isinstance(data, SerializationError):
            raise data
        return data

    def forget(self, worker: WorkerProcess) -> None:
        """Forget a worker, which is gone or has forgotten the run."""
        self._known.pop(worker, None)
        self.schedule.put_back(self.assigned.pop(worker, ()))
