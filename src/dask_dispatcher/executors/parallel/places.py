"""Places: where a large pickled value is, and how to bring it here.

A place is a tuple, so that it costs little in a message::

    ("memory", identity of the process, regions)    the pickled bytes first, then its buffers
    ("file", path, lengths)                         the same, one after the other in a file
    ("here",)                                       of a copy: its worker knows where, nobody else

Whoever makes a place for memory keeps that memory as it is until told that nobody needs it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Sequence
from typing import Any

from ..slices.carrying import Dumped
from .memory import GoneError, Identity, address_of, read_regions

__all__ = ["HERE", "Place", "bring", "in_file", "in_memory", "size_of"]

Place = tuple[Any, ...]

HERE: Place = ("here",)


def in_memory(identity: Identity, dumped: Dumped) -> Place:
    """Return the place of a value that this process keeps."""
    pickled, buffers = dumped
    parts: list[bytes | memoryview] = [pickled, *buffers]
    return "memory", identity, [(address_of(part), _nbytes(part)) for part in parts]


def in_file(folder: str, dumped: Dumped) -> Place:
    """Write a value to a file of its own; return its place.

    Raises
    ------
    OSError
        If there is no room for it; what was written is removed.
    """
    pickled, buffers = dumped
    parts: list[bytes | memoryview] = [pickled, *buffers]
    file, path = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(file, "wb") as stream:
            for part in parts:
                stream.write(part)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    return "file", path, [_nbytes(part) for part in parts]


def bring(place: Place) -> Dumped:
    """Return a value from its place elsewhere; its buffers are the caller's own, to write to.

    Raises
    ------
    GoneError
        If it is not there any more.
    """
    if place == HERE:
        raise GoneError("it was to be here")
    kind, where, parts = place
    if kind == "memory":
        pickled, *buffers = read_regions(where, parts)
        return bytes(pickled), buffers
    return _read_file(where, parts)


def _read_file(path: str, lengths: Sequence[int]) -> Dumped:
    try:
        with open(path, "rb") as stream:
            view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))
    except (OSError, ValueError) as error:  # ValueError: it is empty
        raise GoneError(f"cannot read {path}: {error}") from None
    if view.nbytes != sum(lengths):
        raise GoneError(f"{path} is not whole")
    parts = []
    start = 0
    for length in lengths:
        parts.append(view[start : start + length])
        start += length
    return bytes(parts[0]), parts[1:]


def size_of(place: Place) -> int:
    """Return the bytes of a value elsewhere."""
    kind, _, parts = place
    return sum(length for _, length in parts) if kind == "memory" else sum(parts)


def _nbytes(part: bytes | memoryview) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)
