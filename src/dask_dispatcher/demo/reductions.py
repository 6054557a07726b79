"""From many files to one package, from many packages to the answer.

A package keeps only its own largest files and functions: what is not among the largest of its
package is not among the largest of all. So little has to move from worker to worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypedDict

from . import imports
from .imports import Links, Tangle
from .source import Measure

TOP = 10  # how many of the largest are kept
SUMMED = ("lines", "code", "functions", "classes", "branches")

Sums = dict[str, int]  # 'files' and SUMMED; for the whole also 'packages'


class LongFunction(TypedDict):
    """A function, and the module it is in."""

    module: str
    name: str
    lines: int
    branches: int


class Package(TypedDict):
    """What is kept of one package."""

    name: str
    sums: Sums
    largest: list[Measure]
    deepest: list[Measure]
    longest: list[LongFunction]
    links: list[Links]


class PackageSums(TypedDict):
    """The size of one package."""

    name: str
    sums: Sums


class Imported(TypedDict):
    """How many modules import this one, in all and at import time."""

    module: str
    importers: int
    at_import: int


def summarise(name: str, measures: Sequence[Measure], links: Sequence[Links]) -> Package:
    """Reduce the files of one package to what the overall reductions need of it."""
    sums = {what: sum(each[what] for each in measures) for what in SUMMED}  # type: ignore[literal-required]
    return Package(
        name=name,
        sums={"files": len(measures), **sums},
        largest=_top(measures, "lines"),
        deepest=_top(measures, "depth"),
        longest=_top([_longest_function(each) for each in measures if each["longest"]], "lines"),
        links=list(links),
    )


def _longest_function(measure: Measure) -> LongFunction:
    longest = measure["longest"]
    assert longest is not None
    return LongFunction(
        module=measure["module"],
        name=longest["name"],
        lines=longest["lines"],
        branches=longest["branches"],
    )


def _top(records: Sequence[Any], key: str) -> list[Any]:
    """Return the TOP records with the largest numbers; equal ones in the order of their modules."""
    return sorted(records, key=lambda each: (-each[key], each["module"]))[:TOP]


def total(packages: Sequence[Package]) -> Sums:
    """Return the sums over all packages."""
    sums = {what: sum(each["sums"][what] for each in packages) for what in ("files", *SUMMED)}
    return {"packages": len(packages), **sums}


def biggest_packages(packages: Sequence[Package]) -> list[PackageSums]:
    """Return the packages with the most lines of code."""
    found = [PackageSums(name=each["name"], sums=each["sums"]) for each in packages]
    return sorted(found, key=lambda each: (-each["sums"]["code"], each["name"]))[:TOP]


def largest_files(packages: Sequence[Package]) -> list[Measure]:
    """Return the files with the most lines."""
    return _top([each for package in packages for each in package["largest"]], "lines")


def deepest_files(packages: Sequence[Package]) -> list[Measure]:
    """Return the files with the most deeply nested statements."""
    return _top([each for package in packages for each in package["deepest"]], "depth")


def longest_functions(packages: Sequence[Package]) -> list[LongFunction]:
    """Return the longest functions, at most one a file."""
    return _top([each for package in packages for each in package["longest"]], "lines")


def join_links(packages: Sequence[Package]) -> list[Links]:
    """Bring the imports of all files together."""
    return [links for package in packages for links in package["links"]]


def most_imported(links: Sequence[Links]) -> list[Imported]:
    """Return the modules that most others import."""
    at_import = Counter(target for each in links for target in each["at_import"])
    later = Counter(target for each in links for target in (*each["deferred"], *each["typing"]))
    found = [
        Imported(module=name, importers=importers, at_import=at_import[name])
        for name, importers in (at_import + later).items()
    ]
    return sorted(found, key=lambda each: (-each["importers"], each["module"]))[:TOP]


def most_tangled(links: Sequence[Links]) -> list[Tangle]:
    """Return the modules with the highest product of fan-in and fan-out at import time."""
    return imports.tangles(_import_graph(links))[:TOP]


def import_cycles(links: Sequence[Links]) -> list[list[str]]:
    """Return the groups of modules that need each other at import time."""
    return imports.cycles(_import_graph(links))


def _import_graph(links: Sequence[Links]) -> dict[str, list[str]]:
    return {each["module"]: each["at_import"] for each in links}
