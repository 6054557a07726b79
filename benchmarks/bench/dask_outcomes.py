"""Dask's own tests, run under one scheduler after the other, and what differs.

A part of Dask's tests runs in an interpreter of its own, with the plugin beside this module; it
leaves a file that says what came of each test. What passes under Dask's synchronous scheduler has
to pass under ours, but for what `EXCLUDED` gives a reason for.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bench.dask_plugin import read_outcomes
from bench.report import table

__all__ = ["EXCLUDED", "PARTS", "Comparison", "Difference", "compare", "kept", "pages", "run_part"]

Outcomes = Mapping[str, Mapping[str, Any]]

HERE = Path(__file__).resolve().parent.parent
BASE = "sync"
PARTS = {
    "core": "dask.tests",
    "array": "dask.array.tests",
    "bag": "dask.bag.tests",
    "dataframe": "dask.dataframe.tests",
}
NEEDED = {"array": ("numpy",), "dataframe": ("pandas", "pyarrow")}

_IDENTITY = "takes what a task returns to be the very same object; another process sends a copy"
_TARGET = "stores into an object of the test's process; what travels there is a copy"
_LOCK = "a lock of threads cannot travel; Dask's own SerializableLock can"
_CLOSURE = "watches what its tasks change in a closure or an object; they change a copy"
_WARNING = "a task's warning stays in the process it came up in"
_IN_OTHER_PROCESSES = {
    r"::test_traverse_false$": _IDENTITY,
    r"::test_store_delayed_target$": _IDENTITY,
    r"::test_bag_with_single_callable$": _IDENTITY,
    r"::test_repartition_partition_size_complex_dtypes$": _IDENTITY,
    r"::test_register_extension_type$": "its dtypes are equal only with the very same decimal context",
    r"test_graph_manipulation.py::test_(checkpoint|wait_on|bind)": _CLOSURE,
    r"test_ufunc.py::test_frompyfunc$": "the `outer` of a ufunc cannot be pickled",
    r"::test_store(_regions|_compute_false)?$": _TARGET,
    r"::test_memmap$": _TARGET,
    r"::test_store_locks_": _LOCK,
    r"::test_from_array_with_lock\[": _LOCK,
    r"::test_from_array_getitem\[": _CLOSURE,
    r"::test_store_sources_unoptimized_nocompute$": _CLOSURE,
    r"::test_from_delayed_iterator$": "one generator for three consumers: it cannot travel",
    r"::test_reductions_are_lazy$": _CLOSURE,
    r"::test_to_delayed_optimize_graph$": _CLOSURE,
    r"::test_take_npartitions_warn$": _WARNING,
    r"::test_head_npartitions_warn$": _WARNING,
    r"::test_files_per_partition$": _WARNING,
    r"::test_array_cumreduction_axis\[blelloch-None-.*cumprod\]": _WARNING,
    r"::test_average_raises$": _WARNING,
    r"::test_full_detects_da_dtype$": _WARNING,
    r"::test_disk_shuffle_with_unknown_compression$": (
        "sets Dask's configuration in the test's process for its tasks"
    ),
    r"::test_process_initializer\[": "sets a variable of the test's process for its tasks",
}
EXCLUDED: Mapping[str, Mapping[str, str]] = {
    "async": {},
    "dask": {},
    "parallel": _IN_OTHER_PROCESSES,
}
"""By executor: patterns of tests that need not pass under it, and why."""

# Not a word of ours: no configuration but this, no order, no colours, failures in one line each.
_OPTIONS = ["-q", "-p", "bench.dask_plugin", "-p", "no:cacheprovider", "--tb=native"]
# What pytest returns if it has run all that there was to run.
_ENDED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
_INI = "[pytest]\nfilterwarnings =\n    ignore\n"


class Difference(NamedTuple):
    """A test that passes under Dask's synchronous scheduler, and not under ours."""

    test: str
    outcome: str
    error: str
    reason: str
    """Why that is as it must be; empty if nobody knows one."""


@dataclass(frozen=True)
class Comparison:
    """One part of the tests under one scheduler, beside Dask's synchronous one.

    Parameters
    ----------
    part, under : str
    base, found : mapping
        The outcomes under Dask's scheduler and under ours.
    whole : int, optional
        How many tests there are; default: as many as in `base`.
    """

    part: str
    under: str
    base: Outcomes
    found: Outcomes
    whole: int | None = None

    @property
    def expected(self) -> list[str]:
        """The tests that pass under Dask's synchronous scheduler."""
        return [test for test, note in self.base.items() if note["outcome"] == "passed"]

    @property
    def passed(self) -> int:
        """How many of these pass under ours."""
        return len(self.expected) - len(self.differences)

    @property
    def ran(self) -> int:
        """How many of those that pass gave the executor something to run."""
        return sum(self.found[t]["runs"] > 0 for t in self.expected if _passes(self.found, t))

    @property
    def differences(self) -> list[Difference]:
        """The tests that pass under the one and not under the other."""
        return [self._difference(t) for t in self.expected if not _passes(self.found, t)]

    @property
    def unexplained(self) -> list[Difference]:
        """Those for which there is no reason."""
        return [difference for difference in self.differences if not difference.reason]

    def _difference(self, test: str) -> Difference:
        note = self.found.get(test, {"outcome": "missing"})
        reasons = EXCLUDED[self.under].items()
        reason = next((why for pattern, why in reasons if re.search(pattern, test)), "")
        return Difference(test, note["outcome"], note.get("error", ""), reason)


