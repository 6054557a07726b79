"""Graphs as text: Mermaid and DOT. Labels, the user's own, go through `shown_label`.

``states`` says of nodes in which state they are, in the words of `view.STATES`; they are coloured
accordingly.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import printable

__all__ = ["COLOURS", "markup", "shown_label", "to_dot", "to_mermaid"]

Edges = Iterable[tuple[Any, Any]]
States = Mapping[Any, str]

COLOURS: Mapping[str, str] = {
    "done": "#bfe5cf",
    "running": "#c4d9fb",
    "failed": "#f8c3c8",
    "cancelled": "#e3e6e9",
    "delayed": "#f7dfb4",
    "ready": "#ffffff",
    "waiting": "#ffffff",
}
_LONGEST = 80


def shown_label(label: str) -> str:
    """Return `label` cut to a readable length, its unprintable characters escaped."""
    return printable(label, _LONGEST)


def markup(text: str, limit: int = 10_000) -> str:
    """Return text as it may stand in HTML and XML, in elements and in attributes."""
    return html.escape(printable(text, limit))


def to_mermaid(nodes: Mapping[Any, None], edges: Edges, states: States | None = None) -> str:
    """Return a Mermaid flowchart, top down."""
    states = states or {}
    names = {node: f"n{position}" for position, node in enumerate(nodes)}
    lines = ["flowchart TD"]
    lines += [
        f"    classDef {state} fill:{colour},color:#1c2126"
        for state, colour in COLOURS.items()
        if state in states.values()
    ]
    # Mermaid reads HTML entities, in its own spelling with # for &.
    lines += [
        f'    {name}["{_mermaid_text(node.label)}"]'
        + (f":::{states[node]}" if node in states else "")
        for node, name in names.items()
    ]
    lines += [f"    {names[dependency]} --> {names[node]}" for dependency, node in edges]
    return "\n".join(lines) + "\n"


def to_dot(nodes: Mapping[Any, None], edges: Edges, states: States | None = None) -> str:
    """Return a digraph in the DOT language."""
    states = states or {}
    names = {node: f"n{position}" for position, node in enumerate(nodes)}
    lines = ["digraph {", "    node [shape=box]"]
    lines += [
        f'    {name} [label="{_dot_text(node.label)}"{_dot_fill(states.get(node))}]'
        for node, name in names.items()
    ]
    lines += [f"    {names[dependency]} -> {names[node]}" for dependency, node in edges]
    return "\n".join([*lines, "}"]) + "\n"


def _dot_fill(state: str | None) -> str:
    return f' style=filled fillcolor="{COLOURS[state]}"' if state else ""


def _mermaid_text(label: str) -> str:
    # All that Mermaid or HTML could read as markup goes as a character reference, in Mermaid's
    # spelling of one.
    return "".join(c if c.isalnum() or c in " _-.,…" else f"#{ord(c)};" for c in shown_label(label))


def _dot_text(label: str) -> str:
    return shown_label(label).replace("\\", "\\\\").replace('"', '\\"')
