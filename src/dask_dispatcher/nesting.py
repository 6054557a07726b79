"""Nodes inside arguments: found once when a node is built, filled in when it runs.

An argument may be a node, a plain value, or a container with nodes somewhere inside. `enclose`
looks for them, without recursion, through lists, tuples, dicts (keys too), sets, slices and the
fields of dataclasses; a container that holds a node becomes a `Nested`, a private copy of its shape,
so that changing the original later changes nothing. A dataclass is made anew by its class, as
``dataclasses.replace`` does it, and is plain where that takes more or less than its fields.
Containers without nodes, and all other objects, stay what they are and are never compared, hashed
or copied.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING, Any

from .errors import one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["PLACEHOLDERS", "Input", "Nested", "enclose", "fill", "is_dask_type", "rename"]

PLACEHOLDERS: set[type] = set()
"""The types that stand for a value of the run: every node class, `NodeFuture`, `Input`.

A set of exact types, as ``type(x) in PLACEHOLDERS`` asks nothing of `x` itself.
"""

# Nothing inside these can be a node; a shortcut for the values most arguments are.
_ATOMS = frozenset({int, float, str, bytes, bool, complex, type(None), bytearray, type(...)})
_CONTAINERS = frozenset({list, tuple, dict, set, frozenset, slice, OrderedDict, defaultdict})


class Input:
    """The k-th input of a call, where the call has left its graph to run elsewhere."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position

    def __repr__(self) -> str:
        return f"Input({self.position})"


PLACEHOLDERS.add(Input)


class _Part:
    """A reference to an earlier step of a `Nested`."""

    __slots__ = ("step",)

    def __init__(self, step: int) -> None:
        self.step = step

    def __dask_tokenize__(self) -> tuple[str, int]:
        return "part", self.step


class Nested:
    """A container with placeholders inside.

    Parameters
    ----------
    steps : list of (container, items)
        One step a container that must be rebuilt, innermost first. The container serves as the
        pattern (its class and, for a defaultdict, its factory); its items are plain values,
        placeholders, or `_Part`.
    nodes : tuple
        The distinct placeholders, in the order in which they were found.
    """

    __slots__ = ("nodes", "steps")

    def __init__(self, steps: list[tuple[Any, list[Any]]], nodes: tuple[Any, ...]) -> None:
        self.steps = steps
        self.nodes = nodes

    def fill(self, lookup: Callable[[Any], Any]) -> Any:
        """Return the container with ``lookup(placeholder)`` in the place of each placeholder."""
        built: list[Any] = []
        for pattern, items in self.steps:
            values = [
                lookup(item)
                if type(item) in PLACEHOLDERS
                else built[item.step]
                if type(item) is _Part
                else item
                for item in items
            ]
            built.append(_rebuild(pattern, values))
        return built[-1]

    def rename(self, name: Callable[[Any], Any]) -> Nested:
        """Return a copy with ``name(placeholder)``, a placeholder too, in the place of each."""
        steps = [
            (pattern, [name(item) if type(item) in PLACEHOLDERS else item for item in items])
            for pattern, items in self.steps
        ]
        return Nested(steps, tuple(name(node) for node in self.nodes))

    def __dask_tokenize__(self) -> list[Any]:
        return [
            (
                pattern if isinstance(pattern, type) else type(pattern),
                [i.key if type(i) in PLACEHOLDERS else i for i in items],
            )
            for pattern, items in self.steps
        ]


def enclose(value: Any, adopt: Callable[[Any], Any] | None = None) -> Any:
    """Return `value`, or a `Nested` if it is a container with placeholders inside.

    Parameters
    ----------
    value : object
    adopt : callable, optional
        Returns the placeholder for a Dask collection or future, inside containers or not; without
        it these are values like others.

    Raises
    ------
    TypeError
        If a container holds both itself and a node.
    """
    if type(value) in _ATOMS:
        return value
    if not _is_container(type(value)):
        return value if adopt is None or not is_dask_type(type(value)) else adopt(value)
    if type(value) is list:
        kinds = set(map(type, value))
        if not any(_is_container(kind) or is_dask_type(kind) for kind in kinds):
            return _enclose_flat(value)
    return _Search(adopt).run(value)


def _is_dask_type(cls: type) -> bool:
    """Return whether a class is a Dask collection's or ``distributed.Future``, without asking it."""
    if cls in PLACEHOLDERS:
        return False
    return any(
        "__dask_graph__" in vars(base)
        or (base.__module__ == "dask._task_spec" and base.__name__ == "TaskRef")
        for base in cls.__mro__
    )


is_dask_type: Callable[[type], bool] = functools.lru_cache(maxsize=1000)(_is_dask_type)


