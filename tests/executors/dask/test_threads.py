"""Helpers: one a thread of the worker's, left behind with a call that nobody waits for."""

import contextvars
import threading

from tests.support import eventually

from dask_dispatcher.executors.dask.threads import Helper, helper

NAME = contextvars.ContextVar("NAME", default="nobody")


def called(own, function):
    """Return what `function` gives when a helper calls it."""
    found, over = [], threading.Event()
    own.begin(lambda: (found.append(function()), over.set()))
    assert over.wait(10)
    return found[0]


def in_a_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join(10)
    return found[0]


def test_a_thread_keeps_its_helper():
    def idents():
        return [called(helper(), threading.get_ident) for _ in range(3)]

    first, second = in_a_thread(idents), in_a_thread(idents)
    assert len(set(first)) == len(set(second)) == 1
    assert threading.get_ident() not in first


def test_a_helper_that_is_left_behind_goes_on():
    gate, over = threading.Event(), threading.Event()

    def leave():
        helper().begin(lambda: (gate.wait(10), over.set()))
        return called(helper(fresh=True), lambda: over.is_set())

    assert in_a_thread(leave) is False
    gate.set()
    assert over.wait(10)


def test_a_call_sees_the_context_it_was_begun_in():
    def begin():
        NAME.set("somebody")
        return called(helper(), NAME.get)

    assert in_a_thread(begin) == "somebody"
    assert NAME.get() == "nobody"


def test_a_helper_ends_when_nobody_refers_to_it():
    own = Helper()
    thread = called(own, threading.current_thread)
    del own
    eventually(lambda: not thread.is_alive())
