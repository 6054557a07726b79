"""The house's plan: which module may import which, who may import Dask, what is public."""

import ast
import graphlib
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import dask_dispatcher

# From the ground up. A module imports from its own layer and those above it in this list; a name
# stands for a module, or for a package and all in it.
LAYERS = (
    ("errors", "results", "events", "drawing", "cards", "pickling", "shared"),
    (
        "nesting",
        "options",
        "operators",
        "tokens",
        "identity",
        "callee",
        "resources",
        "origins",
        "config",
        "collector",
        "numbering",
    ),
    ("collection", "nodes", "ops"),
    ("svg", "graph", "plain", "plan", "call", "travel", "arguments"),
    ("states", "ready", "trail", "schedule", "futures", "view"),
    ("deferred",),
    ("interop", "pool"),
    # Observers know events only; executors make one where they are asked for `progress=True`.
    ("progress", "report"),
    ("executors",),
    ("client", "worker"),
    ("demo", "cli", "testing"),
)
# Imports inside a function that run backwards all the same, each with its reason.
LATE = {
    ("ops", "interop.collections"): "Dask collections among arguments; Dask is loaded by then",
    ("collection", "interop.protocol"): "a node's Dask graph is made of nodes, when Dask asks",
    ("executors.dask.executor", "client"): "`DaskExecutor.client` is a Client, made on first use",
}
# The only ones that import `distributed` or `dask`; they load on first use.
DASK_MODULES = ("executors.dask", "client", "worker", "interop", "cli", "config")

SOURCE = Path(dask_dispatcher.__file__).parent
PACKAGE = "dask_dispatcher"


def modules() -> dict[str, ast.Module]:
    """Return every module's syntax tree by its dotted name inside the package; '' is the root."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        found[name] = ast.parse(path.read_text(), str(path))
    return found


MODULES = modules()
PACKAGES = {".".join(p.parent.relative_to(SOURCE).parts) for p in SOURCE.rglob("__init__.py")}


def imported(name: str, *, lazy: bool) -> set[str]:
    """Return the full names of what a module imports, for `TYPE_CHECKING` only excepted.

    Parameters
    ----------
    name
        The module.
    lazy
        Whether imports inside functions count.
    """
    return {
        target
        for statement in import_statements(MODULES[name], lazy)
        for target in targets(statement, name)
    }


def import_statements(node: ast.AST, lazy: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from import_statements(other, lazy)
        elif lazy or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from import_statements(child, lazy)


def targets(statement: ast.Import | ast.ImportFrom, name: str) -> Iterator[str]:
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
        return
    base = statement.module or ""
    if statement.level:
        here = f"{PACKAGE}.{name}".split(".") if name else [PACKAGE]
        up = statement.level - (name in PACKAGES)
        base = ".".join([*here[: len(here) - up], *base.split(".")]).rstrip(".")
    for alias in statement.names:
        full = f"{base}.{alias.name}"
        yield full if full.removeprefix(f"{PACKAGE}.") in MODULES else base


def ours(name: str, *, lazy: bool = True) -> set[str]:
    """Return the modules of the package that a module imports."""
    full_names = imported(name, lazy=lazy)
    return {
        full.removeprefix(PACKAGE).removeprefix(".")
        for full in full_names
        if full.split(".")[0] == PACKAGE
    } - {name}


def layer(name: str) -> int:
    for number, names in enumerate(LAYERS):
        if any(is_in(name, prefix) for prefix in names):
            return number
    raise AssertionError(f"{name} is in none of the LAYERS of {Path(__file__).name}")


def is_in(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


INSIDE = sorted(MODULES.keys() - {""})


@pytest.mark.parametrize("name", INSIDE)
def test_imports_never_run_backwards(name: str) -> None:
    assert "" not in ours(name), f"{name} imports the package's root, which imports all others"
    backwards = {other for other in ours(name) if layer(other) > layer(name)}
    assert backwards == {late for importer, late in LATE if importer == name}


def test_imports_never_run_in_a_circle() -> None:
    edges = {name: {other for other in ours(name) if (name, other) not in LATE} for name in INSIDE}
    graphlib.TopologicalSorter(edges).prepare()


def test_late_imports_are_inside_functions() -> None:
    for importer, late in LATE:
        assert late not in ours(importer, lazy=False)


@pytest.mark.parametrize("name", [n for n in INSIDE if not any(is_in(n, d) for d in DASK_MODULES)])
def test_only_the_dask_modules_import_dask(name: str) -> None:
    roots = {full.split(".")[0] for full in imported(name, lazy=False)}
    assert not roots & {"dask", "distributed"}


def test_importing_the_package_loads_no_dask() -> None:
    code = f"import sys, {PACKAGE}; print(*sys.modules.keys() & {{'dask', 'distributed'}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not run.stdout.split()


def test_all_is_what_the_package_has() -> None:
    names = dask_dispatcher.__all__
    assert len(names) == len(set(names))
    assert names == [name for name in names if hasattr(dask_dispatcher, name)]


def test_the_package_has_no_public_name_beyond_all() -> None:
    importlib.reload(dask_dispatcher)  # what a lazy name left behind is no concern of this test
    namespace = {
        name
        for name, value in vars(dask_dispatcher).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    for_types = {"TYPE_CHECKING", "Any", "annotations"}
    assert namespace - for_types <= set(dask_dispatcher.__all__)
