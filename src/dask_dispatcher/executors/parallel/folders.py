"""Folders for values that cannot stay in memory: their names, and those that dead programs left.

The system kills workers with a program that was killed, too quickly for them to remove its folder. So
its name says whose it is, and the next program that starts workers removes it. A process is known by
its number, the moment it started, and where this number counts (containers may share a folder for
temporary files); where the system does not tell these, nothing is swept.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile

__all__ = ["name_folder", "sweep_folders"]

_PREFIX = "dask-dispatcher-"
_NAME = re.compile(rf"{_PREFIX}(\d+)-(\d+)-(\d+)-[0-9a-f]{{16}}")


def name_folder() -> str:
    """Return the path of a folder for this process, which does not exist yet."""
    owner = f"{_here()}-{os.getpid()}-{_started(os.getpid()) or 0}"
    return os.path.join(tempfile.gettempdir(), f"{_PREFIX}{owner}-{os.urandom(8).hex()}")


def sweep_folders() -> None:
    """Remove this user's folders whose processes are dead."""
    here = _here()
    if not here:
        return
    for name in os.listdir(tempfile.gettempdir()):
        found = _NAME.fullmatch(name)
        if found is None or int(found[1]) != here:
            continue
        if _started(int(found[2])) != int(found[3]):
            path = os.path.join(tempfile.gettempdir(), name)
            with contextlib.suppress(OSError):  # somebody else is removing it
                if os.lstat(path).st_uid == os.getuid():
                    shutil.rmtree(path, ignore_errors=True)


def _here() -> int:
    """Return what tells the process numbers of one container from those of another; 0: unknown."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino if _started(os.getpid()) else 0
    except OSError:
        return 0


def _started(pid: int) -> int | None:
    """Return when a process started, in ticks since the machine did; None if there is no such one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # After the name, which is in brackets and may hold anything.
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None