def _passes(outcomes: Outcomes, test: str) -> bool:
    return outcomes.get(test, {}).get("outcome") == "passed"


def is_possible(part: str) -> bool:
    """Return whether the packages that a part needs are installed."""
    return all(find_spec(package) is not None for package in NEEDED.get(part, ()))


def run_part(part: str, under: str, folder: Path, only: str = "") -> Outcomes:
    """Run those of a part of Dask's tests, under a scheduler, of which the folder does not tell.

    Parameters
    ----------
    part : str
        One of `PARTS`.
    under : str
        "sync", or a scheduler of the plugin's.
    folder : Path
    only : str, optional
        As pytest's ``-k``.
    """
    file = folder / f"{part}-{under}.jsonl"
    _run(part, under, folder, only, file)
    return read_outcomes(file)


def _run(part: str, under: str, folder: Path, only: str, outcomes: Path) -> None:
    name = f"{part}-{under}"
    place = folder / name  # where tests that write files write them
    place.mkdir(parents=True, exist_ok=True)
    (folder / "pytest.ini").write_text(_INI)
    command = [sys.executable, "-m", "pytest", *_OPTIONS, "-c", str(folder / "pytest.ini")]
    command += ["--rootdir", str(place), "--basetemp", str(folder / f"{name}-tmp")]
    command += ["--timeout", "300", "-k", only]
    command += ["--under", under, "--outcomes", str(outcomes), "--pyargs", PARTS[part]]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    with (folder / f"{name}.log").open("a") as log:
        ended = subprocess.run(
            command,
            cwd=place,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,  # tests may fail; that is what the outcomes are for
        )
    if ended.returncode not in _ENDED:
        raise RuntimeError(f"pytest stopped with {ended.returncode}: see {log.name}")


def compare(
    parts: Iterable[str], schedulers: Iterable[str], folder: Path, only: str = ""
) -> Iterator[Comparison]:
    """Run parts under Dask's synchronous scheduler and under ours."""
    schedulers = list(schedulers)
    for part in parts:
        base = run_part(part, BASE, folder, only)
        for under in schedulers:
            yield Comparison(part, under, base, run_part(part, under, folder, only))


def kept(parts: Iterable[str], schedulers: Iterable[str], folder: Path) -> Iterator[Comparison]:
    """Compare what a folder tells of, and run nothing; only tests that were run with both count."""
    schedulers = list(schedulers)
    for part in parts:
        base = read_outcomes(folder / f"{part}-{BASE}.jsonl")
        for under in schedulers:
            found = read_outcomes(folder / f"{part}-{under}.jsonl")
            both = {test: note for test, note in base.items() if test in found}
            yield Comparison(part, under, both, found, len(base))


def pages(comparisons: Iterable[Comparison]) -> str:
    """Lay out what was found as Markdown: a table, and what differs."""
    comparisons = list(comparisons)
    head = [
        "tests",
        "executor",
        "run",
        "pass under Dask's sync",
        "pass",
        "of these ran a graph on it",
    ]
    rows = [
        [
            f"`{PARTS[c.part]}`",
            c.under,
            _share(c),
            *(f"{n:,}" for n in (len(c.expected), c.passed, c.ran)),
        ]
        for c in comparisons
    ]
    parts = [table(head, rows), *(_differing(c) for c in comparisons if c.differences)]
    return "\n\n".join(parts)


def _share(comparison: Comparison) -> str:
    """Say how many tests were run: all, unless the run was stopped."""
    run, whole = len(comparison.base), comparison.whole
    return f"{run:,}" if whole in (None, run) else f"**{run:,} of {whole:,}**"


def _differing(comparison: Comparison) -> str:
    title = f"### `{PARTS[comparison.part]}` on {comparison.under}"
    rows = [
        [f"`{d.test}`", d.outcome, d.reason or f"**unexplained**: {d.error[:120]}"]
        for d in comparison.differences
    ]
    return f"{title}\n\n{table(['test', 'outcome', 'why'], rows)}"
