"""Regions: memory of another process, or a file, and how to read them.

On Linux a process may read the memory of another one of the same user with ``process_vm_readv``
(https://man7.org/linux/man-pages/man2/process_vm_readv.2.html), in one copy and without the other's
help, unless the system is set up to forbid it (Yama, some containers). Whether it works here is
tried, by reading a *nonce* of the other process. The nonce is read along with all else, at the end: a
process that has died, or another one with its number, cannot pass for it.

Where Yama wants consent, workers give it. The program, which is the user's, does not: it reads its
workers, as parents may, and what it gives them travels in files.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from collections.abc import Sequence
from typing import Any

__all__ = [
    "GoneError",
    "Identity",
    "Region",
    "Witness",
    "address_of",
    "allow_readers",
    "is_readable",
    "read_regions",
]

Identity = tuple[int, int, bytes]
"""Of a process: its number, and the address and content of its nonce."""

Region = tuple[int, int]
"""Address and length."""

_NONCE = 16
_LARGEST_READ = 1 << 30  # bytes; the system reads less than 2 GiB at once
_MAPPED = 1 << 20  # bytes from which fresh pages are cheaper than zeroed memory
_PR_SET_PTRACER, _PR_SET_PTRACER_ANY = 0x59616D61, ctypes.c_ulong(-1)


class GoneError(Exception):
    """The other process is gone, or its memory cannot be read."""


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _PyBuffer(ctypes.Structure):
    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


def address_of(buffer: Any) -> int:
    """Return where the bytes of a contiguous buffer begin; they stay there while it lives."""
    found = _PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(buffer), ctypes.byref(found), 0)
    address = found.buf or 0
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(found))
    return address


def _readv() -> Any:
    try:
        function = ctypes.CDLL(None, use_errno=True).process_vm_readv
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.c_ssize_t
    function.argtypes = (
        ctypes.c_int,
        ctypes.POINTER(_IoVec),
        ctypes.c_ulong,
        ctypes.POINTER(_IoVec),
        ctypes.c_ulong,
        ctypes.c_ulong,
    )
    return function


_process_vm_readv = _readv()


def allow_readers() -> None:
    """Let other processes of this user read this one's memory, where Yama asks for consent."""
    if hasattr(os, "memfd_create"):  # Linux
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _PR_SET_PTRACER_ANY, 0, 0, 0)


class Witness:
    """Sixteen random bytes by which a process is known to be the one that is meant.

    Attributes
    ----------
    identity : Identity
    """

    def __init__(self) -> None:
        self._bytes = os.urandom(_NONCE)
        self.identity: Identity = os.getpid(), address_of(self._bytes), self._bytes


def is_readable(other: Identity) -> bool:
    """Return whether the memory of a process can be read from here."""
    try:
        read_regions(other, ())
    except GoneError:
        return False
    return True


def read_regions(other: Identity, regions: Sequence[Region]) -> list[memoryview]:
    """Copy regions of another process's memory into this one.

    Raises
    ------
    GoneError
    """
    if _process_vm_readv is None:
        raise GoneError("this system has no process_vm_readv")
    pid, address, nonce = other
    copies = []
    for start, length in regions:
        target = _fresh(length) if length >= _MAPPED else bytearray(length)
        view = memoryview(target)
        for offset in range(0, length, _LARGEST_READ):
            part = view[offset : offset + _LARGEST_READ]
            _read(pid, start + offset, part)
        copies.append(view)
    # Last, so that all that came before was read from the process that still has it.
    seen = bytearray(len(nonce))
    _read(pid, address, memoryview(seen))
    if seen != nonce:
        raise GoneError(f"process {pid} is another one by now")
    return copies


def _fresh(length: int) -> mmap.mmap:
    """Return memory of our own, in large pages where the system has any: a third of the time."""
    memory = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(AttributeError, OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _read(pid: int, address: int, target: memoryview) -> None:
    own = ctypes.addressof((ctypes.c_char * target.nbytes).from_buffer(target))
    done = 0
    while done < target.nbytes:
        left = target.nbytes - done
        here, there = _IoVec(own + done, left), _IoVec(address + done, left)
        count = _process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
        if count <= 0:
            raise GoneError(f"cannot read process {pid}: {os.strerror(ctypes.get_errno())}")
        done += count
