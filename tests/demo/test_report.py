"""What the census prints and writes, whatever is in the files."""

import os
from pathlib import Path

import pytest

from dask_dispatcher.demo import report
from dask_dispatcher.demo.files import SourceFile
from dask_dispatcher.demo.graphs import Failure


def failure(message: str, name: str = "x.py", broken: bool = False) -> Failure:
    return Failure(SourceFile("/" + name, name, broken), f"parse {name}", "SyntaxError", message)


def test_a_failure_is_one_safe_line() -> None:
    text = report.line(failure("bad\x1b[31m red\r\nnew line\u202e" + "x" * 500))
    assert text.startswith("parse x.py: SyntaxError: bad?[31m red??new line?xxx")
    assert len(text) == 110
    assert text.isprintable()


def test_failures_are_listed_apart(capsys: pytest.CaptureFixture[str]) -> None:
    report.print_failures([failure("a"), failure("b", "broken/y.py", True)])
    theirs, ours = capsys.readouterr().out.strip().split("\n\n")
    assert theirs.splitlines()[1:] == ["  parse x.py: SyntaxError: a"]
    assert ours.splitlines()[1:] == ["  parse broken/y.py: SyntaxError: b"]


def test_a_long_list_is_cut_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    report.print_some([str(i) for i in range(100)], 3)
    assert capsys.readouterr().out == "  0\n  1\n  2\n  … and 97 more\n"


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"kind": 1}', "\x00", '"kind"'])
def test_a_file_that_is_not_ours_is_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(content)
    with pytest.raises(report.OutputError, match="--force"):
        report.check_output(path, force=False)
    report.check_output(path, force=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(report.OutputError, match="cannot be written"):
        report.check_output(tmp_path / "run.json", force=False)
