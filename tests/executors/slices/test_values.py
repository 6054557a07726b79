"""Small values are opened once, given ones pickled when first needed."""

from pickle import UnpicklingError

import numpy as np
import pytest

from dask_dispatcher import SerializationError, op
from dask_dispatcher.executors.slices.carrying import dump
from dask_dispatcher.executors.slices.values import Given, Pickled, opened


def test_a_small_value_is_opened_once():
    value = Pickled(dump([1], "it")[0])
    assert value.open() == [1]
    assert value.open() is value.open()


def test_a_small_value_may_be_none():
    value = Pickled(dump(None, "it")[0])
    assert value.open() is None


@pytest.mark.parametrize(
    ("data", "text", "cause"),
    [
        (b"nonsense", "maker: a value cannot be unpickled: UnpicklingError", UnpicklingError),
        (b"cnot_there\nthing\n.", "maker: no module 'not_there' here", ModuleNotFoundError),
    ],
)
def test_a_value_that_cannot_be_unpickled_names_its_node(data, text, cause):
    node = op(int, label="maker")()
    for _ in range(2):
        with pytest.raises(SerializationError, match=text) as caught:
            opened(node, Pickled(data).open)
        assert (caught.value.node, caught.value.label) == (node, "maker")
        assert type(caught.value.__cause__) is cause


def test_a_given_value_is_pickled_when_first_needed():
    given = Given({"a": np.ones(1_000)})
    pickled, buffers = given.dumped()
    assert given.dumped()[0] is pickled
    assert len(buffers) == 1


def test_a_given_value_that_cannot_be_pickled_says_so_each_time():
    given = Given(n for n in ())
    for _ in range(2):
        with pytest.raises(SerializationError, match="the value given for it, a generator"):
            given.dumped()
