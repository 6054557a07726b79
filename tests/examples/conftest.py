"""The examples are scripts, so their folder goes where Python puts a script's folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

RunExample = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_example(tmp_path: Path) -> RunExample:
    """Run an example as a user would, in a folder of its own: ``run_example("scores.py", …)``."""

    def run(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", str(EXAMPLES / name), *arguments],
            cwd=tmp_path,
            env=plain_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return run


def plain_environment() -> dict[str, str]:
    """Return this process's environment without what would lend the examples a hand."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
