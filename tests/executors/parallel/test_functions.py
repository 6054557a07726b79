"""`Functions`: opened when first needed, once, on whatever thread."""

import threading

import pytest

from dask_dispatcher import SerializationError, op
from dask_dispatcher.executors.parallel.functions import Functions
from dask_dispatcher.executors.slices.carrying import dump
from dask_dispatcher.executors.slices.packing import BUILT_IN

WAIT = 20.0


def entries(*targets):
    return [(number, target, (), (), ()) for number, target in enumerate(targets)]


def pickled(function):
    return dump(function, "it")[0]


class Noted:
    """A function that says when it is unpickled."""

    opened: list = []  # noqa: RUF012

    def __init__(self, name):
        self.name = name

    def __call__(self):
        return self.name

    def __reduce__(self):
        return _open, (self.name,)


def _open(name):
    Noted.opened.append(name)
    return Noted(name)


@pytest.fixture(autouse=True)
def nothing_opened():
    Noted.opened.clear()


def test_those_that_every_run_has():
    assert tuple(Functions().table) == BUILT_IN


def test_functions_are_opened_when_needed_and_once():
    functions = Functions()
    functions.add([(3, pickled(Noted("three"))), (2, pickled(Noted("two")))])
    assert Noted.opened == []
    functions.open(entries(3, 3, 0))
    assert functions.table[3]() == "three"
    functions.open(entries(3, 2))
    assert functions.table[2]() == "two"
    assert Noted.opened == ["three", "two"]


def test_the_table_is_one_list_for_all_that_run():
    functions = Functions()
    table = functions.table
    functions.add([(2, pickled(Noted("two")))])
    functions.open(entries(2))
    assert table[2]() == "two"


def test_a_factory_is_called_as_its_function():
    functions = Functions()
    functions.add([(2, pickled(op(abs)))])
    functions.open(entries(2))
    assert functions.table[2] is abs


def test_one_that_cannot_be_unpickled_says_so_when_it_is_called():
    functions = Functions()
    functions.add([(2, b"nonsense"), (3, pickled(abs))])
    functions.open(entries(2, 3))
    with pytest.raises(SerializationError, match="cannot be unpickled"):
        functions.table[2](1, key=2)
    assert functions.table[3](-1) == 1


def test_one_that_was_never_sent():
    functions = Functions()
    functions.add([(4, pickled(abs))])
    with pytest.raises(RuntimeError, match="was not sent"):
        functions.table[3]()


def test_two_threads_open_a_function_once_and_both_can_call_it():
    functions, found = Functions(), []
    functions.add([(2 + n, pickled(Noted(n))) for n in range(50)])
    barrier = threading.Barrier(2)

    def work():
        for n in range(50):
            barrier.wait(WAIT)
            functions.open(entries(2 + n))
            found.append(functions.table[2 + n]())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert sorted(found) == sorted([*range(50), *range(50)])
    assert sorted(Noted.opened) == list(range(50))
