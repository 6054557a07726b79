"""Any executor as a ``concurrent.futures.Executor``."""

import asyncio
import concurrent.futures
import gc
import threading
import traceback
import weakref

import dask
import pytest

from dask_dispatcher import AsyncExecutor, DaskExecutor, ExecutorError, SerializationError


@pytest.fixture(params=["async", "dask"])
def pool(request, shared_cluster):
    executor = DaskExecutor(shared_cluster.address) if request.param == "dask" else AsyncExecutor()
    with executor, executor.as_pool() as pool:
        yield pool


@pytest.fixture
def one():
    """A pool of one worker in this process."""
    with AsyncExecutor(max_workers=1) as executor, executor.as_pool() as pool:
        yield pool


@pytest.fixture
def gate():
    event = threading.Event()
    yield event
    event.set()


def test_it_is_what_libraries_ask_for(pool):
    assert isinstance(pool, concurrent.futures.Executor)
    assert pool._max_workers >= 1


def test_submit(pool):
    future = pool.submit(divmod, 17, 5)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(timeout=10) == (3, 2)
    assert future.done()
    assert not future.running()


def test_submit_with_keyword_arguments(pool):
    assert pool.submit(int, "ff", base=16).result(timeout=10) == 255


def test_an_exception_has_the_line_that_raised_it(pool):
    def fail():
        raise LookupError("on purpose")

    error = pool.submit(fail).exception(timeout=10)
    assert type(error) is LookupError
    assert "in fail\n" in "".join(traceback.format_exception(error))


def test_many_at_once(pool):
    futures = [pool.submit(abs, -n) for n in range(30)]
    done, pending = concurrent.futures.wait(futures, timeout=30)
    assert not pending
    assert [future.result() for future in futures] == list(range(30))
    assert len(list(concurrent.futures.as_completed(done))) == 30


def test_what_a_call_raises_is_raised_as_it_is(pool):
    def fail():
        raise LookupError("on purpose")

    future = pool.submit(fail)
    with pytest.raises(LookupError, match="on purpose"):
        future.result(timeout=10)
    assert isinstance(future.exception(), LookupError)


def test_a_wrong_number_of_arguments_is_the_call_s_failure(pool):
    assert isinstance(pool.submit(abs, 1, 2).exception(timeout=10), TypeError)


def test_arguments_are_not_searched(one):
    given = [[1], {"k": (2,)}]
    assert one.submit(lambda x: x, given).result(timeout=10) is given


def test_what_cannot_travel_is_the_call_s_failure(shared_cluster):
    with DaskExecutor(shared_cluster.address) as executor, executor.as_pool() as pool:
        future = pool.submit(id, threading.Lock())
        assert isinstance(future.exception(timeout=10), SerializationError)


def test_map(pool):
    assert list(pool.map(pow, [2, 3, 4], [1, 2, 3, 4])) == [2, 9, 64]


def test_map_raises_where_it_comes_to_the_failure(pool):
    results = pool.map(lambda n: 1 // n, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_map_begins_at_once(one):
    begun = threading.Event()
    one.map(lambda _: begun.set(), [0])
    assert begun.wait(10)


def test_map_has_a_timeout(one, gate):
    results = one.map(lambda _: gate.wait(), [0], timeout=0.01)
    with pytest.raises(concurrent.futures.TimeoutError):
        next(results)


def test_map_that_is_left_begins_nothing_more(one, gate):
    begun = []

    def wait(n):
        begun.append(n)
        return n == 0 or gate.wait()

    results = one.map(wait, range(5))
    next(results)
    results.close()
    gate.set()
    one.shutdown()
    assert len(begun) < 5


def test_callbacks_are_called(one):
    called = concurrent.futures.Future()
    one.submit(abs, -1).add_done_callback(called.set_result)
    assert called.result(timeout=10).result() == 1


def test_a_call_that_waits_for_its_turn_can_be_cancelled(one, gate):
    begun = threading.Event()
    first = one.submit(lambda: begun.set() or gate.wait())
    begun.wait(10)
    assert first.running()
    second = one.submit(abs, -1)
    assert second.cancel()
    assert second.cancelled()
    assert not first.cancel()
    gate.set()
    assert first.result(timeout=10)
    assert concurrent.futures.wait([second], timeout=10).done == {second}
    assert not second.running()


def test_a_call_that_has_ended_cannot_be_cancelled(one):
    future = one.submit(abs, -1)
    future.result(timeout=10)
    assert not future.cancel()


def test_shutdown_waits_and_takes_no_more(one, gate):
    future = one.submit(gate.wait)
    one.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="after shutdown"):
        one.submit(abs, -1)
    with pytest.raises(RuntimeError, match="after shutdown"):
        one.map(abs, [-1])
    assert not future.done()
    gate.set()
    one.shutdown()
    assert future.done()


def test_a_pool_on_a_closed_executor_takes_no_more():
    with AsyncExecutor() as executor:
        pool = executor.as_pool()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(int)
    with pytest.raises(RuntimeError, match="closed"):
        pool.map(int, "1")


def test_shutdown_waits_for_a_map(one):
    seen = []
    results = one.map(seen.append, range(50))
    one.shutdown()
    assert seen == list(range(50))
    assert list(results) == [None] * 50


def test_shutdown_can_cancel(one, gate):
    begun = threading.Event()
    first = one.submit(lambda: begun.set() or gate.wait())
    begun.wait(10)
    second = one.submit(abs, -1)
    one.shutdown(wait=False, cancel_futures=True)
    assert second.cancelled()
    gate.set()
    assert first.result(timeout=10)


def test_the_executor_stays():
    with AsyncExecutor() as executor:
        with executor.as_pool() as pool:
            pool.submit(abs, -1)
        with executor.as_pool() as pool:
            assert pool.submit(abs, -1).result(timeout=10) == 1


def test_calls_that_the_executor_drops_fail(gate):
    with AsyncExecutor(max_workers=1) as executor, executor.as_pool() as pool:
        future = pool.submit(gate.wait)
        executor.reset()
        gate.set()
        with pytest.raises(ExecutorError, match="reset"):
            future.result(timeout=10)


def test_a_forgotten_pool_ends_its_thread():
    with AsyncExecutor() as executor:
        pool = executor.as_pool()
        assert pool.submit(abs, -1).result(timeout=10) == 1
        thread, gone = pool._thread, weakref.ref(pool)
        del pool
        gc.collect()
        assert gone() is None
        thread.join(10)
        assert not thread.is_alive()


def test_a_value_is_not_kept_by_the_pool(one):
    class Value:
        pass

    future = one.submit(Value)
    value = weakref.ref(future.result(timeout=10))
    del future
    gc.collect()
    assert value() is None


def test_in_an_event_loop(pool):
    async def main():
        return await asyncio.get_running_loop().run_in_executor(pool, abs, -1)

    assert asyncio.run(main()) == 1


def test_as_dask_s_pool(one):
    total = dask.delayed(sum)([dask.delayed(abs)(-n) for n in range(4)])
    assert total.compute(scheduler=one) == 6


def test_repr_names_the_executor(one):
    assert repr(one).startswith("<Pool on <AsyncExecutor")
