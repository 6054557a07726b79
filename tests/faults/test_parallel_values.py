"""Values that are lost, too large, or cannot travel: rows 10, 19 and 23 for ParallelExecutor."""

import errno
import os
import resource
import signal
import subprocess
import tempfile
import threading

import numpy
import psutil
import pytest
from tests.support import eventually
from tests.support.programs import Program
from tests.support.trials import BOUND, Fails

from dask_dispatcher import RemoteError, SerializationError, op
from dask_dispatcher.executors.parallel.engine import ParallelEngine

LARGE = 25_000_000  # float64: 200 MB


# Row 10


def test_a_worker_is_killed_while_the_program_reads_its_200_mb(trial):
    record = trial.log.record
    run = trial.start([op(lambda: record("make") or numpy.arange(LARGE), label="make")()])
    (future,) = (result.unwrap() for result in run.results(BOUND))
    memory = psutil.Process().memory_info
    before = memory().rss
    found = []
    thread = threading.Thread(target=lambda: found.append(future.fetch(BOUND)))
    thread.start()
    while memory().rss < before + (20 << 20) and not found:
        pass
    os.kill(trial.log.pids("make")[0], signal.SIGKILL)
    thread.join(BOUND)
    (value,) = found
    assert value.shape == (LARGE,)
    assert (value[0], value[LARGE // 2], value[-1]) == (0, LARGE // 2, LARGE - 1)
    assert int(value.sum()) == LARGE * (LARGE - 1) // 2
    assert trial.log.counts()["make"] <= 2


def test_a_worker_is_killed_while_it_pickles_a_result(trial, gate):
    record, passing = trial.log.record, gate.passing

    class Slow:
        def __reduce__(self):
            passing()
            return list, ((1, 2, 3),)

    node = op(lambda: record("make") or [Slow(), b"x" * 200_000_000], label="make")()
    run = trial.start([op(lambda x: (x[0], len(x[1])), label="use")(node)])
    os.kill(gate.wait()[0], signal.SIGKILL)
    gate.open()
    trial.check(run, [([1, 2, 3], 200_000_000)])
    assert trial.log.counts()["make"] == 2


def test_a_worker_is_killed_while_it_writes_a_result_to_a_file(trial, monkeypatch):
    monkeypatch.setattr(ParallelEngine, "memory_limit", 1_000_000)
    record = trial.log.record

    def make(label):
        record(label)
        return numpy.arange(LARGE)

    names = ["make-0", "make-1"]
    nodes = [op(make, label=name, workers=None)(name) for name in names]
    total = op(lambda *a: int(sum(x.sum() for x in a)), label="total")(*nodes)
    run = trial.start([total])
    folder = trial.executor._engine._folder

    def writer():
        """Return the process that has a file half written."""
        for start in trial.log.starts():
            for path in _open_files(start.pid, folder):
                if 0 < os.path.getsize(path) < 8 * LARGE:
                    return start.pid
        return None

    pid = None
    while pid is None and not run.done():
        pid = writer()
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
    trial.check(run, [LARGE * (LARGE - 1)])


def _open_files(pid, folder):
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
        paths = [os.readlink(f"/proc/{pid}/fd/{number}") for number in numbers]
        return [path for path in paths if path.startswith(folder) and os.path.exists(path)]
    except OSError:
        return []


# Row 19


def test_values_beyond_the_limit_go_to_files_and_come_back(trial, monkeypatch):
    monkeypatch.setattr(ParallelEngine, "memory_limit", 1_000_000)
    made = [op(lambda n: numpy.full(100_000, n), label=f"make-{n}")(n) for n in range(10)]
    sums = [op(lambda a: int(a.sum()), label=f"sum-{n}")(a) for n, a in enumerate(made)]
    run = trial.start([*made, *sums])
    run.results(BOUND)
    folder = trial.executor._engine._folder
    eventually(lambda: os.listdir(folder))
    assert os.stat(folder).st_mode & 0o777 == 0o700
    trial.check(run, [numpy.full(100_000, n) for n in range(10)] + [100_000 * n for n in range(10)])


def test_no_room_for_what_does_not_fit_in_memory(make_trial, monkeypatch):
    """It stays in memory all the same."""
    monkeypatch.setattr(ParallelEngine, "memory_limit", 1_000_000)
    trial = make_trial()

    def make(n):
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (10_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        )
        return numpy.full(100_000, n)

    made = [op(make, label=f"make-{n}")(n) for n in range(10)]
    trial.check(trial.start(made), [numpy.full(100_000, n) for n in range(10)])


@pytest.fixture
def tiny_disk(tmp_path, monkeypatch):
    """Put temporary files on a disk of one megabyte, where one can be made."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if os.geteuid() or subprocess.run(command, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("only root may mount a disk; the program below meets with a limit instead")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(tiny_disk, make_trial, monkeypatch):
    monkeypatch.setattr(ParallelEngine, "memory_limit", 1_000_000)
    trial = make_trial()
    made = [op(lambda n: numpy.full(100_000, n), label=f"make-{n}")(n) for n in range(10)]
    trial.check(trial.start(made), [numpy.full(100_000, n) for n in range(10)])
    trial.executor.close()
    assert os.listdir(tiny_disk) == []
    trial.executor = make_trial().executor


FILES_ONLY = """
import resource
import numpy
from tests.support.seccomp import forbid_reading_memory
from dask_dispatcher import ParallelExecutor, op

forbid_reading_memory()

def make(n, limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    return numpy.full(100_000, n)

@op
def use(array):
    return int(array.sum())

with ParallelExecutor(2) as executor:
    good = [op(make)(n, 10_000_000) for n in range(4)]
    bad = op(make, retries=0)(4, 10_000)
    literal = op(numpy.sum)(numpy.ones(50_000))
    nodes = [*good, *map(use, good), literal, bad, use(bad)]
    results = executor.run(nodes, raise_errors=False)
    for n in range(4):
        assert (results[n].unwrap().fetch() == n).all()
    assert executor.gather(results[4:8]) == [0, 100_000, 200_000, 300_000]
    assert results[8].unwrap().fetch() == 50_000
    for result in results[9:]:
        error = result.unwrap_err()
        assert error.node is bad
        print(type(error.__cause__).__name__, error.__cause__.errno)
    assert executor.compute(op(pow)(2, 10)) == 1024
    del results, result
"""


def test_no_room_where_only_files_can_be_shared():
    """Where the system forbids to read another process's memory, as some containers do."""
    with Program(FILES_ONLY) as program:
        out, err = program.ends(0)
    assert out == f"OSError {errno.EFBIG}\n" * 2
    assert err == ""


# Row 23


class Evil(Exception):
    """What cannot travel, in one of many ways."""


def refuse(*_):
    raise Evil("no")


class NotPicklable:
    __reduce__ = refuse


class NotUnpicklable:
    def __reduce__(self):
        return refuse, ()


class NotPicklableError(Exception):
    __reduce__ = refuse


class NotUnpicklableError(Exception):
    def __reduce__(self):
        return refuse, ()


def neighbours():
    return [op(abs)(-n) for n in range(20)]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: op(abs)(NotPicklable()), "argument 0 of abs"),
        (lambda: op(dict)(key=NotPicklable()), "argument 'key' of dict"),
        (lambda: op(len)([1, [NotPicklable()]]), "argument 0 of len"),
        (lambda: op(lambda c=NotPicklable(): c, label="closure")(), "cannot be pickled"),
        (lambda: op(NotPicklable, label="result")(), "the result, a NotPicklable"),
        (lambda: op(abs)(NotUnpicklable()), "cannot be unpickled"),
        (lambda: op(lambda c=NotUnpicklable(): c, label="closure")(), "cannot be unpickled"),
    ],
    ids=["argument", "by name", "nested", "function", "result", "unpickling", "function there"],
)
@pytest.mark.parametrize("is_large", [False, True], ids=["small", "large"])
def test_pickling_fails(steady_trial, make, text, is_large):
    node = make()
    if is_large:
        node = op(lambda value, other: other)(node, b"x" * 100_000)
    (failing,) = node.dependencies or (node,)
    after = op(list)([node])
    run = steady_trial.start([*neighbours(), node, after])
    fails = Fails(failing, SerializationError, text)
    steady_trial.check(run, [*range(20), fails, fails])


