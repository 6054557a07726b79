"""Which nodes of a run go together, and how many; no cluster needed."""

from operator import add

import pytest

from dask_dispatcher import CollectNode, op
from dask_dispatcher.executors.dask.job import Job
from dask_dispatcher.executors.engine import Engine
from dask_dispatcher.executors.policy import Policy
from dask_dispatcher.executors.slices.costs import Costs
from dask_dispatcher.executors.slices.packing import BUILT_IN
from dask_dispatcher.executors.slices.passing import passing_in
from dask_dispatcher.executors.state import RunState
from dask_dispatcher.plan import compile_plan


class Nowhere(Engine):
    def launch(self, state, *, blocking):
        pass

    def post(self, function):
        function()

    def close(self):
        pass

    def stop(self, state, running):
        pass


def tiny(x):
    return x


def slow(x):
    return x


async def waiting(x):
    return x


class Runs:
    """Jobs that share what is known of functions."""

    def __init__(self, **policy):
        self.engine = Nowhere(Policy(**policy))
        self.costs, self.sizes = Costs(), Costs()

    def know(self, function, seconds):
        self.costs.add(op(function), 10, 10 * seconds)

    def job(self, nodes, *, keeps=False):
        state = RunState(self.engine, compile_plan(nodes), fail_fast=False)
        return Job(state, self.costs, self.sizes, keeps=keeps, is_again=False)


@pytest.fixture
def runs():
    return Runs()


def of(job, batch):
    return [job.state.plan.nodes[number] for number in batch.numbers]


def test_what_is_unknown_is_divided_among_the_threads(runs):
    nodes = [op(tiny)(n) for n in range(100)]
    job = runs.job(nodes)
    job.fill(2)
    batch = job.next_probe()
    assert of(job, batch) == nodes[:50]
    assert not batch.is_known
    assert job.has_backlog
    assert job.next_probe() is None
    assert job.next_light() is None


def test_nothing_goes_together_with_an_unknown_node_that_it_waits_for(runs):
    runs.know(tiny, 1e-6)
    first = op(tiny)(1)
    second = op(slow)(first)
    third = op(tiny)(second)
    job = runs.job([first, third])
    job.fill(1)
    assert of(job, job.next_light()) == [first]
    job.schedule.finish([0])
    job.fill(1)
    assert of(job, job.next_probe()) == [second]
    assert job.next_light() is None


@pytest.mark.parametrize(("nodes", "size"), [(1000, 300), (200, 67), (100, 33), (60, 25), (40, 20)])
def test_groups_are_as_large_as_their_cost_and_what_is_ready_allow(runs, nodes, size):
    runs.know(tiny, 0.001)
    job = runs.job([op(tiny)(n) for n in range(nodes)])
    job.fill(2)
    batch = job.next_light()
    assert len(batch.numbers) == size
    assert batch.seconds == pytest.approx(size / 1000)
    assert batch.is_known


def test_groups_are_smaller_where_another_run_wants_the_same_threads(runs):
    runs.know(tiny, 0.001)
    job = runs.job([op(tiny)(n) for n in range(1000)])
    job.fill(2, is_alone=False)
    assert len(job.next_light().numbers) == 100


@pytest.mark.parametrize("dear", [range(3), range(500, 503), range(0, 1000, 400)])
def test_nodes_that_cost_much_more_than_others_are_counted_one_by_one(runs, dear):
    runs.know(tiny, 1e-6)
    runs.know(slow, 0.05)
    job = runs.job([op(slow if n in dear else tiny)(n) for n in range(1000)])
    job.fill(1)
    sent = []
    while (batch := job.next_light()) is not None:
        sent.append(batch)
        job.schedule.finish(batch.numbers)
        job.fill(1)
    assert max(batch.seconds for batch in sent) < 0.16
    assert sum(batch.seconds for batch in sent) == pytest.approx(0.15, rel=0.02)
    assert len(sent) <= 4


def test_little_work_is_not_spread(runs):
    runs.know(tiny, 1e-6)
    job = runs.job([CollectNode([op(tiny)(n) for n in range(1000)])])
    job.fill(8)
    assert len(job.next_light().numbers) == 1001


