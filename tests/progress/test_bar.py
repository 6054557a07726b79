"""`ProgressBar`: live on a terminal, one line at the end elsewhere."""

import io
import os
import pty
import re
import subprocess
import sys
import threading

import pytest
from rich.console import Console

from dask_dispatcher import AsyncExecutor, ProgressBar, op
from dask_dispatcher.events import Progressed, RunEnded, RunStarted


def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)


def plain():
    return Console(file=io.StringIO(), force_terminal=False, width=100)


def text_of(console):
    return console.file.getvalue()


BATCHES = (
    [RunStarted(0.0, 4)],
    [Progressed(0.1, 4, 1, 0)],
    [Progressed(0.2, 4, 2, 1)],
    [Progressed(0.3, 4, 3, 1), RunEnded(0.3, 4, 3, 1)],
)


def test_a_terminal_sees_the_counts_grow():
    console = terminal()
    bar = ProgressBar(console, period=0)
    seen = []
    for batch in BATCHES:
        bar.on_events(batch)
        seen.append(text_of(console))
    assert "0/4" in seen[0]
    assert "1/4" in seen[1]
    assert "1/4" not in seen[0]
    assert "3/4" in seen[2]
    assert "1 failed" in seen[2]
    assert "4/4 nodes, 1 failed" in seen[3].splitlines()[-1]


def test_a_terminal_gets_its_cursor_back():
    console = terminal()
    bar = ProgressBar(console, period=0)
    for batch in BATCHES:
        bar.on_events(batch)
    text = text_of(console)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert "\x1b" not in text.splitlines()[-1].rpartition("4/4")[2]


def test_a_short_run_draws_no_picture():
    console = terminal()
    bar = ProgressBar(console, period=60)
    for batch in BATCHES:
        bar.on_events(batch)
    assert re.fullmatch(r"4/4 nodes, 1 failed, [\d.]+ s\n", text_of(console))


def test_elsewhere_nothing_is_written_before_the_end():
    console = plain()
    bar = ProgressBar(console, period=0)
    for batch in BATCHES[:-1]:
        bar.on_events(batch)
    assert text_of(console) == ""
    bar.on_events(BATCHES[-1])
    assert re.fullmatch(r"4/4 nodes, 1 failed, [\d.]+ s\n", text_of(console))


def fail():
    raise ValueError


@pytest.mark.parametrize("console", [terminal, plain])
def test_a_run_of_nothing(console):
    made = console()
    with AsyncExecutor() as executor:
        executor.run([], observers=[ProgressBar(made)])
    assert "0/0 nodes" in text_of(made)


def test_labels_have_rows_of_their_own_and_the_footer_says_the_rest():
    console = terminal()
    gate = Gate()
    evil = "load\x1b[31m\u202e"
    nodes = [
        op(int, label=evil)("1"),
        op(gate, label="held")(),
        op(fail, label="bad", retries=1, retry_delay=0)(),
    ]
    bar = ProgressBar(console, period=0)
    with AsyncExecutor() as executor:
        run = executor.start(nodes, observers=[bar, Opener(gate, console)])
        run.results(20)
    text = text_of(console)
    assert "load\\x1b[31m\\u202e" in text
    assert "1 running" in text
    assert "about " in text
    assert "1 tried again" in text
    assert text.splitlines()[-1].endswith("s")
    assert "3/3 nodes, 1 failed, 1 tried again" in text


class Gate:
    """A node that ends when it is told to."""

    def __init__(self):
        self.event = threading.Event()

    def __call__(self):
        assert self.event.wait(20)


class Opener:
    """Opens the gate once all else has been drawn as done."""

    counts_only = True

    def __init__(self, gate, console):
        self.gate = gate
        self.console = console

    def on_events(self, batch):
        if isinstance(batch[-1], Progressed) and "2/3" in text_of(self.console):
            self.gate.event.set()


def test_a_bar_can_see_one_run_after_the_other():
    console = plain()
    bar = ProgressBar(console)
    with AsyncExecutor() as executor:
        for count in (1, 2):
            executor.run([op(int)("1") for _ in range(count)], observers=[bar])
    assert [line.split(" ")[0] for line in text_of(console).splitlines()] == ["1/1", "2/2"]


def test_single_nodes_cost_nothing():
    assert ProgressBar.counts_only


PROGRAM = """
import sys, time
from dask_dispatcher import AsyncExecutor, op
def nap(x):
    time.sleep(0.05)
with AsyncExecutor(max_workers=1) as executor:
    executor.run([op(nap)(n) for n in range(20)], progress=True)
"""


def test_a_real_terminal_is_found_and_left_clean():
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stderr=theirs, env={**os.environ, "TERM": "xterm"}
    ) as program:
        os.close(theirs)
        text = b""
        while chunk := read_some(ours):
            text += chunk
    os.close(ours)
    assert program.returncode == 0
    shown = text.decode()
    assert "running" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1
    assert re.search(r"20/20 nodes, [\d.]+ s\r\n$", shown)


def read_some(descriptor):
    try:
        return os.read(descriptor, 10_000)
    except OSError:  # the other end is closed
        return b""


def test_a_short_run_does_not_wait_for_rich():
    code = (
        "import sys; from dask_dispatcher import AsyncExecutor, op\n"
        "with AsyncExecutor() as e: e.run([op(int)('1')], progress=True)\n"
        "print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert done.stderr.startswith("1/1 nodes")
