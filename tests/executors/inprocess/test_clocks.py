from dask_dispatcher.executors.inprocess.clocks import processor_seconds, seems_to_wait


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
