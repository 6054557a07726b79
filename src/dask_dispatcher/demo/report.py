"""The census as plain text for people, and as a JSON file for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .graphs import Census, Failure

KIND = "dask-dispatcher stdlib census"  # how a later run knows that it may replace the file
SHOWN = 8  # rows a table


class OutputError(Exception):
    """The run file cannot be written, or holds something else."""


def print_census(census: Census) -> None:
    """Print the answer."""
    answer = census.answer
    print_totals(answer["totals"])
    print_table(
        "Biggest packages",
        ("code lines", "files", "package"),
        [(p["sums"]["code"], p["sums"]["files"], p["name"] or "(top level)")
         for p in answer["packages"]],
    )  # fmt: skip
    print_table(
        "Largest files",
        ("lines", "functions", "module"),
        [(f["lines"], f["functions"], f["module"]) for f in answer["files"]],
    )
    print_table(
        "Deepest nesting",
        ("levels", "lines", "module"),
        [(f["depth"], f["lines"], f["module"]) for f in answer["deepest"]],
    )
    print_table(
        "Longest functions",
        ("lines", "branches", "function"),
        [(f["lines"], f["branches"], f"{f['module']}: {f['name']}") for f in answer["functions"]],
    )
    print_table(
        "Most imported",
        ("modules", "at import", "module"),
        [(m["importers"], m["at_import"], m["module"]) for m in answer["imported"]],
    )
    print_table(
        "Most tangled",
        ("fan-in", "fan-out", "module"),
        [(m["fan_in"], m["fan_out"], m["module"]) for m in answer["tangled"]],
    )
    print_cycles(answer["cycles"])
    print_failures(census.failures)


def print_totals(totals: dict[str, int]) -> None:
    """Print the sums in two lines."""
    print(
        f"{totals['files']:,} files in {totals['packages']:,} packages:"
        f" {totals['lines']:,} lines, {totals['code']:,} of them code,\n"
        f"{totals['functions']:,} functions, {totals['classes']:,} classes,"
        f" {totals['branches']:,} branches"
    )


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[int | str]]) -> None:
    """Print rows of numbers, each with a name at its end."""
    print(f"\n{title}")
    print("".join(f"{name:>12}" for name in header[:-1]) + f"  {header[-1]}")
    for *numbers, name in list(rows)[:SHOWN]:
        print("".join(f"{number:>12,}" for number in numbers) + f"  {name}")


def print_cycles(cycles: Sequence[Sequence[str]]) -> None:
    """Print the import cycles, a line each."""
    print(f"\nImport cycles: {len(cycles)}")
    print_some([" <-> ".join(cycle) for cycle in cycles], SHOWN)


def print_failures(failures: Sequence[Failure]) -> None:
    """Print why files were not counted, those of the standard library first."""
    for title, broken in (
        ("Files of the standard library that were not counted", False),
        ("Files broken on purpose, brought by the census", True),
    ):
        found = [failure for failure in failures if failure.file.broken is broken]
        print(f"\n{title}: {len(found)}")
        print_some([line(failure) for failure in found], 2 * SHOWN)


def print_some(lines: Sequence[str], limit: int) -> None:
    """Print lines, and how many there are beyond the limit."""
    for text in lines[:limit]:
        print(f"  {text}")
    if len(lines) > limit:
        print(f"  … and {len(lines) - limit} more")


def line(failure: Failure, width: int = 110) -> str:
    """Return a failure on one line; a file's name and text may hold anything, even escapes."""
    text = f"{failure.label}: {failure.type}: {failure.message}"
    safe = "".join(char if char.isprintable() else "?" for char in text)
    return safe if len(safe) <= width else f"{safe[: width - 1]}…"


# The run file -------------------------------------------------------------------------------------


def check_output(path: Path, *, force: bool) -> None:
    """Raise OutputError if `path` cannot be written, or holds something not written by us."""
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no such folder")
    if path.is_dir():
        raise OutputError(f"{path} is a folder")
    if path.exists() and not force and not _is_run_file(path):
        raise OutputError(f"{path} exists and is no census: use --force to replace it")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise OutputError(f"{path} cannot be written")


def _is_run_file(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_bytes())["kind"] == KIND)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def write_run_file(path: Path, census: Census, executor: str) -> None:
    """Write the run file, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    text = json.dumps(run_record(census, executor), indent=1, ensure_ascii=False)
    try:
        # Names of files may hold bytes that are no text: escaped, they can be written and read.
        draft.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def run_record(census: Census, executor: str) -> dict[str, Any]:
    """Return what the run file holds."""
    return {
        "kind": KIND,
        "version": 1,
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "executor": executor,
        "seconds": round(census.seconds, 3),
        "nodes": census.steps.nodes,
        "results": {"ok": census.ok, "err": census.err},
        "steps": census.steps.as_record(),
        "answer": census.answer,
        "failures": [
            {
                "file": failure.file.name,
                "broken_on_purpose": failure.file.broken,
                "label": failure.label,
                "type": failure.type,
                "message": failure.message,
            }
            for failure in census.failures
        ],
    }
