"""`Store`: the large values that a worker keeps, by run and node.

A value with large buffers (an array, say) is kept as views on these buffers that cannot be written
to, so that its consumers here get it under the same terms as those elsewhere, without a copy.

When all values together exceed the limit, the oldest go. What can be brought again from elsewhere is
dropped. What was made here is written to a file, and stays in memory until the controller, who knows
who is reading it there, lets it go. The controller must have heard of a value before it can hear that
the value has moved: until it has been told (`note_told`), what was made here stays.
"""

from __future__ import annotations

import contextlib
import enum
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ..slices.carrying import Dumped, load
from ..slices.running import MissingInputError
from .memory import GoneError, Identity
from .places import HERE, Place, bring, in_file, in_memory, size_of

__all__ = ["Key", "Store", "memory_limit"]

Key = tuple[int, int]
"""A run, and a node in it; negative for a literal."""


class _Standing(enum.Enum):
    """What may become of a value when memory is short."""

    UNTOLD = enum.auto()  # made here, and the controller does not know: it must stay
    TOLD = enum.auto()  # made here, and nowhere else: it may go to a file
    ELSEWHERE = enum.auto()  # it can be brought again: it may go
    LEAVING = enum.auto()  # it is in a file too, and no longer counted


class _Stored:
    __slots__ = ("dumped", "size", "standing", "value")

    def __init__(self, dumped: Dumped, value: Any, standing: _Standing) -> None:
        self.dumped = dumped
        self.value = value
        self.standing = standing
        self.size = len(dumped[0]) + sum(buffer.nbytes for buffer in dumped[1])

    @property
    def counted(self) -> int:
        return 0 if self.standing is _Standing.LEAVING else self.size


class Store:
    """Keeps values in memory, up to a limit.

    Parameters
    ----------
    identity : Identity
        Of this process.
    folder : str
        For files.
    limit : int
        Bytes.
    spilled : callable
        Told, with key and place, of values that have gone to files.
    """

    def __init__(
        self,
        identity: Identity,
        folder: str,
        limit: int,
        spilled: Callable[[Key, Place], None],
    ) -> None:
        self._identity = identity
        self._folder = folder
        self._limit = limit
        self._spilled = spilled
        self._is_readable = True
        self._values: dict[Key, _Stored] = {}
        self._lock = threading.Lock()  # guards _values, what they say of themselves, and _size
        self._size = 0

    def use_files(self) -> None:
        """Write every value to a file at once: others cannot read this process's memory."""
        self._is_readable = False

    def keep(self, key: Key, dumped: Dumped, value: Any) -> tuple[Place, Any]:
        """Keep a value made here; return its place, and the value as its consumers are to see it.

        Raises
        ------
        OSError
            If it must go to a file and there is no room.
        """
        pickled, buffers = dumped
        if buffers:
            value = load(pickled, [buffer.toreadonly() for buffer in buffers])
        if self._is_readable:
            place, standing = in_memory(self._identity, dumped), _Standing.UNTOLD
        else:
            place, standing = self._write(dumped), _Standing.ELSEWHERE
        self._add(key, _Stored(dumped, value, standing))
        return place, value

    def get_here(self, key: Key) -> Any:
        """Return a value that was kept here.

        Raises
        ------
        MissingInputError
            If it has been let go.
        """
        stored = self._values.get(key)
        if stored is None:
            raise MissingInputError(key)
        return stored.value

    def get(self, key: Key, place: Place) -> Any:
        """Return a value that is here, or bring it here.

        Raises
        ------
        MissingInputError
            If it is gone from its place.
        """
        stored = self._values.get(key)
        if stored is not None:
            return stored.value
        try:
            pickled, buffers = bring(place)
        except GoneError:
            raise MissingInputError(key) from None
        dumped = pickled, [buffer.toreadonly() for buffer in buffers]
        value = load(*dumped)
        self._add(key, _Stored(dumped, value, _Standing.ELSEWHERE))
        return value

    def distance(self, key: Key, place: Place) -> int:
        """Return how many bytes `get` would bring here."""
        return 0 if key in self._values or place == HERE else size_of(place)

    def note_told(self, keys: Iterable[Key]) -> None:
        """Note that the controller has been told where values are that were made here."""
        with self._lock:
            for key in keys:
                stored = self._values.get(key)
                if stored is not None and stored.standing is _Standing.UNTOLD:
                    stored.standing = _Standing.TOLD

    def make_room(self) -> None:
        """Let the oldest values go while all together exceed the limit; the newest stays."""
        if not self.is_full:
            return
        with self._lock:
            oldest = list(self._values.items())[:-1]
        for key, stored in oldest:
            if not self.is_full or not self._let_go(key, stored):
                break

    def free(self, keys: list[Key]) -> int:
        """Let values go; return how many bytes of memory they took."""
        with self._lock:
            before = self._size
            for key in keys:
                self._drop(key)
            return before - self._size

    def forget_literals(self, run: int) -> None:
        """Let the literals of a run that is over go."""
        with self._lock:
            for key in [key for key in self._values if key[0] == run and key[1] < 0]:
                self._drop(key)

    def _add(self, key: Key, stored: _Stored) -> None:
        with self._lock:
            self._drop(key)
            self._values[key] = stored
            self._size += stored.size
        self.make_room()

    def _drop(self, key: Key) -> None:
        stored = self._values.pop(key, None)
        if stored is not None:
            self._size -= stored.counted

    def _let_go(self, key: Key, stored: _Stored) -> bool:
        """Let a value go if it may; return False if there is no room for files."""
        if stored.standing is _Standing.ELSEWHERE:
            with self._lock:
                if self._values.get(key) is stored:
                    self._drop(key)
        elif stored.standing is _Standing.TOLD:
            return self._spill(key, stored)
        return True

    def _spill(self, key: Key, stored: _Stored) -> bool:
        """Write a value to a file; return whether there was room."""
        try:
            place = self._write(stored.dumped)
        except OSError:  # it stays where it is
            return False
        with self._lock:
            if self._values.get(key) is stored:
                self._size -= stored.counted
            stored.standing = _Standing.LEAVING
        self._spilled(key, place)
        return True

    def _write(self, dumped: Dumped) -> Place:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        return in_file(self._folder, dumped)

    @property
    def size(self) -> int:
        """Bytes kept in memory."""
        return self._size

    @property
    def is_full(self) -> bool:
        """Whether all values together exceed the limit."""
        return self._size > self._limit


def memory_limit(share: float) -> int:
    """Return the bytes that a worker may keep: a share of what this machine or container has."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError), open(path) as file:
            total = min(total, int(file.read()))
    return int(total * share)
