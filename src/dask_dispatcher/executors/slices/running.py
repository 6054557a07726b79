"""`SliceRunner`: runs the entries of a slice one after the other, and collects what became of them.

Runs in the worker. One thread runs; another may, at any time, take what has been done and what has
not begun: both are lists that are popped from and appended to, each in one step of the interpreter.
A node whose input is missing, because what makes it failed or was taken away, is skipped; the
controller knows why.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, MutableSequence, Sequence
from typing import Any

from ...nesting import Nested
from ..policy import Failure
from .carrying import ATOMS, SMALL, dump_result, load
from .failures import dump_failure
from .metering import Meter
from .packing import Entry
from .passing import Passing
from .values import NOTHING

__all__ = ["Kept", "Lazy", "MissingInputError", "Outbox", "Report", "SliceRunner", "Values"]

Report = tuple[Any, ...]
"""What an `Outbox` held: its lists, in the order of its attributes."""


class MissingInputError(BaseException):
    """An input is not here: what makes it has failed, or its worker is gone.

    No Exception, so that nothing on its way takes it for the user's.
    """


class Lazy:
    """A value that is still to be opened: unpickled, or brought from where it is.

    Parameters
    ----------
    bring : callable
        Returns the value; called at most once if it succeeds.
    size : int, optional
        Bytes that it brings from elsewhere.
    """

    __slots__ = ("bring", "size")

    def __init__(self, bring: Callable[[], Any], size: int = 0) -> None:
        self.bring = bring
        self.size = size


class Kept(Lazy):
    """A value that is kept elsewhere: asked for at each use, so that it may go in between."""

    __slots__ = ()


_CLOSED = frozenset({Lazy, Kept, Nested})


class Values(dict[int, Any]):
    """The values that a slice's nodes take and make, by number.

    Parameters
    ----------
    atoms : dict of int to object
    pickled : dict of int to bytes

    Attributes
    ----------
    moved : int
        Bytes brought from elsewhere; whoever wants to know for one node begins at 0.
    before : Values or None
        Those of the slice before, where it is looked for what is not here.
    """

    before: Values | None = None

    def __init__(self, atoms: dict[int, Any], pickled: dict[int, bytes]) -> None:
        super().__init__(atoms)
        self.moved = 0
        for number, data in pickled.items():
            self[number] = Lazy(lambda data=data: load(data))  # type: ignore[misc]

    def __missing__(self, number: int) -> Any:
        if self.before is None:
            raise MissingInputError(number)
        return self.before[number]

    def get_open(self, number: int) -> Any:
        """Return a value, opened."""
        value = self[number]
        if type(value) is Lazy:
            size = value.size
            value = self[number] = value.bring()
            self.moved += size
        return value.bring() if type(value) is Kept else value

    def argument(self, number: int) -> Any:
        """Return what stands for a reference among a node's arguments."""
        value = self.get_open(number)
        if type(value) is Nested:  # a literal with references of its own
            return value.fill(lambda place: self.get_open(place.position))
        return value

    def arguments(self, args: Sequence[Any], where: Sequence[int]) -> list[Any]:
        """Return the arguments of an entry, with values in the places of references."""
        filled = list(args)
        for place in where:
            if place >= 0:
                value = self[filled[place]]
                is_closed = type(value) in _CLOSED
                filled[place] = self.argument(filled[place]) if is_closed else value
            else:
                filled[~place] = [self.get_open(number) for number in filled[~place]]
        return filled


class Outbox:
    """What a slice has to say, until somebody takes it.

    Attributes
    ----------
    numbers, atoms : list
        Nodes that are done, and their values, which are atoms.
    pickled : list of (int, bytes)
        Nodes that are done, with small values.
    large : list of (int, object)
        Nodes that are done, with what says where their large values are.
    failed : list of (int, bytes)
    skipped : list of int
        Nodes whose inputs are missing.
    costs : list of (int, int, float)
        Target, how many nodes of it in a row, and their seconds; see `Meter`.
    times : list of (int, float, float, int)
        Node, when it began and ended, in seconds since the epoch, and how many bytes were brought
        for it; if somebody observes.
    used_up : list of int
        Nodes whose large values are gone again, as the only ones that took them have succeeded,
        which is said here too or was said before.
    """

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.atoms: list[Any] = []
        self.pickled: list[tuple[int, bytes]] = []
        self.large: list[tuple[int, Any]] = []
        self.failed: list[tuple[int, bytes]] = []
        self.skipped: list[int] = []
        self.costs: list[tuple[int, int, float]] = []
        self.times: list[tuple[int, float, float, int]] = []
        self.used_up: list[int] = []
        self._lock = threading.Lock()  # of those who take; whoever appends needs none

    def use_up(self, number: int) -> bool:
        """Say of a node that its value is gone again, not where it is; return False if that was said."""
        with self._lock:
            for place in range(len(self.large) - 1, -1, -1):
                if self.large[place][0] == number:
                    del self.large[place]
                    self.used_up.append(number)
                    return True
            return False

    def take(self) -> Report:
        """Return all there is, and forget it."""
        with self._lock:
            used_up = _emptied(self.used_up)  # first, as who used it up has been appended before
            # A value is appended before its number.
            count = len(self.numbers)
            numbers, atoms = self.numbers[:count], self.atoms[:count]
            del self.numbers[:count], self.atoms[:count]
            rest = (self.pickled, self.large, self.failed, self.skipped, self.costs, self.times)
            return (numbers, atoms, *(_emptied(items) for items in rest), used_up)


