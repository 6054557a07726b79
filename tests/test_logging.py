"""What goes to the log: nothing unless asked, the life of runs at INFO, never a value."""

import logging
import re
import subprocess
import sys

from dask_dispatcher import AsyncExecutor, DaskExecutor, op
from tests.support.waiting import eventually

SECRET = "correct horse battery staple"


def fail(value):
    raise ValueError(value)


def test_a_run_is_told_at_info_without_values(caplog):
    caplog.set_level(logging.INFO, "dask_dispatcher")
    with AsyncExecutor() as executor:
        executor.run([op(str)(SECRET), op(fail)(SECRET)], raise_errors=False)
        executor.run([])
    assert SECRET not in caplog.text
    first, *_ = lines = [record.getMessage() for record in caplog.records]
    name = re.fullmatch(r"run (\w{8}) of 2 nodes begins on AsyncExecutor", first)[1]
    assert re.fullmatch(rf"run {name} ended after [\d.]+ s: 1 done, 1 failed", lines[1])
    assert len(lines) == 4
    assert {record.name for record in caplog.records} == {"dask_dispatcher"}


def test_nothing_is_written_unless_asked():
    code = (
        "from dask_dispatcher import AsyncExecutor, op\n"
        "with AsyncExecutor() as executor: executor.run([op(int)('1'), op(int)('x')], raise_errors=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_a_lost_worker_is_told(caplog, cluster, tmp_path):
    caplog.set_level(logging.INFO, "dask_dispatcher")
    stays, goes = cluster.workers
    may_end = tmp_path / "may-end"

    def wait():
        import time

        while not may_end.exists():
            time.sleep(0.01)

    with DaskExecutor(cluster.address) as executor:
        run = executor.start([op(wait, workers=[stays.address])()])
        executor.compute(op(int, workers=[goes.address])("1"))
        address = goes.address
        goes.kill()
        eventually(lambda: f"worker {address} is gone" in caplog.text)
        may_end.touch()
        run.results(20)