def layers(depth=50, width=10):
    """Return the last of some layers, each node of which takes all of the layer before."""
    layer = [op(tiny)(n) for n in range(width)]
    for _ in range(depth - 1):
        layer = [op(max)(*layer) for _ in range(width)]
    return layer


@pytest.mark.parametrize(("seconds", "layers_of_a_group"), [(1e-4, 50), (5e-4, 20), (1e-3, 10)])
def test_a_graph_with_little_work_a_layer_goes_down_in_groups(runs, seconds, layers_of_a_group):
    runs.know(tiny, seconds)
    runs.know(max, seconds)
    job = runs.job(layers())
    job.fill(2)
    assert len(job.next_light().numbers) == 10 * layers_of_a_group
    assert job.next_light() is None


def test_it_goes_layer_by_layer_while_other_nodes_of_it_are_on_workers(runs):
    runs.know(tiny, 1e-3)
    runs.know(max, 1e-3)
    job = runs.job(layers())
    job.fill(2, is_under_way=True)
    assert len(job.next_light().numbers) == 10


def test_one_with_much_work_a_layer_is_spread(runs):
    runs.know(tiny, 0.005)
    runs.know(max, 0.005)
    job = runs.job(layers())
    job.fill(2)
    assert len(job.next_light().numbers) == 5


def test_a_chain_goes_in_one_group(runs):
    runs.know(tiny, 1e-6)
    node = op(tiny)(0)
    for _ in range(4_999):
        node = op(tiny)(node)
    job = runs.job([node])
    job.fill(2)
    batch = job.next_light()
    assert len(batch.numbers) == 5_000
    assert of(job, batch)[-1] is node


def test_heavy_nodes_go_alone_and_what_waits_for_them_stays(runs):
    runs.know(slow, 0.2)
    runs.know(tiny, 1e-6)
    heavy, light = op(slow)(1), op(tiny)(2)
    both = op(add)(heavy, light)
    runs.know(add, 1e-6)
    job = runs.job([both])
    job.fill(1)
    batch = job.next_of(job.heavy)
    assert of(job, batch) == [heavy]
    assert batch.seconds == pytest.approx(0.2)
    assert of(job, job.next_light()) == [light]
    assert job.next_light() is None
    job.schedule.finish(range(3))
    assert job.has_backlog
    job.fill(1)
    assert of(job, job.next_light()) == [both]


def test_a_function_that_gives_large_values_goes_alone(runs):
    runs.know(tiny, 1e-6)
    nodes = [op(tiny)(n) for n in range(6)]
    job = runs.job(nodes)
    job.note_size(0, 10_000_000)
    job.fill(1)
    assert job.next_light() is None
    assert len(job.heavy) == 4  # at first but a few are taken


@pytest.mark.parametrize("is_used", [False, True])
def test_what_gives_values_that_stay_is_taken_by_their_bytes(runs, is_used):
    for function in (tiny, slow):
        runs.know(function, 1e-6)
    runs.sizes.add(op(tiny), 1, 100_000)
    nodes = [op(tiny)(n) for n in range(100)]
    job = runs.job([op(slow)(node) for node in nodes] if is_used else nodes)
    job.fill(2)
    batch = job.next_light()
    assert len(batch.numbers) == (200 if is_used else 10)
    passing = passing_in(job.schedule, job.state.plan, batch.numbers)
    assert passing == ({n: [job.state.plan.needs[n][0]] for n in passing})
    assert len(passing) == (100 if is_used else 0)


@pytest.mark.parametrize(("seconds", "is_alone"), [(1e-3, False), (1e-2, True)])
def test_a_value_of_some_size_is_worth_a_task_if_its_call_is(runs, seconds, is_alone):
    runs.know(tiny, seconds)
    runs.sizes.add(op(tiny), 1, 200_000)
    job = runs.job([op(tiny)(n) for n in range(10)])
    job.fill(2)
    assert bool(job.heavy) == is_alone
    assert (job.next_light() is None) == is_alone


