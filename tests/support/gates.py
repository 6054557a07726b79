"""Holding a node where a test wants it, in whatever process it runs."""

from collections.abc import Callable
from pathlib import Path

from tests.support.waiting import eventually


class Gate:
    """A place in a node: the test learns that the node has come, and says when it goes on.

    Attributes
    ----------
    passing
        ``passing()``, to be called in a node; returns when the gate is open. Give nodes this, not
        the gate: it is a closure, which cloudpickle sends by value.
    passing_async
        The same for a coroutine node: ``await passing_async()``.
    """

    def __init__(self, folder: Path, name: str = "gate") -> None:
        self._came = folder / f"{name}.came"
        self._open = folder / f"{name}.open"
        self._came.touch()
        come = _arrival(str(self._came), str(self._open))
        self.passing = _passing(come)
        self.passing_async = _passing_async(come)

    @property
    def pids(self) -> list[int]:
        """The processes of the nodes that have come so far."""
        return [int(pid) for pid in self._came.read_text().split()]

    def wait(self, n: int = 1, timeout: float = 20.0) -> list[int]:
        """Wait until n nodes have come; return the processes in which they are."""
        eventually(lambda: len(self.pids) >= n, timeout, f"{n} nodes at {self._came}")
        return self.pids

    def open(self) -> None:
        """Let all nodes through, from now on."""
        self._open.touch()


def _arrival(came: str, opened: str) -> Callable[[], Callable[[], bool]]:
    def come() -> Callable[[], bool]:
        import os

        descriptor = os.open(came, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, f"{os.getpid()}\n".encode())
        finally:
            os.close(descriptor)
        return lambda: os.path.exists(opened)

    return come


def _passing(come: Callable[[], Callable[[], bool]]) -> Callable[[], None]:
    def passing() -> None:
        import time

        is_open = come()
        while not is_open():
            time.sleep(0.01)

    return passing


def _passing_async(come: Callable[[], Callable[[], bool]]) -> Callable[..., object]:
    async def passing_async() -> None:
        import asyncio

        is_open = come()
        while not is_open():
            await asyncio.sleep(0.01)

    return passing_async


def meeting(folder: Path | str, count: int) -> Callable[[object], int]:
    """Return a function that waits until so many calls of it are under way; it gives their pid."""
    path = str(folder)

    def meet(name: object) -> int:
        import os
        import time

        with open(f"{path}/{name}", "x"):
            pass
        while len(os.listdir(path)) < count:
            time.sleep(0.01)
        return os.getpid()

    return meet
