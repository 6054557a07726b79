"""A local Dask cluster in processes of its own, for programs that have none.

Run as ``python -m``, this module is the cluster: a stock scheduler and stock workers on 127.0.0.1.
It writes the scheduler's address to standard output and lives until its standard input ends, so it
goes with the program that started it, whatever ends that. Being a program of its own it needs no
``if __name__ == "__main__"`` guard in the user's script, as spawned workers otherwise would.

`EmbeddedCluster` is the other side.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

from ...errors import ExecutorError

__all__ = ["EmbeddedCluster"]

_START_TIMEOUT = 60.0  # seconds for a cold machine to import distributed in all processes
_STOP_TIMEOUT = 10.0


class EmbeddedCluster:
    """A scheduler and one single-threaded worker a core, until `close`.

    Parameters
    ----------
    n_workers : int, optional
        Default: the number of cores.
    resources : mapping of str to float, optional
        What nodes that ask for ``resources`` share: one worker has it, as two would have it twice.

    Attributes
    ----------
    address : str
        Of the scheduler, on 127.0.0.1.
    """

    def __init__(
        self, n_workers: int | None = None, resources: Mapping[str, float] | None = None
    ) -> None:
        # The cluster removes it, also when nobody is left who closes it here.
        self._directory = tempfile.mkdtemp(prefix="dask-dispatcher-")
        options = {
            "n_workers": n_workers or os.cpu_count() or 1,
            "resources": dict(resources or {}),
            "directory": self._directory,
            # Workers find the modules that lie beside the user's script.
            "path": [str(folder) for folder in sys.path],
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Nodes that fail come back as values; Dask would log each one as an error as well.
            env={**os.environ, "DASK_LOGGING__DISTRIBUTED": "critical"},
            # Ctrl-C at the terminal is for the program, which ends its cluster itself.
            start_new_session=True,
        )
        self.address = self._read_address()

    def _read_address(self) -> str:
        assert self._process.stdout is not None
        late = threading.Timer(_START_TIMEOUT, self._kill)
        late.start()
        try:
            line = self._process.stdout.readline()
        except BaseException:
            self.close()
            raise
        finally:
            late.cancel()
        if not line:
            self.close()
            raise ExecutorError(
                "the embedded Dask cluster did not start; its messages are on standard error"
            )
        return str(json.loads(line)["address"])

    def close(self) -> None:
        """End all processes of the cluster; a second call is harmless."""
        process = self._process
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_TIMEOUT)
        # Also after a clean end: a worker that a nanny lost sight of is still in the session.
        self._kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def abandon(self) -> None:
        """Forget the cluster in a forked process, to which it does not belong."""
        self._process.returncode = 0  # or Popen would warn of a child that is not ours

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _serve(options: dict[str, Any]) -> None:
    import dask.config
    from distributed import LocalCluster

    sys.path[:] = options["path"]
    try:
        with (
            dask.config.set(temporary_directory=options["directory"]),
            LocalCluster(
                n_workers=1 if options["resources"] else options["n_workers"],
                resources=options["resources"],
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                worker_dashboard_address=None,
                # The small HTTP server runs all the same: not on 8787, which may be taken.
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            ) as cluster,
        ):
            # The workers that follow have no resources.
            plain = {**cluster.new_spec["options"], "resources": {}}
            cluster.new_spec = {**cluster.new_spec, "options": plain}
            cluster.scale(options["n_workers"])
            sys.stdout.write(json.dumps({"address": cluster.scheduler_address}) + "\n")
            sys.stdout.flush()
            sys.stdin.buffer.read()
    finally:
        shutil.rmtree(options["directory"], ignore_errors=True)


if __name__ == "__main__":
    _serve(json.loads(sys.argv[1]))
