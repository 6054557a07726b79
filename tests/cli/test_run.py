"""``dask dispatch run``: targets, results, files, and every way to be refused."""

import json
import os
import pty
import re
import signal
import subprocess

import pytest

from tests.cli.conftest import DASK, parsed
from tests.support.waiting import eventually

ASYNC = ("--executor", "async", "--no-progress")


@pytest.mark.parametrize(
    "target",
    [
        "program.py:total",
        "program:total",
        "beside:total",
        "beside.py:program.total",
        "program.py:make",
        "./program.py:total",
    ],
)
def test_a_target_is_found_and_its_value_printed(dispatch_here, target):
    done = dispatch_here("run", target, *ASYNC)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "total: 6\n", "")


def test_a_file_may_be_named_like_a_module(dispatch_here, folder):
    (folder / "program.py").rename(folder / "json.py")
    done = dispatch_here("run", "json.py:total", *ASYNC, "--json")
    assert parsed(done)["results"][0]["value"] == 6
    assert json.loads("[1]") == [1]


def test_a_failure_is_told_with_its_line_and_exit_code_1(dispatch_here, folder):
    done = dispatch_here("run", "program.py:graph", *ASYNC)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "total: 6"
    assert re.fullmatch(r"bad: bad failed: ValueError: no \\x1b\[31m good", lines[1])
    assert re.fullmatch(rf"    built at {folder}/program.py:\d+, in <module>", lines[2])
    assert lines[3] == "    argument 0: total, int"
    assert done.stderr == ""


def test_json_is_one_object(dispatch_here):
    done = dispatch_here("run", "program.py:mixed", *ASYNC, "--json")
    assert done.exit_code == 1
    record = parsed(done)
    assert (record["executor"], record["ok"], record["err"]) == ("AsyncExecutor", 1, 1)
    good, bad = record["results"]
    assert good == {"label": "total", "ok": True, "value": 6}
    assert bad["error"]["type"] == "DependencyError"
    assert (bad["error"]["cause"], bad["error"]["attempts"]) == ("ValueError", 1)
    assert "program.py:" in bad["error"]["built_at"]


def test_values_that_json_or_repr_cannot_show(dispatch_here):
    record = parsed(dispatch_here("run", "program.py:odd", *ASYNC, "--json"))
    assert [result["value"] for result in record["results"]] == [
        "<Odd: its __repr__ raised ZeroDivisionError>", "{1: {2}}", "nan",
    ]  # fmt: skip
    assert dispatch_here("run", "program.py:odd", *ASYNC).exit_code == 0


def test_of_many_results_the_first_are_printed(dispatch_here):
    done = dispatch_here("run", "program.py:many", *ASYNC)
    assert len(done.stdout.splitlines()) == 21
    assert done.stdout.endswith("… and 10 more\n")


