"""A stock Dask scheduler and stock workers, each a real process that a test may kill.

Processes tell their address in their own log, a file here: nothing is guessed, and nobody has to
read a pipe for them. Each leads a session of its own, so that what it forked goes with it.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.waiting import eventually

_ROOT = Path(__file__).parents[2]
_START = 30.0  # seconds a process may take to tell its address
_STOP = 10.0  # seconds it may take to end


class DaskProcess:
    """One ``dask`` command, running.

    Attributes
    ----------
    pid : int
    address : str
        Known once `wait_for_address` returned.
    """

    address: str

    def __init__(
        self,
        arguments: Sequence[str],
        directory: Path,
        name: str,
        env: Mapping,
        python: str | Path = sys.executable,
    ) -> None:
        self.name = name
        self._log = directory / f"{name}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [python, "-m", "dask", *arguments],
                cwd=directory,
                # Workers import the functions of our test modules by name; what a killed process
                # leaves in its temporary folder goes the way of the logs.
                env={**os.environ, "PYTHONPATH": str(_ROOT), "TMPDIR": str(directory), **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def __repr__(self) -> str:
        state = "alive" if self.alive else f"ended with {self._process.returncode}"
        return f"<{type(self).__name__} {self.name} {self.pid} {state}>"

    @property
    def alive(self) -> bool:
        """Whether the process still runs (a stopped one does)."""
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """All that the process wrote to stdout and stderr."""
        return self._log.read_text(errors="replace")

    def wait_for(self, pattern: str, timeout: float = _START) -> str:
        """Return the first group of the pattern's first match in the log, once there."""

        def match() -> re.Match | None:
            found = re.search(pattern, self.log)
            if found is None and not self.alive:
                raise AssertionError(f"{self} without a sign of {pattern!r}:\n{self.log}")
            return found

        try:
            return eventually(match, timeout, f"{pattern!r} in the log of {self}").group(1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    def wait(self, timeout: float = _STOP) -> int:
        """Wait for the process to end of its own accord; return its exit code."""
        return self._process.wait(timeout)

    def kill(self) -> None:
        """SIGKILL the process and all it forked; it is gone when this returns."""
        self._signal_group(signal.SIGKILL)
        self._process.wait(_STOP)

    def stop(self) -> None:
        """SIGSTOP: the process is there, but answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def cont(self) -> None:
        """SIGCONT, after `stop`."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self, timeout: float = _STOP) -> None:
        """SIGTERM and wait; after the timeout, or when nothing is left to ask, SIGKILL."""
        if self.alive:
            self.cont()
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
        self.kill()

    def _signal_group(self, number: int) -> None:
        # The group outlives its leader while a forked process is in it, and its id stays taken.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class WorkerProcess(DaskProcess):
    """A ``dask worker`` without a nanny: the process that runs the tasks is the one to kill."""


class Cluster:
    """A scheduler on a free loopback port, and any number of workers.

    Parameters
    ----------
    directory
        For logs and the workers' files.
    workers
        How many to begin with.
    options
        More command line options for all processes, such as TLS files.
    env
        More environment for all processes, such as ``DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL``.
    python
        The interpreter that runs the scheduler.
    """

    def __init__(
        self,
        directory: Path,
        workers: int = 0,
        *,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        python: str | Path = sys.executable,
    ) -> None:
        self.directory = directory
        self.workers: list[WorkerProcess] = []
        self._options = tuple(options)
        self._env = dict(env or {})
        self._python = python
        self._started = 0
        self.scheduler = self._start_scheduler("0")
        self.address = self.scheduler.address
        self.add_workers(workers)

    def __repr__(self) -> str:
        return f"<Cluster {self.address} {self.scheduler} {self.workers}>"

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def logs(self) -> str:
        """What every process wrote, one after the other."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')}"
            for path in sorted(self.directory.glob("*.log"))
        )

    def add_worker(
        self,
        name: str | None = None,
        nthreads: int = 1,
        resources: Mapping[str, float] | None = None,
        env: Mapping[str, str] | None = None,
        *,
        options: Sequence[str] = (),
        python: str | Path = sys.executable,
    ) -> WorkerProcess:
        """Start a worker and wait until the scheduler has registered it."""
        worker = self._start_worker(name, nthreads, resources, env, options, python)
        return self._registered(worker)

    def add_workers(self, n: int) -> list[WorkerProcess]:
        """Start n workers side by side and wait until all are registered."""
        started = [self._start_worker() for _ in range(n)]
        return [self._registered(worker) for worker in started]

    def kill_scheduler(self) -> None:
        """SIGKILL the scheduler."""
        self.scheduler.kill()

    def restart_scheduler(self) -> None:
        """Start a scheduler, empty, where the killed one was; `add_worker` gives it workers.

        Workers of the old one do not come over: without their scheduler they end.
        """
        self.scheduler.kill()
        self.scheduler = self._start_scheduler(self.address.rpartition(":")[2])

    def close(self) -> None:
        """End every process, in bounded time: nothing is asked, all are killed."""
        with contextlib.ExitStack() as kills:
            for process in (self.scheduler, *self.workers):
                kills.callback(process.kill)

    def _start_scheduler(self, port: str) -> DaskProcess:
        arguments = ["scheduler", "--host", "tcp://127.0.0.1", "--port", port]
        arguments += _LOCAL_HTTP
        # Should pytest itself be killed, then the scheduler ends after this, and its workers too.
        arguments += ["--idle-timeout", "1h"]
        scheduler = DaskProcess(
            [*arguments, *self._options],
            self.directory,
            self._next("scheduler"),
            self._env,
            self._python,
        )
        with _killed_on_error(scheduler):
            scheduler.address = scheduler.wait_for(r"Scheduler at: +(\S+)")
        return scheduler

    def _start_worker(
        self,
        name: str | None = None,
        nthreads: int = 1,
        resources: Mapping[str, float] | None = None,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        python: str | Path = sys.executable,
    ) -> WorkerProcess:
        name = name or self._next("worker")
        arguments = ["worker", self.address, "--no-nanny", "--name", name]
        arguments += ["--host", "127.0.0.1", *_LOCAL_HTTP, "--nthreads", str(nthreads)]
        arguments += ["--local-directory", str(self.directory), "--death-timeout", "10"]
        if resources:
            arguments += ["--resources", " ".join(f"{k}={v}" for k, v in resources.items())]
        arguments += [*self._options, *options]
        environment = {**self._env, **(env or {})}
        worker = WorkerProcess(arguments, self.directory, name, environment, python)
        self.workers.append(worker)
        return worker

    def _registered(self, worker: WorkerProcess) -> WorkerProcess:
        with _killed_on_error(worker):
            worker.address = worker.wait_for(r"Start worker at: +(\S+)")
            worker.wait_for(r"(Registered to):")
        return worker

    def _next(self, kind: str) -> str:
        self._started += 1
        return f"{kind}-{self._started}"


# No dashboard, and the small HTTP server that runs all the same stays on loopback.
_LOCAL_HTTP = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")


@contextlib.contextmanager
def _killed_on_error(process: DaskProcess) -> Iterator[None]:
    try:
        yield
    except BaseException:
        process.kill()
        raise
