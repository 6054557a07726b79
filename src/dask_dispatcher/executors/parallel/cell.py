"""The memory that a worker and the controller share: the cell, and the ledge.

The cell
--------
Integers: the node under way (-1: none of this slice yet), when it began (nanoseconds of the monotonic
clock, where timeouts ask for it), the serial of the slice under way, that of the last slice that ran to
its end, and the ledge's. And one that the controller writes: the run that was stopped last, of which
nothing begins any more. A message says so, too; but what was cancelled is not to start because a thread
of the worker's had no processor to read it.

The ledge
---------
Where words for the controller stand that linger for company (`deferred.lingering`). They go out all in
one message, with a number; if the worker is killed before, the controller finds them here. So what a
worker has said is said, as if each word had been sent at once, at the price of a copy instead of a system
call. One integer tells the number of the message to come and how many bytes stand here: both change in
one store, so that the controller never takes words for unsaid that it has heard.
"""

from __future__ import annotations

import mmap
import os
import tempfile

__all__ = ["BEGAN", "ENDED", "NODE", "SLICE", "STOPPED", "Ledge", "open_cell", "shared_file"]

NODE, BEGAN, SLICE, ENDED, STOPPED, _STANDING = range(6)
"""Where what is in the cell."""

_CELL = 8 * (_STANDING + 1)
_LEDGE = 1 << 16
_NUMBER = 1 << 32  # by how much the ledge's integer grows with each message


def shared_file() -> int:
    """Return a descriptor of memory for a cell and a ledge, without a name that could be left behind."""
    if hasattr(os, "memfd_create"):
        found = os.memfd_create("dask-dispatcher-cell")
    else:
        found, path = tempfile.mkstemp(prefix="dask-dispatcher-")
        os.unlink(path)
    os.ftruncate(found, _CELL + _LEDGE)
    return found


def open_cell(descriptor: int) -> tuple[memoryview, Ledge]:
    """Return the cell in a file of shared memory, and its ledge."""
    memory = memoryview(mmap.mmap(descriptor, _CELL + _LEDGE))
    cell = memory[:_CELL].cast("q")
    return cell, Ledge(cell, memory[_CELL:])


class Ledge:
    """Bytes that stand ready to be sent."""

    def __init__(self, cell: memoryview, memory: memoryview) -> None:
        self._cell = cell
        self._memory = memory

    def add(self, data: bytes) -> bool:
        """Add bytes, if there is room for them; return whether there is."""
        size = self._cell[_STANDING] % _NUMBER
        end = size + len(data)
        if end > _LEDGE:
            return False
        self._memory[size:end] = data
        self._cell[_STANDING] += len(data)
        return True

    def standing(self) -> tuple[int, bytes]:
        """Return what stands here, and the number of the message in which it is to go."""
        number, size = divmod(self._cell[_STANDING], _NUMBER)
        return number, bytes(self._memory[:size])

    def clear(self) -> None:
        """Note that what stood here has been sent."""
        self._cell[_STANDING] = (self._cell[_STANDING] // _NUMBER + 1) * _NUMBER

    def release(self) -> None:
        """Let go of the memory."""
        self._cell.release()
        self._memory.release()