@pytest.mark.parametrize("size", [1, 100_000], ids=["small", "large"])
def test_a_result_that_cannot_be_unpickled(steady_trial, size):
    """It is a value all the same, for those who run beside it; nobody else can have it."""
    node = op(lambda: [NotUnpicklable(), b"x" * size], label="odd")()
    (result,) = steady_trial.start([node, *neighbours()]).results(BOUND)[:1]
    for _ in range(2):
        with pytest.raises(SerializationError, match="odd: a value cannot be unpickled") as caught:
            result.unwrap().fetch(BOUND)
        assert (caught.value.node, caught.value.label) == (node, "odd")
    steady_trial.check(steady_trial.start(neighbours()), [*range(20)])


def test_an_input_that_cannot_be_unpickled_fails_who_takes_it(steady_trial):
    (result,) = steady_trial.start([op(lambda: [NotUnpicklable()])()]).results(BOUND)
    user = op(len)(result.unwrap())
    run = steady_trial.start([*neighbours(), user])
    steady_trial.check(run, [*range(20), Fails(user, SerializationError, "cannot be unpickled")])


@pytest.mark.parametrize("error", [NotPicklableError, NotUnpicklableError])
def test_an_exception_that_cannot_travel(steady_trial, error):
    def fail():
        raise error("text")

    node = op(fail)()
    run = steady_trial.start([*neighbours(), node])
    steady_trial.check(run, [*range(20), Fails(node, RemoteError, error.__name__)])


def test_module_that_a_value_needs_is_not_there(steady_trial):
    class Stranger:
        def __reduce__(self):
            return _import_stranger, ()

    node = op(len)([Stranger()])
    steady_trial.check(
        steady_trial.start([node, *neighbours()]),
        [Fails(node, ModuleNotFoundError, "no_such_module"), *range(20)],
    )


def _import_stranger():
    raise ModuleNotFoundError("No module named 'no_such_module'", name="no_such_module")
