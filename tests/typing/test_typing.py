"""What mypy, at its strictest, sees of the public names: the types, and the mistakes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"
ROOT = Path(__file__).parents[2]


def mypy(path: Path, cache: Path) -> dict[int, set[str]]:
    """Return the codes of the errors that mypy finds in a file, by line."""
    run = subprocess.run(
        # No configuration but this: what users have.
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"),
            *("--python-version=3.10", f"--cache-dir={cache}", "--hide-error-context", path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    found: dict[int, set[str]] = {}
    for line in run.stdout.splitlines():
        error = re.fullmatch(r"(.+?):(\d+): error: (.*?)\s+\[([\w-]+)\]", line)
        if error is not None:
            assert Path(error[1]).name == path.name, f"not in the case itself: {line}"
            found.setdefault(int(error[2]), set()).add(f"{error[4]}: {error[3]}")
        else:
            assert ": note: " in line, line
    return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.timeout(300)  # mypy reads all of the library's own dependencies once
def test_right_programs_have_the_promised_types(cache: Path) -> None:
    assert mypy(CASES / "accepted.py", cache) == {}


@pytest.mark.timeout(300)
def test_wrong_programs_are_refused_where_they_are_wrong(cache: Path) -> None:
    path = CASES / "refused.py"
    expected = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if mark := re.search(r"# E: ([\w-]+)$", line):
            expected[number] = mark[1]
    found = mypy(path, cache)
    assert {line: code for line, code in expected.items() if line not in found} == {}
    assert {line: texts for line, texts in found.items() if line not in expected} == {}
    for line, code in expected.items():
        assert any(text.startswith(f"{code}: ") for text in found[line]), (line, found[line])
