"""Every example, run as a user runs it."""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dask_dispatcher
import stdlib_census
from dask_dispatcher.demo import files, imports, reductions, report, source
from tests.examples.conftest import EXAMPLES, RunExample
from tests.support import Cluster

EVERY_EXECUTOR = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not hasattr(dask_dispatcher, class_name), reason=f"there is no {class_name} yet"
        ),
    )
    for name, class_name in (
        ("async", "AsyncExecutor"),
        ("parallel", "ParallelExecutor"),
        ("dask", "DaskExecutor"),
    )
]


def test_every_example_has_a_test() -> None:
    here = Path(__file__).read_text()
    scripts = {path.name for path in EXAMPLES.glob("*.py") if "__main__" in path.read_text()}
    assert scripts
    assert {name for name in scripts if f'"{name}"' not in here} == set()


def test_quickstart(run_example: RunExample) -> None:
    done = run_example("quickstart.py")
    assert done.returncode == 0, done.stderr
    classes = [
        name
        for name in ("AsyncExecutor", "ParallelExecutor", "DaskExecutor")
        if hasattr(dask_dispatcher, name)
    ]
    assert done.stdout.splitlines() == [f"{name}: 24" for name in classes]


@pytest.mark.parametrize("executor", EVERY_EXECUTOR)
def test_scores(run_example: RunExample, executor: str) -> None:
    done = run_example("scores.py", "--executor", executor)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "3 files: the scores spread over 9.0",
        "4 files: load failed: could not convert string to float: 'none'",
    ]


@pytest.mark.parametrize("executor", EVERY_EXECUTOR)
def test_seed_pipeline(run_example: RunExample, executor: str) -> None:
    done = run_example("seed_pipeline.py", "--executor", executor, "--scale", "0.01")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"500 nodes in [\d.]+ s: 203714\n", done.stdout)


# The census ---------------------------------------------------------------------------------------

BROKEN = {
    "broken/bad_encoding.py": ("read", {"UnicodeDecodeError"}, "codec can't decode byte 0xe9"),
    "broken/syntax_error.py": ("parse", {"SyntaxError"}, "invalid syntax"),
    # Which of the two it is depends on the version of Python.
    "broken/null_byte.py": ("parse", {"SyntaxError", "ValueError"}, "null bytes"),
}
LIMIT = 60


@pytest.mark.parametrize("executor", EVERY_EXECUTOR)
def test_census(run_example: RunExample, tmp_path: Path, executor: str) -> None:
    done = run_example("stdlib_census.py", "--executor", executor, "--limit", str(LIMIT))
    assert done.returncode == 0, done.stderr
    check_printed(done.stdout, executor)
    check_run_file(json.loads((tmp_path / "census-run.json").read_text()), executor)
    assert [path.name for path in tmp_path.iterdir()] == ["census-run.json"]


