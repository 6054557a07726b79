"""``dask dispatch graph``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from ..graph import DispatchGraph
from .options import check_output
from .outcome import print_json
from .refusing import Command, Refused
from .targets import load_target

__all__ = ["graph"]

_FORMATS: dict[str, Callable[[DispatchGraph], str]] = {
    "mermaid": DispatchGraph.to_mermaid,
    "dot": DispatchGraph.to_dot,
    "svg": DispatchGraph.to_svg,
}
_ENDINGS = {".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot", ".svg": "svg"}


@click.command(cls=Command)
@click.argument("target")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to; its ending says what: .mmd, .dot or .svg. Default: Mermaid on standard output.",
)
@click.option("--format", "kind", type=click.Choice(list(_FORMATS)), help="Instead of the ending.")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print what was drawn as a JSON object.")
def graph(target: str, output: Path | None, kind: str | None, force: bool, as_json: bool) -> None:
    """Draw TARGET, FILE.py:NAME or module:NAME, without running it."""
    if output is None and as_json:
        raise Refused("--json needs --output, as the drawing itself goes to standard output")
    kind = kind or _kind_of(output)
    check_output(output, force=force)
    wanted = load_target(target)
    drawn = wanted if isinstance(wanted, DispatchGraph) else DispatchGraph(wanted)
    text = _FORMATS[kind](drawn)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{output}: {error.strerror}") from error
    edges = len(drawn.edges)
    if as_json:
        print_json({"file": str(output), "format": kind, "nodes": len(drawn), "edges": edges})
    else:
        click.echo(f"{len(drawn):,} nodes and {edges:,} edges are in {output}", err=True)


def _kind_of(output: Path | None) -> str:
    if output is None:
        return "mermaid"
    kind = _ENDINGS.get(output.suffix.lower())
    if kind is None:
        raise Refused(f"{output}: the ending says nothing; use {', '.join(_ENDINGS)}, or --format")
    return kind
