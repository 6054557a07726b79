"""Programs of their own, for what cannot be done to the tests' process: kill it, limit it."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.support.trials import BOUND

__all__ = ["Program"]

_ROOT = Path(__file__).parents[2]


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