def test_census_on_workers_that_know_nothing_of_it(
    run_example: RunExample, make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = make_cluster(workers=2, env={"PYTHONPATH": ""})
    arguments = ["--scheduler", cluster.address, "--limit", str(LIMIT), "--out", "run.json"]
    done = run_example("stdlib_census.py", *arguments, "--no-progress")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    check_run_file(json.loads((tmp_path / "run.json").read_text()), "dask")
    assert cluster.scheduler.alive


def check_printed(text: str, executor: str) -> None:
    stdlib, own = text.split("Files broken on purpose, brought by the census: 3\n")
    own, summary = own.split("\n\n")
    for name, (step, types, message) in BROKEN.items():
        (found,) = [line for line in own.splitlines() if name in line]
        label, type_name, told = found.strip().split(": ", 2)
        assert label == f"{step} {name}"
        assert type_name in types
        assert message in told
    assert len(own.splitlines()) == len(BROKEN)
    assert "broken/" not in stdlib
    assert f"{LIMIT} files in " in stdlib  # none of the first ones is broken in any Python
    assert answer_by_hand()["files"][0]["module"] in stdlib
    assert re.match(rf"\d+ nodes on {executor} in [\d.]+ s: \d+ results Ok, 6 Err\n", summary)


def check_run_file(run: dict[str, Any], executor: str) -> None:
    assert run["kind"] == report.KIND
    assert run["executor"] == executor
    assert run["seconds"] > 0
    check_failures(run["failures"])
    check_steps(run)
    assert run["answer"] == answer_by_hand()


def check_failures(failures: list[dict[str, Any]]) -> None:
    assert {failure["file"] for failure in failures} == set(BROKEN)
    for failure in failures:
        step, types, message = BROKEN[failure["file"]]
        assert failure["broken_on_purpose"] is True
        assert failure["label"] == f"{step} {failure['file']}"
        assert failure["type"] in types
        assert message in failure["message"]


def check_steps(run: dict[str, Any]) -> None:
    counts = {
        name: (step["nodes"], step["ok"], step["err"], step["not_run"])
        for name, step in run["steps"].items()
    }
    every = LIMIT + len(BROKEN)
    assert counts["read"] == (every, LIMIT + 2, 1, 0)
    assert counts["parse"] == (every, LIMIT, 2, 1)
    assert counts["measure"] == counts["resolve"] == (every, LIMIT, 0, 3)
    packages = run["answer"]["totals"]["packages"]
    assert counts["summarise"] == (packages, packages, 0, 0)
    assert sum(count[0] for count in counts.values()) == run["nodes"]
    questions = len(run["answer"])
    assert run["results"] == {"ok": 2 * LIMIT + questions, "err": 2 * len(BROKEN)}


def answer_by_hand() -> dict[str, Any]:
    """Return the answer over the first files as plain calls give it, one after the other."""
    every = files.stdlib_files()
    known = sys.stdlib_module_names.union(file.module for file in every)
    found = defaultdict(lambda: ([], []))
    for file in every[:LIMIT]:
        text = source.read(file.path)
        outline = source.parse(text, file.name)
        measures, links = found[file.package]
        measures.append(source.measure(text, outline, file.module))
        links.append(imports.resolve(outline, file.module, file.package, known))
    packages = [reductions.summarise(name, *members) for name, members in found.items()]
    links = reductions.join_links(packages)
    return {
        "totals": reductions.total(packages),
        "packages": reductions.biggest_packages(packages),
        "files": reductions.largest_files(packages),
        "deepest": reductions.deepest_files(packages),
        "functions": reductions.longest_functions(packages),
        "imported": reductions.most_imported(links),
        "tangled": reductions.most_tangled(links),
        "cycles": reductions.import_cycles(links),
    }


def test_census_replaces_its_own_file_and_no_other(run_example: RunExample, tmp_path: Path) -> None:
    arguments = ["stdlib_census.py", "--executor", "async", "--limit", "3", "--out", "run.json"]
    out = tmp_path / "run.json"
    out.write_text('{"kind": "a list of birthdays"}')
    refused = run_example(*arguments)
    assert refused.returncode == 2
    assert "run.json exists and is no census: use --force" in refused.stderr
    assert "birthdays" in out.read_text()
    assert run_example(*arguments, "--force").returncode == 0
    assert run_example(*arguments).returncode == 0
    assert json.loads(out.read_text())["answer"]["totals"]["files"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "0"], "--limit"),
        (["--limit", "many"], "--limit"),
        (["--executor", "threads"], "invalid choice"),
        (["--executor", "async", "--scheduler", "tcp://127.0.0.1:1"], "needs --executor dask"),
        (["--scheduler", "http://example.org"], "http://example.org"),
        (["--out", "no/such/folder.json"], "no such folder"),
        (["--out", "."], "is a folder"),
    ],
)
def test_census_refuses_bad_arguments(
    run_example: RunExample, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run_example("stdlib_census.py", "--limit", "3", *arguments)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(
    hasattr(dask_dispatcher, "ParallelExecutor"), reason="there is a ParallelExecutor by now"
)
def test_parallel_is_refused_while_there_is_none(run_example: RunExample) -> None:
    done = run_example("stdlib_census.py", "--executor", "parallel")
    assert done.returncode == 2
    assert "no ParallelExecutor yet" in done.stderr.splitlines()[-1]


def test_census_without_a_scheduler_says_so(run_example: RunExample, tmp_path: Path) -> None:
    done = run_example("stdlib_census.py", "--limit", "3", "--scheduler", "tcp://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "tcp://127.0.0.1:1" in done.stderr
    assert not list(tmp_path.iterdir())


def test_census_with_no_good_file_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stdlib_census, "stdlib_files", list)
    out = str(tmp_path / "run.json")
    assert stdlib_census.main(["--executor", "async", "--no-progress", "--out", out]) == 1
    assert "0 files in 0 packages" in capsys.readouterr().out
