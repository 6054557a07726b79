"""`Job`: in which order calls begin, and what is put back."""

import asyncio
import threading

import pytest

from dask_dispatcher import AsyncExecutor, op

WAIT = 20.0


async def suspending(value):
    await asyncio.sleep(0)
    return value


@pytest.fixture
def single():
    with AsyncExecutor(max_workers=1) as executor:
        yield executor


@pytest.mark.parametrize("mixed", [False, True])
def test_a_single_worker_honours_priority(single, mixed):
    order = []
    gate = op(lambda: None)()
    nodes = [op(order.append, priority=p, after=gate)(p) for p in (0, 3, -1, 5, 2.5, 4)]
    if mixed:
        nodes.append(op(suspending)(1))
    single.compute(nodes)
    assert order == [5, 4, 3, 2.5, 0, -1]


@pytest.mark.parametrize("mixed", [False, True])
def test_what_becomes_ready_later_with_a_higher_priority_goes_first(single, mixed):
    order = []
    first = op(order.append, priority=10)("first")
    urgent = op(order.append, priority=9, after=first)("urgent")
    others = [op(order.append, priority=1)(n) for n in range(5)]
    single.compute([*others, urgent, *([op(suspending)(1)] if mixed else [])])
    assert order[:2] == ["first", "urgent"]
    assert sorted(order[2:]) == list(range(5))


def test_many_priorities_with_resources_and_coroutines():
    running, most, done = set(), [], []

    async def use(number):
        running.add(number)
        most.append(len(running))
        await asyncio.sleep(0)
        running.discard(number)
        done.append(number)

    with AsyncExecutor(resources={"GPU": 1}) as executor:
        nodes = [op(use, priority=n, resources={"GPU": 1})(n) for n in range(50)]
        run = executor.start([*nodes, op(len)("plain")])
        assert all(result.is_ok() for result in run.results(WAIT))
    assert max(most) == 1
    assert done == list(range(50))[::-1]


def test_a_run_started_by_a_node_sees_the_nodes_context(single):
    import contextvars

    variable = contextvars.ContextVar("variable", default="unset")

    def outer():
        variable.set("set in the node")
        return single.compute(op(variable.get)())

    assert single.compute(op(outer)()) == "set in the node"


def test_short_runs_do_not_wait_behind_a_long_one(single):
    # One worker, and a long run of calls that go on until the short run has ended.
    ended = threading.Event()

    def spin(_):
        ended.wait(0.001)

    call = op(spin)
    long_run = single.start([call(number) for number in range(10_000)])
    assert single.start([op(len)("short")]).results(WAIT)[0].unwrap().fetch() == 5
    assert not long_run.done()
    long_run.cancel()
    long_run.results(WAIT)
