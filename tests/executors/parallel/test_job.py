"""`Job`: how many nodes make a slice, and which must be looked at."""

import gc
import threading
import weakref

import pytest

from dask_dispatcher import SerializationError, op
from dask_dispatcher.executors.slices.carrying import load
from dask_dispatcher.executors.slices.costs import Costs
from tests.executors.parallel.runs import Somebody, known, make_job


def work(x=0):
    return x


def other(x=0):
    return x


def limit_for(seconds):
    step = op(work)
    return make_job(step(1), costs=known({step(1)._callee: seconds})).limit


# Sizes of slices


def test_with_nothing_known_slices_are_small():
    job = make_job(op(work)(1))
    assert not job.is_known
    assert not job.is_even
    assert 1 <= job.limit <= 10


def test_the_cheaper_the_call_the_longer_the_slice():
    limits = [limit_for(seconds) for seconds in (1e-9, 1e-5, 1e-4, 1e-3, 1.0)]
    assert limits == sorted(limits, reverse=True)
    assert limits[0] == 1_000
    assert limits[-1] == 1
    assert 5e-3 / 2 < limits[2] * 1e-4 < 2e-2


def test_costs_are_noted_by_target():
    step, costs = op(work), Costs()
    node = step(op(other)(1))
    job = make_job(node, costs=costs)
    target = job.packer.target_of(job.state.plan.index[node])
    job.note_costs([(target, 4, 2.0)])
    assert costs.mean(node._callee) == 0.5
    assert job.seconds(job.state.plan.index[node]) == 0.5
    job.note_costs([(0, 1, 1.0)])  # a CollectNode's: nobody asks
    assert costs.mean(op(list)()._callee) is None


def test_what_others_have_learnt_is_known():
    step, costs = op(work), Costs()
    costs.add(step(1)._callee, 10, 1e-5)
    job = make_job(step(1), costs=costs)
    assert job.is_known
    assert job.is_even


@pytest.mark.parametrize(
    "options",
    [{"resources": {"GPU": 1}}, {"max_losses": 0}],
    ids=lambda options: next(iter(options)),
)
def test_some_are_never_even(options):
    step = op(work, **options)
    job = make_job(step(1), step(2), costs=known({step(1)._callee: 1e-5}))
    assert not job.is_even
    assert all(job.is_alone(number) for number in (0, 1))


def test_dear_calls_are_looked_at_one_by_one():
    cheap, dear = op(work), op(other)
    nodes = [cheap(1), dear(2)]
    job = make_job(*nodes, costs=known({nodes[0]._callee: 1e-6, nodes[1]._callee: 0.1}))
    assert job.is_known
    assert not job.is_even
    assert job.seconds(job.state.plan.index[nodes[1]]) == pytest.approx(0.1)


def test_coroutines_are_never_even():
    async def coroutine():
        return 1

    step = op(coroutine)
    job = make_job(step(), costs=known({step()._callee: 1e-6}))
    assert not job.is_even
    assert job.coroutines == {0}


def test_what_most_hangs_on_begins_first():
    slow, quick = op(work), op(other)
    short = [quick(i) for i in range(10)]
    chain = slow(0)
    first = chain
    for _ in range(5):
        chain = slow(chain)
    costs = known({first._callee: 1.0, short[0]._callee: 0.002})
    job = make_job(*short, chain, costs=costs)
    assert job.schedule.take() == [job.state.plan.index[first]]


def test_a_suspect_is_alone_and_follows_nobody():
    step = op(work)
    first, second = step(1), step(2)
    last = step(second)
    job = make_job(first, last, costs=known({step(1)._callee: 1e-6}))
    assert job.is_even
    number = job.state.plan.index[last]
    job.suspect(number)
    assert not job.is_even
    assert job.is_alone(number)
    assert number not in job.schedule.take(10, follow=True)
    job.weigh()
    assert not job.is_even


# Timeouts and resources


def test_timeouts_of_nodes_and_of_the_executor():
    own, plain = op(work, timeout=3)(1), op(work)(1)
    job = make_job(own, plain)
    index = job.state.plan.index
    assert (job.timeout(index[own]), job.timeout(index[plain])) == (3, None)
    assert job.has_timeouts
    assert not make_job(op(work)(1)).has_timeouts
    job = make_job(own, plain, timeout=9)
    index = job.state.plan.index
    assert (job.timeout(index[own]), job.timeout(index[plain])) == (3, 9)
    assert make_job(op(work)(1), timeout=9).has_timeouts


def test_demands():
    job = make_job(op(work, resources={"GPU": 1})(1), op(work)(2))
    assert [job.demand(number) for number in (0, 1)] == [{"GPU": 1}, None]


# Nodes that wait for a worker


def test_assigned_nodes_are_their_workers_and_come_back_when_it_goes():
    step, one, two = op(work), Somebody(), Somebody()
    job = make_job(*[step(i) for i in range(4)])
    for number in job.schedule.take(4):
        job.assign(number, one if number < 3 else two)
    assert job.take_assigned(two) == [3]
    assert job.take_assigned(two) == []
    job.forget(one)
    assert sorted(job.schedule.take(4)) == [0, 1, 2]


def test_the_last_of_the_longest_queue_can_be_stolen_but_not_the_only_one():
    step, one, two = op(work), Somebody(), Somebody()
    job = make_job(*[step(i) for i in range(4)])
    job.schedule.take(4)
    assert job.steal_assigned() == []
    for number in range(3):
        job.assign(number, one)
    job.assign(3, two)
    assert [job.steal_assigned() for _ in range(3)] == [[2], [1], []]


# Functions


def test_a_function_is_sent_once_a_worker_and_pickled_once():
    step, one, two = op(lambda x: x + 1), Somebody(), Somebody()
    job = make_job(step(1), step(2))
    target = job.packer.target_of(0)
    ((number, data),) = job.functions_for(one, {0, 1, target})
    assert number == target
    assert load(data)(1) == 2
    assert job.functions_for(one, {target}) == []
    assert job.functions_for(two, {target}) == [(target, data)]
    job.forget(one)
    assert job.functions_for(one, {target})[0][1] is data


def test_a_function_that_cannot_be_pickled_is_named_each_time():
    lock = threading.Lock()

    def locked(x):
        return lock

    step = op(locked)
    job = make_job(step(1))
    target = job.packer.target_of(0)
    for _ in range(2):
        with pytest.raises(SerializationError, match="the function locked cannot be pickled"):
            job.functions_for(Somebody(), {target})


def test_a_job_goes_with_its_run():
    job = make_job(op(work)(1))
    reference = weakref.ref(job.state)
    del job
    gc.collect()
    assert reference() is None


# Large values


def test_it_remembers_which_calls_give_large_values():
    make, count = op(work), op(other)
    nodes = [make(1), count(make(2))]
    sizes = Costs()
    job = make_job(*nodes, sizes=sizes)
    assert not job.has_bulky
    job.note_size(job.state.plan.index[nodes[1]], 10_000)
    assert not job.has_bulky
    job.note_size(job.state.plan.index[nodes[0]], 10_000_000)
    assert job.has_bulky
    assert make_job(*nodes, sizes=sizes).has_bulky
