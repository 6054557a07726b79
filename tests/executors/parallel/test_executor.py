"""`ParallelExecutor` as a program uses it: its processes, its values, what they share."""

import logging
import os
import signal
import stat
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import psutil
import pytest

from dask_dispatcher import (
    DeferredFuture,
    Err,
    ExecutorError,
    NoWorkersError,
    Ok,
    ParallelExecutor,
    WorkerLostError,
    op,
)
from dask_dispatcher.executors.parallel import crew, process
from dask_dispatcher.executors.parallel.cores import count_cores
from dask_dispatcher.executors.parallel.sending import Sender
from tests.support import eventually
from tests.support.gates import Gate
from tests.support.moved import run_and_note_moved

WAIT = 20.0


def workers():
    """Return the worker processes of this program."""
    children = psutil.Process().children()
    return [child.pid for child in children if "parallel.worker" in " ".join(child.cmdline())]


def pid(*_):
    return os.getpid()


def where(array):
    return os.getpid(), array.flags.writeable


# Processes


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True])
def test_a_number_of_workers_that_makes_no_sense(count):
    with pytest.raises((ValueError, TypeError), match="max_workers"):
        ParallelExecutor(count)


def test_no_process_before_the_first_run():
    with ParallelExecutor(2):
        assert workers() == []


def test_nodes_run_in_other_processes_side_by_side(executor, gate):
    run = executor.start([op(gate.passing)(), op(gate.passing)()])
    pids = gate.wait(2)
    assert len(set(pids)) == 2
    assert os.getpid() not in pids
    assert set(pids) == set(workers())
    gate.open()
    assert all(result.is_ok() for result in run.results(WAIT))


def test_processes_are_kept_from_run_to_run_and_over_a_reset(executor):
    first = executor.compute(op(pid)())
    executor.reset()
    before = set(workers())
    assert first in before
    assert executor.compute(op(pid)()) in before


def test_no_more_processes_than_asked_for(tmp_path):
    gate = Gate(tmp_path)
    with ParallelExecutor(1) as executor:
        run = executor.start([op(gate.passing)() for _ in range(3)])
        gate.wait()
        assert len(workers()) == 1
        gate.open()
        run.results(WAIT)
        assert len(set(gate.pids)) == 1


def test_close_ends_them_in_the_midst_of_a_call(gate):
    with ParallelExecutor(2) as executor:
        run = executor.start([op(gate.passing)() for _ in range(2)])
        gate.wait(2)
    assert workers() == []
    assert all(isinstance(result, Err) for result in run.results(WAIT))
    executor.close()
    with pytest.raises(ExecutorError):
        executor.compute(op(pid)())


def test_runs_that_wait_for_a_worker_are_not_looked_at_for_each_that_comes(gate, monkeypatch):
    looks = []
    give = Sender._give

    def counted(sender, job):
        looks.append(job)
        return give(sender, job)

    monkeypatch.setattr(Sender, "_give", counted)
    with ParallelExecutor(1) as executor:
        runs = [executor.start([op(gate.passing)()])]
        gate.wait()
        runs += [executor.start([op(pid)()]) for _ in range(100)]
        done = threading.Event()
        executor._engine.post(done.set)
        assert done.wait(WAIT)
        assert len(looks) < 100  # one for each run of those that had come was 5,000
        gate.open()
        assert all(run.results(WAIT)[0].is_ok() for run in runs)


def test_two_executors_have_processes_of_their_own(executor):
    with ParallelExecutor(1) as other:
        assert executor.compute(op(pid)()) != other.compute(op(pid)())


def test_what_nodes_print_is_the_users(executor, capfd):
    executor.compute([op(print)("to stdout"), op(lambda: sys.stderr.write("to stderr"))()])
    executor.close()
    out, err = capfd.readouterr()
    assert "to stdout" in out
    assert "to stderr" in err


# Processes that do not come up


def test_workers_that_end_as_soon_as_they_start(executor, monkeypatch):
    monkeypatch.setattr(process, "_PROGRAM", "raise SystemExit(5)")
    (result,) = executor.start([op(pid)()]).results(WAIT)
    assert type(result.error) is WorkerLostError
    assert "as soon as they start: exit code 5" in str(result.error)


