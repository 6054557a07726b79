"""`Job`: a run as the engine sees it: which of its nodes go together, and how many.

Nodes that are ready, and those that wait for nothing but others of the same group, come off the
schedule together. What is known to take long or to give large values, and what asks for something of
its own, is sent alone, so that Dask's workers, spilling and dashboard see it as their users expect (or
with those that alone take its value, see `Trees`);
coroutines go together, to run all at once; all else goes in groups, as many together as `Taker` finds
right by the running means of their functions (`Estimates`). A group may turn out too long; its worker
gives back what it has not begun when it has taken 50 ms, and twice what was expected; or when others wait
for its thread.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Any

from ...errors import SerializationError, safe_text
from ...ops import Op
from ...options import Options
from ...pickling import dumps
from ...schedule import RUNNING
from ..company import Company
from ..slices.packing import BUILT_IN, Packer
from ..slices.passing import passing_in, users_inside
from .batches import Batch
from .estimates import CHEAPEST, USUAL, Estimates
from .placing import is_bound
from .running import ENOUGH
from .taking import PROBE, Taker
from .trees import Trees
from .values import Given, Held

if TYPE_CHECKING:
    from ..slices.costs import Costs
    from ..state import RunState
    from .scattering import Scattered

__all__ = ["Job"]

_SUSPECTS = 50  # nodes of a group that was lost with its worker before
_COROUTINES = 500  # of a group
_MOST_PASSING = 20_000_000  # bytes of values in a group's hands at a time that need not stay
_SPARE = 3  # losses from which on a node need not be careful where it begins


class Job:
    """A run under way.

    Parameters
    ----------
    state : RunState
    costs : Costs
        Seconds a call, by function.
    sizes : Costs
        Bytes of large values, by function.
    keeps : bool
        All its values are to stay on workers, so each node is sent alone.
    is_again : bool
        It is over, but computes values anew that were lost.
    """

    def __init__(
        self, state: RunState, costs: Costs, sizes: Costs, *, keeps: bool, is_again: bool
    ) -> None:
        plan = state.plan
        self.state = state
        self.schedule = state.schedule
        self.packer = Packer(plan)
        self.keeps = keeps
        self.is_again = is_again
        self.literals: dict[int, Scattered] = {}
        self.reserved: set[str] = set()
        """Names for groups that are to take what was scattered for them."""
        self.heavy: deque[int] = deque()
        self.careful: deque[int] = deque()
        self.alone: deque[int] = deque()
        self.bound: dict[int, deque[int]] = {}
        self.coroutines: list[int] = []
        self.probes: list[int] = []
        self.light: list[int] = []
        self.is_lights_turn = False
        self.takes_large = any(type(value) is Held for value in state.values)
        """Whether any value of it is on a worker."""
        self._pickled: dict[int, bytes | SerializationError] = {}
        self._coroutines = frozenset(plan.coroutines)
        self._special = {n for n, o in plan.special.items() if self._asks(o)}
        self._is_careful = state.owner.policy.max_losses < _SPARE
        self._has_priorities = any(options.priority for options in plan.special.values())
        self._is_odd = self.keeps or self._is_careful or self._has_priorities
        self.schedule.leaders = self._special | self._coroutines | plan.after.keys()
        self._timeouts = {n: o.timeout for n, o in plan.special.items() if o.timeout is not None}
        self.company = Company(plan)
        self.estimates = Estimates(plan, state.schedule, costs, sizes)
        self.trees = Trees(plan, state.schedule, self.estimates)
        self._taker = Taker(state.schedule, self.estimates, is_strict=self._has_priorities)

    @staticmethod
    def _asks(options: Options) -> bool:
        few_losses = options.max_losses is not None and options.max_losses < _SPARE
        return bool(is_bound(options) or options.priority or few_losses)

    def is_careful(self, options: Options) -> bool:
        """Return whether a node may be lost so rarely that it must not wait behind others."""
        few = options.max_losses
        return self._is_careful if few is None else few < _SPARE

    @property
    def has_large(self) -> bool:
        """Whether any of its values is large, or expected to be."""
        return self.takes_large or bool(self.estimates.sized)

    def note_costs(self, costs: list[tuple[int, int, float]]) -> None:
        """Take note of what calls have cost."""
        self.estimates.note_costs(costs, self.packer.functions)

    def note_size(self, number: int, size: int) -> None:
        """Take note of a large value."""
        self.takes_large = True
        self.estimates.note_size(number, size)

    def passing(self, numbers: list[int]) -> dict[int, list[int]]:
        """Return, by node, which values it takes that are to go once a group has used them."""
        if len(numbers) == 1 or not self.has_large:
            return {}
        return passing_in(self.state.plan, self.schedule, numbers)

    def timeouts(self, numbers: list[int]) -> dict[int, float]:
        """Return the seconds that one attempt may take, of those nodes that have a limit."""
        default = self.state.owner.policy.timeout
        if default is not None:
            return {number: self._timeouts.get(number, default) for number in numbers}
        if not self._timeouts:
            return {}
        return {number: self._timeouts[number] for number in numbers if number in self._timeouts}

    # What goes next

    def fill(self, threads: int, *, is_alone: bool = True, is_under_way: bool = False) -> None:
        """Take nodes off the schedule, and sort them by how they are to be sent; see `Taker.take`."""
        numbers = self._taker.take(threads, is_alone=is_alone, is_under_way=is_under_way)
        if self._is_even and not self.schedule.losses:
            self.light = numbers
        else:
            self._sort(numbers)

    @property
    def _is_even(self) -> bool:
        """Whether all nodes cost next to nothing."""
        known = self.estimates
        return not (
            known.apart
            or known.counted
            or known.unknown
            or self._special
            or self._coroutines
            or self._is_odd
        )

    def _sort(self, numbers: list[int]) -> None:
        """Put each node in the queue it belongs to; what waits for one of another queue goes back."""
        elsewhere: set[int] = set()
        back: list[int] = []
        waiting, needs, nodes = self.schedule.waiting, self.state.plan.needs, self.state.plan.nodes
        usual = self.estimates.apart | self.estimates.unknown
        looks = bool(self._special or self._coroutines or self.schedule.losses) or self._is_odd
        for number in numbers:
            node = nodes[number]
            if looks or (type(node) is Op and node._callee in usual):
                queue = self._queue(number)
            else:
                queue = self.light
            if elsewhere and any(need in elsewhere for need in needs[number]):
                elsewhere.add(number)
                back.append(number)
            elif queue is self.light:
                queue.append(number)
            else:
                elsewhere.add(number)
                (back if waiting[number] else queue).append(number)
        self.schedule.put_back(back)

    def _queue(self, number: int) -> deque[int] | list[int]:
        """Return where a node has to wait."""
        options = self.state.plan.options(number)
        if number in self._special and is_bound(options):
            return self.bound.setdefault(id(options), deque())
        if self.schedule.losses.get(number) and self.schedule.losses_left(number) <= 1:
            return self.alone
        if number in self._coroutines and not self.keeps:
            return self.coroutines
        if self.is_careful(options):
            return self.careful
        if self.keeps or self._has_priorities or self.estimates.is_apart(number):
            return self.heavy
        return self.probes if self.estimates.is_unknown(number) else self.light

    def next_batch(self, address: str) -> Batch | None:
        """Return a group of unknown nodes, or a heavy node and a group of light ones in turn.

        Parameters
        ----------
        address : str
            Of the worker that has room.
        """
        if self.probes:
            return self.next_probe()
        is_lights_turn = self.is_lights_turn and bool(self.light)
        self.is_lights_turn = not is_lights_turn
        if self.heavy and not is_lights_turn:
            if self.estimates.is_bulky(self.heavy[0]) and not self._has_priorities:
                self._pick(address)
                return self._next_tree()
            return self.next_of(self.heavy)
        return self.next_light()

    def _next_tree(self) -> Batch | None:
        """Return the next node that gives a large value, with those that go along with it."""
        batch = self.next_of(self.heavy)
        if batch is None or self.keeps or batch.numbers[0] in self.schedule.losses:
            return batch
        queued = {*batch.numbers, *self.heavy}
        numbers = self.trees.grow(batch.numbers[0], self._taker.leaves, queued)
        if len(numbers) == 1:
            return batch
        for number in queued.intersection(numbers).difference(batch.numbers):
            self.heavy.remove(number)
        self.schedule.begin(numbers)
        return Batch(numbers, sum(map(self.estimates.seconds, numbers)))

    def _pick(self, address: str) -> None:
        """Let a node that gives a large value be the next that belongs to a worker most."""
        callee = self._callee(self.heavy[0])
        kin = itertools.takewhile(lambda number: self._callee(number) is callee, self.heavy)
        self.company.pick(self.heavy, sum(1 for _ in kin), address)

    def _callee(self, number: int) -> Any:
        return getattr(self.state.plan.nodes[number], "_callee", None)

    def note_sent(self, numbers: list[int], address: str) -> None:
        """Take note of where nodes went."""
        if self.estimates.is_bulky(numbers[0]):
            self.company.note(numbers[0], address)

    def next_light(self) -> Batch | None:
        """Return a group of nodes that cost little."""
        most = self._count_by_bytes() if self.estimates.sized else len(self.light)
        self._taker.note_most(most if most < len(self.light) else None)
        seconds, count = 0.0, 0
        if self._is_even:
            count = most
            seconds = count * max(self.estimates.light_mean or 0.0, CHEAPEST)
        else:
            for number in self.light[:most]:
                cost = self.estimates.seconds(number)
                if count and seconds + cost / 2 > self._taker.target:
                    break
                seconds += cost
                count += 1
        numbers = self._cut("light", count)
        return Batch(numbers, seconds) if numbers else None

    def _count_by_bytes(self) -> int:
        """Return how many light nodes go together, by the large values that they leave."""
        size, needs = self.estimates.size, self.state.plan.needs
        users = users_inside(self.state.plan, self.schedule, self.light)
        passing, staying = 0.0, 0.0
        for count, number in enumerate(self.light, 1):
            if number in users:
                passing += size(number)
            else:
                staying += size(number)
            for need in needs[number]:
                if need in users:
                    users[need] -= 1
                    passing -= 0.0 if users[need] else size(need)
            if staying >= ENOUGH or passing >= _MOST_PASSING:
                return count
        return len(self.light)

    def next_probe(self) -> Batch | None:
        """Return a group of nodes of whose cost nothing is known."""
        numbers = self._cut("probes", PROBE)
        return Batch(numbers, USUAL, is_known=False) if numbers else None

    def _cut(self, queue: str, most: int) -> list[int]:
        """Take the first nodes of a queue; those that wait for them go back to the schedule."""
        numbers: list[int] = getattr(self, queue)
        losses = self.schedule.losses
        if losses and any(number in losses for number in numbers):
            most = min(most, _SUSPECTS)
        setattr(self, queue, [])
        self.schedule.put_back(numbers[most:])
        return numbers[:most]

    def next_coroutines(self) -> Batch | None:
        """Return a group of coroutines."""
        numbers = self._current(self.coroutines[:_COROUTINES])
        del self.coroutines[:_COROUTINES]
        return Batch(numbers, 0.0, is_async=True) if numbers else None

    def next_of(self, queue: deque[int], *, is_alone: bool = False) -> Batch | None:
        """Return the next node of a queue, to be sent alone."""
        while queue:
            number = queue.popleft()
            if self._current([number]):
                options = self.state.plan.options(number)
                seconds = self.estimates.seconds(number)
                is_async = number in self._coroutines
                return Batch(
                    [number], seconds, is_async=is_async, is_alone=is_alone, options=options
                )
        return None

    def _current(self, numbers: list[int]) -> list[int]:
        """Return those of some queued nodes that can still begin; what lost an input goes back."""
        waiting, state = self.schedule.waiting, self.schedule.state
        self.schedule.put_back([number for number in numbers if waiting[number]])
        return [n for n in numbers if state[n] == RUNNING and not waiting[n]]

    @property
    def has_backlog(self) -> bool:
        """Whether something is ready that has not been sent."""
        queues = (self.light, self.probes, self.heavy, self.careful, self.alone, self.coroutines)
        return any(queues) or self.schedule.has_ready

    @property
    def asks_for_something(self) -> bool:
        """Whether there may be nodes that do not wait until a worker has room."""
        return bool(self._special or self._coroutines)

    def uses(self, held: Held) -> list[int]:
        """Return the given nodes for which a value stands in."""
        values = self.state.values  # none any more, if it was forgotten
        return [number for number in self.state.plan.given if values and values[number] is held]

    def release(self) -> None:
        """Let the workers forget what was scattered for it."""
        self.literals.clear()
        values = self.state.values  # none any more, if it was forgotten
        for value in [values[number] for number in self.state.plan.given if values]:
            if type(value) is Given:
                value.scattered = None

    # Functions

    def function(self, target: int) -> bytes:
        """Return a pickled function.

        Raises
        ------
        SerializationError
        """
        data = self._pickled.get(target)
        if data is None:
            data = self._pickled[target] = _pickled(self.packer.functions[target - len(BUILT_IN)])
        if isinstance(data, SerializationError):
            raise data
        return data


def _pickled(callee: Any) -> bytes | SerializationError:
    try:
        return dumps(callee.traveller())
    except BaseException as error:
        return SerializationError(
            f"the function {callee.__name__} cannot be pickled: {type(error).__name__}: "
            f"{safe_text(error, 500)}"
        )
