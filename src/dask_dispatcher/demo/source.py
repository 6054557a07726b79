"""What is done to one source file: read it, parse it, measure it.

A syntax tree takes some fifty times the room of its source, and pickling one takes longer than
parsing anew. So it never leaves `parse`, which returns an `Outline`: the few facts that the later
steps need, cheap to keep on a worker and cheap to move to another.
"""

from __future__ import annotations

import ast
import tokenize
import warnings
from collections.abc import Iterator
from typing import NamedTuple, TypedDict

# When an import statement runs: with the module, when a function is called or the file is run as a
# script, or never, being there for type checkers.
WHEN = ("at_import", "deferred", "typing")


class Function(TypedDict):
    """One function or method."""

    name: str
    line: int
    lines: int
    branches: int  # McCabe's number, about: 1 + the places where the way forks


class Import(TypedDict):
    """One import statement; `names` is empty for ``import base``."""

    base: str
    names: list[str]
    level: int  # leading dots
    when: str  # one of WHEN


class Outline(TypedDict):
    """What the later steps need to know of a syntax tree. Spans are first and last lines."""

    functions: list[Function]
    imports: list[Import]
    classes: int
    branches: int
    depth: int
    docstrings: list[tuple[int, int]]
    strings: list[tuple[int, int]]  # only those of several lines


class Measure(TypedDict):
    """The numbers of one file."""

    module: str
    lines: int
    code: int
    functions: int
    classes: int
    branches: int
    depth: int
    longest: Function | None


def read(path: str) -> str:
    """Return a file's text, decoded as Python itself would: by byte-order mark or coding line."""
    with tokenize.open(path) as file:
        return file.read()


def parse(text: str, name: str) -> Outline:
    """Parse a source text and return its outline.

    The tree is walked with a list of what is still to do, not by recursion: a long sum nests more
    deeply than Python recurses.
    """
    outline = Outline(
        functions=[], imports=[], classes=0, branches=0, depth=0, docstrings=[], strings=[]
    )
    pending: list[tuple[ast.AST, Place]] = [(_syntax_tree(text, name), Place())]
    while pending:
        node, place = pending.pop()
        inner = _note(node, place, outline)
        pending.extend(_children(node, inner))
    outline["functions"].sort(key=lambda function: function["line"])
    return outline


def measure(text: str, outline: Outline, module: str) -> Measure:
    """Return the numbers of one file."""
    functions = outline["functions"]
    return Measure(
        module=module,
        lines=text.count("\n") + (text != "" and not text.endswith("\n")),
        code=_code_lines(text, outline),
        functions=len(functions),
        classes=outline["classes"],
        branches=outline["branches"],
        depth=outline["depth"],
        longest=max(functions, key=lambda function: function["lines"], default=None),
    )


def _code_lines(text: str, outline: Outline) -> int:
    """Count the lines that are not blank, not a comment and not part of a docstring."""
    in_docstring = _lines_in(outline["docstrings"])
    in_string = _lines_in(outline["strings"])
    return sum(
        number not in in_docstring and (not line.startswith("#") or number in in_string)
        for number, line in enumerate(map(str.strip, text.split("\n")), start=1)
        if line
    )


def _lines_in(spans: list[tuple[int, int]]) -> set[int]:
    return {line for first, last in spans for line in range(first, last + 1)}


# Walking the tree ---------------------------------------------------------------------------------


class Place(NamedTuple):
    """Where in the file a node stands."""

    depth: int = 0
    scope: str = ""
    function: Function | None = None
    when: str = "at_import"


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
BLOCKS = (
    *(*DEFINITIONS, ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith),
    *(ast.Try, ast.Match, getattr(ast, "TryStar", ast.Try)),  # 3.10 has no TryStar
)
FORKS = (
    *(ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While),
    *(ast.ExceptHandler, ast.match_case, ast.Assert),
)
# More than half of all nodes, and of no interest.
LEAVES = (ast.Name, ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.alias)


def _syntax_tree(text: str, name: str) -> ast.Module:
    with warnings.catch_warnings():
        # Old escapes and the like are for the file's author to hear of, not for its reader.
        warnings.simplefilter("ignore")
        return ast.parse(text, name)


def _note(node: ast.AST, place: Place, outline: Outline) -> Place:
    """Enter what is to be known of `node` in the outline; return the place of its children."""
    _note_branches(node, place, outline)
    if isinstance(node, BLOCKS):
        place = place._replace(depth=place.depth + 1)
        outline["depth"] = max(outline["depth"], place.depth)
    if isinstance(node, DEFINITIONS):
        return _note_definition(node, place, outline)
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        outline["imports"].extend(_import_facts(node, place.when))
    elif isinstance(node, (ast.Constant, ast.JoinedStr)) and node.end_lineno != node.lineno:
        outline["strings"].append(_span(node))
    elif isinstance(node, ast.Module):
        outline["docstrings"].extend(_docstring(node))
    return place


def _note_branches(node: ast.AST, place: Place, outline: Outline) -> None:
    branches = _branches(node)
    if branches:
        outline["branches"] += branches
        if place.function is not None:
            place.function["branches"] += branches


def _branches(node: ast.AST) -> int:
    """Return by how many ways more than one the program may go on from `node`."""
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    return int(isinstance(node, FORKS))


def _note_definition(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, place: Place, outline: Outline
) -> Place:
    outline["docstrings"].extend(_docstring(node))
    name = f"{place.scope}.{node.name}".lstrip(".")
    if isinstance(node, ast.ClassDef):
        outline["classes"] += 1
        return place._replace(scope=name)
    first, last = _span(node)
    function = Function(name=name, line=first, lines=last - first + 1, branches=1)
    outline["functions"].append(function)
    return Place(place.depth, name, function, "deferred")


def _span(node: ast.expr | ast.stmt) -> tuple[int, int]:
    return node.lineno, node.end_lineno or node.lineno


def _docstring(node: ast.AST) -> list[tuple[int, int]]:
    body = node.body  # type: ignore[attr-defined]  # only modules and definitions come here
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        return [_span(body[0])] if isinstance(body[0].value.value, str) else []
    return []


def _import_facts(node: ast.Import | ast.ImportFrom, when: str) -> list[Import]:
    if isinstance(node, ast.Import):
        return [Import(base=name.name, names=[], level=0, when=when) for name in node.names]
    names = [name.name for name in node.names]
    return [Import(base=node.module or "", names=names, level=node.level, when=when)]


def _children(node: ast.AST, place: Place) -> Iterator[tuple[ast.AST, Place]]:
    if isinstance(node, ast.If):
        yield from _branches_of_if(node, place)
    else:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, LEAVES):
                yield child, place


def _branches_of_if(node: ast.If, place: Place) -> Iterator[tuple[ast.AST, Place]]:
    """Yield an if's children: its body may run at another time, and an elif is no deeper."""
    body = place._replace(when=_when(node.test, place.when))
    yield node.test, place
    yield from ((child, body) for child in node.body)
    for child in node.orelse:
        # In the tree an elif is an else with an if in it; but it stands in its if's column.
        is_elif = isinstance(child, ast.If) and child.col_offset == node.col_offset
        yield child, place._replace(depth=place.depth - 1) if is_elif else place


def _when(test: ast.expr, otherwise: str) -> str:
    """Return when the body of ``if test:`` runs."""
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return "typing"
        case ast.Compare(left=ast.Name(id="__name__")):
            return "deferred"
    return otherwise
