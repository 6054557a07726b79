"""Large values that will meet are made on one worker."""

from collections import deque
from operator import add

from dask_dispatcher import op
from dask_dispatcher.executors.company import Company
from dask_dispatcher.plan import compile_plan


def make(x):
    return x


def double(x):
    return x


def summed(leaves):
    """Sum leaves in pairs, and these in pairs, to one node."""
    level = [op(double)(leaf) for leaf in leaves]
    while len(level) > 1:
        level = [op(add)(a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def test_those_that_are_summed_first_are_made_together():
    leaves = [op(make)(n) for n in range(8)]
    plan = compile_plan([summed(leaves)])
    company = Company(plan)
    numbers = [plan.index[leaf] for leaf in leaves]
    queue, made = deque(numbers), {"a": [], "b": []}
    while queue:
        for address, found in made.items():
            company.pick(queue, len(queue), address)
            number = queue.popleft()
            company.note(number, address)
            found.append(numbers.index(number))
    assert sorted(made["a"]) == [0, 1, 2, 3]
    assert sorted(made["b"]) == [4, 5, 6, 7]


def test_what_goes_where_its_input_is_goes_first():
    leaves = [op(make)(n) for n in range(2)]
    plan = compile_plan([summed(leaves)])
    company = Company(plan)
    company.note(plan.index[leaves[1]], "a")
    queue = deque(plan.index[leaf] for leaf in leaves)
    doubles = deque(plan.dependents[number][0] for number in queue)
    expected = doubles[1]
    company.pick(doubles, 2, "a")
    assert doubles[0] == expected
    company.pick(doubles, 2, "b")
    assert doubles[0] != expected


def test_only_some_may_be_exchanged():
    leaves = [op(make)(n) for n in range(4)]
    plan = compile_plan([summed(leaves)])
    company = Company(plan)
    numbers = [plan.index[leaf] for leaf in leaves]
    company.note(numbers[3], "a")
    queue = deque(numbers[:3])
    company.pick(queue, 2, "a")
    assert queue[0] == numbers[0]
    company.pick(queue, 3, "a")
    assert list(queue) == [numbers[2], numbers[0], numbers[1]]
