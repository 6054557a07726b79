"""What a run ended in, as lines for people and as an object for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from ..drawing import shown_label
from ..errors import DependencyError, DispatcherError, printable, safe_text
from ..executors.base import Executor
from ..futures import NodeFuture
from ..nodes import DispatchNode
from ..results import Err, Ok, Result

__all__ = ["count_errors", "print_json", "print_results", "results_record"]

_SHOWN = 20  # results in the text
_LONGEST_VALUE = 200


def print_results(
    executor: Executor,
    nodes: Sequence[DispatchNode[Any]],
    results: Sequence[Result[NodeFuture[Any]]],
) -> None:
    """Print a line a result: its label, and its value or why there is none."""
    for node, result in list(zip(nodes, results, strict=True))[:_SHOWN]:
        label = click.style(shown_label(node.label), bold=True)
        if isinstance(result, Ok):
            click.echo(f"{label}: {_shown(_fetched(executor, result))}")
        else:
            click.echo(f"{label}: {click.style(_reason(result.error), fg='red')}")
            click.echo("".join(f"    {line}\n" for line in _details(result.error)), nl=False)
    if len(results) > _SHOWN:
        click.echo(f"… and {len(results) - _SHOWN:,} more")


def results_record(
    executor: Executor,
    nodes: Sequence[DispatchNode[Any]],
    results: Sequence[Result[NodeFuture[Any]]],
) -> list[dict[str, Any]]:
    """Return what ``--json`` tells of each result.

    A value that JSON cannot hold is its text, as ``repr``.
    """
    return [_record(executor, node, result) for node, result in zip(nodes, results, strict=True)]


def print_json(record: dict[str, Any]) -> None:
    """Print one JSON object."""
    click.echo(json.dumps(record, default=_shown))


def _record(
    executor: Executor, node: DispatchNode[Any], result: Result[NodeFuture[Any]]
) -> dict[str, Any]:
    record: dict[str, Any] = {"label": node.label, "ok": isinstance(result, Ok)}
    if isinstance(result, Ok):
        value = _fetched(executor, result)
        return {**record, "value": value if _is_json(value) else _shown(value)}
    error = result.error
    record["error"] = {"type": type(error).__name__, "message": str(error), "node": error.label}
    if isinstance(error, DependencyError):
        cause = type(error.__cause__).__name__
        origin = str(error.origin) if error.origin else None
        record["error"].update(cause=cause, attempts=error.attempts, built_at=origin)
    return record


def _fetched(executor: Executor, result: Result[NodeFuture[Any]]) -> Any:
    """Return a value, or the error that came instead: it may be lost, or not travel."""
    try:
        return executor.gather([result])[0]
    except DispatcherError as error:
        return error


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _shown(value: Any) -> str:
    try:
        return printable(repr(value), _LONGEST_VALUE)
    except Exception as error:
        return f"<{type(value).__name__}: its __repr__ raised {type(error).__name__}>"


def _reason(error: DispatcherError) -> str:
    return printable(safe_text(error, 1_000), 1_000)


def _details(error: DispatcherError) -> list[str]:
    if not isinstance(error, DependencyError):
        return []
    lines = [f"built at {error.origin}"] if error.origin else []
    return [*lines, *(f"argument {argument}" for argument in error.arguments)]


def count_errors(results: Sequence[Result[NodeFuture[Any]]]) -> int:
    """Return how many of the results are errors."""
    return sum(isinstance(result, Err) for result in results)
