"""Values as bytes: what comes out is what went in, or says why it is not."""

import numpy as np
import pytest

from dask_dispatcher import SerializationError
from dask_dispatcher.executors.slices.carrying import (
    SMALL,
    dump,
    is_atom,
    load,
)


@pytest.mark.parametrize("value", [0, True, None, 1.5, 2j, "", "x" * SMALL, b"x" * SMALL])
def test_atoms(value):
    assert is_atom(value)


@pytest.mark.parametrize("value", ["x" * (SMALL + 1), b"x" * (SMALL + 1), [], (), np.int64(1)])
def test_no_atoms(value):
    assert not is_atom(value)


def test_small_buffers_stay_inside_and_large_ones_outside():
    for length, outside in ((SMALL, 0), (SMALL + 1, 1)):
        array = np.zeros(length, dtype="u1")
        pickled, buffers = dump(array, "it")
        assert len(buffers) == outside
        assert (load(pickled, buffers) == array).all()


def test_large_buffers_are_not_copied():
    array = np.arange(1_000)
    _, (buffer,) = dump([array, "and more"], "it")
    assert np.shares_memory(np.frombuffer(buffer), array)


def test_arrays_that_are_not_contiguous_come_out_equal():
    array = np.arange(10_000.0).reshape(100, 100)[::2, ::3]
    pickled, buffers = dump(array, "it")
    assert (load(pickled, buffers) == array).all()


def test_lambdas_and_closures_travel():
    captured = [1, 2]
    pickled, buffers = dump(lambda: captured, "it")
    assert load(pickled, buffers)() == [1, 2]


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), MemoryError()]
)
def test_whatever_pickling_raises_is_one_error_that_says_what(error):
    class Stubborn:
        def __reduce__(self):
            raise error

    with pytest.raises(
        SerializationError, match=r"the answer, a Stubborn, cannot be pickled"
    ) as info:
        dump(Stubborn(), "the answer")
    assert info.value.__cause__ is error
    assert type(error).__name__ in str(info.value)


def test_too_deep_to_pickle():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SerializationError, match="a list, cannot be pickled: .* deep recursion"):
        dump(deep, "it")


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_whatever_unpickling_raises_is_one_error(error):
    with pytest.raises(SerializationError, match="cannot be unpickled") as info:
        load(dump(RaisingWhenLoaded(error), "it")[0])
    assert type(info.value.__cause__) is type(error)


class RaisingWhenLoaded:
    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        return _raise, (self.error,)


def _raise(error):
    raise error


def test_a_missing_module_is_named():
    with pytest.raises(ModuleNotFoundError, match="no module 'not_there' here") as info:
        load(b"cnot_there\nthing\n.")
    assert info.value.name == "not_there"


def test_bytes_that_are_no_pickle():
    with pytest.raises(SerializationError):
        load(b"nonsense")
