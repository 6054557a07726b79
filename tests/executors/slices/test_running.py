"""`SliceRunner`: what it reports, in which order, and what others may take from it meanwhile."""

import operator
import threading
import time

import numpy as np
import pytest

from dask_dispatcher import CollectNode, NodeTimeoutError, SerializationError, op
from dask_dispatcher.executors.slices.carrying import SMALL, load
from dask_dispatcher.executors.slices.failures import load_failure
from dask_dispatcher.executors.slices.running import Kept, Lazy, MissingInputError, Outbox, Values
from dask_dispatcher.shared import Shared
from tests.executors.slices.local import Local, dumped

WAIT = 20.0


def ran(local, **options):
    """Run all nodes; return the report by name."""
    packed, failed = local.pack()
    assert failed == []
    runner = local.runner()
    runner.run(packed.entries, local.values(packed), lambda now: None, **options)
    return report(runner.outbox)


NAMES = ["numbers", "atoms", "pickled", "large", "failed", "skipped", "costs", "times", "used_up"]


def report(outbox):
    return dict(zip(NAMES, outbox.take(), strict=True))


class Finalized:
    def __del__(self):
        pass


def inc(x):
    return x + 1


def fail(*_):
    raise ValueError("on purpose")


# Values


def test_atoms_are_reported_in_the_order_in_which_they_were_made():
    node, nodes = 0, []
    for _ in range(50):
        node = op(inc)(node)
        nodes.append(node)
    local = Local(node)
    found = ran(local)
    assert found["numbers"] == [local.number(node) for node in nodes]
    assert found["atoms"] == list(range(1, 51))


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (1, "numbers"),
        ("x" * SMALL, "numbers"),
        ("x" * (SMALL + 1), "large"),
        ([1, 2], "pickled"),
        (None, "numbers"),
        (ValueError("a value like others"), "pickled"),
        (bytearray(SMALL + 1), "large"),
        ([{1: Finalized()}], "large"),
        ([Shared(1)], "large"),
    ],
)
def test_small_values_come_with_the_report_and_large_ones_stay(value, where):
    node = op(lambda: value)()
    local = Local(node)
    found = ran(local)
    told = {key: len(found[key]) for key in ("numbers", "pickled", "large", "failed")}
    assert told == {"numbers": 0, "pickled": 0, "large": 0, "failed": 0, where: 1}


def test_pickled_values_and_places_of_large_ones():
    small, large = op(lambda: [1])(), op(np.zeros)(1_000)
    local = Local(small, large)
    found = ran(local)
    ((number, data),) = found["pickled"]
    assert (number, load(data)) == (local.number(small), [1])
    number = local.number(large)
    assert found["large"] == [(number, f"place of {number}")]
    assert local.kept[number].nbytes == 8_000


def test_later_nodes_get_what_keep_returned():
    made = op(np.zeros)(1_000)
    seen = op(lambda array: array is not None and array[0])(made)
    local = Local(seen)
    packed, _ = local.pack()
    runner = local.runner()
    runner._keep = lambda number, pickled, buffers, value: ("there", ["as others see it"])
    values = local.values(packed)
    runner.run(packed.entries, values, lambda now: None)
    assert values[local.number(seen)] == "as others see it"


def test_values_are_passed_by_identity_inside_a_slice():
    made = op(lambda: [1])()
    same = op(operator.is_)(made, made)
    collected = CollectNode([made, made])
    both = op(lambda pair: pair[0] is pair[1])(collected)
    local = Local(same, both)
    found = ran(local)
    assert found["atoms"] == [True, True]


def test_lazy_values_are_brought_once_and_only_if_needed():
    brought = []
    values = Values({1: "atom"}, {2: dumped([2])})
    values[3] = Lazy(lambda: brought.append(3) or "three")
    assert brought == []
    assert [values.get_open(3), values.get_open(3)] == ["three", "three"]
    assert brought == [3]
    assert values.get_open(2) is values.get_open(2)
    assert values.arguments([1, [2, 3], "own"], [0, ~1]) == ["atom", [[2], "three"], "own"]


def test_what_is_not_here_is_looked_for_in_the_slice_before():
    values = Values({1: "here"}, {})
    values.before = Values({1: "before", 2: "there"}, {})
    assert values.arguments([1, 2], (0, 1)) == ["here", "there"]
    with pytest.raises(MissingInputError):
        values.arguments([3], (0,))


