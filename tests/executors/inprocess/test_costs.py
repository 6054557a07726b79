import pytest

from dask_dispatcher.executors.inprocess.costs import CallCosts


@pytest.fixture
def costs():
    return CallCosts()


def test_nothing_is_known_of_a_function_at_first(costs):
    assert not costs.slow
    assert not costs.is_fast(len)
    assert not costs.is_doubted(len)
    assert costs.waits(len)


def test_one_that_was_not_slow_alone_is_fast(costs):
    costs.stalled(len, waits=True)
    assert len in costs.slow
    for _ in range(100):
        costs.called(len, 1e-6, 1e-6, busy=1, is_sure=False)
    assert costs.is_fast(len)
    assert len not in costs.slow


def test_a_fast_one_that_stalls_its_thread_is_slow(costs):
    costs.called(len, 1e-6, 1e-6, busy=1, is_sure=False)
    costs.stalled(len, waits=False)
    assert not costs.is_fast(len)
    assert not costs.waits(len)
    costs.is_waiting(len)
    assert costs.waits(len)


def test_one_that_computed_is_taken_for_waiting_only_when_that_is_sure(costs):
    def call(worked, *, is_sure=False):
        costs.called(len, 0.05, worked, busy=0, is_sure=is_sure)
        return costs.waits(len)

    assert not call(0.05)
    assert not call(0.0001)  # or others had the processor
    assert costs.is_doubted(len)
    assert call(0.0001, is_sure=True)
    assert not costs.is_doubted(len)
    assert call(0.0001)
    assert not call(0.05)


def test_what_a_function_costs_is_a_running_mean(costs):
    costs.called(len, 0.1, 0.1, busy=0, is_sure=False)
    costs.called(len, 0.2, 0.2, busy=0, is_sure=False)
    mean, _ = costs.slow[len]
    assert mean == pytest.approx(0.125)


def test_few_costs_are_remembered_between_runs_and_many_are_not(costs):
    costs.stalled(len, waits=True)
    costs.forget_many()
    assert len in costs.slow
    for _ in range(1001):
        costs.stalled(lambda: None, waits=True)
    costs.forget_many()
    assert not costs.slow
