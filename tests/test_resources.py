"""Counts of resources: all or nothing, and never more than there is."""

import pytest

from dask_dispatcher.resources import Resources


def test_what_is_there_can_be_taken_once():
    resources = Resources({"GPU": 2})
    assert resources.acquire({"GPU": 1})
    assert resources.acquire({"GPU": 1})
    assert not resources.acquire({"GPU": 1})
    resources.release({"GPU": 1})
    assert resources.acquire({"GPU": 1})


def test_a_demand_is_met_as_a_whole_or_not_at_all():
    resources = Resources({"GPU": 1, "disk": 0.5})
    assert not resources.acquire({"GPU": 1, "disk": 1})
    assert not resources.acquire({"GPU": 1, "tape": 1})
    assert resources.acquire({"GPU": 1, "disk": 0.5})


def test_no_demand_is_always_met():
    assert Resources().acquire({})
    assert Resources().acquire({"GPU": 0})
    assert Resources().missing({"GPU": 0}) == {}


def test_what_can_never_be_met_is_named():
    resources = Resources({"GPU": 1, "disk": 2})
    assert resources.missing({"GPU": 2, "disk": 2, "tape": 1}) == {"GPU": 2, "tape": 1}
    assert resources.acquire({"GPU": 1})
    assert resources.missing({"GPU": 1}) == {}, "it is only taken"


def test_fractions_come_back_whole():
    resources = Resources({"GPU": 1})
    parts = [0.1, 0.2, 0.3, 0.15, 0.25]
    for _ in range(1_000):
        for part in parts:
            assert resources.acquire({"GPU": part})
        assert not resources.acquire({"GPU": 0.001})
        for part in parts[::-1]:
            resources.release({"GPU": part})
    assert resources.acquire({"GPU": 1})


def test_the_total_is_ones_own():
    total = {"GPU": 1}
    resources = Resources(total)
    total["GPU"] = 5
    assert resources.total == {"GPU": 1}


@pytest.mark.parametrize(
    ("total", "error"),
    [({"GPU": -1}, ValueError), ({"GPU": "1"}, TypeError), ({1: 1}, TypeError), ("GPU", TypeError)],
)
def test_nonsense_is_refused(total, error):
    with pytest.raises(error, match="resource"):
        Resources(total)