def test_a_kept_value_is_asked_for_at_each_use():
    asked = []
    values = Values({}, {})
    values[1] = Kept(lambda: asked.append(1) or "kept")
    assert values.arguments([1, [1]], [0, ~1]) == ["kept", ["kept"]]
    assert values.get_open(1) == "kept"
    assert asked == [1, 1, 1]


def test_a_lazy_value_that_could_not_be_brought_is_tried_again():
    attempts = []

    def bring():
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError("not now")
        return "value"

    values = Values({}, {})
    values[1] = Lazy(bring)
    with pytest.raises(OSError, match="not now"):
        values.get_open(1)
    assert values.get_open(1) == "value"


def test_a_missing_value_is_no_exception_of_the_users():
    with pytest.raises(MissingInputError):
        Values({}, {}).get_open(7)
    assert not issubclass(MissingInputError, Exception)


# Failures


def test_a_failure_is_reported_and_what_depends_on_it_is_skipped():
    bad = op(fail)()
    child, grandchild = op(inc)(bad), op(inc)(op(inc)(bad))
    fine = op(inc)(1)
    local = Local(child, grandchild, fine)
    found = ran(local)
    ((number, data),) = found["failed"]
    assert number == local.number(bad)
    failure = load_failure(data)
    assert (type(failure.cause), str(failure.cause)) == (ValueError, "on purpose")
    assert failure.worker == "here"
    assert "in fail" in failure.traceback
    assert found["numbers"] == [local.number(fine)]
    gone = set(range(len(local.plan.nodes))) - {number, local.number(fine)}
    assert set(found["skipped"]) == gone


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), RecursionError(), MemoryError(), GeneratorExit()]
)
def test_nothing_a_call_raises_ends_the_loop(error):
    def raising():
        raise error

    bad, fine = op(raising)(), op(inc)(1)
    local = Local(bad, fine)
    found = ran(local)
    assert type(load_failure(found["failed"][0][1]).cause) is type(error)
    assert found["atoms"] == [2]


def test_a_node_whose_input_was_never_sent_is_skipped():
    node, inside = op(inc)(op(int)(1)), op(len)([{"deep": op(int)(2)}])
    local = Local(node, inside)
    numbers = [local.number(node), local.number(inside)]
    packed, _ = local.packer.pack(numbers)  # and not what they take
    runner = local.runner()
    runner.run(packed.entries, local.values(packed), lambda now: None)
    assert report(runner.outbox)["skipped"] == numbers


def test_a_result_that_cannot_be_pickled_fails_its_node():
    bad = op(threading.Lock)()
    after = op(id)(bad)
    local = Local(after)
    found = ran(local)
    ((number, data),) = found["failed"]
    assert number == local.number(bad)
    assert type(load_failure(data).cause) is SerializationError
    assert found["skipped"] == [local.number(after)]


def test_no_room_for_a_large_value_fails_its_node_with_the_systems_words():
    node = op(np.zeros)(1_000)
    local = Local(node)
    packed, _ = local.pack()
    runner = local.runner()

    def keep(*_):
        raise OSError(28, "No space left on device")

    runner._keep = keep
    runner.run(packed.entries, local.values(packed), lambda now: None)
    cause = load_failure(report(runner.outbox)["failed"][0][1]).cause
    assert isinstance(cause, OSError)
    assert cause.errno == 28


def test_an_argument_that_cannot_be_unpickled_fails_its_node_only():
    given = op(list)()
    bad, fine = op(len)(given), op(inc)(5)
    local = Local(bad, fine)
    packed, _ = local.packer.pack([local.number(bad), local.number(fine)])
    runner = local.runner()
    broken = Values({}, {local.number(given): b"nonsense"})
    runner.run(packed.entries, broken, lambda now: None)
    found = report(runner.outbox)
    assert [number for number, _ in found["failed"]] == [local.number(bad)]
    assert found["atoms"] == [6]


# While it runs


def test_what_has_not_begun_can_be_taken_from_another_thread():
    entered, gate = threading.Event(), threading.Event()

    def held():
        entered.set()
        assert gate.wait(WAIT)
        return "done"

    first, *rest = nodes = [op(held)(), *(op(inc)(i) for i in range(10))]
    local = Local(*nodes)
    packed, _ = local.packer.pack([local.number(node) for node in nodes])
    runner = local.runner()
    entries, values = packed.entries, local.values(packed)
    thread = threading.Thread(target=runner.run, args=(entries, values, lambda now: None))
    thread.start()
    try:
        assert entered.wait(WAIT)
        taken = [runner.todo.pop()[0] for _ in range(10)]
        assert report(runner.outbox)["numbers"] == []
    finally:
        gate.set()
        thread.join(WAIT)
    assert taken == [local.number(node) for node in rest]
    assert report(runner.outbox)["numbers"] == [local.number(first)]


