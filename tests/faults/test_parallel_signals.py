"""What befalls the program itself: rows 16, 17 and 20 for ParallelExecutor, in programs of their own."""

import contextlib
import os
import signal

import pytest
from tests.support import eventually
from tests.support.programs import LINGERING, Program, ends_at_a_second_sigint, has_ended
from tests.support.trials import check_stderr

from dask_dispatcher import op

BUSY = """
import ctypes, os, signal, sys, threading, time
import numpy
from dask_dispatcher import ParallelExecutor, op
from dask_dispatcher.executors.parallel.engine import ParallelEngine

ParallelEngine.memory_limit = 1_000_000
marks = sys.argv[1]

def begin(number):
    os.close(os.open(f"{marks}/{number}", os.O_CREAT))

@op
def sleeps(number, _):
    begin(number)
    time.sleep(600)

@op
def deaf(number, _):
    "Blocks in C, with the interpreter's lock held."
    begin(number)
    ctypes.PyDLL(None).sleep(600)

@op
async def waits(_):
    import asyncio

    await asyncio.Event().wait()

def tell():
    while len(os.listdir(marks)) < {count}:
        time.sleep(0.01)
    print("begun", flush=True)

arrays = [op(numpy.ones)(200_000) for _ in range(4)]
begun = waits(arrays), {kind}(0, arrays), {kind}(1, arrays)
threading.Thread(target=tell, daemon=True).start()
executor = ParallelExecutor(2)
"""

WHEN_TOLD = """
signal.signal(signal.SIGUSR1, lambda *_: {})
run = executor.start(begun)
time.sleep(600)
"""


@pytest.fixture
def begin(tmp_path):
    """Start programs that are in the middle of a run, with files in their folder."""
    with contextlib.ExitStack() as stack:

        def start(text, kind="sleeps"):
            marks, folder = tmp_path / "marks", tmp_path / "tmp"
            marks.mkdir()
            folder.mkdir()
            # One that is deaf cannot give back what is queued behind it.
            busy = BUSY.replace("{kind}", kind).replace("{count}", "1" if kind == "deaf" else "2")
            text = busy + text
            program = stack.enter_context(Program(text, str(marks), folder=folder))
            program.says("begun")
            program.folder = folder
            program.workers = program.children()
            assert program.workers
            assert os.listdir(folder), "values went to files"
            return program

        yield start


def check_workers_end(program):
    """Check V5."""
    eventually(lambda: all(map(has_ended, program.workers)), 5, "the workers to end")


def check_nothing_left(program):
    """Check V5 and V6."""
    check_workers_end(program)
    assert os.listdir(program.folder) == []


# Row 16


@pytest.mark.parametrize("kind", ["sleeps", "deaf"])
def test_the_program_is_killed(begin, kind):
    program = begin("executor.run(begun)", kind)
    program.signal(signal.SIGKILL)
    program.ends(-signal.SIGKILL)
    check_workers_end(program)


def test_the_program_leaves_without_closing(begin):
    program = begin(WHEN_TOLD.format("os._exit(3)"))
    program.signal(signal.SIGUSR1)
    program.ends(3)
    check_workers_end(program)


def test_the_interpreter_ends_without_closing(begin):
    program = begin(WHEN_TOLD.format("sys.exit(4)"))
    program.signal(signal.SIGUSR1)
    _, err = program.ends(4)
    check_stderr(err)
    check_nothing_left(program)


# Row 17


def test_sigterm_ends_the_program(begin):
    program = begin("executor.run(begun)")
    program.signal(signal.SIGTERM)
    program.ends(-signal.SIGTERM)
    check_workers_end(program)


def test_sigterm_handled_as_an_exit(begin):
    text = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
with executor:
    executor.run(begun)
"""
    program = begin(text)
    program.signal(signal.SIGTERM)
    assert program.ends(5) == ("", "")
    check_nothing_left(program)


@pytest.mark.parametrize("kind", ["sleeps", "deaf"])
def test_sigint_gives_one_keyboard_interrupt(begin, kind):
    text = """
with executor:
    count = 0
    try:
        executor.run(begun)
    except KeyboardInterrupt:
        count += 1
    assert executor.compute(op(pow)(2, 10)) == 1024
print(count)
"""
    program = begin(text, kind)
    program.signal(signal.SIGINT)
    assert program.ends(0) == ("1\n", "")
    check_nothing_left(program)


def test_sigint_to_the_whole_group_as_a_terminal_sends_it(begin):
    program = begin("with executor:\n    executor.run(begun)\n")
    os.killpg(program.pid, signal.SIGINT)
    _, err = program.ends(-signal.SIGINT)
    assert err.count("Traceback") == 1
    assert err.endswith("KeyboardInterrupt\n")
    check_nothing_left(program)


def test_a_second_sigint_ends_what_the_first_did_not(begin):
    program = begin(LINGERING)
    ends_at_a_second_sigint(program)
    check_nothing_left(program)


def test_two_sigints_in_a_row(begin):
    """The second may come anywhere in what the first has set off."""
    program = begin("with executor:\n    executor.run(begun)\n")
    program.signal(signal.SIGINT)
    program.signal(signal.SIGINT)
    program.ends(-signal.SIGINT)
    check_nothing_left(program)


def test_a_stray_sigint_to_an_idle_worker(trial):
    pid = trial.executor.compute(op(os.getpid)())
    os.kill(pid, signal.SIGINT)
    trial.check_works()
    assert trial.executor.compute(op(os.getpid)()) == pid


# Row 20


FEW_DESCRIPTORS = """
import gc, os, resource, sys
import dask_dispatcher.executors.parallel.engine
from dask_dispatcher import ExecutorError, ParallelExecutor, op

open_now = len(os.listdir("/proc/self/fd"))
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
said = []
for spare in (*range(20), 30, 64):
    before = sorted(os.listdir("/proc/self/fd"))
    executor = ParallelExecutor(2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + spare, hard))
    try:
        value = executor.compute([op(pow)(n, 2) for n in range(20)])
    except ExecutorError as error:
        said.append(str(error))
    else:
        assert value == [n * n for n in range(20)], value
        said.append("done")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert executor.compute(op(abs)(-1)) == 1
    executor.close()
    gc.collect()
    left = sorted(set(os.listdir("/proc/self/fd")) - set(before))
    assert not left, (spare, left)
print(*said, sep="\\n")
"""


def test_few_descriptors():
    with Program(FEW_DESCRIPTORS) as program:
        out, err = program.ends(0)
    said = out.splitlines()
    assert "Too many open files" in said[0]
    assert said[-1] == "done"
    assert all("Too many open files" in text or text == "done" for text in said), out
    assert err == ""
