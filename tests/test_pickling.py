"""What travels keeps the file its code is from."""

import pickle
import traceback

from dask_dispatcher.pickling import dumps


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
