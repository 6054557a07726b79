"""What stands for values on the program's side."""

import pickle
from types import SimpleNamespace

import numpy
import pytest

from dask_dispatcher import SerializationError
from dask_dispatcher.executors.dask.boxes import Box
from dask_dispatcher.executors.dask.values import Given, Held, Pickled


class State:
    pass


def held(state, *small):
    return Held(state, 3, SimpleNamespace(key=("group-1", 0)), "tcp://here:1", 100, *small)


def test_a_small_value_is_opened_once():
    value = Pickled(pickle.dumps([1, 2]))
    assert value.open() == [1, 2]
    assert value.open() is value.open()


def test_a_given_value_is_pickled_once():
    given = Given(numpy.zeros(10_000))
    data, buffers = given.dumped()
    assert len(data) < 1_000
    assert [buffer.nbytes for buffer in buffers] == [80_000]
    assert given.dumped() is given.dumped()
    with pytest.raises(SerializationError, match="the value given for it, a generator"):
        Given(n for n in "abc").dumped()


def test_a_value_on_a_worker_is_open_once_it_has_been_brought():
    state = State()
    value = held(state)
    assert value.name == "group-1"
    assert not value.is_open
    assert not value.is_small
    value.box = Box("content")
    assert value.is_open
    assert value.open() == "content"


@pytest.mark.parametrize("small", [None, 3, Pickled(pickle.dumps(3))])
def test_a_small_value_that_stays_has_come_along_too(small):
    state = State()
    value = held(state, small)
    assert value.is_small
    assert value.is_open
    assert value.open() in (None, 3)


def test_a_value_does_not_keep_its_run():
    value = held(State())
    assert value.state is None
