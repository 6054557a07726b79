"""Programs of their own, for what cannot be done to the tests' process: kill it, limit it."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.support.trials import BOUND

__all__ = ["LINGERING", "Program", "ends_at_a_second_sigint", "has_ended"]

_ROOT = Path(__file__).parents[2]


LINGERING = """
def linger(*_):
    try:  # around all of it: the second may come as soon as the first has been told of
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("once", flush=True)
        time.sleep(600)
    finally:
        print("twice", flush=True)

signal.signal(signal.SIGINT, linger)
with executor:
    executor.run(begun)
"""
"""A program that has an executor and nodes that have begun, and takes its time over a first SIGINT."""


class Program:
    """A Python program and its workers.

    Parameters
    ----------
    text : str
    arguments : str
        Its ``sys.argv[1:]``.
    """

    def __init__(self, text: str, *arguments: str, folder: Path | None = None) -> None:
        env = {**os.environ, "PYTHONPATH": str(_ROOT)}
        if folder is not None:
            env["TMPDIR"] = str(folder)
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", text, *arguments],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self.process.pid

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *exc_info: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.communicate()

    def says(self, line: str) -> None:
        """Wait until it writes this line."""
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if said != f"{line}\n":
            self.process.kill()
            raise AssertionError(f"{said!r}, not {line!r}:\n{self.process.communicate()[1]}")

    def signal(self, number: int) -> None:
        """Send it, and nobody else, a signal."""
        self.process.send_signal(number)

    def ends(self, code: int) -> tuple[str, str]:
        """Wait for its end and check its exit code; return what it wrote to stdout and stderr."""
        out, err = self.process.communicate(timeout=2 * BOUND)
        assert self.process.returncode == code, err
        return out, err

    def children(self) -> list[psutil.Process]:
        """Return the processes it has started, and those that they have."""
        return psutil.Process(self.pid).children(recursive=True)


def ends_at_a_second_sigint(program: Program) -> None:
    """Send a `LINGERING` program two, the second in the midst of the first."""
    program.signal(signal.SIGINT)
    program.says("once")
    program.signal(signal.SIGINT)
    out, err = program.ends(-signal.SIGINT)
    assert out == "twice\n"
    assert err.count("Traceback") == 1


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended; whoever inherits an orphan takes its time to bury it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True
