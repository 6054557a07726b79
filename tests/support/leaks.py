"""What a test left behind: processes, threads, descriptors, shared memory, temporary files.

A `snapshot` names everything of these kinds that belongs to this program. What a later one has
beyond it, and still has after a while, was leaked. Things that end by themselves a moment later,
such as a thread on its way out, are waited for; what is excused for good is listed below, each
with its reason.
"""

import contextlib
import gc
import logging
import os
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Hashable, Iterator
from pathlib import Path

import psutil

# Inherited by everything we start, so that a process whose parent died is still known as ours.
_MARK = f"DASK_DISPATCHER_TESTS={uuid.uuid4().hex}"

_EXCUSED_THREADS = re.compile(
    # distributed.utils: one pool for (de)serialising large messages, made once an interpreter.
    r"Dask-Offload_0"
    # distributed.client: one pool for callbacks of futures, made once an interpreter.
    r"|Dask-Callback-Thread_0"
)
_EXCUSED_FILES = re.compile(
    # distributed.diskutils: the folder of all workers' folders, and its locks, stay on purpose.
    r"dask-scratch-space(/(global|purge)\.lock)?"
)

_LINUX = os.path.exists("/proc/self/task")

Snapshot = dict[Hashable, str]


def mark_children() -> None:
    """Make processes that are started from now on recognisable as ours."""
    name, _, value = _MARK.partition("=")
    os.environ[name] = value


def snapshot() -> Snapshot:
    """Return all that a test could leave behind: what it is, and how to call it in words."""
    found: Snapshot = {}
    for look in (_processes, _threads, _descriptors, _segments, _files):
        found.update(look())
    return found


def leaks_since(before: Snapshot, patience: float = 5.0) -> Snapshot:
    """Return what is there beyond an earlier snapshot, and does not go away.

    Parameters
    ----------
    before
        The earlier snapshot.
    patience
        Seconds to wait for things that are about to end.
    """
    deadline = time.monotonic() + patience
    leaks = _beyond(before)
    while leaks and time.monotonic() < deadline:
        gc.collect()  # an unreachable socket is closed by this, and its warning fails the test
        time.sleep(0.01)
        # What comes only now was not left behind by the test: another program's, or short-lived.
        leaks = {key: text for key, text in _beyond(before).items() if key in leaks}
    return leaks


def _beyond(before: Snapshot) -> Snapshot:
    new = {key: text for key, text in snapshot().items() if key not in before}
    if any(isinstance(key, tuple) and key[0] == "segment" for key in new):
        for key in _foreign_segments():
            new.pop(key, None)
    return new


def kill_leaked(leaks: Snapshot) -> None:
    """Kill the leaked processes, so that one test's leak does not burden the next."""
    for key in leaks:
        if isinstance(key, psutil.Process):
            with contextlib.suppress(psutil.Error):
                key.kill()  # psutil makes sure that the pid was not given to another since
                key.wait(5)


@contextlib.contextmanager
def strays() -> Iterator[list[str]]:
    """Collect what asyncio and tornado log about tasks and futures that nobody looked after."""
    handler = _Collect(logging.ERROR)
    loggers = [logging.getLogger(name) for name in ("asyncio", "tornado.application")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield handler.messages
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


class _Collect(logging.Handler):
    _STRAY = re.compile(r"never retrieved|never awaited|destroyed but it is pending")

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = self.format(record)  # with the traceback
        if self._STRAY.search(message):
            self.messages.append(message)


# This runs twice a test: plain `open` and `listdir` take a fifth of the time that pathlib and psutil
# do. Elsewhere than on Linux, psutil answers, and orphans and most descriptors go unseen.


def _processes() -> Iterator[tuple[Hashable, str]]:
    for pid in _descendants() | set(_marked_pids()):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)  # equal only with the same start time
            yield process, f"process {pid} ({process.status()}): {_command_line(process)}"


def _descendants() -> set[int]:
    if not _LINUX:
        return {child.pid for child in psutil.Process().children(recursive=True)}
    found: set[int] = set()
    parents = [os.getpid()]
    while parents:
        children = set(_children(parents.pop())) - found
        found |= children
        parents += children
    return found


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):  # ended just now
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                yield from map(int, file.read().split())


def _command_line(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())[:200] or process.name()
    return "?"


def _marked_pids() -> Iterator[int]:
    mark = _MARK.encode()
    for pid, environ in _in_each_process("environ"):
        if mark in environ:
            yield pid


def _in_each_process(name: str) -> Iterator[tuple[int, bytes]]:
    for pid in os.listdir("/proc") if _LINUX else ():
        with contextlib.suppress(OSError):  # ended just now, or another user's
            if pid.isdigit():
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    yield int(pid), file.read()


def _threads() -> Iterator[tuple[Hashable, str]]:
    for thread in threading.enumerate():
        if not _EXCUSED_THREADS.fullmatch(thread.name):
            yield thread, f"thread {thread.name}{' (daemon)' if thread.daemon else ''}"


def _descriptors() -> Iterator[tuple[Hashable, str]]:
    if not _LINUX:
        for connection in psutil.Process().net_connections("all"):
            yield ("descriptor", connection), f"descriptor {connection}"
        return
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists the folder
            target = os.readlink(f"/proc/self/fd/{number}")
            yield ("descriptor", number, target), f"descriptor {number}: {target}"


def _segments() -> Iterator[tuple[Hashable, str]]:
    for name in os.listdir("/dev/shm") if _LINUX else ():
        yield ("segment", name), f"shared memory /dev/shm/{name}"


def _files() -> Iterator[tuple[Hashable, str]]:
    folder = tempfile.gettempdir()
    names = os.listdir(folder)
    if "dask-scratch-space" in names:
        inside = os.listdir(f"{folder}/dask-scratch-space")
        names += [f"dask-scratch-space/{name}" for name in inside]
    for name in names:
        if not _EXCUSED_FILES.fullmatch(name):
            yield ("file", name), f"temporary file {folder}/{name}"


def _foreign_segments() -> set[Hashable]:
    # All programs of the machine share /dev/shm: a segment that only others have mapped is theirs.
    # By inode: a semaphore's maker has it mapped by the passing name that it had when it was made.
    users: dict[int, set[int]] = {}
    for pid, inode in _mapped_segments():
        users.setdefault(inode, set()).add(pid)
    ours = {os.getpid(), *_marked_pids()}
    foreign: set[Hashable] = set()
    for path in Path("/dev/shm").glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if not ours & users.get(path.stat().st_ino, ours):
                foreign.add(("segment", path.name))
    return foreign


def _mapped_segments() -> Iterator[tuple[int, int]]:
    for pid, maps in _in_each_process("maps"):
        for inode in re.findall(rb" (\d+) +/dev/shm/", maps):
            yield pid, int(inode)
