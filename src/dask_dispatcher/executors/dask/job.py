"""`Job`: a run as the engine sees it: which of its nodes go together, and how many.

Nodes that are ready, and those that wait for nothing but others of the same group, come off the
schedule together. What is known to take long or to give large values, and what asks for something of
its own, is sent alone, so that Dask's workers, spilling and dashboard see it as their users expect;
coroutines go together, to run all at once; all else goes in groups of about `_TARGET` seconds by the
running means of its functions. A group of unknown cost may turn out too long; its worker gives back
what it has not begun after 50 ms.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import SerializationError, safe_text
from ...ops import Op
from ...options import Options
from ...pickling import dumps
from ...schedule import RUNNING
from ..slices.packing import BUILT_IN, Packer
from .placing import is_bound
from .values import Held

if TYPE_CHECKING:
    import distributed

    from ..slices.costs import Costs
    from ..state import RunState

__all__ = ["Batch", "Job"]

_TARGET = 0.025  # seconds that a group is to take
_LEAST = 0.005  # seconds below which it is not worth a hop to spread work
_LARGEST = 2500  # nodes of a group: packing one overlaps with running another
_LONGEST = 10_000  # nodes of a group that nothing could be run beside
_PROBE = 1000  # nodes of a group of which nothing is known
_CHEAPEST = 2e-6  # seconds that a node costs a worker at least
_DEAR = 0.020  # seconds from which on a node is sent alone
_RANKED = 0.005  # seconds from which on it matters what begins first
_BULKY = 100_000  # bytes of a value from which on its node is sent alone
_SUSPECTS = 50  # nodes of a group that was lost with its worker before
_COROUTINES = 500  # of a group
_SPARE = 3  # losses from which on a node need not be careful where it begins
_USUAL = 0.025  # seconds that a node is counted for of which nothing is known


@dataclass(frozen=True)
class Batch:
    """Nodes that go together.

    Attributes
    ----------
    numbers : list of int
        In the order in which they are to run.
    seconds : float
        What they are expected to take.
    is_known : bool
        Whether that rests on experience.
    is_async : bool
        They are coroutines.
    is_alone : bool
        Nothing else may be on their worker, as they may take it along.
    options : Options or None
        Of a node that is sent alone.
    """

    numbers: list[int]
    seconds: float
    is_known: bool = True
    is_async: bool = False
    is_alone: bool = False
    options: Options | None = None


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
        self.literals: dict[int, distributed.Future[Any]] = {}
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
        self._costs = costs
        self._sizes = sizes
        self._pickled: dict[int, bytes | SerializationError] = {}
        self._coroutines = frozenset(plan.coroutines)
        limit = state.owner.policy.max_losses
        self._special = {n for n, o in plan.special.items() if self._asks(o)}
        self._is_careful = limit < _SPARE
        self._has_priorities = any(options.priority for options in plan.special.values())
        self._is_odd = self.keeps or self._is_careful or self._has_priorities
        self.schedule.leaders = self._special | self._coroutines | plan.after.keys()
        self._timeouts = {n: o.timeout for n, o in plan.special.items() if o.timeout is not None}
        self._callees = plan.callees
        self._kin: dict[int, list[Any]] = {}  # callees by the id of their function
        for callee in self._callees:
            self._kin.setdefault(id(callee.func), []).append(callee)
        self._unknown: set[Any] = set()
        self._apart: set[Any] = set()
        self._light_mean: float | None = None
        self._ranked: dict[Any, float] = {}
        for callee in self._callees:
            self._classify(callee)
        self._weigh()

    @staticmethod
    def _asks(options: Options) -> bool:
        few_losses = options.max_losses is not None and options.max_losses < _SPARE
        return bool(is_bound(options) or options.priority or few_losses)

    def is_careful(self, options: Options) -> bool:
        """Return whether a node may be lost so rarely that it must not wait behind others."""
        few = options.max_losses
        return self._is_careful if few is None else few < _SPARE

    # What is known

    def _classify_kin(self, callee: Any) -> bool:
        """Look anew at the calls of one function; return whether anything has changed."""
        before = callee in self._unknown, callee in self._apart
        for kin in self._kin[id(callee.func)]:
            self._classify(kin)
        return before != (callee in self._unknown, callee in self._apart)

    def _classify(self, callee: Any) -> None:
        mean, size = self._costs.mean(callee), self._sizes.mean(callee) or 0.0
        self._unknown.discard(callee)
        self._apart.discard(callee)
        if mean is None:
            self._unknown.add(callee)
        elif mean >= _DEAR or size >= _BULKY:
            self._apart.add(callee)

    def _weigh(self) -> None:
        """Look anew at what the functions cost."""
        means = {callee: self._costs.mean(callee) for callee in self._callees}
        known = {callee: mean for callee, mean in means.items() if mean is not None}
        light = [mean for callee, mean in known.items() if callee not in self._apart]
        if light and self._light_mean is None:
            self._light_mean = sum(light) / len(light)
        if max(known.values(), default=0.0) >= _RANKED:
            self._rank(known)
        self._is_even = not (
            self._apart or self._unknown or self._special or self._coroutines or self._is_odd
        )

    def _rank(self, means: dict[Any, float]) -> None:
        """Let what most work hangs on begin first, if costs differ from what was known."""
        if means.keys() == self._ranked.keys() and all(
            0.5 < mean / (self._ranked[callee] or 1e-9) < 2.0
            for callee, mean in means.items()
            if mean >= _RANKED
        ):
            return
        self._ranked = means
        usual = sum(means.values()) / len(means)
        nodes = self.state.plan.nodes
        self.schedule.rank(
            [means.get(node._callee, usual) if type(node) is Op else 0.0 for node in nodes]
        )

    def note_costs(self, costs: list[tuple[int, int, float]]) -> None:
        """Take note of what calls have cost."""
        count, seconds, changed = 0, 0.0, False
        for target, calls, took in costs:
            if target < len(BUILT_IN):
                continue
            callee = self.packer.functions[target - len(BUILT_IN)]
            self._costs.add(callee, calls, took)
            changed |= self._classify_kin(callee)
            if callee not in self._apart:
                count, seconds = count + calls, seconds + took
        if count:
            mean = seconds / count
            old = mean if self._light_mean is None else self._light_mean
            self._light_mean = 0.5 * (mean + old)
        if changed:
            self._weigh()

    def note_size(self, number: int, size: int) -> None:
        """Take note of a large value."""
        self.takes_large = True
        node = self.state.plan.nodes[number]
        if type(node) is Op:
            self._sizes.add(node._callee, 1, size)
            if self._classify_kin(node._callee):
                self._weigh()

    def timeouts(self, numbers: list[int]) -> dict[int, float]:
        """Return the seconds that one attempt may take, of those nodes that have a limit."""
        default = self.state.owner.policy.timeout
        if default is not None:
            return {number: self._timeouts.get(number, default) for number in numbers}
        if not self._timeouts:
            return {}
        return {number: self._timeouts[number] for number in numbers if number in self._timeouts}

    def seconds(self, number: int) -> float:
        """Return what a node is expected to take."""
        node = self.state.plan.nodes[number]
        mean = self._costs.mean(node._callee) if type(node) is Op else 0.0
        return _USUAL if mean is None else mean

    # What goes next

    def fill(self, threads: int) -> None:
        """Take nodes off the schedule, and sort them by how they are to be sent."""
        limit, lead = self._limits(threads)
        if self._apart and not self._has_priorities:
            numbers = self._take_some(limit, lead, threads)
        else:
            follow = self._light_mean is not None
            numbers = self.schedule.take(limit, follow=follow, lead=lead)[::-1]
        if self._is_even and not self.schedule.losses:
            self.light = numbers
        else:
            self._sort(numbers)

    def _take_some(self, limit: int, lead: int, threads: int) -> list[int]:
        """Take a few, and more only if none of these is sent alone: its turn may not have come."""
        numbers = self.schedule.take(2 * threads)[::-1]
        if any(self._is_apart(number) for number in numbers):
            return numbers
        more = self.schedule.take(max(0, limit - len(numbers)), follow=True, lead=lead)
        return [*numbers, *more[::-1]]

    def _is_apart(self, number: int) -> bool:
        node = self.state.plan.nodes[number]
        return type(node) is Op and node._callee in self._apart

    def _limits(self, threads: int) -> tuple[int, int]:
        """Return how many nodes to take, and how many of them as leaders of others."""
        if self._has_priorities:
            return threads, threads
        ready = self.schedule.count_ready()
        share = -(-ready // threads)
        if self._light_mean is None:
            return _PROBE, share
        mean = max(self._light_mean, _CHEAPEST)
        worth = max(1, round(_LEAST / mean))
        most = _LARGEST if ready > threads else _LONGEST
        limit = max(1, min(most, round(_TARGET / mean)))
        if threads <= ready and self.schedule.remaining <= limit * threads:
            limit = max(min(limit, worth), min(limit, -(-self.schedule.remaining // threads)))
        return limit, max(share, worth)

    def _sort(self, numbers: list[int]) -> None:
        """Put each node in the queue it belongs to; what waits for one of another queue goes back."""
        elsewhere: set[int] = set()
        back: list[int] = []
        waiting, needs, nodes = self.schedule.waiting, self.state.plan.needs, self.state.plan.nodes
        usual = self._apart | self._unknown
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
        if self.keeps or self._has_priorities or self._is_apart(number):
            return self.heavy
        node = self.state.plan.nodes[number]
        is_unknown = type(node) is Op and node._callee in self._unknown
        return self.probes if is_unknown else self.light

    def next_batch(self) -> Batch | None:
        """Return a heavy node and a group of light ones in turn."""
        is_lights_turn = self.is_lights_turn and bool(self.light)
        self.is_lights_turn = not is_lights_turn
        if self.heavy and not is_lights_turn:
            return self.next_of(self.heavy)
        return self.next_light()

    def next_light(self) -> Batch | None:
        """Return a group of nodes that cost little."""
        seconds, count, least = 0.0, 0, _CHEAPEST
        if self._is_even:
            count = len(self.light)
            seconds = count * max(self._light_mean or 0.0, least)
        else:
            for number in self.light:
                seconds += max(self.seconds(number), least)
                count += 1
                if seconds > _TARGET:
                    break
        numbers = self._cut("light", count)
        return Batch(numbers, seconds) if numbers else None

    def next_probe(self) -> Batch | None:
        """Return a group of nodes of whose cost nothing is known."""
        numbers = self._cut("probes", _PROBE)
        return Batch(numbers, _USUAL, is_known=False) if numbers else None

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
                seconds = self.seconds(number)
                is_async = number in self._coroutines
                return Batch([number], seconds, True, is_async, is_alone, options)
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
        values = self.state.values
        return [number for number in self.state.plan.given if values[number] is held]

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
