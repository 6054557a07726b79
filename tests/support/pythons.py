"""Another Python: an interpreter of a minor version that is not this one's, with Dask and nothing else.

Its packages are installed once, into a folder of ``build/`` that later runs find, in about five
seconds; without a network, or where this machine has no other Python, tests skip and say so.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import distributed
import pytest

__all__ = ["other_python"]

_ROOT = Path(__file__).parents[2]
_MINORS = (12, 13, 11, 14, 10)  # of Python 3, in the order in which they are looked for
_INSTALL = 120.0  # seconds


def other_python() -> tuple[Path, str]:
    """Return an interpreter of another minor version, and that version; skip if there is none."""
    for minor in _MINORS:
        if minor != sys.version_info.minor:
            for interpreter in _interpreters(minor):
                return _with_dask(interpreter, f"3.{minor}"), f"3.{minor}"
    pytest.skip(f"this machine has no Python but {sys.version_info[0]}.{sys.version_info[1]}")


def _interpreters(minor: int) -> Iterator[str]:
    candidates = [shutil.which(f"python3.{minor}")]
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates += sorted(map(str, root.glob(f"versions/3.{minor}.*/bin/python")))
    for candidate in candidates:
        # What a version manager puts in the path need not be able to run.
        if candidate is not None and _runs(candidate):
            yield candidate


def _runs(interpreter: str) -> bool:
    return subprocess.run([interpreter, "-c", "import venv"], capture_output=True).returncode == 0


def _with_dask(interpreter: str, version: str) -> Path:
    """Return the Python of an environment with the same Dask as here."""
    folder = _ROOT / "build" / f"python-{version}-distributed-{distributed.__version__}"
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
            _make(interpreter, Path(unfinished, "environment"))
            try:
                Path(unfinished, "environment").rename(folder)
            except OSError:
                if not folder.exists():  # else another run of the tests was quicker
                    raise
    return folder / "bin" / "python"


def _make(interpreter: str, folder: Path) -> None:
    subprocess.run([interpreter, "-m", "venv", "--without-pip", folder], check=True)
    command = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
    command += ["--quiet", "--no-compile", f"distributed=={distributed.__version__}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL)
    except subprocess.TimeoutExpired:
        pytest.skip(f"Dask for {interpreter} was not installed within {_INSTALL:g} s")
    if done.returncode:
        pytest.skip(f"Dask cannot be installed for {interpreter}: {done.stderr.strip()[-500:]}")
