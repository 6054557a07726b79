"""The tables, the target rows, and the command that writes them."""

import getpass
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from tests.benchmarks.conftest import BENCHMARKS

from bench import parallel_targets, report, targets
from bench.measure import Comparison, Timing
from bench.seed import seed
from bench.workloads import cpu, data, tiny


def compared(shape: str, n: int, coroutines: bool = False, **seconds: float) -> Comparison:
    workload = tiny(shape, n, coroutines=coroutines)
    timings = {name.replace("_", "-"): Timing(workload.nodes, [s]) for name, s in seconds.items()}
    return Comparison(workload, n, timings)


def reached(rows: list[targets.Row]) -> list[bool]:
    return [row.reached for row in rows]


def test_targets_against_the_loop_and_dask_threads() -> None:
    good = compared("wide", 10_000, loop=1.0, **{"async": 3.9}, delayed_threads=400)
    bad = compared("wide", 10_000, loop=1.0, **{"async": 4.1}, delayed_threads=200)
    small = compared("wide", 1_000, loop=1.0, **{"async": 9.0})
    assert reached(targets.async_rows([good])) == [True, True]
    assert reached(targets.async_rows([bad])) == [False, False]
    assert targets.async_rows([small]) == []


def test_targets_of_coroutines() -> None:
    for seconds, enough in ((1.9, True), (2.1, False)):
        both = {"async": seconds, targets.PLAIN: 1.0}
        comparison = compared("chain", 1_000, coroutines=True, **both)
        assert reached(targets.async_rows([comparison])) == [enough]


def test_targets_of_the_seed() -> None:
    example = seed(sleeps=True)
    for factor, enough in ((1.05, True), (1.2, False)):
        timing = Timing(example.nodes, [example.critical_path * factor])
        assert reached(targets.seed_rows([Comparison(example, 501, {"async": timing})])) == [enough]


def test_targets_on_dask_say_which_size_they_are_for() -> None:
    (row,) = targets.dask_rows([compared("tree", 1_000, dask=1.0, delayed_cluster=20.0)], 2)
    assert row.reached
    assert "the target is for 10,000" in row.measured


def test_targets_on_local_processes() -> None:
    good = compared("wide", 10_000, parallel=0.05, process_pool=0.7, ray=6.0)
    bad = compared("wide", 10_000, parallel=0.07, process_pool=0.7, ray=6.0)
    assert reached(parallel_targets.parallel_rows([good])) == [True, True, True]
    assert reached(parallel_targets.parallel_rows([bad])) == [False, False, False]
    alone = compared("tree", 1_000, parallel=1e-3)
    (row,) = parallel_targets.parallel_rows([alone, compared("tree", 1_000, ray=1.0)])
    assert "the target is for 10,000" in row.measured


def test_targets_of_real_work_on_local_processes() -> None:
    for seconds, enough in ((1.04, True), (1.06, False)):
        timings = {"parallel": Timing(5, [seconds]), "forked": Timing(5, [1.0])}
        comparison = Comparison(cpu(10, 5), 5, timings)
        assert reached(parallel_targets.parallel_rows([comparison])) == [enough]
    for seconds, expected in ((0.4, [True, True]), (0.45, [True, False]), (0.6, [False, False])):
        peers = {"ray": Timing(12, [1.0]), "delayed-processes": Timing(12, [8.2])}
        comparison = Comparison(data(4, 1), 12, {"parallel": Timing(12, [seconds]), **peers})
        assert reached(parallel_targets.parallel_rows([comparison])) == expected


def test_targets_of_the_controller() -> None:
    assert reached(
        parallel_targets.first_rows([{"seconds": 0.4}, {"seconds": 9.0}, {"seconds": 0.3}])
    ) == [True]
    assert reached(parallel_targets.growth_rows({"growth": 101e6})) == [False]
    sizes = {"wide": {"graph": 200.0, "peak": 390.0}, "chain": {"graph": 200.0, "peak": 410.0}}
    assert reached(parallel_targets.memory_rows(1_000, sizes)) == [True, False]
    (row,) = parallel_targets.kill_rows({"plain": [2.0, 2.0], "killed": [3.0, 3.1]})
    assert row.reached
    assert "1.52 x" in row.measured


def test_heavy_modules_are_named() -> None:
    rows = targets.startup_rows([{"seconds": 0.03, "cpu": 0.02, "heavy": ["distributed"]}])
    assert reached(rows) == [True, False]
    assert rows[1].measured == "distributed"


def test_tables_leave_out_what_was_not_measured() -> None:
    text = report.per_node_table(
        [compared("wide", 10, loop=1e-5), compared("tree", 9, x=1)], "loop"
    )
    assert text.splitlines()[2] == "| wide | 10 | 0.91 (0.91-0.91) | - | - |"


def test_machine_line_names_nobody() -> None:
    line = report.machine_line()
    assert platform.python_version() in line
    assert platform.node() not in line
    assert f" {getpass.getuser()} " not in line


@pytest.mark.timeout(120)
def test_command_line(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--quick", "--only", "tree,startup"]
    command += ["--engines", "loop,async", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| tree | 1,000 |" in text
    assert "import dask_dispatcher" in text
    assert str(tmp_path) not in text
    assert (tmp_path / "results.svg").read_text().startswith("<?xml")
