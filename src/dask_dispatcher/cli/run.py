"""``dask dispatch run``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from .options import executor_options, make_executor, make_observers, output_options
from .outcome import count_errors, print_json, print_results, results_record
from .refusing import Command, failing_plainly, interruptible
from .targets import load_target

__all__ = ["run"]


@click.command(cls=Command)
@click.argument("target")
@executor_options
@output_options
@click.pass_context
def run(
    ctx: click.Context,
    target: str,
    executor: str | None,
    scheduler: str | None,
    progress: bool,
    report: Path | None,
    trace: Path | None,
    events: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Run TARGET, FILE.py:NAME or module:NAME, and print what comes of it.

    NAME is a node, a list of nodes, a graph, or a function without arguments that returns one.
    """
    wanted = load_target(target)
    nodes = list(wanted.outputs if not isinstance(wanted, list) else wanted)
    observers = make_observers(report, trace, events, force=force)
    with failing_plainly(), interruptible(make_executor(executor, scheduler)) as chosen:
        started = time.monotonic()
        results = chosen.run(wanted, raise_errors=False, progress=progress, observers=observers)
        seconds = time.monotonic() - started
        failed = count_errors(results)
        if as_json:
            print_json(
                {"executor": type(chosen).__name__, "seconds": round(seconds, 3),
                 "ok": len(results) - failed, "err": failed,
                 "results": results_record(chosen, nodes, results)}
            )  # fmt: skip
        else:
            print_results(chosen, nodes, results)
    ctx.exit(1 if failed else 0)
