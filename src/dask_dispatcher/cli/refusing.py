"""How the commands fail: one line on standard error, and an exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import click

from ..errors import DispatcherError, printable, safe_text
from ..executors.base import Executor

__all__ = ["Command", "Failed", "Refused", "failing_plainly", "interruptible"]

_LONGEST = 2_000
_INTERRUPTED = 130  # what shells make of Ctrl-C


class Failed(click.ClickException):
    """The run could not be carried out."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.split()), _LONGEST))

    def show(self, file: Any = None) -> None:
        click.echo(f"dask dispatch: {self.message}", file=file, err=True)


class Refused(Failed):
    """What was asked for makes no sense; nothing has run."""

    exit_code = 2


class Command(click.Command):
    """A command that refuses bad options in one line, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise Refused(f"{error.format_message()} (see {ctx.command_path} --help)") from None


@contextmanager
def failing_plainly() -> Generator[None, None, None]:
    """Turn what befalls a run into a line and an exit code."""
    try:
        yield
    except DispatcherError as error:
        raise Failed(str(error)) from error
    except (TypeError, ValueError) as error:  # of the graph, before anything runs
        raise Refused(str(error)) from error
    except OSError as error:
        raise Failed(f"{type(error).__name__}: {safe_text(error)}") from error
    except KeyboardInterrupt:
        click.echo("dask dispatch: interrupted", err=True)
        raise click.exceptions.Exit(_INTERRUPTED) from None


@contextmanager
def interruptible(executor: Executor) -> Generator[Executor, None, None]:
    """Close an executor at the end; say so where that may take long."""
    with executor:
        try:
            yield executor
        except KeyboardInterrupt:
            # A plain call that is under way cannot be stopped, and `close` waits for it. The next
            # Ctrl-C may come at any moment of that, so it is no exception: processes of ours end
            # with this one.
            signal.signal(signal.SIGINT, _leave_at_once)
            click.echo("dask dispatch: stopping; Ctrl-C again to force", err=True)
            raise


def _leave_at_once(*_: Any) -> None:
    os.write(2, b"dask dispatch: interrupted\n")
    os._exit(_INTERRUPTED)