def test_what_goes_to_two_nodes_or_was_asked_for_is_not_used_up(runs):
    runs.know(tiny, 1e-6)
    runs.sizes.add(op(tiny), 1, 100_000)
    shared, asked, passed = (op(tiny)(n) for n in range(3))
    job = runs.job([op(max)(shared, asked), op(min)(shared, passed), asked])
    runs.know(max, 1e-6)
    runs.know(min, 1e-6)
    job.fill(1)
    numbers = list(range(5))
    found = passing_in(job.schedule, job.state.plan, numbers)
    assert [job.state.plan.nodes[n] for needs in found.values() for n in needs] == [passed]


def test_a_node_that_gives_a_large_value_goes_with_those_that_take_it(runs):
    for function in (tiny, slow, add):
        runs.know(function, 0.01)
        runs.sizes.add(op(function), 1, 10_000_000)
    leaves = [op(slow)(n) for n in range(8)]
    level = [op(tiny)(leaf) for leaf in leaves]
    while len(level) > 1:
        level = [op(add)(a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
    job = runs.job(level)
    sent = []
    for worker in "abab":
        if not job.heavy:
            job.fill(2)
        batch = job.next_batch(worker)
        job.note_sent(batch.numbers, worker)
        assert batch.seconds == pytest.approx(0.05)
        sent += of(job, batch)
    assert len(sent) == 20
    assert not job.has_backlog
    job.schedule.finish([job.state.plan.index[node] for node in sent])
    job.fill(2)
    first, second = job.next_batch("a"), job.next_batch("b")
    assert (len(first.numbers), len(second.numbers)) == (1, 1)
    job.schedule.finish(first.numbers + second.numbers)
    job.fill(2)
    assert of(job, job.next_batch("a")) == level


def test_what_is_learned_is_kept_for_the_next_run(runs):
    job = runs.job([op(slow)(1), op(slow)(2)])
    job.fill(1)
    batch = job.next_probe()
    job.packer.pack(batch.numbers)
    job.note_costs([(len(BUILT_IN), 2, 0.2)])
    assert job.estimates.seconds(1) == pytest.approx(0.1)
    again = runs.job([op(slow)(3)])
    again.fill(1)
    assert again.next_of(again.heavy).seconds == pytest.approx(0.1)


def test_what_a_function_cost_is_looked_up_once_though_each_node_has_its_own_op(runs, monkeypatch):
    runs.know(tiny, 1e-6)
    job = runs.job([op(tiny)(n) for n in range(1000)])
    job.fill(1)
    job.packer.pack(job.next_light().numbers)
    looks = []
    mean = Costs.mean
    monkeypatch.setattr(Costs, "mean", lambda self, callee: looks.append(1) or mean(self, callee))
    job.note_costs([(len(BUILT_IN) + n, 1, 1e-6) for n in range(1000)])
    assert len(looks) <= 2 * 1000  # seconds and bytes


def test_coroutines_go_together(runs):
    nodes = [op(waiting)(n) for n in range(700)]
    job = runs.job(nodes)
    job.fill(1)
    batch = job.next_coroutines()
    assert batch.is_async
    assert len(batch.numbers) == 500
    assert len(job.next_coroutines().numbers) == 200
    assert job.next_coroutines() is None


@pytest.mark.parametrize("options", [{"resources": {"GPU": 1}}, {"workers": "a"}])
def test_nodes_that_ask_for_something_wait_for_it(runs, options):
    asking = op(tiny).options(**options)
    nodes = [asking(1), asking(2), op(tiny)(3)]
    job = runs.job(nodes)
    job.fill(1)
    (queue,) = job.bound.values()
    assert of(job, job.next_of(queue)) == [nodes[0]]
    assert job.next_of(queue).options == nodes[1].options
    assert of(job, job.next_probe()) == [nodes[2]]
    assert job.next_of(queue) is None


def test_priorities_are_kept_to_the_letter(runs):
    runs.know(tiny, 1e-6)
    nodes = [op(tiny).options(priority=p)(p) for p in (0, -1, 3, 1, 2)]
    job = runs.job(nodes)
    order = []
    while job.has_backlog:
        job.fill(2)
        while (batch := job.next_of(job.heavy)) is not None:
            order += [node.options.priority for node in of(job, batch)]
    assert order == [3, 2, 1, 0, -1]


def test_few_losses_mean_care(runs):
    job = runs.job([op(tiny).options(max_losses=0)(1), op(tiny).options(max_losses=3)(2)])
    job.fill(1)
    assert len(job.careful) == 1
    assert len(job.next_probe().numbers) == 1
    careful = Runs(max_losses=1).job([op(tiny)(1)])
    careful.fill(1)
    assert len(careful.careful) == 1


def test_a_lost_group_is_divided_and_at_last_each_of_its_nodes_is_alone(runs):
    runs.know(tiny, 1e-6)
    job = runs.job([op(tiny)(n) for n in range(200)])
    job.fill(1)
    job.state.lost(job.next_light().numbers, [], "a", "gone")
    parts = []
    while job.has_backlog:
        job.fill(1)
        parts.append(job.next_light())
    assert [len(part.numbers) for part in parts] == [50] * 4
    job.state.lost(parts[0].numbers, [], "a", "gone")
    job.fill(1)
    assert len(job.alone) == 50
    batch = job.next_of(job.alone, is_alone=True)
    assert (len(batch.numbers), batch.is_alone) == (1, True)
    job.state.lost(batch.numbers, [], "a", "gone")
    job.fill(1)
    with runs.engine.lock:
        job.state.lost(batch.numbers, [], "a", "gone")
    error = job.state.error_of(batch.numbers[0])
    assert error.attempts == 4
    assert not any(job.state.error_of(n) for n in range(200) if n != batch.numbers[0])


def test_queued_nodes_that_cannot_begin_any_more_are_left_out(runs):
    runs.know(slow, 0.2)
    first = op(slow)(1)
    second = op(slow)(first)
    job = runs.job([first, second])
    job.fill(1)
    batch = job.next_of(job.heavy)
    job.schedule.finish(batch.numbers)
    job.fill(1)
    assert list(job.heavy)
    job.schedule.lose(values=batch.numbers)
    assert job.next_of(job.heavy) is None
    job.fill(1)
    assert of(job, job.next_of(job.heavy)) == [first]
    job.schedule.stop()
    assert job.next_of(job.heavy) is None


def test_timeouts_of_the_nodes_and_of_the_executor(runs):
    nodes = [op(tiny).options(timeout=1)(1), op(tiny)(2)]
    assert runs.job(nodes).timeouts([0, 1]) == {0: 1}
    assert runs.job(nodes[1:]).timeouts([0]) == {}
    assert Runs(timeout=5).job(nodes).timeouts([0, 1]) == {0: 1, 1: 5}


def test_the_nodes_of_a_client_go_one_by_one(runs):
    runs.know(tiny, 1e-6)
    job = runs.job([op(tiny)(1), op(tiny)(2)], keeps=True)
    job.fill(2)
    assert len(job.heavy) == 2
    assert job.next_light() is None


def test_light_nodes_make_a_group_though_heavy_ones_come_first(runs):
    runs.know(slow, 0.2)
    runs.know(tiny, 0.001)
    heavy = [op(slow)(n) for n in range(3)]
    job = runs.job([*heavy, *(op(tiny)(n) for n in range(100))])
    job.fill(2)
    assert len(job.heavy) == 3
    assert len(job.next_light().numbers) > 20


def test_a_run_that_was_forgotten_uses_no_value(runs):
    node = op(tiny)(1)
    plan = compile_plan([op(tiny)(node)], {node: 5})
    state = RunState(runs.engine, plan, fail_fast=False)
    job = Job(state, runs.costs, runs.sizes, keeps=False, is_again=False)
    (number,) = plan.given
    held = state.values[number]
    assert job.uses(held) == [number]
    with runs.engine.lock:
        state.stop()
        state.forget("it was reset")
    assert job.uses(held) == []
