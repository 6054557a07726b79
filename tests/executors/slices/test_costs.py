"""`Costs`: what calls cost, remembered by function and not by node."""

import pytest

from dask_dispatcher import op
from dask_dispatcher.callee import Kindred
from dask_dispatcher.executors.slices.costs import Costs


def function(x):
    return x


def callee(func):
    return op(func)(1)._callee


def test_nothing_is_known_at_first():
    assert Costs().mean(callee(function)) is None


def test_the_mean_of_calls():
    costs = Costs()
    costs.add(callee(function), 1, 1.0)
    costs.add(callee(function), 3, 1.0)  # another factory of the same function
    assert costs.mean(callee(function)) == pytest.approx(0.5)


def test_what_is_new_outweighs_what_is_old():
    costs = Costs()
    costs.add(callee(function), 1_000_000, 1_000_000.0)
    costs.add(callee(function), 1_000, 1.0)
    assert costs.mean(callee(function)) < 0.1


def test_what_was_known_of_tiny_calls_says_little_of_long_ones():
    costs = Costs()
    costs.add(callee(function), 100, 1e-4)
    costs.add(callee(function), 1, 0.05)
    assert costs.mean(callee(function)) == pytest.approx(0.025, rel=0.01)


def test_one_long_call_among_others_is_nothing_new():
    costs = Costs()
    costs.add(callee(function), 99, 0.99)
    costs.add(callee(function), 1, 1.0)
    assert costs.mean(callee(function)) == pytest.approx(0.0199)


def test_functions_are_told_apart():
    costs = Costs()
    costs.add(callee(function), 1, 1.0)
    costs.add(callee(len), 1, 3.0)
    assert (costs.mean(callee(function)), costs.mean(callee(len))) == (1.0, 3.0)
    assert costs.mean(callee(abs)) is None


def test_what_is_of_one_kind_is_known_by_the_kind():
    class Task(Kindred):
        def __call__(self, x):
            return x

    costs = Costs()
    costs.add(callee(Task("sum")), 1, 2.0)
    assert costs.mean(callee(Task("sum"))) == 2.0
    assert costs.mean(callee(Task("add"))) is None


def test_methods_are_known_by_their_object():
    class Model:
        def score(self, x):
            return x

    costs, one, other = Costs(), Model(), Model()
    costs.add(callee(one.score), 1, 1.0)
    assert costs.mean(callee(one.score)) == 1.0
    assert costs.mean(callee(other.score)) is None


def test_callables_that_cannot_be_hashed_or_compared():
    class Hostile:
        __hash__ = None

        def __call__(self, x):
            return x

        def __eq__(self, other):
            raise AssertionError

    costs, known = Costs(), callee(Hostile())
    costs.add(known, 1, 2.0)
    assert costs.mean(known) == 2.0
    assert costs.mean(callee(Hostile())) is None


def test_methods_of_objects_that_cannot_be_hashed():
    class Model:
        __hash__ = None

        def score(self, x):
            return x

        def __eq__(self, other):
            raise AssertionError

    costs, known = Costs(), callee(Model().score)
    costs.add(known, 1, 2.0)
    assert costs.mean(known) == 2.0
    assert costs.mean(callee([].append)) is None


def test_only_so_many_functions_are_remembered():
    costs = Costs()
    callees = [callee(lambda x, n=n: x) for n in range(1_001)]
    for known in callees:
        costs.add(known, 1, 1.0)
        costs.add(callees[1], 1, 1.0)  # heard of again and again
    assert costs.mean(callees[0]) is None
    assert costs.mean(callees[1]) == 1.0
    assert costs.mean(callees[-1]) == 1.0
