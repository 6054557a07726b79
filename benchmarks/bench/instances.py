"""Read execution instances of real workflows in WfFormat 1.5 (github.com/wfcommons/WfFormat)."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

NUMBERED = re.compile(r"_(ID)?\d+$")


@dataclass(frozen=True)
class Task:
    """One task of a workflow.

    Parameters
    ----------
    id : str
        Unique in its workflow.
    category : str
        What kind of task it is; tasks of one category are calls of one function.
    seconds : float
        Its run time.
    size : int
        Bytes of all files it writes; 0 for files whose size is not on record.
    parents : tuple of str
        The tasks it waits for, and whose files it reads.
    """

    id: str
    category: str
    seconds: float
    size: int
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Instance:
    """A workflow: its tasks by id, each after its parents."""

    name: str
    tasks: Mapping[str, Task]

    @property
    def parents(self) -> dict[str, tuple[str, ...]]:
        """The edges, as `bench.ideal` wants them."""
        return {task.id: task.parents for task in self.tasks.values()}

    @property
    def seconds(self) -> dict[str, float]:
        """The run time of each task."""
        return {task.id: task.seconds for task in self.tasks.values()}

    @property
    def sinks(self) -> list[str]:
        """The tasks nothing waits for: the results of the workflow."""
        inner = {parent for task in self.tasks.values() for parent in task.parents}
        return [task for task in self.tasks if task not in inner]

    @property
    def size(self) -> int:
        """Bytes of all files the workflow writes."""
        return sum(task.size for task in self.tasks.values())


def load_instance(path: Path) -> Instance:
    """Read a `.json` or `.json.gz` file.

    Raises
    ------
    ValueError
        The file is no WfFormat instance, lacks run times, or has a cycle.
    """
    text = path.read_bytes()
    if path.suffix == ".gz":
        text = gzip.decompress(text)
    try:
        return parse_instance(path.name.removesuffix(".gz").removesuffix(".json"), json.loads(text))
    except KeyError as error:
        raise ValueError(f"{path.name} is no WfFormat 1.5 instance: it lacks {error}") from error


def parse_instance(name: str, document: Mapping[str, Any]) -> Instance:
    """Turn the parsed JSON of an instance into its tasks."""
    specification = document["workflow"]["specification"]
    entries = {entry["id"]: entry for entry in specification["tasks"]}
    if len(entries) != len(specification["tasks"]):
        raise ValueError(f"{name}: two tasks have the same id")
    records = {entry["id"]: entry for entry in document["workflow"]["execution"]["tasks"]}
    sizes = {entry["id"]: int(entry["sizeInBytes"]) for entry in specification.get("files", ())}
    parents = _parents(entries)
    unsorted = {
        id_: Task(
            id=id_,
            category=_category(entry, records[id_]),
            seconds=float(records[id_]["runtimeInSeconds"]),
            size=sum(sizes.get(file, 0) for file in entry.get("outputFiles", ())),
            parents=tuple(parents[id_]),
        )
        for id_, entry in entries.items()
    }
    order = TopologicalSorter(parents).static_order()
    return Instance(name, {id_: unsorted[id_] for id_ in order})


def _parents(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Collect the edges, which an instance states at both ends."""
    parents = {id_: list(dict.fromkeys(entry["parents"])) for id_, entry in entries.items()}
    for id_, entry in entries.items():
        for child in entry.get("children", ()):
            if id_ not in parents[child]:
                parents[child].append(id_)
    return parents


def _category(entry: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """Name the kind of a task: its program, or, where that is a whole script, its own name."""
    program = str(record.get("command", {}).get("program", ""))
    if program and not re.search(r"\s", program):
        return program
    return NUMBERED.sub("", str(entry["name"]))


def scale(instance: Instance, *, seconds: float, bytes_scale: float) -> Instance:
    """Scale run times so that they add up to `seconds`, and file sizes by a factor.

    A size that is not 0 stays at least one byte.
    """
    total = sum(instance.seconds.values())
    factor = seconds / total if total else 0.0
    return Instance(
        instance.name,
        {
            id_: replace(
                task, seconds=task.seconds * factor, size=math.ceil(task.size * bytes_scale)
            )
            for id_, task in instance.tasks.items()
        },
    )
