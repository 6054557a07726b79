"""``dask dispatch demo``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from ..report.page import is_report
from .options import executor_options, make_executor, make_observers, output_options
from .outcome import print_json
from .refusing import Command, failing_plainly, interruptible

__all__ = ["demo"]

_REPORT = Path("dispatch-demo.html")


@click.command(cls=Command)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Count the first N files only.")
@executor_options
@output_options
@click.pass_context
def demo(
    ctx: click.Context,
    limit: int | None,
    executor: str | None,
    scheduler: str | None,
    progress: bool,
    report: Path | None,
    trace: Path | None,
    events: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Take a census of the standard library: some thousand nodes, with a report to look at.

    Every source file is read, parsed and measured; three that are broken on purpose show how
    failures look. The report goes to dispatch-demo.html unless --report says otherwise.
    """
    report = report or _REPORT
    # An earlier demo's report may be replaced; what else has its name may not.
    if not force and report == _REPORT and is_report(report):
        report.unlink()
    observers = make_observers(report, trace, events, force=force)
    with failing_plainly(), interruptible(make_executor(executor, scheduler)) as chosen:
        found = _census(chosen, limit, progress, observers)
        record = {
            "executor": type(chosen).__name__,
            "seconds": round(found.seconds, 3),
            "nodes": found.steps.nodes,
            "ok": found.ok,
            "err": found.err,
            "report": str(report),
            "totals": found.answer["totals"],
        }
    if as_json:
        print_json(record)
    else:
        _print(found, record)
    ctx.exit(0 if found.answer["totals"]["files"] else 1)


def _census(executor: Any, limit: int | None, progress: bool, observers: Any) -> Any:
    from ..demo.files import stdlib_files, write_broken_files  # here, as only the demo needs it
    from ..demo.graphs import take_census

    with TemporaryDirectory() as folder:
        sources = stdlib_files()[:limit] + write_broken_files(Path(folder))
        return take_census(executor, sources, progress=progress, observers=observers)


def _print(found: Any, record: dict[str, Any]) -> None:
    from ..demo.report import print_census

    print_census(found)
    click.echo(
        f"\n{record['nodes']:,} nodes on {record['executor']} in {record['seconds']:.1f} s: "
        f"{record['ok']:,} results Ok, {record['err']:,} Err (broken files, on purpose)\n"
        f"Open the report: {record['report']}"
    )
