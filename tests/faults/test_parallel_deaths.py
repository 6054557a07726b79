"""Workers that die, are killed or stand still: rows 7 to 9, 11 to 15 and 18 for ParallelExecutor."""

import contextlib
import ctypes
import os
import resource
import signal
import tempfile
from pathlib import Path

import numpy
import psutil
import pytest
from tests.support import eventually
from tests.support.gates import meeting
from tests.support.trials import BOUND, Fails, Stopped

from dask_dispatcher import DependencyError, NodeTimeoutError, WorkerLostError, op
from dask_dispatcher.executors.parallel import job
from dask_dispatcher.schedule import Schedule


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def pids_of(trial, workers=2):
    """Return the processes of so many workers, all idle."""
    with tempfile.TemporaryDirectory() as folder:
        meet = op(meeting(folder, workers))
        return trial.executor.compute([meet(n) for n in range(workers)])


# Row 7


def test_an_idle_worker_is_killed(trial):
    first, second = pids_of(trial)
    kill(first)
    eventually(lambda: is_gone(first))
    third = set(pids_of(trial)) - {second}
    assert third
    assert first not in third


def test_an_idle_worker_is_killed_while_another_is_busy(trial, gate):
    record, passing = trial.log.record, gate.passing
    idle = set(pids_of(trial))
    busy = op(lambda: record("busy") or passing() or 1, label="busy")()
    follow = op(lambda x, n: record(f"after-{n}") or x + n)
    after = [follow.options(label=f"after-{n}")(busy, n) for n in range(20)]
    run = trial.start([busy, *after])
    (pid,) = gate.wait()
    (other,) = idle - {pid}
    kill(other)
    eventually(lambda: is_gone(other))
    gate.open()
    trial.check(run, [1, *range(1, 21)])
    counts = trial.log.counts()
    assert [counts[label] for label in ("busy", "after-0", "after-19")] == [1, 1, 1]
    assert not trial.losses


def test_every_idle_worker_is_killed(trial):
    for pid in pids_of(trial):
        kill(pid)
    assert len(set(pids_of(trial))) == 2


# Row 8


def test_a_worker_is_killed_in_the_middle_of_a_node(trial, gate):
    record, passing = trial.log.record, gate.passing

    def work(label, n):
        record(label)
        if n == 3:
            passing()
        return n

    nodes = [op(work, label=f"work-{n}")(f"work-{n}", n) for n in range(40)]
    run = trial.start([*nodes, op(sum)(nodes)])
    (pid,) = gate.wait()
    gate.open()
    kill(pid)
    trial.check(run, [*range(40), sum(range(40))])
    assert trial.log.counts()["work-3"] == 2
    assert trial.losses["work-3"] == 1
    assert sum(trial.losses.values()) == 1, "only what was under way counts as lost"


@pytest.mark.parametrize("losses", [0, 1, 3])
def test_a_node_whose_losses_are_used_up_ends_alone(trial, losses):
    record = trial.log.record

    def die(label):
        record(label)
        os.kill(os.getpid(), signal.SIGKILL)

    killer = op(die, label="killer", max_losses=losses)("killer")
    innocent = [op(lambda n: record(f"in-{n}") or n, label=f"in-{n}")(n) for n in range(60)]
    follows = op(lambda x: x, label="follows")(killer)
    run = trial.start([*innocent[:30], killer, follows, *innocent[30:]])
    lost = Fails(killer, WorkerLostError, "SIGKILL")
    trial.check(run, [*range(30), lost, lost, *range(30, 60)])
    assert trial.log.counts()["killer"] == 1 + losses
    assert set(trial.losses) == {"killer"}


def test_a_killer_among_tiny_nodes_takes_none_along(make_trial):
    """One worker, so that all share a slice with it until it has been found out."""
    trial = make_trial(1)
    record = trial.log.record

    def work(n):
        if n >= 0:
            record(f"work-{n}")
        if n == 500:
            os._exit(3)
        return n

    trial.executor.run([op(work)(-1) for _ in range(100)])  # so that large slices are made
    nodes = [op(work, label=f"work-{n}")(n) for n in range(1000)]
    lost = Fails(nodes[500], WorkerLostError, "exit code 3")
    trial.check(trial.start(nodes), [*range(500), lost, *range(501, 1000)])
    # What had run before it and was not yet reported is lost once, and never again.
    assert trial.losses.pop("work-500") == 4
    assert set(trial.losses.values()) <= {1}


def test_a_killed_coroutine_runs_again(trial, gate):
    record, passing = trial.log.record, gate.passing_async

    async def wait(label):
        record(label)
        await passing()
        return label

    names = [f"co-{n}" for n in range(10)]
    run = trial.start([op(wait, label=name)(name) for name in names])
    kill(gate.wait(10)[0])
    eventually(lambda: trial.losses)
    gate.open()
    trial.check(run, names)


