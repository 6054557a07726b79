"""Replaying a small workflow: what runs, and what the checks would find."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.benchmarks.conftest import BENCHMARKS
from tests.benchmarks.small import document

from bench.instances import Instance, parse_instance, scale
from bench.replaying import default_bytes_scale, find_instances
from bench.replays import Build, ExecutorPlayer, Player, program, replay
from bench.workloads import WrongResultError
from dask_dispatcher import AsyncExecutor


class PlainPlayer(Player):
    """Calls everything at once, and notes the name of each function called."""

    name = "plain"

    def __init__(self) -> None:
        self.called: list[str] = []

    def play(self, build: Build) -> tuple[float, list[bytes]]:
        return 1.0, build(self._wrap)

    def _wrap(self, func: Any) -> Any:
        def call(*args: Any) -> Any:
            self.called.append(func.__name__)
            return func(*args)

        return call

    def close(self) -> None:
        pass


class LosingPlayer(PlainPlayer):
    """Loses a byte of every result."""

    def play(self, build: Build) -> tuple[float, list[bytes]]:
        seconds, values = super().play(build)
        return seconds, [value[1:] for value in values]


@pytest.fixture
def small() -> Instance:
    return scale(parse_instance("small", document()), seconds=0.02, bytes_scale=1.0)


@pytest.mark.parametrize("loops_per_second", [None, 1_000.0])
def test_every_task_runs_once(small: Instance, loops_per_second: float | None) -> None:
    player = PlainPlayer()
    outcome = replay(small, [player], 2, rounds=1, loops_per_second=loops_per_second)
    assert sorted(player.called) == ["map", "map", "merge", "report", "split"]
    assert outcome.makespan("plain") == 1.0
    assert outcome.ratio("plain") == pytest.approx(1.0 / outcome.ideal)


def test_bounds_in_order(small: Instance) -> None:
    outcome = replay(small, [], 2)
    assert outcome.critical_path <= outcome.lower_bound <= outcome.ideal
    assert outcome.critical_path == pytest.approx(0.02 * 8 / 10)  # split, the longer map, merge


def test_a_result_of_the_wrong_size_is_an_error(small: Instance) -> None:
    with pytest.raises(WrongResultError, match="small on plain"):
        replay(small, [LosingPlayer()], 2)


def test_an_input_of_the_wrong_size_is_an_error(small: Instance) -> None:
    def wrap(func: Any) -> Any:
        return lambda *args: func(*args) + (b"!" if func.__name__ == "map" else b"")

    with pytest.raises(ValueError, match="expected values of"):
        program(small)(wrap)


def test_async_executor(small: Instance) -> None:
    player = ExecutorPlayer("AsyncExecutor", AsyncExecutor(max_workers=2))
    try:
        outcome = replay(small, [player], 2, rounds=2)
    finally:
        player.close()
    assert len(outcome.makespans["AsyncExecutor"]) == 2
    assert outcome.makespan("AsyncExecutor") >= outcome.critical_path


def test_default_scale_keeps_small_files(small: Instance) -> None:
    assert default_bytes_scale(small) == 1.0
    huge = scale(small, seconds=1, bytes_scale=1e6)
    assert huge.size * default_bytes_scale(huge) == pytest.approx(200e6)


def test_folders_are_searched(tmp_path: Path) -> None:
    for name in ("b.json.gz", "a.json", "notes.md"):
        (tmp_path / name).touch()
    alone = tmp_path / "notes.md"
    names = [path.name for path in find_instances([tmp_path, alone])]
    assert names == ["a.json", "b.json.gz", "notes.md"]


@pytest.mark.timeout(120)
def test_command_line_on_both_executors(tmp_path: Path) -> None:
    path, out = tmp_path / "small.json", tmp_path / "table.md"
    path.write_text(json.dumps(document()))
    command = [sys.executable, str(BENCHMARKS / "replay.py"), str(path), "--seconds", "0.2"]
    command += ["--executor", "async", "--executor", "dask", "--peer", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    text = out.read_text()
    assert "AsyncExecutor, s" in text
    assert "DaskExecutor, s" in text
    assert "dask.delayed, s" in text
    assert "| small | 5 | 5 |" in text
    assert str(tmp_path) not in text
