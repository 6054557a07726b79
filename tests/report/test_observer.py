"""`Report`: a file that is whole whenever one looks, and holds no values."""

import gc
import json
import os
import re
import signal
import subprocess
import sys
import weakref

import pytest

from dask_dispatcher import AsyncExecutor, DataNode, Report, op
from tests.support.waiting import eventually

SECRET = "correct horse battery staple"


def blocks_of(path):
    """Return the data blocks of a report."""
    found = re.findall(r'<script type="application/json">(.*?)</script>', path.read_text())
    return [json.loads(block) for block in found]


def test_a_run_is_told_in_columns(tmp_path):
    path = tmp_path / "run.html"
    first = op(int, label="first")("1")
    with AsyncExecutor() as executor:
        executor.run([first + 1], observers=[Report(path)])
    (block,) = blocks_of(path)
    assert sorted(block["labels"]) == ["add", "first"]
    assert sorted(block["functions"]) == ["add", "int"]
    assert sorted(block["nodes"]["id"]) == [0, 1]
    assert block["nodes"]["needs"][block["nodes"]["id"].index(0)] == 1
    assert block["nodes"]["needed"] == [1]
    assert block["spans"]["end"] == [0, 0]
    assert all(took >= 0 for took in block["spans"]["took"])
    (site, *_) = block["sites"]
    assert site[0] == __file__
    assert "label=" in site[3]
    begins, ends = block["runs"]
    assert (begins["executor"], begins["nodes"], ends["done"], ends["failed"]) == (
        "AsyncExecutor",
        2,
        2,
        0,
    )


def fail(value):
    raise ValueError("as planned")


def test_failures_bring_traceback_line_and_arguments_but_no_values(tmp_path):
    path = tmp_path / "run.html"
    bad = op(fail, retries=1, retry_delay=0)(op(str, label="source")(SECRET + "1"))
    after = op(print)(bad, SECRET, DataNode(SECRET))
    with AsyncExecutor() as executor:
        executor.run([after], raise_errors=False, observers=[Report(path)])
    (block,) = blocks_of(path)
    retried, failed = block["notes"]
    assert (retried["what"], failed["what"]) == ("retried", "failed")
    assert (failed["type"], failed["message"], failed["attempt"]) == ("ValueError", "as planned", 2)
    assert 'raise ValueError("as planned")' in failed["traceback"]
    assert failed["arguments"] == ["0: source, str of 29 characters"]
    assert block["workers"][failed["worker"]].startswith("dask-dispatcher-")
    assert block["ends"]["state"] == ["failed", "failed"]
    assert SECRET not in re.sub(r'"sites":\[.*?\]\]', "", path.read_text())


def test_values_are_shown_to_who_asks(tmp_path):
    path = tmp_path / "run.html"
    bad = op(lambda *_, **__: 1 / 0)(SECRET, op(int)("1"), 1j, key=[1, "\x1b"])
    with AsyncExecutor() as executor:
        executor.run([bad], raise_errors=False, observers=[Report(path, values=True)])
    (failed,) = blocks_of(path)[0]["notes"]
    assert failed["arguments"] == [
        f"0: str of 28 characters: {SECRET!r}",
        "1: int, int",
        "2: complex: 1j",
        "key: list of 2: [1, '\\x1b']",
    ]


def test_a_second_run_goes_on_where_the_first_ended(tmp_path):
    path = tmp_path / "run.html"
    report = Report(path)
    with AsyncExecutor() as executor:
        (first,) = executor.run([op(int, label="first")("1")], observers=[report])
        executor.run([op(abs, label="second")(first.value)], observers=[report])
    one, two = blocks_of(path)
    assert one["nodes"]["id"] == [0]
    (second,) = two["nodes"]["id"]
    assert second > 0
    assert two["nodes"]["needed"] == [0]  # not a copy of it
    assert two["labels"] == ["second"]
    assert two["runs"][0]["at"] >= one["runs"][1]["at"]


def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path):
    with pytest.raises(OSError, match="no/such"):
        Report(tmp_path / "no/such/run.html")


CRASHING = """
import os, sys, threading
from dask_dispatcher import AsyncExecutor, Report, op
path = sys.argv[1]
def quick(n): return n
def stuck(): threading.Event().wait(60)
with AsyncExecutor() as executor:
    run = executor.start([op(quick)(n) for n in range(100)] + [op(stuck, label="stuck")()], observers=[Report(path)])
    print("started", flush=True)
    run.results()
"""


def test_a_killed_program_leaves_what_had_happened(tmp_path):
    path = tmp_path / "run.html"
    with subprocess.Popen(
        [sys.executable, "-c", CRASHING, path], stdout=subprocess.PIPE
    ) as program:
        assert program.stdout.readline() == b"started\n"
        eventually(lambda: blocks_of(path), 20, "a first block")
        os.kill(program.pid, signal.SIGKILL)
    spans = sum(len(block.get("spans", {}).get("id", ())) for block in blocks_of(path))
    assert spans == 100
    (stuck,) = [entry for block in blocks_of(path) for entry in block.get("open", ())]
    labels = [label for block in blocks_of(path) for label in block.get("labels", ())]
    assert "stuck" in labels
    assert stuck[3] == 1


def test_nothing_of_the_run_is_kept(tmp_path):
    class Value:
        pass

    refs = []

    def make():
        value = Value()
        refs.append(weakref.ref(value))
        return value

    report = Report(tmp_path / "run.html")
    with AsyncExecutor() as executor:
        executor.run([op(make)()], observers=[report])
        gc.collect()
        assert refs[0]() is None
