"""A folder with a program in it, and the command line, in this process or as a user has it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest
from click.testing import CliRunner

from dask_dispatcher.cli import dispatch

PROGRAM = """
from dask_dispatcher import CollectNode, DataNode, DispatchGraph, op


@op
def double(x):
    return 2 * x


def fail(x):
    raise ValueError("no \\x1b[31m good")


class Odd:
    def __repr__(self):
        raise ZeroDivisionError


parts = [double(n) for n in range(3)]
total = op(sum)(parts)
total.label = "total"
mixed = [total, op(fail, label="bad")(total)]
graph = DispatchGraph(mixed)
odd = [op(Odd)(), op(lambda: {1: {2}})(), op(float)("nan")]
many = [double(n) for n in range(30)]
evil = op(int, label="<b>\\x1b[31m\\u202e")("1")
declared = DispatchGraph([total], inputs=[parts[0]])
number = 5
nothing = []


def make():
    return total


def broken():
    raise KeyError("inside")


def wants(argument):
    return total
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Go to a folder with `program.py` in it."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "beside.py").write_text("import program\nfrom program import total\n")
    (tmp_path / "leave.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "crash.py").write_text("def inner():\n    1 / 0\ninner()\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dispatch_here(folder, monkeypatch):
    """Run a command in this process: ``dispatch_here("run", "program.py:total")``."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)

    def run(*arguments):
        return CliRunner().invoke(dispatch, [str(argument) for argument in arguments])

    yield run
    for name in {"program", "beside", "crash", "dispatch_json"} & (set(sys.modules) - before):
        if name in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.unregister_pickle_by_value(sys.modules[name])
        del sys.modules[name]


DASK = Path(sys.executable).with_name("dask")


@pytest.fixture
def dask_dispatch(folder):
    """Run a command as a user does: ``dask_dispatch("run", "program.py:total")``."""

    def run(*arguments, **environment):
        return subprocess.run(
            [DASK, "dispatch", *map(str, arguments)], env={**os.environ, **environment},
            cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=50,
        )  # fmt: skip

    return run


def parsed(done):
    """Return the one JSON object that a command printed."""
    (line,) = done.stdout.splitlines()
    return json.loads(line)
