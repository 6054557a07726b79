"""`Holdings`: who has which large value, and who is told to let it go."""

import gc

import pytest

from dask_dispatcher import op
from dask_dispatcher.executors.parallel.holdings import Holdings
from tests.executors.parallel.runs import Somebody, make_job

PLACE = ("memory", (1, 2, b"nonce"), [(0, 1_000)])


class Books:
    """Holdings, and how often they asked to be looked at."""

    def __init__(self):
        self.woken = []
        self.holdings = Holdings(lambda: self.woken.append(1))

    def flush(self):
        gc.collect()
        self.holdings.flush()


@pytest.fixture
def books():
    """Give the test empty books."""
    return Books()


@pytest.fixture
def job():
    """Give the test a run of two nodes."""
    return make_job(op(int)(), op(int)())


def test_a_worker_is_told_to_let_go_of_what_nobody_needs(books, job):
    worker = Somebody()
    held = [books.holdings.put(job, number, worker, PLACE) for number in (0, 1)]
    books.flush()
    assert worker.sent == []
    held.clear()
    books.flush()
    assert books.woken == [1]  # once, however many go
    ((kind, keys),) = worker.sent
    assert (kind, sorted(keys)) == ("free", [(7, 0), (7, 1)])
    books.flush()
    assert len(worker.sent) == 1


def test_each_holder_is_told(books, job):
    one, two = Somebody(), Somebody()
    held = books.holdings.put(job, 0, one, PLACE)
    held.note_copy(two, books.holdings.release)
    del held
    books.flush()
    assert one.sent == two.sent == [("free", [(7, 0)])]


def test_a_value_that_is_made_again_is_the_same_to_all_who_wait_for_it(books, job):
    one, two = Somebody(), Somebody()
    held = books.holdings.put(job, 0, one, PLACE)
    assert books.holdings.lose(one) == {job.state: [0]}
    assert books.holdings.put(job, 0, two, PLACE) is held
    assert held.source.worker is two


def test_what_nobody_wants_to_know_of_is_let_go(books):
    worker = Somebody()
    books.holdings.drop((9, 9), worker, PLACE)
    books.flush()
    assert worker.sent == [("free", [(9, 9)])]


def test_what_was_lost_is_told_by_run_unless_another_has_it(books, job):
    other = make_job(op(int)())
    one, two = Somebody(), Somebody()
    held = [
        books.holdings.put(job, 0, one, PLACE),
        books.holdings.put(job, 1, two, PLACE),
    ]
    assert books.holdings.lose(one) == {job.state: [0]}
    assert books.holdings.lose(one) == {}
    assert [h.source is None for h in held] == [True, False]
    assert other.state.values == [None]


def test_of_a_run_that_was_reset_nothing_is_lost(books, job):
    worker = Somebody()
    held = books.holdings.put(job, 0, worker, PLACE)
    job.state.defunct = "it was reset"
    assert books.holdings.lose(worker) == {}
    assert held.source is None


def test_a_value_that_has_moved_to_a_file_leaves_memory_and_is_lost_with_nobody(
    books, job, tmp_path
):
    worker, file = Somebody(), tmp_path / "value"
    file.write_bytes(b"12")
    held = books.holdings.put(job, 0, worker, PLACE)
    books.holdings.move((7, 0), ("file", str(file), [1, 1]))
    books.flush()
    assert worker.sent == [("free", [(7, 0)])]
    assert books.holdings.lose(worker) == {}
    assert held.size == 2
    assert file.exists()
    del held
    books.flush()
    assert not file.exists()


def test_a_file_of_a_value_that_nobody_needs_any_more_is_removed(books, tmp_path):
    file = tmp_path / "value"
    file.touch()
    books.holdings.move((7, 0), ("file", str(file), [0]))
    books.flush()
    assert not file.exists()