def test_coroutines_beside_a_poison_node_are_not_blamed(trial, gate):
    record, passing = trial.log.record, gate.passing_async

    async def wait(label):
        record(label)
        await passing()
        return label

    def die():
        record("poison")
        os._exit(1)

    poison = op(die, label="poison")()
    names = [f"co-{n}" for n in range(10)]
    run = trial.start([*(op(wait, label=name)(name) for name in names), poison])
    eventually(lambda: trial.log.counts()["poison"] == 4, BOUND)
    eventually(lambda: run._state.schedule.failed, BOUND)
    gate.open()
    trial.check(run, [*names, Fails(poison, WorkerLostError, "exit code 1")])


# Row 9


def test_a_worker_dies_that_holds_what_others_need(trial, gate):
    record, passing = trial.log.record, gate.passing

    def make(label, n):
        record(label)
        return numpy.full(20_000, float(n))

    def last(values):
        record("last")
        passing()
        return float(sum(value.sum() for value in values))

    made = [op(make, label=f"make-{n}")(f"make-{n}", n) for n in range(6)]
    double = op(lambda a, n: record(f"double-{n}") or a * 2)
    doubled = [double.options(label=f"double-{n}")(a, n) for n, a in enumerate(made)]
    total = op(last, label="last")(doubled)
    run = trial.start([*made[:2], total])
    (pid,) = gate.wait()
    others = {start.pid for start in trial.log.starts()}
    for other in others | {pid}:
        kill(other)
    eventually(lambda: trial.losses["last"], BOUND)
    gate.open()
    arrays = [numpy.full(20_000, float(n)) for n in range(2)]
    trial.check(run, [*arrays, 20_000.0 * 2 * sum(range(6))])
    assert trial.log.counts()["make-3"] >= 2, "its lineage was computed again"


def test_a_finished_value_survives_its_worker(trial):
    record = trial.log.record
    base = op(lambda: record("base") or numpy.arange(30_000), label="base")()
    node = op(lambda a: record("node") or a + 1, label="node")(base)
    run = trial.start([node])
    (future,) = (result.unwrap() for result in run.results(BOUND))
    (pid,) = {start.pid for start in trial.log.starts()}
    kill(pid)
    assert numpy.array_equal(future.fetch(BOUND), numpy.arange(30_000) + 1)
    kill(pids_of(trial, 1)[0])
    assert numpy.array_equal(future.fetch(BOUND), numpy.arange(30_000) + 1)


def test_a_value_whose_losses_are_used_up_is_lost_for_good(trial):
    record = trial.log.record
    node = op(lambda: record("once") or numpy.ones(30_000), label="once", max_losses=0)()
    run = trial.start([node])
    (future,) = (result.unwrap() for result in run.results(BOUND))
    (pid,) = trial.log.pids("once")
    kill(pid)
    eventually(lambda: is_gone(pid))
    with pytest.raises(DependencyError) as caught:
        future.fetch(BOUND)
    assert type(caught.value.__cause__) is WorkerLostError
    assert trial.log.counts()["once"] == 1


# Row 11


@pytest.fixture
def start_hook(tmp_path, monkeypatch):
    """Return a function that sets what each new interpreter does first."""

    def set_hook(text):
        folder = tmp_path / "site"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(folder))

    return set_hook


def test_every_worker_dies_at_start(trial, start_hook, monkeypatch):
    start_hook("import os; os._exit(7)")
    run = trial.start([op(pow)(2, n) for n in range(10)])
    run.results(BOUND)
    monkeypatch.delenv("PYTHONPATH")
    trial.check(run, [Stopped(WorkerLostError, "exit code 7")] * 10)


def test_some_workers_die_at_start(trial, start_hook, tmp_path):
    tally = tmp_path / "tally"
    start_hook(
        "import os\n"
        f"file = open({str(tally)!r}, 'a'); file.write('x'); file.close()\n"
        f"if os.path.getsize({str(tally)!r}) < 3: os._exit(7)\n"
    )
    nodes = [op(pow)(2, n) for n in range(10)]
    trial.check(trial.start(nodes), [2**n for n in range(10)])


# Row 12


def test_all_workers_are_killed_at_once(trial, gate):
    record, passing = trial.log.record, gate.passing

    def work(label, n):
        record(label)
        passing()
        return numpy.full(10_000, float(n))

    nodes = [op(work, label=f"work-{n}")(f"work-{n}", n) for n in range(6)]
    total = op(lambda values: float(sum(v[0] for v in values)), label="total")(nodes)
    run = trial.start([*nodes, total])
    for pid in set(gate.wait(2)):
        kill(pid)
    eventually(lambda: sum(trial.losses.values()) >= 2, BOUND)
    gate.open()
    trial.check(run, [*(numpy.full(10_000, float(n)) for n in range(6)), 15.0])


