"""What the controller knows of values: opened once, copies let go when nobody refers to them."""

import gc

import pytest

from dask_dispatcher import op
from dask_dispatcher.executors.parallel.places import HERE
from dask_dispatcher.executors.parallel.values import Copy, Given, Held
from dask_dispatcher.executors.slices.carrying import dump
from tests.executors.parallel.runs import Somebody, make_job

PLACE = ("memory", (1, 2, b"nonce"), [(0, 1_000), (5_000, 9_000)])


class Released(list):
    """Keys and workers of copies that were let go."""

    def __call__(self, copy):
        self.append((copy.worker, copy.key))


@pytest.fixture
def job():
    """Give the test a run, which a value's whereabouts do not keep alive."""
    return make_job(op(int)(1))


def test_a_copy_is_released_when_nobody_refers_to_it():
    released, worker = Released(), Somebody()
    given = Given([1], (0, 1), released)
    given.note_copy(worker)
    given.note_copy(worker)
    assert released == []
    del given
    gc.collect()
    assert released == [(worker, (0, 1))]


def test_a_large_value_is_where_it_was_put(job):
    released, one, two = Released(), Somebody(), Somebody()
    held = Held(job.state, (7, 2))
    assert (held.source, held.size) == (None, 0)
    held.put(Copy(one, held.key, PLACE, released))
    held.note_copy(two, released)
    assert held.size == 10_000
    assert held.source.place == PLACE
    assert held.copies.keys() == {one, two}
    assert held.copies[two].place == HERE
    held.note_copy(one, released)
    assert held.copies[one] is held.source  # a source is not forgotten for a mere copy
    del held
    gc.collect()
    assert sorted(map(str, released)) == sorted(map(str, [(one, (7, 2)), (two, (7, 2))]))


def test_whoever_was_told_of_a_place_keeps_it(job):
    released, worker = Released(), Somebody()
    held = Held(job.state, (7, 2))
    held.put(Copy(worker, held.key, PLACE, released))
    told = held.source
    del held
    gc.collect()
    assert released == []
    del told
    gc.collect()
    assert len(released) == 1


def test_a_value_is_lost_with_its_source_only(job):
    one, two = Somebody(), Somebody()
    held = Held(job.state, (7, 2))
    held.put(Copy(one, held.key, PLACE, Released()))
    held.note_copy(two, Released())
    assert not held.lose(two)
    assert not held.lose(Somebody())
    assert held.source is not None
    assert held.lose(one)
    assert held.source is None
    assert held.copies == {}
    held.put(Copy(two, held.key, PLACE, Released()))
    assert held.source.worker is two


def test_a_value_in_a_file_is_lost_with_nobody(job):
    held = Held(job.state, (7, 2))
    held.put(Copy(None, held.key, ("file", "path", [1, 2]), Released()))
    assert held.size == 3
    assert not held.lose(Somebody())
    assert held.source is not None


def test_a_large_value_is_opened_once(job):
    held = Held(job.state, (7, 2))
    assert not held.is_open
    value = held.open(dump([1], "it"))
    assert held.is_open
    assert held.value is value
    assert held.open(dump([2], "another")) is value


def test_whereabouts_do_not_keep_their_run_alive(job):
    held = Held(job.state, (7, 2))
    assert held.state() is job.state
    job.state = None
    gc.collect()
    assert held.state() is None
