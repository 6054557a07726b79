"""`Store`: large values of one worker, in memory, in files, and gone when told."""

import os
import pathlib
import stat
import threading

import numpy as np
import pytest

from dask_dispatcher.executors.parallel.memory import Witness
from dask_dispatcher.executors.parallel.places import bring, in_memory
from dask_dispatcher.executors.parallel.store import Store, memory_limit
from dask_dispatcher.executors.slices.carrying import dump, load
from dask_dispatcher.executors.slices.running import MissingInputError

WITNESS = Witness()


class Kept:
    """A store, and what it said of spilling."""

    def __init__(self, folder, limit=1 << 30):
        self.folder = folder
        self.spilled = {}
        self.store = Store(WITNESS.identity, str(folder), limit, self.spilled.__setitem__)

    def keep_untold(self, key, value):
        return self.store.keep(key, dump(value, "it"), value)

    def keep(self, key, value):
        """Keep a value, as a node that is reported at once."""
        place, seen = self.keep_untold(key, value)
        self.store.note_told([key])
        return place, seen

    def bring(self, key, value):
        """Bring a value from elsewhere; return what keeps it there."""
        dumped = dump(value, "it")
        self.store.get(key, in_memory(WITNESS.identity, dumped))
        return dumped

    @property
    def files(self):
        return sorted(self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def kept(tmp_path):
    """Give the test a store with all the room it could want."""
    return Kept(tmp_path / "files")


def array(value, length=10_000):
    return np.full(length, float(value))


def test_a_value_is_kept_and_others_can_read_it(kept):
    place, seen = kept.keep((1, 2), array(7))
    assert (load(*bring(place)) == 7).all()
    assert (seen == 7).all()
    assert kept.store.get((1, 2), ("here",)) is seen
    assert kept.store.size >= 80_000
    assert kept.files == []


def test_consumers_here_see_an_array_read_only_and_without_a_copy(kept):
    value = array(1)
    _, seen = kept.keep((1, 2), value)
    assert not seen.flags.writeable
    assert np.shares_memory(seen, value)
    with pytest.raises(ValueError, match="read-only"):
        seen += 1


def test_what_has_no_large_buffers_is_kept_as_it_is(kept):
    value = ["x" * 100 for _ in range(100)]
    assert kept.keep((1, 2), value)[1] is value


def test_a_value_elsewhere_is_brought_once(kept):
    elsewhere = dump(array(3), "it")
    place = in_memory(WITNESS.identity, elsewhere)
    one = kept.store.get((1, 5), place)
    assert (one == 3).all()
    assert kept.store.get((1, 5), ("memory", (0, 0, b""), [])) is one


@pytest.mark.parametrize(
    "place", [("here",), ("file", "not there", [1]), ("memory", (1 << 22, 0, b"x" * 16), [])]
)
def test_a_value_that_is_gone_is_a_missing_input(kept, place):
    with pytest.raises(MissingInputError):
        kept.store.get((1, 5), place)
    assert kept.store.size == 0


def test_freed_values_are_gone(kept):
    _, seen = kept.keep((1, 2), array(1))
    kept.keep((1, 3), array(2))
    size = kept.store.size
    kept.store.free([(1, 2), (9, 9)])  # of what it has not it was told in vain
    assert kept.store.size == size / 2
    with pytest.raises(MissingInputError):
        kept.store.get((1, 2), ("here",))
    assert (seen == 1).all()  # whoever has it keeps it
    kept.store.free([(1, 3), (1, 3)])
    assert kept.store.size == 0


def test_looking_here_finds_only_what_is_here(kept):
    _, seen = kept.keep((1, 2), array(1))
    assert kept.store.get_here((1, 2)) is seen
    kept.store.free([(1, 2)])
    with pytest.raises(MissingInputError):
        kept.store.get_here((1, 2))


def test_literals_go_with_their_run(kept):
    for key in ((1, -1), (1, -2), (2, -1), (1, 3)):
        kept.keep(key, array(0))
    kept.store.forget_literals(1)
    assert kept.store.get((2, -1), ("here",)) is not None
    assert kept.store.get((1, 3), ("here",)) is not None
    for key in ((1, -1), (1, -2)):
        with pytest.raises(MissingInputError):
            kept.store.get(key, ("here",))


# Files


def test_above_the_limit_the_oldest_are_written_to_files(tmp_path):
    kept = Kept(tmp_path / "files", limit=250_000)
    places = {number: kept.keep((1, number), array(number))[0] for number in range(5)}
    assert list(kept.spilled) == [(1, 0), (1, 1)]
    assert kept.store.size <= 250_000
    assert len(kept.files) == 2
    for (_, number), place in kept.spilled.items():
        assert (load(*bring(place)) == number).all()
        # Somebody may have been told of its first place, so it stays there until it is freed.
        assert (load(*bring(places[number])) == number).all()


def test_spilled_values_are_freed_from_memory_when_told(tmp_path):
    kept = Kept(tmp_path / "files", limit=100_000)
    for number in range(2):
        kept.keep((1, number), array(number))
    (key,) = kept.spilled
    size = kept.store.size
    kept.store.free([key])
    assert kept.store.size == size
    with pytest.raises(MissingInputError):
        kept.store.get(key, ("here",))
    assert (load(*bring(kept.spilled[key])) == 0).all()  # the file is the controller's to remove


def test_a_value_larger_than_the_limit_stays(tmp_path):
    kept = Kept(tmp_path / "files", limit=1_000)
    place, _ = kept.keep((1, 0), array(5))
    assert kept.spilled == {}
    assert (load(*bring(place)) == 5).all()


def test_what_the_controller_has_not_heard_of_stays(tmp_path):
    kept = Kept(tmp_path / "files", limit=100_000)
    for number in range(3):
        kept.keep_untold((1, number), array(number))
    kept.store.make_room()
    assert kept.spilled == {}
    assert kept.store.is_full
    kept.store.note_told([(1, 1), (9, 9)])  # of what is gone already it is told in vain
    kept.store.make_room()
    assert list(kept.spilled) == [(1, 1)]
    kept.store.note_told([(1, 0), (1, 1), (1, 2)])
    kept.store.make_room()
    assert list(kept.spilled) == [(1, 1), (1, 0)]  # each once; the newest stays
    assert not kept.store.is_full


def test_what_can_be_brought_again_counts_and_is_dropped(tmp_path):
    kept = Kept(tmp_path / "files", limit=100_000)
    _elsewhere = kept.bring((1, 0), array(1))
    kept.keep((1, 1), array(2))
    assert (kept.spilled, kept.files) == ({}, [])
    assert kept.store.distance((1, 0), ("file", "", [5])) == 5
    assert 80_000 <= kept.store.size <= 100_000


def test_a_value_that_comes_twice_counts_once(kept):
    _elsewhere = kept.bring((1, 0), array(1))
    size = kept.store.size
    kept.keep((1, 0), array(1))
    assert kept.store.size == size


def test_files_are_nobody_elses(tmp_path):
    old = os.umask(0)
    try:
        kept = Kept(tmp_path / "files", limit=100_000)
        for number in range(2):
            kept.keep((1, number), array(number))
    finally:
        os.umask(old)
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(kept.files[0].stat().st_mode) == 0o600


def test_where_there_is_no_room_for_files_values_stay_in_memory(tmp_path):
    (tmp_path / "files").write_text("no folder")
    kept = Kept(tmp_path / "files", limit=100_000)
    places = [kept.keep((1, number), array(number))[0] for number in range(3)]
    assert kept.spilled == {}
    for number, place in enumerate(places):
        assert (load(*bring(place)) == number).all()


def test_where_memory_cannot_be_read_values_go_to_files_at_once(tmp_path):
    kept = Kept(tmp_path / "files")
    kept.store.use_files()
    place, seen = kept.keep((1, 0), array(4))
    assert place[0] == "file"
    assert pathlib.Path(place[1]) in kept.files
    assert (load(*bring(place)) == 4).all()
    assert kept.store.get((1, 0), place) is seen


def test_where_memory_cannot_be_read_what_does_not_fit_is_in_its_file_already(tmp_path):
    kept = Kept(tmp_path / "files", limit=100_000)
    kept.store.use_files()
    places = [kept.keep_untold((1, number), array(number))[0] for number in range(3)]
    assert kept.spilled == {}
    assert len(kept.files) == 3
    assert not kept.store.is_full
    for number, place in enumerate(places):
        assert (kept.store.get((1, number), place) == number).all()


def test_where_memory_cannot_be_read_and_there_is_no_room_the_node_hears_of_it(tmp_path):
    (tmp_path / "files").write_text("no folder")
    kept = Kept(tmp_path / "files")
    kept.store.use_files()
    with pytest.raises(OSError, match="files"):
        kept.keep((1, 0), array(4))
    assert kept.store.size == 0


def test_two_threads_at_once_lose_no_count(tmp_path):
    kept = Kept(tmp_path / "files", limit=400_000)

    def work(run):
        for number in range(50):
            kept.keep((run, number), array(number, 1_000))
            kept.store.free([(run, number)])

    threads = [threading.Thread(target=work, args=(run,)) for run in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert kept.store.size == 0


def test_the_limit_is_a_share_of_what_there_is():
    whole = memory_limit(1.0)
    assert 0 < whole <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert memory_limit(0.5) == whole // 2
