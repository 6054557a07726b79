"""Options that the commands share, and what is made of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..config import seconds, setting
from ..events import Observer
from ..executors.base import Executor
from ..executors.inprocess.executor import AsyncExecutor
from .refusing import Refused

__all__ = ["check_output", "executor_options", "make_executor", "make_observers", "output_options"]

F = TypeVar("F", bound=Callable[..., Any])

_EXECUTORS = ("async", "parallel", "dask")


def executor_options(command: F) -> F:
    """Add ``--executor``, ``--scheduler`` and ``--progress``."""
    for option in (
        click.option("--progress/--no-progress", default=True, help="Show how far the run is."),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="With dask: the scheduler, such as tcp://host:8786.",
        ),
        click.option(
            "--executor",
            type=click.Choice(_EXECUTORS),
            help="Threads of this process, local processes, or Dask.",
        ),
    ):
        command = option(command)
    return command


def output_options(command: F) -> F:
    """Add ``--report``, ``--trace``, ``--events``, ``--force`` and ``--json``."""
    path = click.Path(dir_okay=False, path_type=Path)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead."),
        click.option("--force", is_flag=True, help="Replace files that exist."),
        click.option("--events", type=path, metavar="FILE.jsonl", help="Write all events."),
        click.option("--trace", type=path, metavar="FILE.json", help="Write a trace for Perfetto."),
        click.option("--report", type=path, metavar="FILE.html", help="Write a report to look at."),
    ):
        command = option(command)
    return command


def make_executor(name: str | None, scheduler: str | None) -> Executor:
    """Return the executor that was asked for, with the defaults that Dask's configuration has.

    Raises
    ------
    Refused
        If the options or the configuration make no sense.
    """
    if scheduler and name not in (None, "dask"):
        raise Refused("--scheduler needs --executor dask")
    name = name or ("dask" if scheduler else setting("executor"))
    if name not in _EXECUTORS:
        raise Refused(f"dispatcher.executor is {name!r}, not one of {', '.join(_EXECUTORS)}")
    try:
        return _made(name, scheduler)
    except (TypeError, ValueError) as error:
        raise Refused(str(error)) from error


def _made(name: str, scheduler: str | None) -> Executor:
    defaults: dict[str, Any] = {
        "retries": setting("retries"),
        "retry_delay": seconds("retry-delay"),
        "timeout": seconds("timeout"),
        "max_losses": setting("max-losses"),
    }
    if name == "dask":
        from ..executors.dask.executor import DaskExecutor  # here, as it loads distributed

        return DaskExecutor(scheduler or setting("scheduler"), **defaults)
    if name == "parallel":
        from ..executors.parallel.executor import ParallelExecutor  # here, as few need it

        return ParallelExecutor(setting("max-workers"), **defaults)
    return AsyncExecutor(setting("max-workers"), **defaults)


def make_observers(
    report: Path | None, trace: Path | None, events: Path | None, *, force: bool
) -> list[Observer]:
    """Return the observers that write the files that were asked for.

    Raises
    ------
    Refused
        If a file exists and is not to be replaced, or cannot be written.
    """
    from ..report import ChromeTrace, EventLog, Report  # here, as not every command writes

    wanted: list[tuple[Callable[[Path], Observer], Path | None]]
    wanted = [(Report, report), (ChromeTrace, trace), (EventLog, events)]
    for _, path in wanted:
        check_output(path, force=force)
    try:
        return [kind(path) for kind, path in wanted if path is not None]
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from error


def check_output(path: Path | None, *, force: bool) -> None:
    """Refuse a file that cannot be written, or is there already."""
    if path is None:
        return
    if path.is_dir():
        raise Refused(f"{path} is a folder")
    if path.exists() and not force:
        raise Refused(f"{path} exists; use --force to replace it")
    if not path.parent.is_dir():
        raise Refused(f"{path}: there is no such folder")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise Refused(f"{path} cannot be written")
