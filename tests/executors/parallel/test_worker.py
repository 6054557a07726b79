"""The worker process, message by message: it answers while it is busy, and nothing shakes it."""

import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

from dask_dispatcher import op
from dask_dispatcher.executors.parallel.channel import Channel
from dask_dispatcher.executors.parallel.places import bring, in_memory
from dask_dispatcher.executors.slices.carrying import dump, load
from dask_dispatcher.executors.slices.columns import to_columns
from tests.executors.parallel.controller import Controller, is_running
from tests.support import eventually

# Slices and their reports


def test_it_says_who_it_is_and_whether_it_can_read_the_program(controller):
    kind, (pid, address, nonce), readable = controller.hear()
    assert kind == "ready"
    assert pid == controller.worker.pid
    assert len(nonce) == 16
    assert isinstance(readable, bool)


def test_slices_run_in_order_and_each_is_reported(controller):
    first, _ = controller.give(op(abs)(-1), op(abs)(-2))
    second, _ = controller.give(op(abs)(-3))
    one, two = controller.ended(), controller.ended()
    assert [one.serial, two.serial] == [first, second]
    assert one.values == {0: 1, 1: 2}
    assert two.values == {0: 3}
    assert one.counts == [1, 1]


def test_what_is_not_known_to_be_quick_is_reported_before_the_next_begins(controller, gate):
    first, held = op(abs)(-1), op(gate.passing)()
    controller.give(first, held, patience=0.0)
    assert controller.report().values == {0: 1}
    gate.open()
    assert controller.ended().values == {1: None}


def two_arrays():
    """Return calls that make arrays of which one is held while it passes; for both there is no room."""
    return op(np.ones)(300_000), op(np.ones)(300_000)


def test_large_values_that_pass_within_a_slice_go_once_they_were_taken(controller):
    one, two = two_arrays()
    controller.give(one, two, op(np.dot)(one, two), passing={2: [0, 1]})
    found = controller.ended()
    assert (found.used_up, found.places) == ([0, 1], {})
    assert found.values == {2: 300_000}


def test_a_large_value_that_several_take_goes_after_the_last(controller):
    made = op(np.ones)(1_000)
    controller.give(made, op(np.sum)(made), op(np.size)(made), passing={1: [0], 2: [0]})
    found = controller.ended()
    assert (found.used_up, found.places) == ([0], {})
    assert found.values == {1: 1_000, 2: 1_000}


def test_a_large_value_stays_if_one_of_those_that_take_it_fails(controller):
    made = op(np.ones)(1_000)
    broken = op(np.linalg.inv)(made)
    controller.give(made, op(np.sum)(made), broken, passing={1: [0], 2: [0]})
    found = controller.ended()
    assert (found.used_up, found.places.keys(), found.failures.keys()) == ([], {0}, {2})


def test_large_values_stay_if_what_was_to_take_them_fails(controller):
    one, two = two_arrays()
    controller.give(one, two, op(np.linalg.solve)(one, two), passing={2: [0, 1]})
    found = controller.ended()
    assert (found.used_up, found.places.keys(), found.failures.keys()) == ([], {0, 1}, {2})


def test_a_large_value_stays_if_it_was_told_of_before_it_was_taken(controller):
    one, two = two_arrays()
    controller.give(one, two, op(np.dot)(one, two), passing={2: [0, 1]}, patience=0.0)
    found = controller.ended()
    assert (found.used_up, found.places.keys()) == ([0], {1})


def test_a_large_value_is_told_of_when_what_was_to_take_it_is_given_back(controller, gate):
    made, held = op(np.ones)(1_000), op(gate.passing)()
    serial, _ = controller.give(made, held, op(np.sum)(made), passing={2: [0]})
    gate.wait()
    controller.send("nudge", serial)
    found = controller.report()
    assert (found.back, found.places.keys()) == ([2], {0})
    gate.open()
    assert controller.ended().values.keys() == {1}


def test_an_array_that_passes_cannot_be_written_to(controller):
    made = op(np.ones)(1_000)
    controller.give(made, op(np.ndarray.fill)(made, 2.0), passing={1: [0]})
    assert isinstance(controller.ended().failures[1], ValueError)


def test_functions_are_sent_once_a_run(controller):
    node = op(abs)(-1)
    assert controller.compute(node) == [1]
    _, given = controller.packed(node)
    columns = to_columns(given.pop())
    controller.send("slice", 5, 99, columns, ([], {}, {}, []), 1000.0, False, False)
    assert controller.ended().values == {0: 1}
    controller.send("over", 5)
    controller.send("slice", 5, 100, columns, ([], {}, {}, []), 1000.0, False, False)
    assert isinstance(controller.ended().failures[0], IndexError)  # it has forgotten the run
    assert controller.compute(node, run=6) == [1]


