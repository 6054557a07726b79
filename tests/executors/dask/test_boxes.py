"""Boxes never refuse to travel, and are opened where somebody takes the value."""

import pickle
import sys

import numpy
import pytest

from dask_dispatcher import SerializationError
from dask_dispatcher.executors.dask.boxes import Box, Kept


class Unpicklable:
    def __reduce__(self):
        raise ValueError("not me")


class UnpicklableAbroad:
    def __reduce__(self):
        return _raise, ("not here",)


def _raise(text):
    raise RuntimeError(text)


def travelled(thing):
    return pickle.loads(pickle.dumps(thing, protocol=5))


@pytest.mark.parametrize("value", [None, 3, [1, {"a": (2,)}], ValueError, lambda: 3])
def test_a_box_travels_with_its_value(value):
    found = travelled(Box(value)).open()
    assert found is value or found == value or found() == value()


def test_a_box_is_opened_lazily_and_once(tmp_path):
    log = tmp_path / "log"
    log.touch()

    def load(path):
        with open(path, "a") as file:
            file.write("x")
        return object()

    class Recorded:
        def __reduce__(self):
            return load, (str(log),)

    box = travelled(Box(Recorded()))
    again = travelled(box)  # on its way from worker to worker nobody looks inside
    assert log.read_text() == ""
    assert again.open() is again.open()
    assert log.read_text() == "x"
    assert box.open() is not again.open()


def test_arrays_travel_out_of_band():
    array = numpy.arange(1000)
    buffers = []
    data = pickle.dumps(Box(array), protocol=5, buffer_callback=buffers.append)
    assert len(data) < 1000
    assert len(buffers) == 1
    assert (pickle.loads(data, buffers=buffers).open() == array).all()


@pytest.mark.parametrize("travels", [1, 2])
def test_arrays_travel_in_band_where_the_protocol_knows_nothing_else(travels):
    box = Box(array := numpy.arange(10))
    for _ in range(travels):  # the second time it has not been opened
        box = pickle.loads(pickle.dumps(box, protocol=4))
    opened = box.open()
    assert (opened == array).all()
    assert opened.flags.writeable


def test_a_box_that_came_out_of_band_goes_on_in_band():
    buffers = []
    data = pickle.dumps(Box(numpy.arange(10)), protocol=5, buffer_callback=buffers.append)
    there = pickle.loads(pickle.dumps(pickle.loads(data, buffers=buffers), protocol=4))
    assert there.open().tolist() == list(range(10))


def test_what_cannot_be_pickled_arrives_as_the_error():
    box = travelled(travelled(Box(Unpicklable())))
    for _ in range(2):
        with pytest.raises(SerializationError, match="cannot be pickled: ValueError: not me"):
            box.open()


def test_what_cannot_be_unpickled_here_says_so_each_time():
    box = travelled(Box(UnpicklableAbroad()))
    for _ in range(2):
        with pytest.raises(SerializationError, match="unpickled here: RuntimeError: not here"):
            box.open()


def test_a_box_tells_its_size_and_shows_nothing():
    assert sys.getsizeof(Box(numpy.zeros(1_000_000))) > 7_000_000
    assert sys.getsizeof(travelled(Box(numpy.zeros(1_000_000)))) > 7_000_000
    assert repr(Box("secret")) == "<Box>"


def test_a_box_of_what_has_been_pickled_already():
    array = numpy.arange(1000)
    buffers = []
    data = pickle.dumps(array, protocol=5, buffer_callback=buffers.append)
    assert (Box.of(data, [buffer.raw() for buffer in buffers]).open() == array).all()


def test_what_a_group_leaves_tells_its_size_and_shows_nothing():
    kept = Kept()
    kept.boxes[3] = Box(numpy.zeros(1_000_000))
    kept.reports.append(b"x" * 1_000)
    assert sys.getsizeof(kept) > 8_001_000
    assert repr(kept) == "<Kept: 1 values>"
