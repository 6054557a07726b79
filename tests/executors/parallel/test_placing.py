"""`Placing`: who is given something next, and what."""

from operator import add

import pytest

from dask_dispatcher import op
from dask_dispatcher.executors.parallel.placing import Placing
from dask_dispatcher.executors.parallel.slices import Slice
from dask_dispatcher.executors.parallel.values import Copy, Held
from tests.executors.parallel.runs import Somebody, known, make_job


def work(*values):
    return len(values)


def free(job, number):
    """Take the resources of a node that asks for none."""
    return True


def busy(job, seconds, *, is_nudged=False):
    """Return a worker that has been given a slice."""
    part = Slice(job, 1, [0], [], seconds)
    part.is_nudged = is_nudged
    return Somebody(slices={1: part})


def choose(job, worker=None, workers=None, begin=free):
    worker = worker or Somebody()
    return Placing().choose(job, worker, workers or [worker], begin)


def put(job, node, worker, size):
    """Let a node's value be a large one on a worker, the node being done."""
    number = job.state.plan.index[node]
    held = Held(job.state, (job.serial, number))
    held.put(Copy(worker, held.key, ("memory", (1, 2, b""), [(0, size)]), lambda copy: None))
    job.state.values[number] = held
    job.held, job.is_even = True, False
    job.schedule.finish([number])


# Who


def test_an_idle_worker_comes_before_a_busy_one():
    job, idle = make_job(op(work)(1)), Somebody()
    assert Placing().worker_with_room([busy(job, 0.001), idle]) is idle


def test_a_worker_with_little_to_do_is_given_more_in_advance():
    job = make_job(op(work)(1))
    little, much = busy(job, 0.001), busy(job, 1.0)
    assert Placing().worker_with_room([much, little]) is little
    assert Placing().worker_with_room([much]) is None


def test_nobody_who_is_not_there_yet_or_was_asked_to_give_back():
    job = make_job(op(work)(1))
    assert Placing().worker_with_room([]) is None
    assert (
        Placing().worker_with_room([Somebody(is_open=False), busy(job, 0.001, is_nudged=True)])
        is None
    )


def test_a_worker_goes_on_with_what_waits_for_what_it_has():
    step = op(work)
    node = step(0)
    for _ in range(2_999):
        node = step(node)
    job = make_job(node, costs=known({node._callee: 1e-6}))
    worker, idle = Somebody(), Somebody()
    first = choose(job, worker)
    assert first.before is None
    part = Slice(job, 1, first.numbers, [], 0.001, first.trail)
    worker.slices[1] = part
    assert choose(job, idle).numbers == []
    assert Placing().worker_to_go_on([idle, worker], job) is worker
    assert Placing().worker_to_go_on([idle, worker], make_job(node)) is None
    second = choose(job, worker)
    assert second.before is part
    order = [job.state.plan.index[n] for n in _chain(node)]
    assert [*first.numbers, *second.numbers] == order[:2_000]
    part.is_nudged = True
    assert Placing().worker_to_go_on([idle, worker], job) is None


def test_nobody_is_given_more_while_a_suspect_may_be_running():
    job = make_job(op(work)(1))
    job.suspects.add(0)
    assert Placing().worker_with_room([busy(job, 0.001)]) is None


# What


def test_cheap_calls_fill_a_slice_with_what_follows():
    step = op(work)
    node = step(0)
    for _ in range(99):
        node = step(node)
    job = make_job(node, costs=known({node._callee: 1e-6}))
    chosen = choose(job)
    order = [job.state.plan.index[n] for n in _chain(node)]
    assert chosen.numbers == order
    assert chosen.coroutines == []


def _chain(node):
    found = [node]
    while found[-1].dependencies:
        found.append(found[-1].dependencies[0])
    return found[::-1]


def test_of_calls_nobody_knows_only_a_few_are_taken():
    step = op(work)
    job = make_job(*[step(i) for i in range(100)])
    chosen = choose(job)
    assert 1 <= len(chosen.numbers) <= 10
    assert job.schedule.has_ready


def test_dear_calls_come_one_at_a_time():
    step = op(work)
    nodes = [step(i) for i in range(4)]
    job = make_job(*nodes, costs=known({nodes[0]._callee: 0.1}))
    chosen = [choose(job) for _ in range(4)]
    assert [len(one.numbers) for one in chosen] == [1, 1, 1, 1]
    assert chosen[0].seconds == pytest.approx(0.1)
    assert sorted(one.numbers[0] for one in chosen) == [0, 1, 2, 3]


