"""`Ready`: what is taken first, and that nothing is which is not ready any more."""

from dask_dispatcher.options import Options
from dask_dispatcher.ready import Ready
from dask_dispatcher.states import READY, RUNNING, WAITING


def ready(count, special=()):
    state = bytearray([READY] * count)
    return state, Ready(state, dict(special))


def test_the_latest_is_taken_first_and_begins():
    state, some = ready(4)
    some.extend([0, 1, 2])
    some.pusher()(3)
    assert len(some) == 4
    assert some.take(2) == [2, 3]  # the one to run first comes last
    assert list(state) == [READY, READY, RUNNING, RUNNING]
    assert some.take(5) == [0, 1]
    assert not some


def test_what_is_not_ready_any_more_is_passed_over():
    state, some = ready(3)
    some.extend([0, 1, 2])
    state[2] = WAITING
    some.is_stale = True
    assert some.take(2) == [0, 1]
    assert state[2] == WAITING


def test_what_has_become_ready_again_is_taken_once():
    state, some = ready(2)
    some.extend([0, 1])
    some.is_stale = True
    some.extend([0])
    assert some.take(3) == [1, 0]
    assert not some


def test_priority_comes_before_rank_and_rank_before_time():
    _, some = ready(4, {1: Options(priority=1)})
    assert some.has_priorities
    some.extend([0, 1, 2, 3])
    assert some.take(1) == [1]
    some.rank([2.0, 0.0, 1.0, 1.5])
    assert some.take(4) == [2, 3, 0]


def test_ranks_leave_out_what_is_not_ready():
    state, some = ready(3)
    some.extend([0, 1, 2, 1])
    state[0] = WAITING
    some.rank([3.0, 1.0, 2.0])
    assert len(some) == 2
    assert some.take(3) == [1, 2]
