"""Which workers can run a node; the words when none can."""

import pytest

from dask_dispatcher import NoWorkersError, op
from dask_dispatcher.executors.dask.placing import can_be_placed, is_bound, nowhere

WORKERS = {
    "tcp://10.0.0.1:4000": {"name": "first", "host": "10.0.0.1", "resources": {"slot": 2.0}},
    "tcp://10.0.0.2:4000": {"name": 2, "host": "10.0.0.2", "resources": {}},
}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, True),
        ({"resources": {"slot": 2}}, True),
        ({"resources": {"slot": 0.5}}, True),
        ({"resources": {"slot": 3}}, False),
        ({"resources": {"GPU": 1}}, False),
        ({"resources": {"GPU": 0}}, True),
        ({"workers": "first"}, True),
        ({"workers": [2]}, True),
        ({"workers": "2"}, True),
        ({"workers": "tcp://10.0.0.1:4000"}, True),
        ({"workers": "10.0.0.1:4000"}, True),
        ({"workers": "10.0.0.2"}, True),
        ({"workers": ["nobody", "first"]}, True),
        ({"workers": "nobody"}, False),
        ({"workers": "first", "resources": {"slot": 1}}, True),
        ({"workers": [2], "resources": {"slot": 1}}, False),
    ],
)
def test_a_worker_must_have_all_that_is_asked(options, expected):
    options = op(int, **options)().options
    assert can_be_placed(options, WORKERS) is expected
    assert is_bound(options) is bool(options.resources or options.workers)


def test_without_workers_nothing_can_be_placed():
    assert not can_be_placed(op(int)().options, {})


def test_the_error_names_what_is_missing():
    node = op(int, resources={"GPU": 2}, workers=["first", 7])()
    error = nowhere(node, node.options, 1.5)
    assert type(error) is NoWorkersError
    assert (error.node, error.label) == (node, "int")
    assert str(error) == (
        "for 1.5 s no worker had what int needs: resources {'GPU': 2} and to be one of ['first', 7]"
    )