def _emptied(items: list[Any]) -> list[Any]:
    found = items[:]
    del items[: len(found)]
    return found


class SliceRunner:
    """Runs slices of one run.

    Parameters
    ----------
    functions : sequence of callable
        The run's table.
    keep : callable
        Takes a node's number, its pickled value, its buffers and the value itself, where the value
        is large or has a finalizer; keeps it, and returns what `Outbox.large` says of it and what
        later nodes of the slice are given.
    worker : str
        Its name in errors.
    current : mutable sequence of int
        Where to note, in the first place, which node is being run; if `stamps`, in the second when
        it began, in nanoseconds of the monotonic clock.
    passing : Passing, optional
        What passes within the slice.
    """

    def __init__(
        self,
        functions: Sequence[Callable[..., Any]],
        keep: Callable[[int, bytes, list[memoryview], Any], tuple[Any, Any]],
        worker: str,
        current: MutableSequence[int] | memoryview,
        passing: Passing | None = None,
    ) -> None:
        self.functions = functions
        self.todo: list[Entry] = []
        self.outbox = Outbox()
        self.passing = passing or Passing({})
        self._keep = keep
        self._worker = worker
        self._current = current

    def run(
        self,
        entries: list[Entry],
        values: Values,
        pause: Callable[[float], None],
        *,
        observed: bool = False,
        stamps: bool = False,
    ) -> None:
        """Run entries in order until none is left in `todo`.

        Parameters
        ----------
        entries : list of Entry
        values : Values
        pause : callable
            Called after each node with the seconds of `time.perf_counter`; may report, and clear
            `todo`.
        observed : bool
            Note when each node began and ended.
        stamps : bool
            Note in `current` when the node under way began.
        """
        meter = Meter()
        entries.reverse()
        self.todo = todo = entries
        current, functions, outbox = self._current, self.functions, self.outbox
        numbers, atoms, clock = outbox.numbers, outbox.atoms, time.perf_counter
        hold = self.passing.hold
        last, count, since = -1, 0, clock()
        now, started = since, 0.0
        while todo:
            try:
                number, target, args, where, names = todo.pop()
            except IndexError:  # somebody took the rest in this very moment
                break
            if target != last:
                if count:
                    outbox.costs.append((last, count, meter.cost(now - since)))
                last, count, since = target, 0, now
            if stamps:  # first, so that whoever looks never takes an older stamp for this node's
                current[1] = time.monotonic_ns()
            current[0] = number
            if observed:
                started, values.moved = time.time(), 0
            try:
                given: Sequence[Any] = values.arguments(args, where) if where else args
                if names:
                    value = _call_with_names(functions[target], given, names)
                else:
                    value = functions[target](*given)
            except MissingInputError:
                outbox.skipped.append(number)
                continue
            except BaseException as error:
                self.fail(number, error)
            else:
                if observed:
                    outbox.times.append((number, started, time.time(), values.moved))
                kind = type(value)
                if kind in ATOMS or ((kind is str or kind is bytes) and len(value) <= SMALL):
                    values[number] = value
                    atoms.append(value)
                    numbers.append(number)
                elif (view := hold(number, value)) is not NOTHING:
                    values[number] = view
                else:
                    self.put(number, value, values)
            count += 1
            now = clock()
            pause(now)
        if count:
            outbox.costs.append((last, count, meter.cost(now - since)))

    def put(self, number: int, value: Any, values: Values | None = None) -> None:
        """Note the value of a node."""
        outbox = self.outbox
        try:
            (pickled, buffers), must_live = dump_result(value)
            if not (buffers or must_live) and len(pickled) <= SMALL:
                outbox.pickled.append((number, pickled))
            else:
                said, value = self._keep(number, pickled, buffers, value)
                outbox.large.append((number, said))
        except Exception as error:  # it cannot be pickled, or there is no room for it
            self.fail(number, error)
            return
        if values is not None:
            values[number] = value

    def use_up(self, number: int, values: Values) -> list[int]:
        """Drop the values of which a node, which has ended, was the last user; return those kept.

        If it has failed it may be tried again, and they stay.
        """
        kept = []
        for need in self.passing.taken_by(number):
            if number not in values:
                if (held := self.passing.pop(need)) is not NOTHING:
                    self.put(need, held, values)
            elif self.passing.is_last_use(need):
                if self.passing.pop(need) is not NOTHING:
                    self.outbox.used_up.append(need)
                elif self.outbox.use_up(need):
                    kept.append(need)
                else:  # others know where it is
                    continue
                del values[need]
        return kept

    def put_rest(self) -> None:
        """Note the values that are held, as what was to take them has failed or does not run here."""
        for number, value in self.passing.rest():
            self.put(number, value)

    def fail(self, number: int, error: BaseException) -> None:
        """Note that a node has failed."""
        failure = dump_failure(Failure.of(error, self._worker))
        self.outbox.failed.append((number, failure))


def _call_with_names(
    function: Callable[..., Any], args: Sequence[Any], names: Sequence[str]
) -> Any:
    count = len(args) - len(names)
    return function(*args[:count], **dict(zip(names, args[count:], strict=True)))
