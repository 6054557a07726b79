"""`WorkerProcess`: started, talked to, killed, and buried once."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from dask_dispatcher import ExecutorError, ParallelExecutor, op
from dask_dispatcher.executors.parallel import process
from dask_dispatcher.executors.slices.columns import to_columns
from tests.executors.parallel.controller import Controller, is_running
from tests.support import eventually


def program(monkeypatch, text):
    """Let workers be another program; its descriptors are ``{channel}`` and ``{cell}``."""
    monkeypatch.setattr(process, "_PROGRAM", text)


def test_what_is_sent_before_it_is_there_arrives(controller):
    assert controller.compute(op(abs)(-3)) == [3]


def test_it_is_open_once_it_has_said_who_it_is(controller):
    worker = controller.worker
    assert not worker.is_open
    worker.identity = controller.ready()
    assert worker.identity[0] == worker.pid
    assert worker.is_open
    assert worker.is_idle
    assert worker.name == f"process {worker.pid}"
    assert str(worker.pid) in repr(worker)


def test_it_finds_the_programs_modules(controller):
    assert controller.compute(op(lambda: sys.path)()) == [sys.path]


def test_it_leads_a_session_of_its_own_and_reads_nothing(controller):
    def look():
        return os.getsid(0), os.getpgid(0), sys.stdin.read()

    pid = controller.worker.pid
    assert controller.compute(op(look)()) == [(pid, pid, "")]


def test_it_inherits_no_descriptor_that_is_not_its_own(tmp_path):
    def look():
        folder = "/proc/self/fd"
        return [os.path.realpath(f"{folder}/{name}") for name in os.listdir(folder)]

    with open(tmp_path / "secret", "w") as file:
        os.set_inheritable(file.fileno(), True)
        with Controller(tmp_path / "files") as controller:
            (names,) = controller.compute(op(look)())
    assert names
    assert not any("secret" in name for name in names)


# Its end


def test_a_kill_is_noticed_and_named(controller):
    controller.ready()
    controller.call(controller.worker.kill)
    assert controller.end() == "killed by SIGKILL"
    assert controller.worker.is_gone
    assert not controller.worker.is_open
    assert not psutil.pid_exists(controller.worker.pid)


def test_one_that_is_dead_already_is_told_in_vain(controller, caplog):
    controller.ready()
    pid = controller.worker.pid

    def tell():
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        for _ in range(20):  # a few of which asyncio lets pass
            controller.worker.send("cancel", 0, [])

    controller.call(tell)
    assert controller.end() == "killed by SIGKILL"
    assert [record.message for record in caplog.records] == []


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ("os._exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGTERM)", "killed by SIGTERM"),
        ("os.kill(os.getpid(), signal.SIGRTMIN + 3)", f"killed by signal {signal.SIGRTMIN + 3}"),
    ],
)
def test_the_reason_in_words(controller, ending, reason):
    controller.give(op(eval)(ending, {"os": os, "signal": signal}))
    assert controller.end() == reason


def test_it_is_buried_once(controller):
    controller.ready()
    for _ in range(2):
        controller.call(controller.worker.kill)
        controller.call(controller.worker.end)
    assert controller.end() == "killed by SIGKILL"
    assert controller.ends.empty()
    controller.send("slice", "to nobody")  # and nothing happens


def test_one_that_was_killed_in_its_first_moment(tmp_path):
    with Controller(tmp_path) as controller:
        controller.call(controller.worker.kill)
        assert controller.end() == "killed by SIGKILL"
        assert controller.heard.empty()


def test_one_that_cannot_even_begin(tmp_path, monkeypatch):
    program(monkeypatch, "raise SystemExit(5)")
    with Controller(tmp_path) as controller:
        assert controller.end() == "exit code 5"


def test_one_that_closes_its_channel_and_lives_on(tmp_path, monkeypatch):
    program(monkeypatch, "import os, time; os.close({channel}); time.sleep(1000)")
    monkeypatch.setattr(process, "_PATIENCE", 0.1)
    with Controller(tmp_path) as controller:
        assert controller.end() == "killed by SIGKILL"
        assert not psutil.pid_exists(controller.worker.pid)


def test_one_that_never_says_a_word_is_there_until_it_is_killed(tmp_path, monkeypatch):
    program(monkeypatch, "import time; time.sleep(1000)")
    with Controller(tmp_path) as controller:
        for _ in range(50):
            controller.send("a message that nobody reads", b"x" * 100_000)
        assert not controller.worker.is_open
        assert controller.ends.empty()
        controller.call(controller.worker.kill)
        assert controller.end() == "killed by SIGKILL"


def test_what_its_nodes_have_started_goes_with_it(controller):
    def start():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        return child.pid

    (pid,) = controller.compute(op(start)())
    assert psutil.pid_exists(pid)
    controller.call(controller.worker.kill)
    controller.end()
    eventually(lambda: not is_running(pid))


def test_what_it_has_said_before_its_end_is_heard(controller, gate):
    """Even if the loop learns of the end first."""
    _, given = controller.packed(op(abs)(-1), op(gate.passing)())
    columns = to_columns(given.pop())
    controller.ready()

    def end_it():  # in the loop's thread, which therefore reads nothing meanwhile
        controller.worker.send("slice", 5, 1, columns, tuple(given), 0.0, False, False)
        gate.wait()  # the first node has been reported
        controller.worker.kill()
        controller.worker.end()

    controller.call(end_it)
    assert controller.report().values == {0: 1}


def test_a_worker_that_cannot_be_started_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "not there"))
    with ParallelExecutor(2) as executor:
        with pytest.raises(ExecutorError, match="no worker process can be started"):
            executor.compute(op(abs)(1))


# The cell


def test_the_cell_tells_where_it_is(controller, gate):
    first, held, last = op(abs)(1), op(gate.passing)(), op(abs)(2)
    controller.ready()
    assert controller.worker.node_of(1) == -1
    serial, local = controller.give(first, held, last)
    gate.wait()
    assert controller.worker.node_of(serial) == local.number(held)
    assert 0 <= controller.worker.seconds_in_node() < 20
    assert controller.worker.node_of(serial + 1) == -1  # not begun
    gate.open()
    controller.ended()
    assert controller.worker.node_of(serial) is None


def test_the_cell_outlives_the_process(controller, gate):
    held = op(gate.passing)()
    _, local = controller.give(op(abs)(1), held)
    gate.wait()
    controller.call(controller.worker.kill)
    controller.end()
    assert controller.last_node == local.number(held)