def test_dear_calls_come_several_at_a_time_while_nobody_would_miss_them():
    step = op(work)
    nodes = [step(i) for i in range(20)]
    job = make_job(*nodes, costs=known({nodes[0]._callee: 0.01}))
    sizes = []
    while numbers := choose(job).numbers:
        sizes.append(len(numbers))
    assert sizes == [4] * 3 + [1] * 8


def test_while_much_is_ready_what_follows_comes_along_all_the_same():
    """Sums begin as soon as their terms are there, not when all terms of all sums are."""
    make, total = op(work), op(sum)
    sums = [total([make(i) for _ in range(4)]) for i in range(400)]
    callees = make(0)._callee, sums[0]._callee
    job = make_job(*sums, costs=known(dict(zip(callees, (2e-4, 2e-5), strict=True))))
    job.held, job.is_even = True, False  # its values are large
    for _ in range(4):
        chosen = choose(job, workers=[Somebody(), Somebody()]).numbers
        followers = [number for number in chosen if job.schedule.waiting[number]]
        assert len(followers) == pytest.approx(len(chosen) / 5, abs=2)


def test_no_worker_takes_more_than_its_share_of_what_is_ready():
    step = op(work)
    nodes = [step(i) for i in range(40)]
    job = make_job(*nodes, costs=known({nodes[0]._callee: 5e-4}))  # 20 ms in all
    one, other = workers = [Somebody(), Somebody()]
    sizes = [len(choose(job, worker, workers).numbers) for worker in (one, other) * 2]
    assert sizes == [10, 10, 10, 5]  # of the last ten, the other worker has as little to do


@pytest.mark.parametrize("seconds", [2e-5, 1e-4, 1e-3])
def test_idle_workers_share_a_layer_that_is_worth_it(seconds):
    """Else one would take all of it, and with it what only it could go on with."""
    step = op(work)
    layer = [step(n) for n in range(80)]
    after = [step(*layer) for _ in range(80)]
    job = make_job(*after, costs=known({step(0)._callee: seconds}))
    one, other = workers = [Somebody(), Somebody()]
    taken = choose(job, one, workers)
    assert 0 < len(taken.numbers) <= 40
    one.slices = {1: Slice(job, 1, taken.numbers, [], taken.seconds)}
    assert choose(job, other, workers).numbers


def test_a_layer_that_is_not_worth_it_goes_to_one_worker_with_what_follows():
    step = op(work)
    layer = [step(n) for n in range(80)]
    after = [step(*layer) for _ in range(80)]
    job = make_job(*after, costs=known({step(0)._callee: 1e-6}))
    workers = [Somebody(), Somebody()]
    assert len(choose(job, workers[0], workers).numbers) == 160


def test_while_all_find_something_ready_a_worker_may_have_more_work_waiting():
    step = op(work)
    nodes = [step(i) for i in range(4)]
    job = make_job(*nodes, costs=known({nodes[0]._callee: 0.03}))
    others = [busy(job, 0.03), busy(job, 0.03)]
    assert Placing().worker_with_room(others) is None
    assert Placing().worker_with_room(others, Placing().limit(job, others)) is others[0]
    job.schedule.take(3)  # one is left, and who has nothing to do is to find it
    assert Placing().worker_with_room(others, Placing().limit(job, others)) is None


def test_nothing_waits_behind_what_takes_long():
    step = op(work)
    nodes = [step(i) for i in range(4)]
    job = make_job(*nodes, costs=known({nodes[0]._callee: 0.12}))
    others = [busy(job, 0.12)]
    assert Placing().worker_with_room(others, Placing().limit(job, others)) is None


def test_what_is_not_known_to_be_quick_is_reported_at_once():
    step = op(work)
    nodes = [step(i) for i in range(100)]
    assert choose(make_job(*nodes)).patience == 0
    few = nodes[:4]
    costs = known({nodes[0]._callee: 0.01})
    few_left = choose(make_job(*few, costs=costs)).patience
    assert 0 < few_left < choose(make_job(*nodes, costs=costs)).patience


def test_what_is_known_need_not_be_reported_at_once_if_something_else_is_not():
    step = op(work)
    nodes = [step(i) for i in range(100)]
    job = make_job(op(len)(nodes), costs=known({nodes[0]._callee: 0.01}))
    assert not job.is_known
    assert choose(job).patience > 0


def test_what_is_left_keeps_its_order():
    cheap, dear = op(work), op(len)
    nodes = [dear(str(i)) if i % 7 == 0 else cheap(i) for i in range(50)]
    costs = known({nodes[0]._callee: 0.0009, nodes[1]._callee: 0.0001})
    job = make_job(*nodes, costs=costs)
    seen = []
    while numbers := choose(job).numbers:
        seen += numbers
    assert seen == list(range(50))