def test_a_slice_takes_values_of_the_one_before_it(controller):
    first = op(abs)(-5)
    second = op(pow)(first, 2)
    local, given = controller.packed(second)
    ours, theirs = local.number(first), local.number(second)
    entries = given.pop()
    parts = [[e for e in entries if e[0] == number] for number in (ours, theirs)]
    rest = 1000.0, False, False
    controller.send("slice", 5, 1, to_columns(parts[0]), given, *rest, 0)
    assert controller.ended().values == {ours: 5}
    controller.send("slice", 5, 2, to_columns(parts[1]), given, *rest, 1)
    assert controller.ended().values == {theirs: 25}
    # Behind another one than that which ran last, and behind one that was not to be kept.
    controller.send("slice", 5, 3, to_columns(parts[1]), given, *rest, 1)
    assert controller.ended().skipped == [theirs]
    controller.send("slice", 5, 4, to_columns(parts[0]), given, *rest)
    assert controller.ended().values == {ours: 5}
    controller.send("slice", 5, 5, to_columns(parts[1]), given, *rest, 4)
    assert controller.ended().skipped == [theirs]


def test_a_function_that_cannot_be_unpickled_fails_its_nodes(controller):
    node = op(abs)(-1)
    _, given = controller.packed(node)
    columns = to_columns(given.pop())
    controller.send("slice", 5, 1, columns, ([(2, b"nonsense")], {}, {}, []), 1000.0, False, False)
    assert "cannot be unpickled" in str(controller.ended().failures[0])


def test_an_input_by_value_and_one_from_memory(controller):
    array = dump(np.arange(1_000.0), "it")
    place = in_memory(controller.witness.identity, array)
    small, large = op(list)(), op(list)()
    node = op(lambda some, many: (some, float(many.sum()), many.flags.writeable))(small, large)
    number = {small: 1, large: 2}
    serial, local = controller.give(
        node,
        numbers=[0],
        pickled={number[small]: dump([1], "it")[0]},
        places=[(number[large], (5, number[large]), place)],
    )
    assert local.plan.index[small] == 1
    assert controller.ended().values[0] == ([1], 499_500.0, False)


def test_an_input_that_is_gone_is_skipped(controller):
    source = op(list)()
    node, fine = op(len)(source), op(abs)(-1)
    gone = ("memory", (1 << 22, 0, b"x" * 16), [(0, 100)])
    controller.give(node, fine, numbers=[0, 1], places=[(2, (5, 2), gone)])
    found = controller.ended()
    assert found.skipped == [0]
    assert found.values == {1: 1}


# While it is busy


def test_a_busy_worker_gives_back_what_it_has_not_begun(controller, gate):
    held, *rest = op(gate.passing)(), *(op(abs)(-i) for i in range(5))
    serial, local = controller.give(held, *rest, patience=1000.0)
    gate.wait()
    controller.send("nudge", serial)
    found = controller.report()
    assert sorted(found.back) == sorted(local.number(node) for node in rest)
    assert found.values == {}
    gate.open()
    assert controller.ended().values == {local.number(held): None}


def test_nothing_more_of_a_run_that_was_stopped_begins(controller, gate):
    held, *rest = op(gate.passing)(), *(op(abs)(-i) for i in range(5))
    serial, local = controller.give(held, *rest, run=5, patience=1000.0)
    waiting, _ = controller.give(op(gate.passing)(), run=5)
    other, _ = controller.give(op(abs)(-7), run=6)
    gate.wait()
    controller.worker.forbid(5)  # and no message says so
    gate.open()
    kind, _, _, said, back = controller.hear("report", "ended")
    assert (kind, said[0]) == ("report", [local.number(held)])
    assert sorted(back) == sorted(local.number(node) for node in rest)
    assert controller.ended().serial == serial
    assert controller.hear("back") == ("back", waiting, [0])
    assert controller.ended().values == {0: 7}
    controller.worker.permit(5)
    controller.give(op(abs)(-9), run=5)
    assert controller.ended().values == {0: 9}


