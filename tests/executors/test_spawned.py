"""Executors in processes that multiprocessing starts, where the script is no longer ``__main__``."""

import subprocess
import sys

import pytest

SCRIPT = """
import multiprocessing, sys
from dask_dispatcher import DaskExecutor, ParallelExecutor, op

class Point:
    def __init__(self, x):
        self.x = x

def double(x):
    return 2 * x

@op
def point(x):
    return Point(double(x))

@op(pure=True)
def along(point, kind=Point):
    return kind(point.x + 1)

def program():
    made = point(1)
    moved = along(made)
    with EXECUTOR as executor:
        one, other = executor.compute([made, moved])
    assert type(one) is type(other) is Point
    print(one.x, other.x, along(Point(3)).key, flush=True)

if __name__ == "__main__":
    program()
    child = multiprocessing.get_context(sys.argv[1]).Process(target=program)
    child.start()
    child.join()
    sys.exit(child.exitcode)
"""


@pytest.mark.parametrize(
    ("method", "executor"),
    [
        ("spawn", "ParallelExecutor(1)"),
        ("forkserver", "ParallelExecutor(1)"),
        ("spawn", "DaskExecutor()"),
    ],
)
def test_a_script_runs_its_functions_from_a_child_as_from_itself(tmp_path, method, executor):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("EXECUTOR", executor))
    done = subprocess.run(
        [sys.executable, script, method], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    here, there = done.stdout.splitlines()
    assert here == there
    assert here.startswith("2 3 along-")