# Row 13


def test_a_node_segfaults_each_time(trial):
    record = trial.log.record

    def crash():
        record("crash")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.string_at(0)

    bad = op(crash, label="crash")()
    bad_too = op(lambda x, y: x, label="dependent")(bad, 1)
    good = [op(lambda n: record(f"good-{n}") or n * n, label=f"good-{n}")(n) for n in range(100)]
    run = trial.start([*good, bad, bad_too])
    lost = Fails(bad, WorkerLostError, "SIGSEGV")
    trial.check(run, [*(n * n for n in range(100)), lost, lost])
    assert trial.log.counts()["crash"] == 4


# Row 14 and 15


def test_a_stopped_worker_is_killed_when_the_time_of_its_node_is_up(trial, gate):
    record, passing = trial.log.record, gate.passing
    late = op(lambda: record("late") or passing() or 1, label="late", timeout=1.0)()
    others = [op(lambda n: record(f"n-{n}") or n, label=f"n-{n}")(n) for n in range(20)]
    run = trial.start([late, *others])
    (pid,) = gate.wait()
    os.kill(pid, signal.SIGSTOP)
    gate.open()
    trial.check(run, [Fails(late, NodeTimeoutError, "1.0 s"), *range(20)])
    eventually(lambda: is_gone(pid))


def test_a_worker_that_was_stopped_goes_on(trial, gate):
    record, passing = trial.log.record, gate.passing
    held = op(lambda: record("held") or passing() or 1, label="held")()
    others = [op(lambda n: record(f"n-{n}") or n, label=f"n-{n}")(n) for n in range(20)]
    run = trial.start([held])
    (pid,) = gate.wait()
    os.kill(pid, signal.SIGSTOP)
    try:
        gate.open()
        other = trial.start(others)
        eventually(lambda: len(trial.log.starts()) > 10, BOUND)  # on the other worker
        assert not run.done()
    finally:
        os.kill(pid, signal.SIGCONT)
    trial.check(run, [1])
    trial.check(other, list(range(20)))
    assert trial.log.counts()["held"] == 1
    assert not trial.losses


# Row 18


def test_a_node_takes_too_much_memory(trial, tmp_path):
    """The system kills it: in a group of its own, where one can be made, else by its own hand."""
    record = trial.log.record
    with memory_group(tmp_path) as group:

        def hog():
            record("hog")
            if group is None:
                os.kill(os.getpid(), signal.SIGKILL)
            (group / "cgroup.procs").write_text(f"{os.getpid()}")
            return len(b"x" * (1 << 28))

        node = op(hog, label="hog", max_losses=1)()
        others = [op(abs)(-n) for n in range(20)]
        run = trial.start([node, *others])
        trial.check(run, [Fails(node, WorkerLostError, "SIGKILL"), *range(20)])
    assert trial.log.counts()["hog"] == 2


@contextlib.contextmanager
def memory_group(tmp_path):
    """Make a control group of 64 MB; None where that is not allowed."""
    group = Path("/sys/fs/cgroup/memory", f"dask-dispatcher-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(f"{64 << 20}")
    except OSError:
        yield None
        return
    try:
        yield group
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def test_workers_die_among_nodes_sent_behind_what_they_wait_for(trial, tmp_path, monkeypatch):
    """Slices follow each other by a `Trail`, of which nothing may be believed after a death."""
    followed = []
    take = Schedule.take

    def watched(schedule, *limit, trail=None, **options):
        follows = trail is not None and bool(trail.ends)
        taken = take(schedule, *limit, trail=trail, **options)
        followed.append(follows and bool(taken))
        return taken

    monkeypatch.setattr(Schedule, "take", watched)
    monkeypatch.setattr(job, "_CHEAP", 1.0)  # seconds: calls are tiny, however slow the machine
    folder = str(tmp_path)

    def step(chain, number):
        if number % 4_000 == 3_999:
            try:
                with open(f"{folder}/{chain}-{number}", "x"):
                    os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        return number + 1

    step = op(step)

    def chain(name, length):
        node = step(name, 0)
        for _ in range(length - 1):
            node = step(name, node)
        return node

    assert trial.executor.compute(chain("before", 3_000)) == 3_000  # so that their cost is known
    assert trial.executor.compute([chain(name, 10_000) for name in "abc"]) == [10_000] * 3
    assert len(list(tmp_path.glob("?-*"))) == 6
    assert any(followed)
