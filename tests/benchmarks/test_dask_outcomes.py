"""Dask's own tests on our executors: a sample of them, and how they are compared."""

import json

import pytest
from tests.benchmarks.conftest import BENCHMARKS  # noqa: F401 - puts the folder on the path

from bench import dask_outcomes
from bench.dask_outcomes import EXCLUDED, Comparison, compare, kept, pages

FOLD = "test_bag.py::test_fold"
PASSED = {"outcome": "passed", "runs": 1}
FAILED = {"outcome": "failed", "runs": 0, "error": "E  ValueError"}


@pytest.mark.timeout(120)
def test_a_sample_that_was_begun_before(tmp_path):
    (tmp_path / "bag-async.jsonl").write_text(
        json.dumps({"test": FOLD, **PASSED, "runs": 99}) + "\n"
    )
    for found in compare(["bag"], ["async"], tmp_path, only="fold or topk or map"):
        assert found.unexplained == []
        assert found.ran > 10
        assert found.found[FOLD]["runs"] == 99  # it was not run again


def test_a_run_that_cannot_end_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_outcomes, "_OPTIONS", ["--no-such-option"])
    with pytest.raises(RuntimeError, match=r"stopped with 4: see .*bag-sync\.log"):
        dask_outcomes.run_part("bag", "sync", tmp_path)


def test_what_failed_anyway_is_no_difference():
    found = Comparison("bag", "async", {"a": PASSED, "b": FAILED}, {"a": PASSED, "b": FAILED})
    assert (found.expected, found.passed, found.ran) == (["a"], 1, 1)
    assert found.differences == []


@pytest.mark.parametrize("outcomes", [{"a": FAILED}, {}])
def test_what_fails_or_is_missing_is_a_difference(outcomes):
    found = Comparison("bag", "async", {"a": PASSED}, outcomes)
    assert [difference.test for difference in found.unexplained] == ["a"]


def test_a_reason_explains(monkeypatch):
    monkeypatch.setattr(dask_outcomes, "EXCLUDED", {"async": {"^a$": "it sulks"}})
    found = Comparison("bag", "async", {"a": PASSED}, {"a": FAILED})
    assert found.unexplained == []
    assert "it sulks" in pages([found])


def test_pages_tell_what_is_unexplained():
    text = pages([Comparison("bag", "async", {"a": PASSED}, {"a": FAILED})])
    assert "| `dask.bag.tests` | async | 1 | 1 | 0 | 0 |" in text
    assert "**unexplained**: E  ValueError" in text


def test_a_run_that_was_stopped_says_how_far_it_came(tmp_path):
    for under, tests in {"sync": "ab", "async": "b"}.items():
        lines = [json.dumps({"test": test, **PASSED}) + "\n" for test in tests]
        (tmp_path / f"bag-{under}.jsonl").write_text("".join(lines))
    (found,) = kept(["bag"], ["async"], tmp_path)
    assert found.unexplained == []
    assert "| `dask.bag.tests` | async | **1 of 2** | 1 | 1 | 1 |" in pages([found])


def test_each_executor_has_its_list():
    assert set(EXCLUDED) == {"async", "dask", "parallel"}
