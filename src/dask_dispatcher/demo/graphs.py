"""The two graphs of the census: one over the files, one over what the first one found.

They are two, since a node that depends on a failed one fails with it: in one graph a single broken
file would take its package and all the answers down. So the first run is made with
``raise_errors=False`` and gives an `Ok` or an `Err` for each file. The second graph is built from
the futures inside the `Ok`: their values stay on the workers that made them, where the reductions
find them, and only the answer travels.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from ..errors import DependencyError
from ..events import Observer
from ..executors.base import Executor
from ..futures import NodeFuture
from ..graph import DispatchGraph
from ..nodes import DispatchNode
from ..ops import op
from ..results import Err, Ok, Result
from . import files, imports, reductions, source
from .files import SourceFile
from .imports import Links
from .source import Measure
from .steps import StepCounter

# Any callable becomes a node. The functions stay plain ones, which tests call directly.
read = op(source.read)
parse = op(source.parse)
measure = op(source.measure)
resolve = op(imports.resolve)
summarise = op(reductions.summarise)


class FileNodes(NamedTuple):
    """What is asked for of one file."""

    file: SourceFile
    measure: DispatchNode[Measure]
    links: DispatchNode[Links]


class Counted(NamedTuple):
    """What came of one good file: the values are where they were computed."""

    file: SourceFile
    measure: NodeFuture[Measure]
    links: NodeFuture[Links]


class Failure(NamedTuple):
    """Why one file was not counted: the label of the node that failed, and its exception."""

    file: SourceFile
    label: str
    type: str
    message: str


@dataclass(frozen=True)
class Census:
    """All that a run found, and how it went."""

    answer: dict[str, Any]
    failures: list[Failure]
    ok: int
    err: int
    steps: StepCounter
    seconds: float


def take_census(
    executor: Executor,
    sources: Sequence[SourceFile],
    *,
    progress: bool = False,
    observers: Sequence[Observer] = (),
) -> Census:
    """Count the `sources`: build both graphs and run them on `executor`."""
    started = time.perf_counter()
    steps = StepCounter()
    run = partial(executor.run, progress=progress, observers=[steps, *observers])

    per_file = file_nodes(sources)
    wanted = [node for each in per_file for node in (each.measure, each.links)]
    steps.expect(DispatchGraph(wanted))
    results = run(wanted, raise_errors=False)
    counted, failures = split(per_file, results)

    questions = question_nodes(counted)
    steps.expect(DispatchGraph(questions.values()))
    answers = executor.gather(run(questions.values()))

    return Census(
        answer=dict(zip(questions, answers, strict=True)),
        failures=failures,
        ok=sum(result.is_ok() for result in results) + len(answers),
        err=sum(result.is_err() for result in results),
        steps=steps,
        seconds=time.perf_counter() - started,
    )


def file_nodes(sources: Iterable[SourceFile]) -> list[FileNodes]:
    """Return the first graph: four nodes a file, and the index of modules they share."""
    # All there are, not only those counted: what is built in has no file, and there may be a limit.
    names = sys.stdlib_module_names.union(file.module for file in files.stdlib_files())
    known: DispatchNode[frozenset[str]] = op(frozenset, label="index modules")(sorted(names))
    return [one_file(file, known) for file in sources]


def one_file(file: SourceFile, known: DispatchNode[frozenset[str]]) -> FileNodes:
    """Return the nodes of one file, labelled so that a failure says what failed on which file."""
    text = read(file.path)
    outline = parse(text, file.name)
    measured = measure(text, outline, file.module)
    links = resolve(outline, file.module, file.package, known)
    for node in (text, outline, measured, links):
        node.label = f"{node.label} {file.name}"
    return FileNodes(file, measured, links)


def split(
    per_file: Sequence[FileNodes], results: Sequence[Result[NodeFuture[Any]]]
) -> tuple[list[Counted], list[Failure]]:
    """Tell the files that were counted from those that failed."""
    counted, failures = [], []
    pairs = zip(results[::2], results[1::2], strict=True)
    for each, pair in zip(per_file, pairs, strict=True):
        match pair:
            case Ok(measured), Ok(links):
                counted.append(Counted(each.file, measured, links))
            case (Err(error), _) | (_, Err(error)):
                if not isinstance(error, DependencyError):
                    raise error  # it befell the run, and is no fault of the file
                failures.append(describe(each.file, error))
    return counted, failures


def describe(file: SourceFile, error: DependencyError) -> Failure:
    """Return what is worth telling of a failure, on one line."""
    reason = error.__cause__ or error
    message = " ".join(str(reason).split())
    return Failure(file, error.label, type(reason).__name__, message)


def question_nodes(counted: Iterable[Counted]) -> dict[str, DispatchNode[Any]]:
    """Return the second graph: a node a package, and a node a question about all of them."""
    packages = package_nodes(counted)
    links = op(reductions.join_links)(packages)
    return {
        "totals": op(reductions.total)(packages),
        "packages": op(reductions.biggest_packages)(packages),
        "files": op(reductions.largest_files)(packages),
        "deepest": op(reductions.deepest_files)(packages),
        "functions": op(reductions.longest_functions)(packages),
        "imported": op(reductions.most_imported)(links),
        "tangled": op(reductions.most_tangled)(links),
        "cycles": op(reductions.import_cycles)(links),
    }


def package_nodes(counted: Iterable[Counted]) -> list[DispatchNode[reductions.Package]]:
    """Return one node a package. Futures are arguments like any other."""
    members = defaultdict(list)
    for each in counted:
        members[each.file.package].append(each)
    nodes: list[DispatchNode[reductions.Package]] = []
    for package, found in members.items():
        node = summarise(package, [f.measure for f in found], [f.links for f in found])
        node.label = f"summarise {package or 'top level'}"
        nodes.append(node)
    return nodes
