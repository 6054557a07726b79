"""Values that need not outlive the slice in which they are made, and arrays held meanwhile."""

import numpy as np

from dask_dispatcher import CollectNode, Op
from dask_dispatcher.executors.slices.passing import Passing, passing_in, users_inside
from dask_dispatcher.executors.slices.values import NOTHING
from dask_dispatcher.plan import compile_plan
from dask_dispatcher.schedule import Schedule


class Run:
    """A plan and its schedule; nodes are named by the numbers that they were made with."""

    def __init__(self, *nodes):
        self.plan = compile_plan(nodes)
        self.schedule = Schedule(self.plan)

    def numbers(self, *nodes):
        return [self.plan.index[node] for node in nodes]

    def users(self, *nodes):
        found = users_inside(self.plan, self.schedule, self.numbers(*nodes))
        return {self.plan.nodes[number]: count for number, count in found.items()}

    def passing(self, *nodes):
        found = passing_in(self.plan, self.schedule, self.numbers(*nodes))
        return {
            self.plan.nodes[number]: {self.plan.nodes[need] for need in needs}
            for number, needs in found.items()
        }


def test_a_value_passes_if_all_who_take_it_are_inside():
    made = Op(bytes, 9)
    one, other = Op(len, made), Op(max, made)
    run = Run(one, other)
    assert run.users(made, one, other) == {made: 2}
    assert run.passing(made, one, other) == {one: {made}, other: {made}}
    assert run.users(made, one) == {}
    assert run.passing(made, one) == {}


def test_what_was_asked_for_stays():
    made = Op(bytes, 9)
    user = Op(len, made)
    assert Run(user, made).passing(made, user) == {}


def test_who_takes_a_value_twice_is_one_that_takes_it():
    made = Op(bytes, 9)
    user = Op(max, made, CollectNode([made]))
    run = Run(user)
    assert run.users(made, *user.dependencies[1:], user) == {made: 2, user.dependencies[1]: 1}


def test_whoever_has_taken_it_before_does_not_count():
    made = Op(bytes, 9)
    before, user = Op(len, made), Op(max, made)
    run = Run(before, user)
    run.schedule.finish(run.schedule.take(1))
    (number,) = run.numbers(before)
    run.schedule.begin([number])
    run.schedule.finish([number])
    assert run.passing(made, user) == {user: {made}}


def test_what_uses_up_another_is_not_held():
    passing = Passing({1: [0], 2: [1]})
    first, second = np.ones(1_000), np.ones(1_000)
    assert np.shares_memory(passing.hold(0, first), first)
    assert passing.hold(1, second) is NOTHING
    assert passing.pop(0) is first
    assert passing.pop(0) is NOTHING


def test_the_last_of_several_uses_up_a_value():
    passing = Passing({1: [0], 2: [0]})
    assert passing.hold(0, np.ones(1_000)) is NOTHING
    assert not passing.is_last_use(0)
    assert passing.is_last_use(0)