def test_evil_labels_are_escaped(dispatch_here):
    done = dispatch_here("run", "program.py:evil", *ASYNC)
    assert done.stdout == "<b>\\x1b[31m\\u202e: 1\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["program.py"], "names no graph"),
        ([":total"], "names no graph"),
        (["program.py:"], "names no graph"),
        (["missing.py:total"], "missing.py does not exist"),
        (["missing_module:total"], "cannot import missing_module: ModuleNotFoundError"),
        (["program.py:nope"], "has no 'nope'"),
        (["program.py:number"], "of type int"),
        (["program.py:nothing"], "of type list"),
        (["program.py:double"], "TypeError"),
        (["program.py:broken"], "KeyError: 'inside'"),
        (["program.py:wants"], "TypeError"),
        (["crash.py:x"], "ZeroDivisionError: division by zero (./crash.py:2)"),
        (["leave.py:x"], "cannot import leave.py: SystemExit: 0"),
        (["program.py:declared"], "inputs of the graph have no value"),
        (["program.py:total", "--executor", "threads"], "threads"),
        (["program.py:total", "--scheduler", "tcp://127.0.0.1:1", "--executor", "async"], "needs --executor dask"),
        (["program.py:total", "--scheduler", "http://example.org", "--executor", "dask"], "http://example.org"),
        (["program.py:total", "--report", "."], "is a directory"),
        (["program.py:total", "--report", "no/such/run.html"], "no such folder"),
        (["program.py:total", "--report", "program.py"], "program.py exists; use --force"),
        (["program.py:total", "--trace", "program.py"], "program.py exists; use --force"),
        (["--bogus"], "--bogus"),
        ([], "TARGET"),
    ],
)  # fmt: skip
def test_bad_arguments_are_one_line_and_exit_code_2(dispatch_here, folder, arguments, text):
    before = {path.name: path.read_bytes() for path in folder.glob("*.*")}
    executor = [] if "--executor" in arguments else ["--executor", "async"]
    done = dispatch_here("run", *arguments, *executor, "--no-progress")
    assert done.exit_code == 2
    assert text.replace("./crash", "crash") in done.stderr.replace(f"{folder}/", "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("dask dispatch: ")
    assert done.stdout == ""
    assert {path.name: path.read_bytes() for path in folder.glob("*.*")} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(dispatch_here, folder):
    closed = folder / "closed"
    closed.mkdir(mode=0o500)
    done = dispatch_here("run", "program.py:total", *ASYNC, "--report", closed / "run.html")
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_files_are_written_and_replaced_with_force_only(dispatch_here, folder):
    files = ["--report", "run.html", "--trace", "run.json", "--events", "run.jsonl"]
    assert dispatch_here("run", "program.py:total", *ASYNC, *files).exit_code == 0
    assert (folder / "run.html").read_text().startswith("<!doctype html>")
    assert (folder / "run.json").read_text().startswith("[\n")
    assert json.loads((folder / "run.jsonl").read_text().splitlines()[0])["event"] == "RunStarted"
    assert dispatch_here("run", "program.py:total", *ASYNC, *files).exit_code == 2
    assert dispatch_here("run", "program.py:total", *ASYNC, *files, "--force").exit_code == 0


def test_without_a_scheduler_it_says_so(dispatch_here):
    done = dispatch_here(
        "run", "program.py:total", "--scheduler", "tcp://127.0.0.1:1", "--no-progress"
    )
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "tcp://127.0.0.1:1" in done.stderr


def test_the_configuration_gives_defaults(dask_dispatch):
    done = dask_dispatch("run", "program.py:total", "--json", DASK_DISPATCHER__EXECUTOR="async")
    assert parsed(done)["executor"] == "AsyncExecutor", done.stderr
    wrong = dask_dispatch("run", "program.py:total", DASK_DISPATCHER__EXECUTOR="threads")
    assert wrong.returncode == 2
    assert "dispatcher.executor is 'threads'" in wrong.stderr


@pytest.mark.parametrize("executor", ["parallel", "dask"])
def test_functions_of_the_file_travel_to_workers(dask_dispatch, shared_cluster, executor):
    scheduler = ["--scheduler", shared_cluster.address] if executor == "dask" else []
    done = dask_dispatch("run", "program.py:total", "--executor", executor, *scheduler)
    assert (done.returncode, done.stdout) == (0, "total: 6\n"), done.stderr
    assert re.fullmatch(r"4/4 nodes, [\d.]+ s\n", done.stderr)


SLOW = """
import asyncio, pathlib, threading
from dask_dispatcher import op

async def coroutine():
    pathlib.Path("begun").touch()
    await asyncio.sleep(30)

def call():
    pathlib.Path("begun").touch()
    threading.Event().wait(30)

cancelled, stuck = op(coroutine)(), op(call)()
"""


@pytest.mark.parametrize(("name", "signals"), [("cancelled", 1), ("stuck", 2)])
def test_ctrl_c_is_a_line_and_exit_code_130(folder, name, signals):
    (folder / "slow.py").write_text(SLOW)
    command = [DASK, "dispatch", "run", f"slow.py:{name}", "--executor", "async"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as program:
        eventually((folder / "begun").exists, 20)
        program.send_signal(signal.SIGINT)
        shown = ""
        while "again to force" not in shown:  # a call that is stuck is waited for
            shown += program.stderr.readline()
        if signals == 2:
            program.send_signal(signal.SIGINT)
        shown += program.stderr.read()
    assert program.returncode == 130
    # The thread of the progress may write its last line in between that and the exit.
    assert "dask dispatch: interrupted" in shown.splitlines()
    assert "Traceback" not in shown


def test_on_a_terminal_it_shows_progress_and_colours(folder):
    (folder / "naps.py").write_text(
        "import time\nfrom dask_dispatcher import op\n"
        "def nap(n):\n    time.sleep(0.05)\n    return n\n"
        "def fail():\n    raise ValueError\n"
        "nodes = [op(sum)([op(nap, label='nap')(n) for n in range(20)]), op(fail)()]\n"
    )
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "COLUMNS": "100",
        "DASK_DISPATCHER__MAX_WORKERS": "1",
    }
    command = [DASK, "dispatch", "run", "naps.py:nodes", "--executor", "async"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ):
        os.close(theirs)
        text = b""
        while chunk := _read_some(ours):
            text += chunk
    os.close(ours)
    shown = text.decode()
    assert "all nodes" in shown
    assert "running" in shown
    assert "22/22 nodes, 1 failed" in shown
    assert "\x1b[1msum\x1b[0m: 190" in shown
    assert "\x1b[31mfail failed: ValueError" in shown
    assert "Traceback" not in shown


def _read_some(descriptor):
    try:
        return os.read(descriptor, 10_000)
    except OSError:  # the other end is closed
        return b""
