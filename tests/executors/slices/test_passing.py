"""`Passing`: arrays of which nothing is said while they are held."""

import numpy as np

from dask_dispatcher.executors.slices.passing import Passing
from dask_dispatcher.executors.slices.values import NOTHING


def test_what_uses_up_another_is_not_held():
    passing = Passing({1: [0], 2: [1]})
    first, second = np.ones(1_000), np.ones(1_000)
    assert np.shares_memory(passing.hold(0, first), first)
    assert passing.hold(1, second) is NOTHING
    assert passing.pop(0) is first
    assert passing.pop(0) is NOTHING
