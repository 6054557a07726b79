"""`Box` and `Kept`: values on a worker, to be opened where somebody takes them.

A box pickles without ever raising: Dask would hang on a result that cannot be pickled and is needed
elsewhere. It is unpickled when it is opened, inside a try of ours, and not on its way from worker to
worker.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

from ...errors import SerializationError, safe_text
from ...pickling import dumps

__all__ = ["Box", "Kept"]


class Box:
    """A value on a worker or on its way.

    It pickles without ever raising: what cannot be pickled arrives as the error that says so, when
    the box is opened. Large buffers travel out of band, uncopied.
    """

    __slots__ = ("_dumped", "_value")

    def __init__(self, value: Any) -> None:
        self._value = value
        # Until it is opened. Of one piece, as a worker's threads open and send boxes side by side.
        self._dumped: tuple[bytes, Sequence[Any]] | None = None

    @classmethod
    def of(cls, pickled: bytes, buffers: Sequence[Any]) -> Box:
        """Return the box of a value that has been pickled already."""
        box = cls(None)
        box._dumped = pickled, buffers
        return box

    def open(self) -> Any:
        """Return the value; unpickles it the first time, after it has travelled.

        Raises
        ------
        SerializationError
            If it could not be pickled, or cannot be unpickled here.
        """
        dumped = self._dumped
        if dumped is not None:
            try:
                self._value = pickle.loads(dumped[0], buffers=dumped[1])
            except BaseException as error:
                raise SerializationError(
                    f"the value cannot be unpickled here: {type(error).__name__}: "
                    f"{safe_text(error, 500)}"
                ) from error
            self._dumped = None
        if isinstance(self._value, _Unpicklable):
            raise SerializationError(self._value.text)
        return self._value

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # Dask's scheduler talks to workers in protocol 4, which has no buffers out of band.
        alone = protocol < 5
        dumped = self._dumped
        if dumped is not None:
            kind: Callable[[Any], Any] = bytearray if alone else pickle.PickleBuffer
            return _rebox, (dumped[0], *map(kind, dumped[1]))
        buffers: list[pickle.PickleBuffer] = []
        take = None if alone else buffers.append
        try:
            pickled = dumps(self._value, take)
        except BaseException as error:
            text = f"the value cannot be pickled: {type(error).__name__}: {safe_text(error, 500)}"
            pickled, buffers = pickle.dumps(_Unpicklable(text)), []
        return _rebox, (pickled, *buffers)

    @property
    def travelled(self) -> int:
        """How many bytes were brought here for whoever opens it first."""
        dumped = self._dumped
        return 0 if dumped is None else _nbytes(*dumped)

    def __sizeof__(self) -> int:
        from dask.sizeof import sizeof  # here, as the client needs no sizes

        dumped = self._dumped
        if dumped is not None:
            return _nbytes(*dumped)
        return int(sizeof(self._value)) + 100

    def __repr__(self) -> str:
        return "<Box>"


class _Unpicklable:
    def __init__(self, text: str) -> None:
        self.text = text


def _nbytes(pickled: bytes, buffers: Sequence[Any]) -> int:
    return len(pickled) + sum(memoryview(buffer).nbytes for buffer in buffers)


def _rebox(pickled: bytes, *buffers: Any) -> Box:
    return Box.of(pickled, buffers)


class Kept:
    """What a group leaves on its worker, as the result of its Dask task.

    Attributes
    ----------
    boxes : dict of int to Box
        Large values, by number.
    reports : list of bytes
        What was too long for a message; the program comes for it.
    """

    def __init__(self) -> None:
        self.boxes: dict[int, Box] = {}
        self.reports: list[bytes] = []

    def __sizeof__(self) -> int:
        boxes = sum(box.__sizeof__() for box in self.boxes.values())
        return boxes + sum(map(len, self.reports)) + 100

    def __repr__(self) -> str:
        return f"<Kept: {len(self.boxes)} values>"
