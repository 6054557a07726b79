"""Counting how often a node starts, across processes that may be killed at any moment."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Start(NamedTuple):
    """One start of one node."""

    label: str
    attempt: int
    pid: int


class StartsLog:
    """An append-only file with one line a start.

    Attributes
    ----------
    record
        ``record(label, attempt=0)``, to be called first thing in a node. Give nodes this, not the
        log: it is a closure, which cloudpickle sends by value, so that any process can call it.
    """

    def __init__(self, path: Path) -> None:
        path.touch()
        self.path = path
        self.record = _recorder(str(path))

    def starts(self) -> list[Start]:
        """Return all starts so far, oldest first."""
        rows = (line.rsplit("\t", 2) for line in self.path.read_text().splitlines())
        return [Start(label, int(attempt), int(pid)) for label, attempt, pid in rows]

    def counts(self) -> Counter[str]:
        """Return the number of starts of each label."""
        return Counter(start.label for start in self.starts())

    def pids(self, label: str) -> list[int]:
        """Return the processes in which the label started, oldest first."""
        return [start.pid for start in self.starts() if start.label == label]


def _recorder(path: str) -> Callable[..., None]:
    def record(label: object, attempt: int = 0) -> None:
        import os

        line = f"{label}\t{attempt}\t{os.getpid()}\n".encode()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, line)  # one write: whole, or not there, even if killed next
        finally:
            os.close(descriptor)

    return record