def test_workers_that_never_say_a_word(executor, monkeypatch):
    monkeypatch.setattr(process, "_PROGRAM", "import time; time.sleep(1000)")
    monkeypatch.setattr(crew, "_START_SECONDS", 0.05)
    (result,) = executor.start([op(pid)()]).results(WAIT)
    assert type(result.error) is WorkerLostError
    assert "killed by SIGKILL" in str(result.error)


def test_a_narrow_graph_gets_a_second_worker_if_its_calls_are_worth_it():
    layer = [op(time.sleep)(0.003) for _ in range(4)]
    for _ in range(9):
        layer = [op(lambda *_: time.sleep(0.003))(*layer) for _ in range(4)]
    with ParallelExecutor(2) as executor:
        executor.compute(layer)
        assert len(workers()) == 2


def test_a_lost_value_of_a_cancelled_run_is_computed_again(tmp_path):
    gate, maker = Gate(tmp_path), tmp_path / "maker"

    def make():
        maker.write_text(str(os.getpid()))
        return np.ones(100_000)

    with ParallelExecutor(2) as executor:
        made, held = op(make)(), op(gate.passing)()
        run = executor.start([made, held])
        gate.wait()
        next(iter(run.as_completed()))
        run.cancel()
        gate.open()
        future = run.results(WAIT)[0].unwrap()
        os.kill(int(maker.read_text()), signal.SIGKILL)
        assert future.fetch(WAIT).sum() == 100_000


def test_workers_that_close_their_channel(executor, monkeypatch):
    monkeypatch.setattr(
        process, "_PROGRAM", "import os, time; os.close({channel}); time.sleep(1000)"
    )
    monkeypatch.setattr(process, "_PATIENCE", 0.05)
    (result,) = executor.start([op(pid)()]).results(WAIT)
    assert type(result.error) is WorkerLostError


