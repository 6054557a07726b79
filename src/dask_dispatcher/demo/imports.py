"""Who imports whom: the imports of one file resolved, and the graph of all of them examined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from importlib.util import resolve_name
from typing import TypedDict

from .source import WHEN, Import, Outline

ImportGraph = Mapping[str, Collection[str]]


class Links(TypedDict):
    """The modules of the standard library that one module names in its imports, each once.

    `at_import` needs the other module while this one is being imported, `deferred` only when a
    function is called or the file is run as a script, `typing` never. `outside` are names that
    are no module of the standard library here.
    """

    module: str
    at_import: list[str]
    deferred: list[str]
    typing: list[str]
    outside: list[str]


class Tangle(TypedDict):
    """How much a module is used and uses."""

    module: str
    fan_in: int
    fan_out: int


def resolve(outline: Outline, module: str, package: str, known: Collection[str]) -> Links:
    """Find out which of the `known` modules the imports of one file name.

    Parameters
    ----------
    outline
        The file's outline.
    module, package
        The file's dotted name, and the package its relative imports start from.
    known
        The dotted names of all modules there are.
    """
    links = Links(module=module, at_import=[], deferred=[], typing=[], outside=[])
    seen = {module}  # a package that imports one of its own names does not import itself
    for statement in sorted(outline["imports"], key=lambda each: WHEN.index(each["when"])):
        base = _absolute(statement, package)
        for name in statement["names"] or ["*"]:
            # ``from a import b`` may mean the module a.b, or the name b in the module a.
            target = _longest_known(base if name == "*" else f"{base}.{name}", known)
            if (target or base) not in seen:
                seen.add(target or base)
                links[statement["when"] if target else "outside"].append(target or base)  # type: ignore[literal-required]
    return links


def _absolute(statement: Import, package: str) -> str:
    relative = "." * statement["level"] + statement["base"]
    try:
        return resolve_name(relative, package)
    except ImportError:  # more dots than there are packages around
        return relative


def _longest_known(name: str, known: Collection[str]) -> str | None:
    """Return the module in ``a.b.c``: itself, else a.b, else a, else None."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def tangles(graph: ImportGraph) -> list[Tangle]:
    """Return fan-in and fan-out of every module, the most tangled (their product) first."""
    fan_in = Counter(target for targets in graph.values() for target in targets)
    found = [
        Tangle(module=module, fan_in=fan_in[module], fan_out=len(targets))
        for module, targets in graph.items()
    ]
    return sorted(found, key=lambda each: (-each["fan_in"] * each["fan_out"], each["module"]))


def cycles(graph: ImportGraph) -> list[list[str]]:
    """Return the groups of modules that need each other to be imported, largest first.

    Modules that import themselves do not count.
    """
    groups = [sorted(group) for group in _Components(graph) if len(group) > 1]
    return sorted(groups, key=lambda group: (-len(group), group))


class _Components:
    """The strongly connected components of a graph, as Tarjan finds them, but without recursion."""

    def __init__(self, graph: ImportGraph) -> None:
        self._graph = graph
        self._order: dict[str, int] = {}  # when each module was first reached
        self._lowest: dict[str, int] = {}  # the earliest module on the path it leads back to
        self._path: list[str] = []  # reached, and not yet known to which group they belong
        self._on_path: set[str] = set()

    def __iter__(self) -> Iterator[list[str]]:
        for root in self._graph:
            if root not in self._order:
                yield from self._from(root)

    def _from(self, root: str) -> Iterator[list[str]]:
        calls = [self._enter(root)]  # what recursion would keep: a module, and its targets to come
        while calls:
            module, targets = calls[-1]
            new = next((target for target in targets if self._is_new(module, target)), None)
            if new is not None:
                calls.append(self._enter(new))
                continue
            calls.pop()
            if calls:
                self._reaches(calls[-1][0], self._lowest[module])
            if self._lowest[module] == self._order[module]:
                yield self._take_group(module)

    def _enter(self, module: str) -> tuple[str, Iterator[str]]:
        self._order[module] = self._lowest[module] = len(self._order)
        self._path.append(module)
        self._on_path.add(module)
        return module, iter(self._graph.get(module, ()))

    def _is_new(self, module: str, target: str) -> bool:
        if target in self._on_path:
            self._reaches(module, self._order[target])
        return target not in self._order

    def _reaches(self, module: str, order: int) -> None:
        self._lowest[module] = min(self._lowest[module], order)

    def _take_group(self, first: str) -> list[str]:
        group = []
        while first in self._on_path:
            group.append(self._path.pop())
            self._on_path.remove(group[-1])
        return group
