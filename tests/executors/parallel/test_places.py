"""Places: a value written down in one process comes out in another."""

import os
import pathlib
import resource
import stat

import numpy as np
import pytest

from dask_dispatcher.executors.parallel.memory import GoneError, Witness
from dask_dispatcher.executors.parallel.places import HERE, bring, in_file, in_memory, size_of
from dask_dispatcher.executors.slices.carrying import dump, load

VALUES = {
    "text": "x" * 10_000,
    "array": np.arange(10_000.0),
    "arrays": {"a": np.ones(1_000), "b": [np.zeros((50, 60)), "and more"]},
    "large": np.zeros(1 << 21, dtype="u1"),
    "empty": b"",
}
values = pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)


def assert_same(found, expected):
    np.testing.assert_equal(found, expected)
    assert type(found) is type(expected)


@values
def test_in_memory(value):
    witness, dumped = Witness(), dump(value, "it")
    place = in_memory(witness.identity, dumped)
    assert_same(load(*bring(place)), value)
    assert size_of(place) == len(dumped[0]) + sum(buffer.nbytes for buffer in dumped[1])


@values
def test_in_a_file(value, tmp_path):
    dumped = dump(value, "it")
    place = in_file(str(tmp_path), dumped)
    (path,) = tmp_path.iterdir()
    assert_same(load(*bring(place)), value)
    assert size_of(place) == path.stat().st_size
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@values
def test_what_was_read_from_a_file_outlives_it(value, tmp_path):
    place = in_file(str(tmp_path), dump(value, "it"))
    dumped = bring(place)
    pathlib.Path(place[1]).unlink()
    assert_same(load(*dumped), value)


def test_arrays_that_were_brought_are_the_readers_own(tmp_path):
    dumped = dump(np.zeros(10_000), "it")
    witness = Witness()
    for place in (in_memory(witness.identity, dumped), in_file(str(tmp_path), dumped)):
        load(*bring(place))[:] = 1.0
        assert not load(*bring(place)).any()


def test_places_are_plain_tuples():
    witness = Witness()
    kind, identity, regions = in_memory(witness.identity, dump(np.zeros(1_000), "it"))
    assert (kind, identity, len(regions)) == ("memory", witness.identity, 2)
    assert HERE == ("here",)


def test_a_file_that_is_gone_or_not_whole(tmp_path):
    place = in_file(str(tmp_path), dump("x" * 10_000, "it"))
    os.truncate(place[1], 5_000)
    with pytest.raises(GoneError, match="is not whole"):
        bring(place)
    os.truncate(place[1], 0)
    with pytest.raises(GoneError):
        bring(place)
    pathlib.Path(place[1]).unlink()
    with pytest.raises(GoneError, match="cannot read"):
        bring(place)


def test_a_file_there_is_no_room_for_is_not_left_half_written(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            in_file(str(tmp_path), dump(b"x" * 1_000_000, "it"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