def test_the_end_of_a_slice_is_said_after_an_answer_that_has_taken_from_it(controller, gate):
    def held():
        ends, is_said = threading.Event(), threading.Event()
        send = Channel.send

        def slow_send(channel, message):
            if message[0] == "report":  # the channel's thread has taken what there was to say
                ends.set()
                is_said.wait(0.2)  # which the end of the slice must not overtake
            send(channel, message)
            if message[0] == "ended":
                is_said.set()

        Channel.send = slow_send
        gate.passing()
        ends.wait()

    first, last = op(abs)(-1), op(abs)(-2)
    serial, local = controller.give(first, op(held)(), last)
    gate.wait()
    gate.open()
    controller.send("nudge", serial)
    kind, _, _, report, back = controller.hear("report", "ended")
    assert (kind, report[1], back) == ("report", [1], [local.number(last)])
    assert controller.hear("report", "ended")[0] == "ended"


def test_a_slice_that_has_not_begun_comes_back_whole(controller, gate):
    controller.give(op(gate.passing)())
    gate.wait()
    serial, _ = controller.give(op(abs)(-1), op(abs)(-2))
    controller.send("nudge", serial)
    kind, answered, numbers = controller.hear("back")
    assert (answered, sorted(numbers)) == (serial, [0, 1])
    gate.open()
    controller.ended()
    assert controller.compute(op(abs)(-7)) == [7]  # the one that came back is not run


def test_a_nudge_that_comes_too_late_gives_nothing_back(controller):
    serial, _ = controller.give(op(abs)(-1))
    assert controller.ended().values == {0: 1}
    controller.send("nudge", serial)
    assert controller.hear("back")[1:] == (serial, [])


def test_a_busy_worker_lets_values_go(controller, gate, tmp_path):
    made = op(np.zeros)(100_000)
    controller.give(made)
    ((number, place),) = controller.ended().places.items()
    assert len(load(*bring(place))) == 100_000
    controller.give(op(gate.passing)())
    gate.wait()
    controller.send("free", [(5, number)])
    controller.send("nudge", 12345)  # answered after what came before it
    controller.hear("back")
    gate.open()
    controller.ended()
    source = op(list)()
    controller.give(op(len)(source), numbers=[0], places=[(1, (5, number), ("here",))])
    assert controller.ended().skipped == [0]


# Large values


def test_a_large_value_stays_where_it_was_made(controller):
    made = op(np.full)(100_000, 7.0)
    total = op(lambda array: (float(array.sum()), array.flags.writeable))(made)
    _, local = controller.give(made, total)
    found = controller.ended()
    ((number, place),) = found.places.items()
    assert number == local.number(made)
    assert found.values[local.number(total)] == (700_000.0, False)
    assert (load(*bring(place)) == 7).all()
    controller.give(op(len)(op(list)()), numbers=[0], places=[(1, (5, number), ("here",))])
    assert controller.ended().values == {0: 100_000}


def test_above_its_limit_it_says_what_has_gone_to_a_file(tmp_path):
    with Controller(tmp_path / "files", limit=1_000_000) as controller:
        controller.give(*[op(np.full)(100_000, float(n)) for n in range(3)])
        _, key, place = controller.hear("spilled")
        assert place[0] == "file"
        assert os.path.dirname(place[1]) == str(controller.folder)
        assert load(*bring(place))[0] == key[1]
        pathlib.Path(place[1]).unlink()  # the controller's to remove


def test_it_reports_a_value_before_it_says_that_it_has_gone_to_a_file(tmp_path):
    """All in one slice, which is not to report before its end unless memory is short."""
    with Controller(tmp_path / "files", limit=1_000_000) as controller:
        controller.give(*[op(np.full)(100_000, float(n)) for n in range(8)], patience=1e6)
        known, moved = set(), []
        while len(moved) < 7:  # the newest stays
            kind, *rest = controller.hear("report", "ended", "spilled")
            if kind == "spilled":
                (_, number), place = rest
                moved.append(number)
                assert number in known
                pathlib.Path(place[1]).unlink()
            else:
                known.update(number for number, _ in rest[2][3])
        assert known == set(range(8))
        assert moved == list(range(7))


def test_it_reports_before_it_has_kept_much_of_which_the_controller_does_not_know(controller):
    controller.give(*[op(np.full)(400_000, float(n)) for n in range(4)], patience=1e6)
    assert sorted(controller.report().places) == [0, 1]
    assert sorted(controller.ended().places) == [2, 3]


def test_it_says_when_it_cannot_read_the_program(tmp_path):
    with Controller(tmp_path / "files", greeting=False) as controller:
        nobody = (1 << 22, 0, b"x" * 16)
        controller.send("hello", 1, str(controller.folder), nobody, 0, "home")
        assert controller.hear("ready")[2] is False


def test_where_it_cannot_be_read_its_values_go_to_files(controller):
    controller.ready()
    controller.send("unreadable")
    controller.give(op(np.zeros)(1_000))
    (place,) = controller.ended().places.values()
    assert place[0] == "file"
    assert (load(*bring(place)) == 0).all()


