"""The section `dispatcher` of Dask's configuration."""

import os
import subprocess
import sys
from pathlib import Path

import dask.config
import pytest

from dask_dispatcher.config import seconds, setting, size


def test_defaults():
    assert seconds("worker-timeout") == 30.0
    assert seconds("retry-delay") == 0.1
    assert seconds("timeout") is None
    assert size("large-argument") == 100_000
    assert setting("executor") == "dask"
    assert setting("scheduler") is None


@pytest.mark.parametrize(
    ("written", "value"), [("1 minute", 60.0), ("500ms", 0.5), (2, 2.0), (0.5, 0.5), ("3", 3.0)]
)
def test_durations_are_written_as_dask_writes_them(written, value):
    with dask.config.set({"dispatcher.worker-timeout": written}):
        assert seconds("worker-timeout") == value


@pytest.mark.parametrize("written", ["soon", "5 parsecs", [1], {"a": 1}])
def test_what_is_no_duration_is_said_so(written):
    with dask.config.set({"dispatcher.timeout": written}):
        with pytest.raises(ValueError, match=r"dispatcher\.timeout is no duration"):
            seconds("timeout")


@pytest.mark.parametrize(("written", "value"), [("1 MiB", 1 << 20), (2000, 2000), ("3kB", 3000)])
def test_sizes_are_written_as_dask_writes_them(written, value):
    with dask.config.set({"dispatcher.large-argument": written}):
        assert size("large-argument") == value


@pytest.mark.parametrize("written", ["much", "5 parsecs", [1], None])
def test_what_is_no_size_is_said_so(written):
    with dask.config.set({"dispatcher.large-argument": written}):
        with pytest.raises(ValueError, match=r"dispatcher\.large-argument is no size"):
            size("large-argument")


def test_dasks_own_command_knows_them():
    command = [Path(sys.executable).with_name("dask"), "config", "get", "dispatcher.worker-timeout"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "30s\n"


def test_the_environment_counts_and_reaches_the_executor(scheduler):
    code = (
        "import time; from dask_dispatcher import DaskExecutor, NoWorkersError, op\n"
        f"with DaskExecutor({scheduler.address!r}) as executor:\n"
        "    (result,) = executor.run([op(int)('1')], raise_errors=False)\n"
        "print(result.unwrap_err())"
    )
    environment = {**os.environ, "DASK_DISPATCHER__WORKER_TIMEOUT": "300ms"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert "has had no worker for 0.3 s" in done.stdout, done.stderr
