"""Values as bytes: pickling them never raises anything but SerializationError.

A value is *small* if it is an atom, or pickles to `SMALL` bytes at most; small values ride along in
messages. Atoms (numbers, short text, None) travel as they are; other values as bytes of their own,
so that one that cannot be unpickled fails only the node that takes it.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from ...errors import SerializationError, one, safe_text
from ...pickling import Pickler, is_plain_array
from ...plain import ATOMS
from ...shared import Shared

__all__ = [
    "ATOMS",
    "SMALL",
    "Carried",
    "Dumped",
    "dump",
    "dump_result",
    "is_atom",
    "load",
]

SMALL = 2_000
"""Bytes up to which a pickled value rides along in messages."""

_TEXT = frozenset({str, bytes})

Dumped = tuple[bytes, list[memoryview]]
"""A pickled value and its out-of-band buffers (pickle protocol 5)."""


def is_atom(value: Any) -> bool:
    """Return whether a value travels as it is."""
    kind = type(value)
    return kind in ATOMS or (kind in _TEXT and len(value) <= SMALL)


def dump(value: Any, what: str) -> Dumped:
    """Pickle a value; large buffers stay out of band, uncopied.

    Parameters
    ----------
    value : object
    what : str
        How to call it in an error.

    Raises
    ------
    SerializationError
    """
    return _dump(value, what, Pickler)[0]


def dump_result(value: Any) -> tuple[Dumped, bool]:
    """Pickle the value of a node, and say whether it must live for as long as its copies are used.

    It must if anything in it is `Shared`, or has a finalizer, which may take away what its copies
    work with, as the ``__del__`` of a temporary folder does.

    Raises
    ------
    SerializationError
    """
    if is_plain_array(value):
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(value, protocol=5, buffer_callback=_keeper(buffers))
        return (pickled, [buffer.raw() for buffer in buffers]), False
    dumped, pickler = _dump(value, "the result", _ResultPickler)
    return dumped, pickler.must_live


class _ResultPickler(Pickler):
    must_live = False

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is Shared or hasattr(type(obj), "__del__"):
            self.must_live = True
        return super().reducer_override(obj)


P = TypeVar("P", bound=Pickler)


def _dump(value: Any, what: str, kind: type[P]) -> tuple[Dumped, P]:
    buffers: list[pickle.PickleBuffer] = []
    try:
        with io.BytesIO() as file:
            pickler = kind(file, protocol=5, buffer_callback=_keeper(buffers))
            pickler.dump(value)
            return (file.getvalue(), [buffer.raw() for buffer in buffers]), pickler
    except BaseException as error:
        raise SerializationError(
            f"{what}, {one(type(value))}, cannot be pickled: {type(error).__name__}: "
            f"{safe_text(error, 500)}"
        ) from error


def _keeper(buffers: list[pickle.PickleBuffer]) -> Callable[[pickle.PickleBuffer], bool]:
    """Return a pickler's callback that puts large buffers aside."""

    def keep(buffer: pickle.PickleBuffer) -> bool:
        with buffer.raw() as view:
            is_small = view.nbytes <= SMALL
        if not is_small:
            buffers.append(buffer)
        return is_small

    return keep


def load(pickled: Any, buffers: Any = ()) -> Any:
    """Unpickle what `dump` returned.

    Raises
    ------
    ModuleNotFoundError
        If it needs a module that is not here.
    SerializationError
        If it cannot be unpickled for another reason.
    """
    try:
        return pickle.loads(pickled, buffers=buffers)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"no module {error.name!r} here, which a value needs", name=error.name
        ) from error
    except BaseException as error:
        raise SerializationError(
            f"a value cannot be unpickled: {type(error).__name__}: {safe_text(error, 500)}"
        ) from error


class Carried:
    """A small item of a deferred reference, as bytes; it cannot be lost."""

    __slots__ = ("data", "holder")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.holder: Hashable = None

    def bring(self, deadline: float | None = None) -> Any:
        return load(self.data)