# Coroutines


def test_coroutines_run_beside_a_busy_main_thread(controller, gate):
    async def coroutine():
        return threading.current_thread().name

    controller.give(op(gate.passing)())
    gate.wait()
    controller.give_coroutines(op(coroutine)())
    assert "coroutines" in controller.report().values[0]
    gate.open()
    controller.ended()


def test_a_coroutine_can_be_cancelled_while_a_plain_call_runs(controller, gate):
    controller.give(op(gate.passing)())
    controller.give_coroutines(op(gate.passing_async)(), run=6)
    gate.wait(2)
    controller.send("cancel", 6, [0])
    assert type(controller.report().failures[0]) is asyncio.CancelledError
    gate.open()
    controller.ended()


# What nodes may do to their process


@pytest.mark.parametrize(
    "deed",
    [
        lambda: os.close(1),
        lambda: [os.closerange(0, 3), os.open(os.devnull, os.O_RDWR)],
        lambda: sys.stdout.write("x" * 1_000_000),
        lambda: os.chdir("/"),
        lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        lambda: setattr(sys, "stdout", None),
        lambda: sys.path.clear(),
        lambda: threading.Thread(target=time.sleep, args=(1000,)).start(),
        lambda: signal.alarm(1000),
    ],
)
def test_a_nodes_deeds_leave_the_channel_alone(controller, deed):
    controller.give(op(lambda: (deed(), 1)[1])())
    assert controller.ended().values == {0: 1}
    assert controller.compute(op(abs)(-2)) == [2]


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), MemoryError()])
def test_what_a_node_raises_never_ends_it(controller, error):
    def raising():
        raise error

    controller.give(op(raising)(), op(abs)(-1))
    found = controller.ended()
    assert type(found.failures[0]) is type(error)
    assert found.values == {1: 1}


def test_an_interrupt_sent_from_outside_never_ends_it(controller):
    assert controller.compute(op(abs)(-1)) == [1]
    os.kill(controller.worker.pid, signal.SIGINT)
    assert controller.compute(op(abs)(-2)) == [2]
    assert controller.ends.empty()


def test_interrupts_sent_while_it_works_lose_nothing(controller):
    pid, *_ = controller.ready()
    step = op(abs)
    for _ in range(20):
        controller.give(*[step(-n) for n in range(500)])
        os.kill(pid, signal.SIGINT)
        assert len(controller.ended().values) == 500
    assert controller.ends.empty()


def test_programs_that_nodes_start_can_be_interrupted(controller):
    def start():
        code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
        return subprocess.check_output([sys.executable, "-c", code], text=True).strip()

    assert controller.compute(op(start)()) == ["True"]


def test_a_handler_that_a_node_has_left_behind_ends_it_at_once(controller):
    def leave():
        def late(*_):
            raise TimeoutError

        signal.signal(signal.SIGALRM, late)
        threading.Thread(target=time.sleep, args=(1000,)).start()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        return 1

    controller.give(op(leave)())
    assert controller.ended().values == {0: 1}
    assert controller.end() == "exit code 1"


def test_a_fork_that_comes_back_from_its_node_says_nothing(controller):
    def forks():
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        return "child" if not child else "parent"

    controller.give(op(forks)(), op(abs)(-1), patience=0.0)
    assert controller.ended().values == {0: "parent", 1: 1}
    assert controller.compute(op(abs)(-2)) == [2]


def test_a_forks_own_death_is_not_the_workers(controller):
    def forks():
        child = os.fork()
        if not child:
            os._exit(9)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert controller.compute(op(forks)()) == [9]


# Its end


def test_it_ends_when_the_channel_does_even_in_the_midst_of_a_call(controller, gate):
    controller.give(op(gate.passing)())
    gate.wait()
    controller.call(controller.hang_up)
    assert controller.end() in {"exit code 0", "killed by SIGKILL"}


def test_it_ends_when_told(controller):
    controller.ready()
    controller.send("close")
    assert controller.end() in {"exit code 0", "killed by SIGKILL"}


def test_it_dies_with_the_thread_that_started_it_and_so_with_the_program(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.executors.parallel.controller import Controller\n"
        "controller = Controller(Path(sys.argv[1]))\n"
        "print(controller.ready()[0], flush=True)\n"
        "sys.stdin.read()\n"
    )
    root = pathlib.Path(__file__).parents[3]
    program = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with program:
        pid = int(program.stdout.readline())
        assert psutil.pid_exists(pid)
        program.kill()
    eventually(lambda: not is_running(pid))
