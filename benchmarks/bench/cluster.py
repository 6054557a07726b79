"""A stock Dask scheduler and workers in processes of their own, on free loopback ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0
HERE = Path(__file__).resolve().parent.parent


def exit_on_sigterm() -> None:
    """Let SIGTERM unwind this program, so that it ends the cluster it has started."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


@contextmanager
def stock_cluster(workers: int = 2) -> Iterator[str]:
    """Run `dask scheduler` and `workers` times `dask worker --nthreads 1`; all end on exit.

    Yields
    ------
    str
        Address of the scheduler.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-dask-")))
        note = folder / "scheduler.json"
        scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        scheduler += ["--scheduler-file", str(note), "--idle-timeout", "1h"]
        stack.enter_context(_dask(scheduler, folder / "scheduler.log"))
        address = _address(note, folder / "scheduler.log")
        for i in range(workers):
            worker = ["worker", address, "--nthreads", "1", "--host", "127.0.0.1"]
            worker += ["--no-dashboard", "--local-directory", str(folder), "--death-timeout", "30"]
            stack.enter_context(_dask(worker, folder / f"worker-{i}.log"))
        _wait_for_workers(address, workers)
        yield address


@contextmanager
def _dask(arguments: list[str], log: Path) -> Iterator[None]:
    # Workers import the functions of the workloads from this folder.
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # so that a nanny's worker can be ended with it
        )
    try:
        yield
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    with suppress(ProcessLookupError):  # raised where all ended by themselves, as they should
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _address(note: Path, log: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            return str(json.loads(note.read_text())["address"])
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.05)
    raise TimeoutError(f"dask scheduler did not start in {START_TIMEOUT:g} s:\n{log.read_text()}")


def _wait_for_workers(address: str, workers: int) -> None:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=START_TIMEOUT)
