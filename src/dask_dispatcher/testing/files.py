"""What nodes and checks tell each other: through files, as a node may run in any process.

The processes that run nodes must see this machine's temporary folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TypeVar

__all__ = ["Gate", "Journal"]

J = TypeVar("J", bound="Journal")

_PATIENCE = 30.0  # seconds a node waits at a gate, and a check for a node to come
_INTERVAL = 0.005  # seconds


class Journal:
    """An append-only file, one line an entry; a copy in another process writes to the same file.

    Used as a context manager, which removes the file.
    """

    def __init__(self) -> None:
        descriptor, path = tempfile.mkstemp(prefix="dask-dispatcher-check-")
        os.close(descriptor)
        self.path = path

    def record(self, entry: str) -> None:
        """Append an entry; called in nodes. One that comes when all is over writes nothing."""
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, f"{entry}\n".encode())
            finally:
                os.close(descriptor)

    def entries(self) -> list[str]:
        """Return the entries so far, oldest first."""
        return Path(self.path).read_text().splitlines()

    def counts(self) -> Counter[str]:
        """Return how often each entry was made."""
        return Counter(self.entries())

    def clear(self) -> None:
        """Forget all entries."""
        os.truncate(self.path, 0)

    def __enter__(self: J) -> J:
        return self

    def __exit__(self, *exc_info: object) -> None:
        Path(self.path).unlink(missing_ok=True)

    def __dask_tokenize__(self) -> str:
        return self.path


class Gate(Journal):
    """A place where nodes wait until the check opens it; those who come are its entries.

    Closed for as long as its file exists, so that leaving the context opens it.
    """

    def pass_through(self) -> None:
        """Wait until the gate is open; called in nodes."""
        deadline = self._come()
        while self._is_closed(deadline):
            time.sleep(_INTERVAL)

    async def pass_through_async(self) -> None:
        """Wait until the gate is open; called in coroutine nodes."""
        deadline = self._come()
        while self._is_closed(deadline):  # noqa: ASYNC110 - another process opens it
            await asyncio.sleep(_INTERVAL)

    def wait_for(self, count: int = 1) -> None:
        """Wait until so many nodes have come."""
        deadline = time.monotonic() + _PATIENCE
        while len(self.entries()) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{count} nodes should have started, and have not")
            time.sleep(_INTERVAL)

    def open(self) -> None:
        """Let all nodes pass, from now on."""
        Path(self.path).unlink(missing_ok=True)

    def _come(self) -> float:
        self.record("somebody")
        return time.monotonic() + _PATIENCE

    def _is_closed(self, deadline: float) -> bool:
        if time.monotonic() > deadline:
            raise RuntimeError("a node was never let through its gate")
        return Path(self.path).exists()
