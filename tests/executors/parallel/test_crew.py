"""`Crew`: when there may be one more worker, and when one is too many."""

import pytest

from dask_dispatcher.executors.parallel.crew import Crew


class Somebody:
    """A worker as the crew sees it."""

    def __init__(self):
        self.identity = None
        self.is_idle = False
        self.is_dismissed = False
        self.coroutines = {}
        self.kept = 0
        self.is_killed = False

    def come(self):
        self.identity, self.is_idle = "here", True

    def dismiss(self):
        self.is_dismissed, self.is_idle = True, False

    def kill(self):
        self.is_killed = True


class Company:
    """A crew of two, how many of them wait, and what is to be called later."""

    def __init__(self):
        self.blocked = 0
        self.due = []
        self.crew = Crew(
            2, Somebody, lambda: self.blocked, lambda delay, function: self.due.append(function)
        )
        self.workers = self.crew.workers


@pytest.fixture
def company():
    return Company()


def test_no_more_than_its_size(company):
    for _ in range(3):
        company.crew.start_another()
    assert len(company.workers) == 2
    assert not company.crew.may_start


def test_one_that_waits_leaves_its_place(company):
    for _ in range(2):
        company.crew.start_another()
        company.workers[-1].come()
    company.workers[0].is_idle = False
    company.blocked = 1
    company.crew.start_another()
    assert len(company.workers) == 3
    company.workers[2].come()
    company.crew.dismiss_surplus()
    assert not any(worker.is_dismissed for worker in company.workers)
    company.blocked = 0
    company.crew.dismiss_surplus()
    company.crew.dismiss_surplus()
    assert [worker.is_dismissed for worker in company.workers] == [False, False, True]


def test_one_that_keeps_values_stays(company):
    for _ in range(2):
        company.crew.start()
    company.blocked = 1
    company.crew.start_another()
    for worker in company.workers:
        worker.come()
        worker.kept = 1
    company.blocked = 0
    company.crew.dismiss_surplus()
    assert not any(worker.is_dismissed for worker in company.workers)


def test_all_are_taken_if_none_is_idle_or_about_to_come(company):
    assert company.crew.is_taken
    assert company.crew.has_room
    company.crew.start()
    assert not company.crew.is_taken
    company.crew.start()
    assert not company.crew.has_room
    for worker in company.workers:
        worker.come()
    assert not company.crew.is_taken
    assert company.crew.has_room
    for worker in company.workers:
        worker.is_idle = False
    assert company.crew.is_taken


def test_one_that_never_says_a_word_is_killed(company):
    company.crew.start()
    company.crew.start()
    silent, other = company.workers
    other.come()
    for check in company.due:
        check()
    assert silent.is_killed
    assert not other.is_killed


def test_it_is_hopeless_when_three_in_a_row_end_as_they_start(company):
    def lose(*, has_come=False):
        company.crew.start()
        worker = company.workers[-1]
        if has_come:
            worker.come()
        return company.crew.lose(worker)

    assert [lose(), lose(), lose(has_come=True), lose(), lose()] == [False] * 5
    company.crew.note_started()
    assert [lose(), lose(), lose()] == [False, False, True]
    assert not lose()


def test_a_process_that_cannot_be_started_matters_if_there_is_no_other(company):
    def fail():
        raise OSError("no more processes")

    company.crew._make = fail
    with pytest.raises(OSError, match="no more"):
        company.crew.start_another()
    company.workers.append(Somebody())
    company.crew.start_another()
    assert len(company.workers) == 1
