"""What befalls the program itself: row 17 for DaskExecutor, in programs of their own."""

import contextlib
import os
import signal

import distributed
import pytest
from tests.support import eventually
from tests.support.gates import Gate
from tests.support.programs import LINGERING, Program, ends_at_a_second_sigint, has_ended

pytestmark = pytest.mark.timeout(180)  # a busy machine takes half a minute to start a cluster

BUSY = """
import os, pathlib, signal, sys, threading, time
from dask_dispatcher import DaskExecutor, op
from tests.support.gates import Gate

folder, address = sys.argv[1:]
gate = Gate(pathlib.Path(folder))
passing = gate.passing
begun = [op(lambda: passing(), label="waits")() for _ in range(2)]

def tell():
    gate.wait(2, 60)
    print("begun", flush=True)

threading.Thread(target=tell, daemon=True).start()
executor = DaskExecutor(address)
"""


@pytest.fixture
def begin(shared_cluster, tmp_path):
    """Start a program that is in the middle of a run, on a cluster of its own or of the tests'."""
    marks, folder = tmp_path / "marks", tmp_path / "tmp"
    marks.mkdir()
    folder.mkdir()
    with contextlib.ExitStack() as stack:

        def start(text, cluster):
            is_own = cluster == "embedded"
            address = "" if is_own else shared_cluster.address
            program = Program(BUSY + text, str(marks), address, folder=folder)
            stack.enter_context(program)
            program.says("begun")
            program.folder, program.address = folder, address
            program.processes = program.children()
            assert bool(program.processes) == is_own
            return program

        yield start
    Gate(marks).open()  # of the tests' workers nothing must wait there any longer


def check_nothing_left(program):
    """Check V5 and V6; of the tests' cluster all is left but the program's tasks."""
    eventually(lambda: all(map(has_ended, program.processes)), 40, "its processes to end")
    eventually(lambda: os.listdir(program.folder) == [], 40, "its files to go")
    if program.address:
        with distributed.Client(program.address, set_as_default=False) as client:
            eventually(lambda: client.run_on_scheduler(count_tasks) == 0, 40)


def count_tasks(dask_scheduler):
    return len(dask_scheduler.tasks)


# Row 17


@pytest.mark.parametrize("cluster", ["embedded", "shared"])
def test_sigterm_ends_the_program(begin, cluster):
    program = begin("executor.run(begun)", cluster)
    program.signal(signal.SIGTERM)
    program.ends(-signal.SIGTERM)
    check_nothing_left(program)


def test_sigterm_handled_as_an_exit(begin):
    text = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
with executor:
    executor.run(begun)
"""
    program = begin(text, "shared")
    program.signal(signal.SIGTERM)
    assert program.ends(5) == ("", "")
    check_nothing_left(program)


def test_a_second_sigint_ends_what_the_first_did_not(begin):
    program = begin(LINGERING, "shared")
    ends_at_a_second_sigint(program)
    check_nothing_left(program)


@pytest.mark.parametrize("cluster", ["embedded", "shared"])
def test_two_sigints_in_a_row(begin, cluster):
    """The second may come anywhere in what the first has set off."""
    program = begin("with executor:\n    executor.run(begun)\n", cluster)
    program.signal(signal.SIGINT)
    program.signal(signal.SIGINT)
    program.ends(-signal.SIGINT)
    check_nothing_left(program)