def test_large_values_that_will_meet_are_made_on_one_worker():
    make, pair = op(work), op(add)
    leaves = [make(i) for i in range(8)]
    level = leaves
    while len(level) > 1:
        level = [pair(a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
    callee = leaves[0]._callee
    job = make_job(*level, costs=known({callee: 0.01}), sizes=known({callee: 5e7}))
    one, other = workers = [Somebody(), Somebody()]
    made = {id(one): [], id(other): []}
    for _ in range(4):
        for worker in workers:
            made[id(worker)] += choose(job, worker, workers).numbers
    numbers = [job.state.plan.index[leaf] for leaf in leaves]
    assert sorted(map(sorted, made.values())) == sorted(map(sorted, (numbers[:4], numbers[4:])))


def test_a_node_that_must_be_alone_is():
    step, alone = op(work), op(work, max_losses=0)
    job = make_job(*[alone(i) if i % 3 == 1 else step(i) for i in range(9)])
    seen = []
    while chosen := choose(job).numbers:
        seen.append(chosen)
    assert sorted(number for part in seen for number in part) == list(range(9))
    assert all(len(part) == 1 for part in seen if any(job.is_alone(number) for number in part))


def test_who_must_be_alone_is_not_given_to_a_busy_worker():
    job = make_job(op(work, max_losses=0)(1))
    assert choose(job, busy(job, 0.001)).numbers == []
    assert choose(job).numbers == [0]


def test_coroutines_go_by_themselves():
    async def coroutine(x):
        return x

    first = op(coroutine)(1)
    job = make_job(first, op(coroutine)(2), op(work)(3), op(work)(first))
    chosen = choose(job)
    index = job.state.plan.index
    assert sorted(chosen.coroutines) == [0, 1]
    assert chosen.numbers == [2]
    assert job.schedule.waiting[3] == 1
    assert index[first] in chosen.coroutines


def test_who_waits_for_resources_is_left_out():
    step = op(work, resources={"GPU": 1})
    job = make_job(step(0), step(1), op(work)(2))
    chosen = []
    while numbers := choose(job, begin=lambda job, number: number != 0).numbers:
        chosen += numbers
    assert sorted(chosen) == [1, 2]


# Where


def test_a_node_goes_where_its_bytes_are():
    source = op(work)()
    node = op(work)(source)
    job = make_job(node, costs=known({node._callee: 1e-5}))
    holder, other = Somebody(), Somebody()
    job.schedule.take()
    put(job, source, holder, 50_000_000)
    assert choose(job, other, [holder, other]).numbers == []
    assert choose(job, holder, [holder, other]).numbers == [job.state.plan.index[node]]


def test_unless_moving_them_is_quicker_than_waiting():
    source = op(work)()
    node = op(work)(source)
    job = make_job(node)
    other, holder = Somebody(), busy(job, 10.0)
    job.schedule.take()
    put(job, source, holder, 50_000_000)
    assert choose(job, other, [holder, other]).numbers == [job.state.plan.index[node]]


def test_most_of_its_bytes_decide():
    sources = [op(work)() for _ in range(2)]
    node = op(work)(*sources)
    job = make_job(node)
    one, two = Somebody(), Somebody()
    job.schedule.take(2)
    put(job, sources[0], one, 10_000_000)
    put(job, sources[1], two, 30_000_000)
    assert choose(job, one, [one, two]).numbers == []
    assert choose(job, two, [one, two]).numbers == [job.state.plan.index[node]]


def test_an_idle_worker_takes_from_the_longest_queue():
    source = op(work)()
    step = op(work)
    nodes = [step(source, i) for i in range(4)]
    job = make_job(*nodes)
    holder, other = Somebody(), Somebody()
    job.schedule.take()
    put(job, source, holder, 50_000_000)
    for number in job.schedule.take(4):
        job.assign(number, holder)
    assert len(choose(job, other, [holder, other]).numbers) == 1
    assert len(choose(job, holder, [holder, other]).numbers) == 3


def test_who_follows_another_is_not_sent_elsewhere_before_it():
    large, small = op(work)(1), op(work)(2)
    both = op(work)(large, small)
    job = make_job(both)
    here, there = Somebody(), Somebody()
    job.schedule.take(1)
    put(job, large, there, 100_000_000)
    index = job.state.plan.index
    assert choose(job, here, [here, there]).numbers == [index[small]]
    assert job.assigned == {}
    job.schedule.finish([index[small]])
    assert choose(job, here, [here, there]).numbers == []
    assert job.assigned == {there: [index[both]]}
