"""What travels keeps the file its code is from, and takes no more room than it must."""

import pickle
import traceback

import numpy
import pytest

from dask_dispatcher.pickling import dumps, is_plain_array


def test_functions_keep_their_file_and_those_inside_them_theirs():
    def outer():
        def inner():
            return 1

        return inner

    travelled = pickle.loads(dumps(outer))
    assert travelled.__code__.co_filename == __file__
    assert travelled().__code__.co_filename == __file__
    assert travelled()() == 1


def test_a_traceback_shows_the_line_that_raised():
    travelled = pickle.loads(dumps(lambda: 1 / 0))
    try:
        travelled()
    except ZeroDivisionError as error:
        text = "".join(traceback.format_exception(error))
    assert "pickle.loads(dumps(lambda: 1 / 0))" in text


def test_methods_of_a_class_that_travels():
    class Local:
        def method(self):
            return self

    travelled = pickle.loads(dumps(Local(), None))
    assert type(travelled).method.__code__.co_filename == __file__


def test_large_buffers_stay_outside():
    buffers = []
    data = dumps(pickle.PickleBuffer(bytearray(b"abc" * 1000)), buffers.append)
    assert len(data) < 100
    assert bytes(pickle.loads(data, buffers=buffers)) == b"abc" * 1000


@pytest.mark.parametrize("dtype", [float, object])
def test_an_array_that_repeats_itself_travels_as_what_it_repeats(dtype):
    row = numpy.arange(3).astype(dtype)
    array = numpy.broadcast_to(row[:, None], (1_000, 3, 50))
    data = dumps(array)
    there = pickle.loads(data)
    assert len(data) < 1_000
    assert (there.shape, there.dtype, there.strides) == (array.shape, dtype, array.strides)
    assert numpy.array_equal(there, array)


def test_one_that_may_be_written_to_travels_whole():
    array = numpy.lib.stride_tricks.as_strided(numpy.zeros(1), (4,), (0,), writeable=True)
    there = pickle.loads(dumps(array))
    there[1] = 1
    assert there.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("shape", [(), (0, 5), (1, 1)])
def test_arrays_with_nothing_to_repeat(shape):
    array = numpy.broadcast_to(numpy.float64(7), shape)
    assert numpy.array_equal(pickle.loads(dumps(array)), array)


class Celsius(numpy.float64):
    pass


@pytest.mark.parametrize(
    ("value", "is_plain"),
    [
        (numpy.ones((2, 3)), True),
        (numpy.ones((4, 4))[::2], True),
        (numpy.float32(1), True),
        (numpy.datetime64("2020-01-01"), True),
        (numpy.array([len]), False),
        (numpy.zeros(3, "i4,f8"), False),
        (numpy.zeros(3, numpy.dtype("i4", metadata={"unit": len})), False),
        (numpy.broadcast_to(numpy.ones(1), (3, 3)), False),
        (numpy.ma.array([1]), False),
        (Celsius(20), False),
        ([1], False),
    ],
)
def test_plain_arrays_are_pickled_as_they_are_by_pickle(value, is_plain):
    assert is_plain_array(value) is is_plain
    if is_plain:
        assert dumps(value) == pickle.dumps(value, protocol=5)
