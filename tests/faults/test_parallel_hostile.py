"""Nodes that harm the process they run in: rows 21 and 22, and bad behaviour that must not matter."""

import asyncio
import os
import signal
import sys

import psutil
import pytest
from tests.support import eventually
from tests.support.programs import Program
from tests.support.trials import BOUND, Fails

from dask_dispatcher import ParallelExecutor, RemoteError, SerializationError, op


def neighbours():
    return [op(abs)(-n) for n in range(20)]


# Row 21


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_a_node_forks_and_the_child_returns(trial, tmp_path, is_coroutine):
    record, children = trial.log.record, tmp_path / "children"
    children.touch()

    def fork():
        record("fork")
        pid = os.fork()
        if pid:
            with children.open("a") as file:
                file.write(f"{pid}\n")
            return "parent"
        return "child"

    async def fork_async():
        return fork()

    node = op(fork_async if is_coroutine else fork, label="fork")()
    after = [
        op(lambda x, n: record(f"n-{n}") or f"{x} {n}", label=f"n-{n}")(node, n) for n in range(20)
    ]
    trial.check(trial.start([node, *after]), ["parent", *(f"parent {n}" for n in range(20))])
    assert set(trial.log.counts().values()) == {1}
    for pid in map(int, children.read_text().split()):
        eventually(lambda pid=pid: is_over(pid))


def is_over(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# Row 22


def test_a_node_leaves_a_grandchild_and_a_thread(starts_log):
    def leave():
        import subprocess
        import threading

        child = subprocess.Popen(
            [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"],
            stdout=subprocess.PIPE,
        )
        child.stdout.readline()
        threading.Thread(target=threading.Event().wait).start()
        return child.pid

    executor = ParallelExecutor(2)
    pids = executor.compute([op(leave)() for _ in range(3)])
    assert all(psutil.pid_exists(pid) for pid in pids)
    executor.close()
    for pid in pids:
        eventually(lambda pid=pid: is_over(pid))


def test_a_worker_that_is_killed_takes_its_grandchildren_along(trial, gate):
    record, passing = trial.log.record, gate.passing

    def leave():
        import subprocess

        record("leave")
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        record(f"child-{child.pid}")
        passing()
        return 1

    run = trial.executor.start([op(leave)()])
    os.kill(gate.wait()[0], signal.SIGKILL)
    eventually(lambda: trial.log.counts()["leave"] == 2)
    (first, *_) = [s.label for s in trial.log.starts() if s.label.startswith("child")]
    eventually(lambda: is_over(int(first.partition("-")[2])))
    gate.open()
    assert run.results(BOUND)[0].unwrap().fetch() == 1


# What a node raises


@pytest.mark.parametrize("is_coroutine", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        *(SystemExit(3), SystemExit(), KeyboardInterrupt(), asyncio.CancelledError()),
        *(GeneratorExit(), MemoryError(), StopIteration(1), BaseException("base")),
    ],
    ids=repr,
)
def test_anything_that_a_node_raises_is_an_err(steady_trial, error, is_coroutine):
    record = steady_trial.log.record

    def fail():
        record("fail")
        raise error

    async def fail_async():
        record("fail")
        raise error

    node = op(fail_async if is_coroutine else fail, label="fail")()
    kind = type(error)
    if is_coroutine and kind is StopIteration:
        kind = RuntimeError  # so the language has it
    steady_trial.check(steady_trial.start([*neighbours(), node]), [*range(20), Fails(node, kind)])
    assert steady_trial.log.counts() == {"fail": 1}
    assert not steady_trial.losses


def test_endless_recursion(steady_trial):
    def recurse(n):
        return recurse(n + 1)

    node = op(recurse)(0)
    steady_trial.check(
        steady_trial.start([*neighbours(), node]), [*range(20), Fails(node, RecursionError)]
    )


class Unshowable(Exception):
    def __str__(self):
        raise ValueError("no")

    __repr__ = __str__


class Cyclic(Exception):
    def __init__(self, *args):
        super().__init__(*args)
        self.__cause__ = self


def raise_it(make):
    raise make()


@pytest.mark.parametrize(
    ("make", "kinds"),
    [
        (Unshowable, (Unshowable, RemoteError)),
        (lambda: Cyclic("text"), (Cyclic, RemoteError)),
        (lambda: ValueError("x" * 100_000_000), (ValueError, RemoteError)),
    ],
    ids=["unshowable", "cyclic", "100 MB"],
)
def test_exceptions_that_resist(steady_trial, make, kinds):
    node = op(raise_it)(make)
    run = steady_trial.start([*neighbours(), node])
    error = run.results(BOUND)[-1].unwrap_err()
    assert isinstance(error.__cause__, kinds)
    assert error.node is node
    assert "raise make()" in error.traceback
    assert len(str(error)) < 100_000
    assert len(error.traceback) < 2_000_000
    assert len(f"{error.__cause__.args}") < 2_000_000
    steady_trial.check(steady_trial.start(neighbours()), [*range(20)])


class Refused(Exception):
    def __init__(self, who, why):
        super().__init__(f"{who} was refused: {why}")
        self.who = who


def test_an_exception_that_pickle_cannot_rebuild_is_the_users_own(steady_trial):
    def refuse():
        raise Refused("he", "no")

    asked = []
    node = op(refuse, retries=2, retry_delay=0.0, retry_on=lambda e: asked.append(e.who) or True)()
    typed = op(refuse, retries=1, retry_delay=0.0, retry_on=Refused)()
    run = steady_trial.start([node, typed])
    steady_trial.check(run, [Fails(node, Refused), Fails(typed, Refused)])
    assert [result.error.attempts for result in run.results()] == [3, 2]
    assert asked == ["he", "he"]


# What a node does to its process


def close_output():
    os.close(0)
    os.close(1)


def close_all_but_the_channel():
    sys.stdout.close()
    sys.stderr.close()
    sys.stdin.close()


def change_folder():
    import tempfile

    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


def change_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGSEGV})


