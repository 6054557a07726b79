"""Dask's annotations as options."""

import numpy
import pytest

from dask_dispatcher.interop.annotations import options_by_key


def test_tasks_without_annotations_have_no_options():
    assert options_by_key({}, {}, ["x"]) == {}


def test_each_annotation_finds_its_option():
    annotations = {
        "retries": {"x": 2},
        "priority": {"x": 5},
        "resources": {"x": {"GPU": 1}},
        "workers": {"x": ["alice"]},
        "span": {"x": "theirs"},
    }
    found = options_by_key(annotations, {}, ["x", "y"])
    assert found.keys() == {"x"}
    options = found["x"]
    assert (options.retries, options.priority, options.workers) == (2, 5, ("alice",))
    assert options.resources == {"GPU": 1}


def test_a_task_s_own_annotation_comes_before_that_for_all():
    found = options_by_key({"retries": {"x": 2}}, {"retries": 7, "num_workers": 3}, ["x", "y"])
    assert (found["x"].retries, found["y"].retries) == (2, 7)


def test_equal_options_are_one_object():
    found = options_by_key({"resources": {"x": {"GPU": 1}, "y": {"GPU": 1}}}, {}, ["x", "y"])
    assert found["x"] is found["y"]


def test_workers_that_need_not_be_are_left_out():
    asked = {"workers": {"x": ["alice"]}, "allow_other_workers": {"x": True}}
    assert options_by_key(asked, {}, ["x"])["x"].workers == ()


@pytest.mark.parametrize("number", [numpy.int64(2), 2.0])
def test_numbers_of_any_kind_are_taken(number):
    found = options_by_key({"retries": {"x": number}, "priority": {"x": number}}, {}, ["x"])["x"]
    assert (found.retries, found.priority) == (2, 2)
