"""What goes along with a node that gives a large value; no cluster needed."""

from operator import add

import pytest

from dask_dispatcher import op
from dask_dispatcher.executors.dask.estimates import Estimates
from dask_dispatcher.executors.dask.trees import Trees
from dask_dispatcher.executors.slices.costs import Costs
from dask_dispatcher.plan import compile_plan
from dask_dispatcher.schedule import RUNNING, Schedule


def make(x):
    return x


def double(x):
    return x


def slow(x):
    return x


def strange(x):
    return x


class Forest:
    """Trees of one plan, of whose nodes the first ones are begun and wait to be sent."""

    def __init__(self, *nodes):
        self.plan = compile_plan(nodes)
        self.schedule = Schedule(self.plan)
        costs = Costs()
        for function, seconds in ((make, 0.01), (double, 0.01), (add, 0.01), (slow, 0.2)):
            costs.add(op(function), 1, seconds)
        estimates = Estimates(self.plan, self.schedule, costs, Costs())
        self._trees = Trees(self.plan, self.schedule, estimates)

    def grow(self, first, leaves=10, queued=()):
        """Begin a node, grow a tree from it, and return its nodes."""
        queued = [self.plan.index[node] for node in (first, *queued)]
        for number in queued:
            self.schedule.state[number] = RUNNING
        numbers = self._trees.grow(queued[0], leaves, queued)
        return [self.plan.nodes[number] for number in numbers]


def pairs(count):
    """Leaves, what is made of each, and the sums of these in pairs."""
    leaves = [op(make)(n) for n in range(count)]
    doubles = [op(double)(leaf) for leaf in leaves]
    return leaves, doubles, [op(add)(a, b) for a, b in zip(doubles[::2], doubles[1::2])]


def test_a_chain_goes_together_whatever_could_run_beside_it():
    leaf = op(make)(0)
    middle = op(double)(leaf)
    top = op(double)(middle)
    assert Forest(top).grow(leaf, leaves=1) == [leaf, middle, top]


def test_what_meets_goes_together_each_value_used_soon_after_it_was_made():
    leaves, doubles, sums = pairs(4)
    top = op(add)(*sums)
    (a, b, c, d), (aa, bb, cc, dd) = leaves, doubles
    tree = Forest(top).grow(a)
    assert tree in (
        [c, cc, d, dd, sums[1], a, aa, b, bb, sums[0], top],
        [a, aa, b, bb, sums[0], c, cc, d, dd, sums[1], top],
        [d, dd, c, cc, sums[1], b, bb, a, aa, sums[0], top],
        [b, bb, a, aa, sums[0], d, dd, c, cc, sums[1], top],
    )


@pytest.mark.parametrize(("leaves", "size"), [(1, 2), (2, 5), (3, 5), (4, 11)])
def test_what_could_run_beside_each_other_goes_together_as_far_as_it_may(leaves, size):
    first, _, sums = pairs(4)
    assert len(Forest(op(add)(*sums)).grow(first[0], leaves)) == size


def test_others_that_were_begun_go_along_as_long_as_they_were_not_sent():
    (a, b), (aa, bb), (top,) = pairs(2)
    assert len(Forest(top).grow(a, queued=[b])) == 5
    forest = Forest(top)
    forest.schedule.state[forest.plan.index[b]] = RUNNING
    assert forest.grow(a) == [a, aa]


def test_what_is_there_already_is_not_waited_for():
    (a, b), (aa, bb), (top,) = pairs(2)
    forest = Forest(top)
    forest.schedule.begin([forest.plan.index[b], forest.plan.index[bb]])
    forest.schedule.finish([forest.plan.index[b], forest.plan.index[bb]])
    assert forest.grow(a, leaves=1) == [a, aa, top]


def test_a_value_that_others_take_too_or_that_was_asked_for_is_the_last_of_a_tree():
    leaf = op(make)(0)
    top = op(double)(leaf)
    assert Forest(top, op(double)(leaf)).grow(leaf) == [leaf]
    assert Forest(top, leaf).grow(leaf) == [leaf]


@pytest.mark.parametrize(
    "follow",
    [
        op(slow),  # with another one it takes too long
        op(strange),
        op(double, priority=1),
        op(double, resources={"GPU": 1}),
    ],
)
def test_some_nodes_go_along_with_none(follow):
    leaf = op(slow)(0)
    assert Forest(follow(leaf)).grow(leaf) == [leaf]


def test_what_was_lost_before_goes_along_with_none():
    leaf = op(make)(0)
    top = op(double)(leaf)
    forest = Forest(top)
    forest.schedule.losses[forest.plan.index[top]] = 1
    assert forest.grow(leaf) == [leaf]


def test_a_long_chain_is_cut():
    leaf = node = op(make)(0)
    for _ in range(500):
        node = op(abs)(node)
    forest = Forest(node)
    forest._trees._estimates._costs.add(op(abs), 1, 1e-6)
    forest._trees._estimates._classify(next(n for n in forest.plan.nodes if n is node)._callee)
    assert len(forest.grow(leaf)) <= 50
