"""Imports resolved, and what the graph of them shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_dispatcher.demo import imports, source
from dask_dispatcher.demo.source import Import

KNOWN = frozenset({"os", "sys", "pkg", "pkg.a", "pkg.b", "pkg.sub", "pkg.sub.c"})


def resolve(*statements: Import, module: str = "pkg.a", package: str = "pkg") -> imports.Links:
    outline = source.parse("", "empty.py") | {"imports": [*statements]}
    return imports.resolve(outline, module, package, KNOWN)


def statement(base: str, *names: str, level: int = 0, when: str = "at_import") -> Import:
    return Import(base=base, names=[*names], level=level, when=when)


@pytest.mark.parametrize(
    ("found", "targets"),
    [
        (statement("os"), ["os"]),
        (statement("os.path"), ["os"]),  # a name in os, not a module of ours
        (statement("pkg.sub.c"), ["pkg.sub.c"]),
        (statement("pkg", "b"), ["pkg.b"]),
        (statement("pkg", "b", "name"), ["pkg.b", "pkg"]),
        (statement("pkg.sub", "*"), ["pkg.sub"]),
        (statement("", "b", level=1), ["pkg.b"]),
        (statement("", "name", level=1), ["pkg"]),
        (statement("sub.c", "name", level=1), ["pkg.sub.c"]),
        (statement("os", "a", "b", "c"), ["os"]),
        (statement("pkg.a", "name"), []),  # itself
    ],
)
def test_absolute_and_relative_imports(found: Import, targets: list[str]) -> None:
    links = resolve(found)
    assert links["at_import"] == targets
    assert links["outside"] == []


def test_two_dots_start_from_the_package_above() -> None:
    found = statement("", "b", level=2)
    links = resolve(found, module="pkg.sub.c", package="pkg.sub")
    assert links["at_import"] == ["pkg.b"]


def test_a_package_starts_from_itself() -> None:
    links = resolve(statement("", "a", "name", level=1), module="pkg", package="pkg")
    assert links["at_import"] == ["pkg.a"]


def test_what_is_not_known_is_outside() -> None:
    links = resolve(statement("numpy.linalg", "norm", "inv"), statement("x", "y", level=3))
    assert links["outside"] == ["numpy.linalg", "...x"]
    assert links["at_import"] == []


def test_a_relative_import_outside_any_package_is_outside() -> None:
    links = resolve(statement("b", "name", level=1), module="top", package="")
    assert links["outside"] == [".b"]


def test_each_module_once_where_it_matters_most() -> None:
    links = resolve(
        statement("os", when="typing"),
        statement("os", when="deferred"),
        statement("sys", when="typing"),
        statement("os"),
        statement("os", "getcwd"),
        statement("pkg.b", when="deferred"),
    )
    assert links == {
        "module": "pkg.a",
        "at_import": ["os"],
        "deferred": ["pkg.b"],
        "typing": ["sys"],
        "outside": [],
    }


def test_cycles_are_the_groups_that_need_each_other() -> None:
    graph = {
        "a": ["b", "x"],
        "b": ["c"],
        "c": ["a"],
        "x": ["y", "compiled"],
        "y": ["x", "z"],
        "z": ["z"],
        "alone": ["a"],
    }
    assert imports.cycles(graph) == [["a", "b", "c"], ["x", "y"]]


def test_cycles_in_a_long_chain_and_a_long_ring() -> None:
    chain = {str(i): [str(i + 1)] for i in range(50_000)}
    assert imports.cycles(chain) == []
    (ring,) = imports.cycles(chain | {"50000": ["0"]})
    assert len(ring) == 50_001


@given(
    st.integers(0, 8).flatmap(
        lambda n: st.lists(st.sets(st.integers(0, max(n - 1, 0))), min_size=n, max_size=n)
    )
)
def test_cycles_agree_with_their_definition(targets: list[set[int]]) -> None:
    graph = {str(i): [str(target) for target in found] for i, found in enumerate(targets)}
    reach = {name: reachable(graph, name) for name in graph}
    groups = {
        tuple(sorted(other for other in graph if other in reach[name] and name in reach[other]))
        for name in graph
    }
    expected = sorted((list(g) for g in groups if len(g) > 1), key=lambda g: (-len(g), g))
    assert imports.cycles(graph) == expected


def reachable(graph: dict[str, list[str]], start: str) -> set[str]:
    seen, work = set(), [start]
    while work:
        found = [target for target in graph[work.pop()] if target not in seen]
        seen.update(found)
        work.extend(found)
    return seen


def test_tangles_rank_by_fan_in_times_fan_out() -> None:
    graph = {"a": ["c"], "b": ["c"], "c": ["d", "e"], "d": [], "e": ["d"]}
    ranked = imports.tangles(graph)
    assert ranked[0] == {"module": "c", "fan_in": 2, "fan_out": 2}
    assert ranked[1] == {"module": "e", "fan_in": 1, "fan_out": 1}
    assert [each["module"] for each in ranked[2:]] == ["a", "b", "d"]
