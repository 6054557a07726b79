"""`Watch`: the event loop that belongs to the executor."""

import asyncio
import threading

import pytest

from dask_dispatcher import AsyncExecutor, op

WAIT = 20.0


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_a_task_that_a_node_made_may_exit_and_the_loop_lives(executor, error):
    async def child():
        raise error

    async def node():
        await asyncio.create_task(child())

    async def fine():
        await asyncio.sleep(0)
        return 1

    run = executor.start([op(node)()])
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            run.results(WAIT)
    else:
        assert run.results(WAIT)[0].error.__cause__ is error
    assert executor.start([op(fine)()]).results(WAIT)[0].unwrap().fetch() == 1


def test_close_cancels_the_tasks_that_nodes_left_behind():
    log = []

    async def background(begun):
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("unwound")

    async def node():
        begun = asyncio.Event()
        node.task = asyncio.create_task(background(begun))
        await begun.wait()

    with AsyncExecutor() as executor:
        executor.compute(op(node)())
        assert log == []
    assert log == ["unwound"]


def test_close_finishes_what_nodes_left_to_the_loops_threads():
    release, log = threading.Event(), []

    def slow():
        assert release.wait(WAIT)
        log.append("returned")

    async def node():
        asyncio.get_running_loop().run_in_executor(None, slow)

    with AsyncExecutor() as executor:
        executor.compute(op(node)())
        release.set()
    assert log == ["returned"]


def test_close_finalizes_asynchronous_generators():
    log = []

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            log.append("finalized")

    async def node():
        generator = numbers()
        async for number in generator:
            return generator, number

    with AsyncExecutor() as executor:
        kept = executor.compute(op(node)())
    assert kept[1] == 1
    assert log == ["finalized"]


def test_opening_and_closing_at_once():
    for _ in range(20):
        executor = AsyncExecutor()
        executor.start([op(len)("abc")])
        executor.close()
