"""Graphs as SVG, with no program or library to draw them.

Columns by depth, as in the layered drawings of Sugiyama and others; within a column, each box moves
to the mean of its neighbours' places, a few sweeps to and fro, so that few lines cross. Graphs of
more than a few hundred nodes get one box a label, which says how many it stands for: a picture of
ten thousand boxes shows nothing.

All text goes through `drawing.markup`; there is no script, no link and no font to fetch.
"""

from __future__ import annotations

import operator
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .drawing import COLOURS, markup
from .ops import Op

__all__ = ["to_svg"]

_MOST_BOXES = 300
_MOST_LABELS = 60
_SWEEPS = 6
_HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 30, 56, 14, 12
_CHARACTER, _NARROWEST, _LONGEST = 7.2, 60, 28
_STYLE = "font-family:system-ui,sans-serif;font-size:13px"


@dataclass
class _Box:
    """A node, or all nodes of a label."""

    name: str
    depth: float = 0.0
    count: int = 0
    states: Counter[str] = field(default_factory=Counter)
    x: float = 0.0
    y: float = 0.0

    @property
    def text(self) -> str:
        cut = self.name if len(self.name) <= _LONGEST else f"{self.name[: _LONGEST - 1]}…"
        return cut if self.count == 1 else f"{self.count:,} of {cut}"

    @property
    def width(self) -> float:
        return max(_NARROWEST, len(self.text) * _CHARACTER + 20)

    @property
    def fill(self) -> str:
        """The colour of its worst state."""
        for state in ("failed", "running", "delayed", "cancelled", "ready", "waiting", "done"):
            if self.states[state]:
                return COLOURS[state]
        return "#ffffff"


def to_svg(
    nodes: Iterable[Any],
    edges: Iterable[tuple[Any, Any]],
    states: Mapping[Any, str] | None = None,
) -> str:
    """Return a picture of the graph, from left to right.

    Parameters
    ----------
    nodes : iterable of DispatchNode
    edges : iterable of (dependency, dependent)
    states : mapping of DispatchNode to str, optional
        In the words of `view.STATES`; colours the boxes.
    """
    nodes, edges = list(nodes), list(edges)
    depth = _depths(nodes, edges)
    boxes, box_of = _boxes(nodes, depth, states or {})
    lines = Counter((box_of[a], box_of[b]) for a, b in edges if box_of[a] != box_of[b])
    columns = _columns(boxes)
    _untangle(columns, lines)
    width, height = _place(boxes, columns)
    return _drawn(boxes, lines, width, height)


def _depths(nodes: Sequence[Any], edges: Iterable[tuple[Any, Any]]) -> dict[Any, int]:
    """Return how far each node is from those that need nothing; nodes on a cycle stay at 0."""
    users = defaultdict(list)
    waiting = Counter[Any]()
    for dependency, node in edges:
        users[dependency].append(node)
        waiting[node] += 1
    depth = dict.fromkeys(nodes, 0)
    ready = [node for node in nodes if not waiting[node]]
    for node in ready:
        for user in users[node]:
            depth[user] = max(depth[user], depth[node] + 1)
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    return depth


def _boxes(
    nodes: Sequence[Any], depth: Mapping[Any, int], states: Mapping[Any, str]
) -> tuple[list[_Box], dict[Any, int]]:
    name_of = _names(nodes)
    boxes: list[_Box] = []
    box_of: dict[Any, int] = {}
    known: dict[str, int] = {}
    for node in nodes:
        name = name_of(node)
        position = known.get(name, -1) if len(nodes) > _MOST_BOXES else -1
        if position < 0:
            position = known[name] = len(boxes)
            boxes.append(_Box(name))
        box_of[node] = position
        box = boxes[position]
        box.count += 1
        box.depth += (depth[node] - box.depth) / box.count  # the mean of those so far
        box.states[states.get(node, "")] += 1
    return boxes, box_of


def _names(nodes: Sequence[Any]) -> Callable[[Any], str]:
    """Return what names a node: its label, or its kind if a large graph has too many labels."""
    if len(nodes) <= _MOST_BOXES or len({node.label for node in nodes}) <= _MOST_LABELS:
        return operator.attrgetter("label")
    return lambda node: node.func_name if isinstance(node, Op) else type(node).__name__


def _columns(boxes: Sequence[_Box]) -> list[list[int]]:
    columns = defaultdict(list)
    for position, box in enumerate(boxes):
        columns[round(box.depth)].append(position)
    return [columns[depth] for depth in sorted(columns)]


def _untangle(columns: list[list[int]], lines: Iterable[tuple[int, int]]) -> None:
    neighbours = defaultdict(list)
    for a, b in lines:
        neighbours[a].append(b)
        neighbours[b].append(a)
    row = {box: place - len(column) / 2 for column in columns for place, box in enumerate(column)}
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 else reversed(columns):
            mean = {
                box: sum(row[other] for other in neighbours[box]) / len(neighbours[box])
                if neighbours[box]
                else row[box]
                for box in column
            }
            column.sort(key=mean.__getitem__)
            for place, box in enumerate(column):
                row[box] = place - len(column) / 2


def _place(boxes: Sequence[_Box], columns: list[list[int]]) -> tuple[float, float]:
    tallest = max((len(column) for column in columns), default=0)
    height = tallest * (_HEIGHT + _GAP_Y) - _GAP_Y if tallest else 0
    x = float(_MARGIN)
    for column in columns:
        used = len(column) * (_HEIGHT + _GAP_Y) - _GAP_Y
        for place, position in enumerate(column):
            box = boxes[position]
            box.x = x
            box.y = _MARGIN + (height - used) / 2 + place * (_HEIGHT + _GAP_Y)
        x += max(boxes[position].width for position in column) + _GAP_X
    return max(x - _GAP_X, _MARGIN) + _MARGIN, height + 2 * _MARGIN


def _drawn(
    boxes: Sequence[_Box], lines: Mapping[tuple[int, int], int], width: float, height: float
) -> str:
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" style="{_STYLE}">',
        '<g fill="none" stroke="#98a2ac">',
    ]
    for (a, b), count in lines.items():
        parts.append(_line(boxes[a], boxes[b], min(4.0, 1.0 + len(str(count)) / 2 - 0.5)))
    parts.append('</g><g stroke="#98a2ac">')
    for box in boxes:
        parts.append(_rectangle(box))
    return "\n".join([*parts, "</g></svg>"]) + "\n"


def _line(a: _Box, b: _Box, width: float) -> str:
    x1, y1 = a.x + a.width, a.y + _HEIGHT / 2
    x2, y2 = b.x, b.y + _HEIGHT / 2
    bend = max(24.0, (x2 - x1) / 2)
    return (
        f'<path stroke-width="{width:.1f}" d="M{x1:.0f},{y1:.0f} '
        f'C{x1 + bend:.0f},{y1:.0f} {x2 - bend:.0f},{y2:.0f} {x2:.0f},{y2:.0f}"/>'
    )


def _rectangle(box: _Box) -> str:
    middle = f'x="{box.x + box.width / 2:.0f}" y="{box.y + _HEIGHT / 2 + 4.5:.0f}"'
    return (
        f"<g><title>{markup(box.name, 500)}</title>"
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{_HEIGHT}" rx="6" '
        f'fill="{box.fill}"/>'
        f'<text {middle} text-anchor="middle" stroke="none" fill="#1c2126">{markup(box.text)}</text>'
        "</g>"
    )