def rename(value: Any, name: Callable[[Any], Any]) -> Any:
    """Return `value` with ``name(placeholder)`` in the place of each placeholder."""
    if type(value) in PLACEHOLDERS:
        return name(value)
    return value.rename(name) if type(value) is Nested else value


def fill(value: Any, lookup: Callable[[Any], Any]) -> Any:
    """Return `value` as the call sees it: placeholders looked up, containers filled."""
    if type(value) in PLACEHOLDERS:
        return lookup(value)
    return value.fill(lookup) if type(value) is Nested else value


def _enclose_flat(items: list[Any]) -> Any:
    nodes = tuple(dict.fromkeys(item for item in items if type(item) in PLACEHOLDERS))
    return Nested([([], list(items))], nodes) if nodes else items


class _Search:
    """One search: a depth-first walk with its own stack, since arguments nest without limit."""

    def __init__(self, adopt: Callable[[Any], Any] | None) -> None:
        self.adopt = adopt
        self.steps: list[tuple[Any, list[Any]]] = []
        self.nodes: dict[Any, None] = {}
        # By id of each container met: its step, None while it is open, or itself if it has no
        # nodes.
        self.met: dict[int, Any] = {}
        self.loops: set[int] = set()

    def run(self, root: Any) -> Any:
        stack = [(root, iter(_items(root)), list[Any]())]
        self.met[id(root)] = None
        while stack:
            container, rest, done = stack[-1]
            for item in rest:
                if _is_container(type(item)) and id(item) not in self.met:
                    self.met[id(item)] = None
                    stack.append((item, iter(_items(item)), []))
                    break
                done.append(self._leaf(item))
            else:
                stack.pop()
                part = self._close(container, done)
                if stack:
                    stack[-1][2].append(part)
        return Nested(self.steps, tuple(self.nodes)) if self.nodes else root

    def _leaf(self, item: Any) -> Any:
        if self.adopt is not None and is_dask_type(type(item)):
            item = self.adopt(item)
        if type(item) in PLACEHOLDERS:
            self.nodes[item] = None
        elif _is_container(type(item)):
            part = self.met[id(item)]
            if part is not None:
                return part
            self.loops.add(id(item))
        return item

    def _close(self, container: Any, items: list[Any]) -> Any:
        part: Any = container
        if any(type(item) in PLACEHOLDERS or type(item) is _Part for item in items):
            if id(container) in self.loops:
                raise TypeError(
                    f"{one(type(container))} in the arguments holds both itself and a node; "
                    "pass the node as an argument of its own"
                )
            part = _Part(len(self.steps))
            self.steps.append((_pattern(container), items))
        self.met[id(container)] = part
        return part


def _is_container(cls: type) -> bool:
    return (
        cls in _CONTAINERS
        or (issubclass(cls, tuple) and hasattr(cls, "_make"))
        or bool(_field_names(cls))
    )


def _find_field_names(cls: type) -> tuple[str, ...]:
    """Return the names of a dataclass's fields if its class is called with just these, else none."""
    if "__dataclass_fields__" not in vars(cls):
        return ()
    names = tuple(field.name for field in dataclasses.fields(cls))
    try:
        parameters = inspect.signature(cls).parameters
    except (TypeError, ValueError):
        return ()
    return names if parameters.keys() == set(names) else ()


_field_names: Callable[[type], tuple[str, ...]] = functools.lru_cache(maxsize=1000)(
    _find_field_names
)


def _items(container: Any) -> Iterable[Any]:
    if names := _field_names(type(container)):
        return _field_values(container, names)
    if isinstance(container, dict):
        return [part for pair in container.items() for part in pair]
    if isinstance(container, slice):
        return [container.start, container.stop, container.step]
    return container  # type: ignore[no-any-return]  # a list, tuple or set


def _field_values(container: Any, names: Iterable[str]) -> list[Any]:
    """Return what is in the fields of a dataclass; nothing if one of them cannot be read."""
    try:
        return [getattr(container, name) for name in names]
    except Exception:
        return []


def _pattern(container: Any) -> Any:
    """Return an empty stand-in of the same class, so that a plan does not keep the original."""
    if isinstance(container, defaultdict):
        return defaultdict(container.default_factory)
    if isinstance(container, (slice, tuple)) or _field_names(type(container)):
        return type(container)
    return container if isinstance(container, type) else type(container)()


def _rebuild(pattern: Any, values: list[Any]) -> Any:
    if pattern is slice:
        return slice(*values)
    if isinstance(pattern, type):
        if names := _field_names(pattern):
            return pattern(**dict(zip(names, values, strict=True)))
        make = getattr(pattern, "_make", pattern)
        return make(values)
    if isinstance(pattern, dict):
        result = pattern.copy()
        result.update(zip(values[::2], values[1::2], strict=True))
        return result
    return values if type(pattern) is list else type(pattern)(values)
