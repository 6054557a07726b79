"""What the controller knows of values: small ones as bytes, large ones by their whereabouts.

An atom stands for itself in `RunState.values`; all else is one of these.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..slices import values as slices
from ..slices.carrying import Dumped, load
from ..slices.values import NOTHING, Pickled
from .places import HERE, Place, size_of

if TYPE_CHECKING:
    from ..state import RunState
    from .process import WorkerProcess
    from .store import Key

__all__ = ["Copy", "Given", "Held", "Pickled"]


class Given(slices.Given):
    """A value of the program's; if it is large, where workers find it, and which have it.

    Parameters
    ----------
    value : object
    key : Key
        Under which workers keep it.
    """

    def __init__(self, value: Any, key: Key, release: Callable[[Copy], None]) -> None:
        super().__init__(value)
        self.key = key
        self.place: Place | None = None
        self.copies: dict[WorkerProcess, Copy] = {}
        self._release = release

    def note_copy(self, worker: WorkerProcess) -> None:
        """Note that a worker is about to keep it too."""
        if worker not in self.copies:
            self.copies[worker] = Copy(worker, self.key, HERE, self._release)


class Copy:
    """A large value in one place; when nobody refers to it any more, it is let go there.

    Whoever has told a worker of the place refers to it until the worker has answered.
    """

    __slots__ = ("_release", "key", "place", "worker")

    def __init__(
        self,
        worker: WorkerProcess | None,
        key: Key,
        place: Place,
        release: Callable[[Copy], None],
    ) -> None:
        self.worker = worker
        self.key = key
        self.place = place
        self._release = release
        if worker is not None:
            worker.kept += 1

    def give_up(self) -> None:
        """Leave the value to another `Copy` of the same place."""
        self._release = _nothing
        if self.worker is not None:
            self.worker.kept -= 1

    def __del__(self) -> None:
        self._release(self)


def _nothing(_: Copy) -> None:
    pass


class Held:
    """A large value on workers.

    Attributes
    ----------
    key : Key
        Of the run and the node that made it.
    source : Copy or None
        From where others may take it; None while it is lost.
    size : int
        Bytes.
    """

    __slots__ = ("__weakref__", "_value", "copies", "key", "size", "source", "state")

    def __init__(self, state: RunState, key: Key) -> None:
        self.state = weakref.ref(state)
        self.key = key
        self.source: Copy | None = None
        self.copies: dict[WorkerProcess, Copy] = {}
        self.size = 0
        self._value: Any = NOTHING

    def put(self, source: Copy) -> None:
        """Note where it is."""
        self.size = size_of(source.place)
        if source.worker is not None:
            known = self.copies.setdefault(source.worker, source)
            if known is not source:  # the worker keeps one value by this key, which must stay
                known.place = source.place
                source.give_up()
                source = known
        self.source = source

    def note_copy(self, worker: WorkerProcess, release: Callable[[Copy], None]) -> None:
        """Note that a worker is about to keep a copy."""
        if worker not in self.copies:
            self.copies[worker] = Copy(worker, self.key, HERE, release)

    def lose(self, worker: WorkerProcess) -> bool:
        """Note that a worker is gone; return whether the value is lost with it."""
        self.copies.pop(worker, None)
        if self.source is not None and self.source.worker is worker:
            self.source = None
            # The others' copies cannot be told of; whoever recomputes it will say where it is.
            return True
        return False

    def open(self, dumped: Dumped) -> Any:
        """Return the value, brought to the program for the first time."""
        if self._value is NOTHING:
            self._value = load(*dumped)
        return self._value

    @property
    def is_open(self) -> bool:
        """Whether the program has the value."""
        return self._value is not NOTHING

    @property
    def value(self) -> Any:
        """The value, once it is open."""
        return self._value
