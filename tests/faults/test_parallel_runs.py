"""Failing, late, simultaneous and very large runs: rows 1 and 4 to 6 for ParallelExecutor."""

import threading
from collections import Counter

import pytest
from tests.support import eventually
from tests.support.gates import Gate
from tests.support.trials import BOUND, Fails

from dask_dispatcher import NodeTimeoutError, RunCancelledError, op

# Row 1


@pytest.mark.parametrize("retries", [0, 2])
def test_half_the_nodes_raise(trial, retries):
    record = trial.log.record

    def half(label, n):
        record(label)
        if n % 2:
            raise ValueError(n)
        return n

    async def half_async(label, n):
        return half(label, n)

    options = {"retries": retries, "retry_delay": 0}
    sources = [
        op(half_async if n % 3 == 0 else half, label=f"half-{n}", **options)(f"half-{n}", n)
        for n in range(100)
    ]
    users = [op(lambda x: 2 * x, label=f"user-{n}")(node) for n, node in enumerate(sources)]
    pairs = [op(list)([users[n], users[n + 2]]) for n in range(0, 96, 4)]
    run = trial.start([*sources, *users, *pairs])
    failed = [Fails(node, ValueError, f"{n}") for n, node in enumerate(sources)]
    trial.check(
        run,
        [failed[n] if n % 2 else n for n in range(100)]
        + [failed[n] if n % 2 else 2 * n for n in range(100)]
        + [[2 * n, 2 * (n + 2)] for n in range(0, 96, 4)],
    )
    counts = trial.log.counts()
    assert counts == Counter({f"half-{n}": 1 + retries * (n % 2) for n in range(100)})


# Row 4


@pytest.mark.parametrize("retries", [0, 1])
def test_nodes_outlive_their_timeouts(trial, gate, retries):
    record, passing, passing_async = trial.log.record, gate.passing, gate.passing_async

    def blocks(label):
        record(label)
        passing()

    async def waits(label):
        record(label)
        await passing_async()

    options = {"timeout": 0.2, "retries": retries, "retry_delay": 0}
    stuck = [
        op(waits if n % 2 else blocks, label=f"stuck-{n}", **options)(f"stuck-{n}")
        for n in range(6)
    ]
    fine = [op(lambda n: record(f"fine-{n}") or n, label=f"fine-{n}")(n) for n in range(60)]
    after = [op(lambda x: record("after"), label="after")(node) for node in stuck]
    late = [Fails(node, NodeTimeoutError, "0.2 s") for node in stuck]
    trial.check(trial.start([*stuck, *fine, *after]), [*late, *range(60), *late])
    counts = trial.log.counts()
    assert all(counts[f"stuck-{n}"] >= 1 + retries for n in range(6))
    assert "after" not in counts


def test_what_ended_beside_a_late_node_is_not_started_again(make_trial, gate):
    trial = make_trial(1)
    record, passing = trial.log.record, gate.passing

    def work(n):
        if n >= 0:
            record(f"work-{n}")
        if n == 50:
            passing()
        return n

    trial.executor.run([op(work)(-1) for _ in range(100)])
    nodes = [op(work, label=f"work-{n}", timeout=0.5 if n == 50 else None)(n) for n in range(100)]
    late = Fails(nodes[50], NodeTimeoutError, "work-50 did not end within 0.5 s")
    trial.check(trial.start(nodes), [*range(50), late, *range(51, 100)])
    assert trial.log.counts() == Counter({f"work-{n}": 1 for n in range(100)})


def test_a_late_node_of_one_run_leaves_the_other_run_alone(make_trial, gate, tmp_path):
    """Nodes of both have the same numbers, and share the worker that is killed."""
    trial = make_trial(1, timeout=0.5)
    record, passing, passing_async = trial.log.record, gate.passing, gate.passing_async

    async def waits(n):
        record(f"waits-{n}")
        await passing_async()
        return n

    other = trial.start([op(waits, label=f"waits-{n}", timeout=60)(n) for n in range(3)])
    gate.wait(3)
    stuck = [op(passing, label=f"stuck-{n}")() for n in range(2)]
    run = trial.start(stuck)
    run.results(BOUND)
    gate.open()
    trial.check(run, [Fails(node, NodeTimeoutError) for node in stuck])
    trial.check(other, [0, 1, 2])


# Row 5


def test_two_runs_of_one_graph_at_once(trial, gate):
    record, passing = trial.log.record, gate.passing
    first = op(lambda: record("first") or passing() or 0, label="first")()
    nodes = [first]
    for n in range(300):
        step = op(lambda n, *_: record(f"n-{n}") or n, label=f"n-{n}")
        nodes.append(step(n, nodes[-1], nodes[n // 2]))
    found = {}

    def run(name):
        found[name] = trial.start(nodes[1:])
        found[name].results(BOUND)

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    gate.wait(2)  # both are under way
    gate.open()
    for thread in threads:
        thread.join(BOUND)
    for name in "ab":
        trial.check(found[name], list(range(300)))
    assert trial.log.counts() == Counter({"first": 2, **{f"n-{n}": 2 for n in range(300)}})


# Row 6


def test_a_chain_of_100_000(trial):
    step = op(abs)
    node = step(-5)
    for _ in range(99_999):
        node = step(node)
    trial.check(trial.start([node]), [5])


def test_100_000_side_by_side(trial):
    step = op(abs)
    total = op(sum)([step(-n) for n in range(100_000)])
    trial.check(trial.start([total]), [sum(range(100_000))])


def test_a_failure_at_the_root_of_100_000(trial):
    def fail():
        raise ValueError("root")

    step = op(abs)
    node = root = op(fail)()
    for _ in range(100_000):
        node = step(node)
    trial.check(trial.start([node]), [Fails(root, ValueError, "root")])


def test_100_000_cancelled(trial, gate):
    record, passing = trial.log.record, gate.passing
    node = op(lambda: record("first") or passing(), label="first")()
    step = op(lambda _: record("never"), label="never")
    run = trial.start([step(node) for _ in range(100_000)])
    gate.wait()
    run.cancel()
    errors = [result.unwrap_err() for result in run.results(BOUND)]
    assert len(errors) == 100_000
    assert {type(error) for error in errors} == {RunCancelledError}
    trial.check_works()
    gate.open()
    assert trial.log.counts() == Counter({"first": 1})


def test_a_value_on_the_one_of_two_idle_workers_that_is_asked_second(trial, tmp_path):
    """Whichever that is: its taker runs there, and waits for nothing."""
    for turn in range(2):
        gates = [Gate(tmp_path, f"gate-{turn}-{n}") for n in range(2)]
        made = [op(lambda p: p() or bytes(1_000_000))(gate.passing) for gate in gates]
        user = op(len)(made[turn])
        run = trial.start([*made, user])
        first, last = gates[not turn], gates[turn]
        first.wait()
        last.wait()
        first.open()
        eventually(lambda run=run: run._state.schedule.done == 1, BOUND)
        last.open()
        trial.check(run, [bytes(1_000_000), bytes(1_000_000), 1_000_000])
