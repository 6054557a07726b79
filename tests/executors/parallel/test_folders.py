"""Folders of dead programs are swept, those of living ones are not."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dask_dispatcher.executors.parallel.folders import name_folder, sweep_folders

PROGRAM = """
import os
from dask_dispatcher.executors.parallel.folders import name_folder
folder = name_folder()
os.mkdir(folder, 0o700)
print(folder, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_every_folder_has_a_name_of_its_own(temporary):
    assert name_folder() != name_folder()
    assert Path(name_folder()).parent == temporary


def test_what_a_killed_program_left_is_swept():
    command = [sys.executable, "-c", PROGRAM]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as program:
        folder = Path(program.stdout.readline().strip())
        (folder / "value").write_bytes(b"large")
        sweep_folders()
        assert folder.exists()  # it lives
        program.kill()
    sweep_folders()
    assert not folder.exists()


def test_what_is_not_ours_stays(temporary):
    mine = Path(name_folder())
    here = mine.name.split("-")[2]
    others = [
        mine,
        temporary / "dask-dispatcher-cell",
        temporary
        / f"dask-dispatcher-{int(here) + 1}-999999999-1-{'0' * 16}",  # of another container
        temporary / f"dask-dispatcher-{here}-999999999-1-{'0' * 16}-mine",
    ]
    for other in others:
        other.mkdir()
    sweep_folders()
    assert all(other.exists() for other in others)


def test_without_a_proc_nothing_is_swept(temporary, monkeypatch):
    from dask_dispatcher.executors.parallel import folders

    left = temporary / f"dask-dispatcher-0-999999999-1-{'0' * 16}"
    left.mkdir()
    monkeypatch.setattr(folders, "_started", lambda pid: None)
    sweep_folders()
    assert left.exists()
    assert os.path.basename(name_folder()).startswith("dask-dispatcher-0-")
