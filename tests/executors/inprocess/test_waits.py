from dask_dispatcher import AsyncExecutor
from dask_dispatcher.executors.inprocess.crew import processor_seconds, seems_to_wait


def test_a_call_without_processor_time_waits():
    assert seems_to_wait(0.0, 0.1, busy=0)
    assert seems_to_wait(0.001, 0.1, busy=2)


def test_calls_that_share_the_interpreter_compute():
    for busy in (1, 2, 16):
        assert not seems_to_wait(0.1 / busy, 0.1, busy)


def test_processor_seconds_grow_with_work():
    before = processor_seconds()
    sum(range(100_000))
    assert processor_seconds() > before


def test_one_that_computed_is_taken_for_waiting_only_when_that_is_sure():
    def waits():
        return engine._slow[len][1]

    with AsyncExecutor() as executor:
        engine = executor._engine
        engine._note_cost(len, 0.05, 0.05, is_sure=False)
        assert not waits()
        engine._note_cost(len, 0.05, 0.0001, is_sure=False)  # or others had the processor
        assert not waits()
        assert len in engine._doubted
        engine._note_cost(len, 0.05, 0.0001, is_sure=True)
        assert waits()
        assert len not in engine._doubted
        engine._note_cost(len, 0.05, 0.0001, is_sure=False)
        assert waits()
        engine._note_cost(len, 0.05, 0.05, is_sure=False)
        assert not waits()