def change_limits():
    import threading

    threading.stack_size(1 << 16)
    sys.setrecursionlimit(80)


def change_interpreter():
    import builtins
    import gc
    import pickle
    import random

    gc.disable()
    random.seed(1)
    sys.path.clear()
    sys.setswitchinterval(10)
    builtins.print = None
    pickle.HIGHEST_PROTOCOL = 0


def leave_its_group():
    os.setpgid(0, 0) if os.getpgrp() != os.getpid() else None
    os.environ.clear()
    os.umask(0o777)


def set_trace():
    sys.settrace(lambda *_: None)
    sys.setprofile(lambda *_: None)


@pytest.mark.parametrize(
    "harm",
    [
        *(close_output, close_all_but_the_channel, change_folder, change_signals, change_limits),
        *(change_interpreter, leave_its_group, set_trace),
    ],
)
def test_what_a_node_does_to_its_process_leaves_the_others_alone(make_trial, harm):
    trial = make_trial(1)
    record = trial.log.record
    harmful = op(lambda: record("harm") or harm() or "done", label="harm")()
    after = [
        op(lambda x, n: record(f"n-{n}") or [n], label=f"n-{n}")(harmful, n) for n in range(50)
    ]
    run = trial.start([harmful, *after])
    trial.check(run, ["done", *([n] for n in range(50))])
    large = op(lambda: b"x" * 1_000_000)()
    trial.check(trial.start([large, op(len)(large)]), [b"x" * 1_000_000, 1_000_000])


def test_a_node_closes_every_descriptor(trial):
    """Its process ends with its channel; that node is to blame, and no other."""
    record = trial.log.record
    node = op(lambda: record("close") or os.closerange(0, 1000), label="close", max_losses=1)()
    (error,) = (r.unwrap_err() for r in trial.start([node]).results(BOUND))
    assert error.node is node
    trial.check(trial.start(neighbours()), [*range(20)])
    assert trial.log.counts()["close"] <= 2


PRINTS = """
import os, sys
from dask_dispatcher import ParallelExecutor, op

@op
def talk():
    block = "x" * 1_000_000
    for _ in range(100):
        print(block)
    os.write(2, b"bytes of its own")
    sys.stdout.flush()
    return 1

with ParallelExecutor(2) as executor:
    assert executor.compute([talk(), op(abs)(-1)]) == [1, 1]
"""


def test_a_node_prints_100_mb():
    with Program(PRINTS) as program:
        out, err = program.ends(0)
    assert len(out) == 100 * 1_000_001
    assert err == "bytes of its own"


# Runs inside a node


def test_a_run_inside_a_node(trial):
    def nested(n):
        with ParallelExecutor(1) as inner:
            return inner.compute(op(pow)(n, 2) + 1)

    trial.check(trial.start([op(nested)(n) for n in range(3)]), [1, 2, 5])


def test_an_executor_cannot_be_taken_along(trial):
    executor = trial.executor
    node = op(lambda: executor.compute(op(abs)(-1)), label="nested")()
    error = trial.start([node]).results(BOUND)[0].unwrap_err()
    assert error.node is node
    assert type(error.__cause__) is SerializationError
    assert "ParallelExecutor" in str(error)