def test_what_is_done_can_be_taken_bit_by_bit_and_nothing_twice():
    nodes = [op(inc)(i) for i in range(3_000)]
    local = Local(*nodes)
    packed, _ = local.pack()
    runner, seen, stop = local.runner(), [], threading.Event()

    def take():
        while not stop.is_set():
            found = report(runner.outbox)
            assert len(found["numbers"]) == len(found["atoms"])
            seen.extend(zip(found["numbers"], found["atoms"], strict=True))

    takers = [threading.Thread(target=take) for _ in range(2)]
    for thread in takers:
        thread.start()
    try:
        runner.run(packed.entries, local.values(packed), lambda now: None)
    finally:
        stop.set()
        for thread in takers:
            thread.join(WAIT)
    last = report(runner.outbox)
    seen.extend(zip(last["numbers"], last["atoms"], strict=True))
    assert sorted(seen) == sorted((local.number(node), i + 1) for i, node in enumerate(nodes))


def test_pause_is_called_after_each_node_and_may_end_the_slice():
    nodes = [op(inc)(i) for i in range(5)]
    local = Local(*nodes)
    packed, _ = local.pack()
    runner, times = local.runner(), []

    def pause(now):
        times.append(now)
        if len(times) == 3:
            runner.todo.clear()

    runner.run(packed.entries, local.values(packed), pause)
    assert len(times) == 3
    assert times == sorted(times)
    assert len(report(runner.outbox)["numbers"]) == 3


def test_the_node_under_way_is_noted_with_its_beginning():
    seen = []
    nodes = [op(lambda: seen.append(tuple(current)))() for _ in range(3)]
    local = Local(*nodes)
    packed, _ = local.pack()
    runner = local.runner()
    current = runner._current
    before = time.monotonic_ns()
    runner.run(packed.entries, local.values(packed), lambda now: None, stamps=True)
    assert [number for number, _ in seen] == local.order
    assert before <= seen[0][1] <= seen[1][1] <= seen[2][1] <= time.monotonic_ns()
    assert (
        current[0] == local.order[-1]
    )  # and stays, as the slice may not have been said to have ended


def test_costs_are_told_by_rows_of_one_function():
    step = op(inc)
    a, b, c = step(1), step(2), op(operator.neg)(3)
    local = Local(a, b, c)
    packed, _ = local.packer.pack([local.number(node) for node in (a, b, c)])
    runner = local.runner()
    runner.run(packed.entries, local.values(packed), lambda now: None)
    costs = report(runner.outbox)["costs"]
    assert [(target, count) for target, count, _ in costs] == [(2, 2), (3, 1)]
    assert all(seconds > 0 for _, _, seconds in costs)


def test_times_are_kept_only_for_observers():
    local = Local(op(inc)(1))
    assert ran(local)["times"] == []
    before = time.time()
    found = ran(local, observed=True)
    ((number, began, ended, moved),) = found["times"]
    assert number == 0
    assert before <= began <= ended <= time.time()
    assert moved == 0


def test_an_outbox_forgets_what_was_taken():
    outbox = Outbox()
    outbox.atoms.append("value")  # its number is still to come
    assert report(outbox)["atoms"] == []
    outbox.numbers.append(4)
    assert report(outbox)["atoms"] == ["value"]
    assert report(outbox) == {key: [] for key in NAMES}


def test_a_large_value_that_was_used_up_is_said_to_be_gone_unless_it_was_told_of():
    outbox = Outbox()
    outbox.large += [(1, "here"), (2, "there")]
    assert outbox.use_up(1)
    found = report(outbox)
    assert (found["large"], found["used_up"]) == ([(2, "there")], [1])
    assert not outbox.use_up(2)
    assert report(outbox)["used_up"] == []


def test_failing_by_hand():
    local = Local(op(inc)(1))
    runner = local.runner()
    runner.fail(3, NodeTimeoutError("too long"))
    ((number, data),) = report(runner.outbox)["failed"]
    assert number == 3
    assert isinstance(load_failure(data).cause, NodeTimeoutError)