def test_after_a_failed_start_the_next_run_works(executor, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(process, "_PROGRAM", "raise SystemExit(5)")
        assert isinstance(executor.start([op(pid)()]).results(WAIT)[0], Err)
    assert executor.compute(op(abs)(-1)) == 1


def test_one_failed_start_is_nothing_to_speak_of(executor, monkeypatch, tmp_path, caplog):
    flag = tmp_path / "failed once"
    faulty = f"import os, pathlib; flag = pathlib.Path({str(flag)!r})\nif not flag.exists(): flag.touch(); os._exit(7)\n"
    monkeypatch.setattr(process, "_PROGRAM", faulty + process._PROGRAM)
    with caplog.at_level(logging.INFO, "dask_dispatcher"):
        assert executor.compute(op(abs)(-1)) == 1
    assert "exit code 7" in caplog.text


# Large values


def test_arrays_are_read_only_wherever_they_are_used(executor):
    made = op(np.zeros)(100_000)
    beside = [op(where)(made) for _ in range(2)]
    assert not any(writeable for _, writeable in executor.compute(beside))


def test_a_literal_array_is_read_only_too_and_the_users_own_stays_as_it_is(executor):
    array = np.zeros(100_000)
    assert executor.compute(op(where)(array))[1] is False
    assert array.flags.writeable


def test_a_node_goes_where_its_bytes_are(executor, gate):
    def held(_):
        passing()
        return np.zeros(1_000_000), os.getpid()

    passing = gate.passing
    used = [op(lambda pair: (pair[1], os.getpid()))(op(held)(number)) for number in range(2)]
    run = executor.start(used)
    gate.wait(2)  # one on each worker, so that neither is busy when it has made its own
    gate.open()
    for result in run.results(WAIT):
        maker, user = result.unwrap().fetch()
        assert maker == user


def test_values_move_from_process_to_process(executor, gate):
    def held(value):
        passing()
        return np.full(100_000, float(value)), os.getpid()

    passing = gate.passing
    one, two = op(held)(1), op(held)(2)
    both = op(lambda a, b: (float(a[0].sum() + b[0].sum()), a[1] != b[1]))(one, two)
    run = executor.start([both])
    gate.wait(2)
    gate.open()
    (result,) = run.results(WAIT)
    assert result.unwrap().fetch() == (300_000.0, True)


def test_a_value_stays_until_nobody_refers_to_it(executor, starts_log):
    record = starts_log.record

    class Watched:
        def __init__(self):
            self.data = bytearray(10_000)

        def __del__(self):
            record("gone")

    node = op(lambda: Watched())()
    (result,) = executor.run([node])
    assert executor.compute(op(lambda value: len(value.data))(result.unwrap())) == 10_000
    assert starts_log.counts()["gone"] == 0
    del result
    eventually(lambda: starts_log.counts()["gone"] == 1)


def test_values_between_nodes_go_as_soon_as_they_are_used(starts_log, gate):
    record, passing = starts_log.record, gate.passing

    class Watched:
        def __init__(self):
            self.data = bytearray(10_000)

        def __del__(self):
            record("gone")

    node = op(lambda: Watched())()
    size = op(lambda value: len(value.data))(node)
    held = op(lambda size: passing())(size)
    with ParallelExecutor(1) as executor:
        run = executor.start([held])
        gate.wait()
        eventually(lambda: starts_log.counts()["gone"] >= 1)
        gate.open()
        run.results(WAIT)


def test_what_memory_cannot_hold_is_written_to_files_that_are_nobody_elses(executor):
    executor._engine.memory_limit = 1_000_000
    folder = Path(executor._engine._folder)
    nodes = [op(np.full)(100_000, float(n)) for n in range(8)]
    results = executor.run(nodes)
    eventually(lambda: folder.exists() and len(list(folder.iterdir())) >= 6)  # one stays with each
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.parent == Path(tempfile.gettempdir())
    values = executor.gather(results)
    assert [value[0] for value in values] == list(range(8))
    assert (
        executor.compute(
            op(lambda *arrays: float(sum(map(np.sum, arrays))))(*[r.unwrap() for r in results])
        )
        == 2_800_000
    )
    del results, values
    eventually(lambda: not list(folder.iterdir()))
    executor.close()
    assert not folder.exists()


def test_where_workers_cannot_read_the_program_its_literals_alone_go_to_files(
    executor, monkeypatch
):
    blind = (
        "import dask_dispatcher.executors.parallel.worker as w; w.is_readable = lambda _: False; "
    )
    monkeypatch.setattr(process, "_PROGRAM", blind + process._PROGRAM)
    folder, literal = Path(executor._engine._folder), np.arange(100_000.0)
    run = executor.start([op(np.add)(literal, n) for n in range(3)])
    (*_, result) = run.results(WAIT)
    np.testing.assert_equal(executor.gather([result])[0], literal + 2)
    assert result.is_ok()
    eventually(lambda: not list(folder.iterdir()))  # the literal's, which ends with the run


def test_where_processes_cannot_read_each_others_memory_files_do_as_well(executor, monkeypatch):
    blind = "import dask_dispatcher.executors.parallel.memory as m; m._process_vm_readv = None; "
    monkeypatch.setattr(process, "_PROGRAM", blind + process._PROGRAM)
    monkeypatch.setattr("dask_dispatcher.executors.parallel.memory._process_vm_readv", None)
    literal = np.arange(100_000.0)
    made = [op(np.add)(literal, n) for n in range(4)]
    total = op(lambda *arrays: float(sum(a.sum() for a in arrays)))(*made)
    assert executor.compute(total) == 4 * literal.sum() + 6 * 100_000
    (result,) = executor.run([made[0]])
    np.testing.assert_equal(result.unwrap().fetch(), literal)
    executor.close()
    assert not Path(executor._engine._folder).exists()


def test_nothing_is_left_of_a_run_that_nobody_refers_to(executor):
    class Leaf:
        pass

    def run():
        leaf = Leaf()
        future = executor.run([op(np.zeros)(10_000)])[0].unwrap()
        node = op(lambda leaf, array: 1)(leaf, future)
        assert executor.compute(node) == 1
        return weakref.ref(leaf)

    gone = run()
    eventually(lambda: gone() is None)


# Functions


def test_whatever_cloudpickle_takes_can_be_called(executor):
    captured = {"a": 1}

    class Local:
        def method(self, x):
            return x + captured["a"]

    assert executor.compute([op(lambda x: x * 2)(4), op(Local().method)(1)]) == [8, 2]


def test_a_function_of_main_needs_no_guard(tmp_path):
    import subprocess

    script = tmp_path / "script.py"
    script.write_text(
        "from dask_dispatcher import ParallelExecutor, op\n"
        "@op\n"
        "def double(x): return 2 * x\n"
        "with ParallelExecutor(2) as executor:\n"
        "    print(executor.compute(double(double(10))))\n"
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=50)
    assert (run.stdout, run.stderr) == ("40\n", "")


def test_local_modules_are_found(tmp_path, monkeypatch, executor):
    (tmp_path / "only_here.py").write_text("def answer(): return 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here

    assert executor.compute(op(only_here.answer)()) == 42
    sys.modules.pop("only_here")


# What nodes share


def test_resources_bound_what_runs_at_once(tmp_path):
    gate = Gate(tmp_path)
    with ParallelExecutor(2, resources={"GPU": 1}) as executor:
        step = op(gate.passing, resources={"GPU": 1})
        run = executor.start([step(), step(), op(gate.passing)()])
        gate.wait(2)
        assert len(gate.pids) == 2
        gate.open()
        assert all(isinstance(result, Ok) for result in run.results(WAIT))


def test_resources_that_are_not_there(executor):
    (result,) = executor.run([op(pid, resources={"GPU": 1})()], raise_errors=False)
    assert type(result.error) is NoWorkersError


def test_what_is_urgent_begins_first(starts_log):
    record = starts_log.record
    with ParallelExecutor(1) as executor:
        nodes = [op(record, priority=n, label=str(n))(str(n)) for n in range(6)]
        executor.run(nodes)
    assert [start.label for start in starts_log.starts()] == ["5", "4", "3", "2", "1", "0"]


def test_a_heavy_node_holds_nobody_up(executor, gate):
    light, heavy = op(abs), op(gate.passing)
    executor.compute([light(-n) for n in range(2_000)])  # by now it is known to be quick
    run = executor.start([light(-n) if n != 500 else heavy() for n in range(1_000)])
    gate.wait()
    done = set()
    for node, result in run.as_completed():
        done.add(node)
        if len(done) == 999:
            gate.open()
        assert result.is_ok()
    assert len(done) == 1_000


def test_runs_from_many_threads(executor):
    answers = {}

    def run(n):
        answers[n] = executor.compute(op(sum)([op(pow)(n, 2), op(abs)(-n)]))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert answers == {n: n * n + n for n in range(8)}


def test_observers_hear_how_much_was_moved(executor):
    def make(mine, other):
        mine.put(True)
        other.fetch(timeout=WAIT)  # so that the two run in two processes
        return np.zeros(100_000)

    futures = DeferredFuture(), DeferredFuture()
    first, second = op(make)(*futures), op(make)(*reversed(futures))
    total = op(lambda a, b: float(a.sum() + b.sum()))(first, second)
    moved = run_and_note_moved(executor, total)
    assert moved[first] == moved[second] == 0
    assert 800_000 <= moved[total] < 1_000_000


def test_libraries_in_workers_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    limits = op(lambda: [os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")])
    for workers, threads in [(1, count_cores()), (1_000, 1)]:
        with ParallelExecutor(workers) as executor:
            assert executor.compute(limits()) == [str(threads), "7"]


def test_an_array_that_its_only_user_failed_on_is_there_for_another_attempt(tmp_path):
    @op(retries=1)
    def add_up(array, number):
        marker = tmp_path / str(number)
        if not marker.exists():
            marker.touch()
            raise ValueError("the first attempt")
        return float(array.sum())

    def sums(start):
        return [add_up(op(np.ones)(1_000), number) for number in range(start, start + 50)]

    with ParallelExecutor(1) as executor:
        for start in (0, 50):  # of arrays that pass within a slice it knows in the second run
            assert executor.compute(sums(start)) == [1_000.0] * 50
