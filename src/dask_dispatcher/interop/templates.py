"""Dask tasks that are alike, as calls of one function.

Dask makes the tasks of a layer by one pattern: the same functions, nested in the same way, on other
blocks. `parted` takes a task apart into that pattern and the *leaves* that fill it: the results it
needs, numbers, and other values::

    Task(k, add, TaskRef(a), Task(None, mul, TaskRef(b), 2))
        pattern   (("call", add, (~0, ("call", mul, (~1, ~2), ())), ()),)
        leaves    [TaskRef(a), TaskRef(b), 2]

A `Template` is a pattern as a function of the leaves. It travels once to each process, where a task
by itself would be pickled with all that it is made of; and its calls are what engines send at the
least cost, mostly numbers and references.

A pattern is a tuple of steps, the last of which gives the value. In it stand: ``~n``, a leaf;
``n``, the value of an earlier step; ``("call", id of a function, parts, names of the last of them)``;
``("list", *parts)`` and other containers; ``("object", id)``, a function or class that is given.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from dask._task_spec import Dict, Set, Tuple
from dask.task_spec import Alias, GraphNode, List, Task, TaskRef
from dask.task_spec import DataNode as Literal
from dask.utils import key_split

from ..callee import Kindred
from ..ops import Op
from .graphs import Translation
from .tasks import Evaluate, Key, in_order, is_coroutine, is_fused

__all__ = ["Template", "TemplateTranslation", "parted"]

Pattern = Any
"""A part of a pattern: an int or a tuple."""

_Inside = tuple[int, list[Pattern], list[Any], dict[int, Any]]
"""What the tasks inside a fused one add to a `Parted`: how their value is referred to, and the steps,
leaves and objects."""

_Compiled = Callable[[tuple[Any, ...], list[Any]], Any]
"""A part as a function of the leaves and of the values of the steps so far."""

_MAKE: Mapping[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "dict": lambda items: dict(zip(items[::2], items[1::2], strict=True)),
    "slice": lambda items: slice(*items),
}
_CONTAINERS = {List: "list", Tuple: "tuple", Set: "set", Dict: "dict"}
_GIVEN = (type, types.FunctionType, types.BuiltinFunctionType)
_ATOMS = frozenset({int, float, bool, str, type(None)})
_PLAIN: Mapping[type, str] = {
    list: "list",
    dict: "dict",
}  # taken apart if nothing that contains others is in them
_SHORT = 8  # items of a container, beyond which to take it apart costs more than to pickle it


class Template(Kindred):
    """A pattern, as a function of its leaves.

    Parameters
    ----------
    kind : str
        Of the tasks that it was taken from.
    steps : tuple of Pattern
    objects : mapping of int to object
        The functions and classes in it, by id.

    Examples
    --------
    >>> from operator import add
    >>> Template("add-one", (("call", 7, (~0, ~1), ()),), {7: add})(2, 1)
    3
    """

    def __init__(self, kind: str, steps: tuple[Pattern, ...], objects: Mapping[int, Any]) -> None:
        super().__init__(kind)
        self._steps = steps
        self._objects = {name: objects[name] for step in steps for name in _names(step)}
        self._compiled = [
            (_compiled(step, self._objects), spent)
            for step, spent in zip(steps, _last_uses(steps), strict=True)
        ]

    def __call__(self, *leaves: Any) -> Any:
        results: list[Any] = []
        for compute, spent in self._compiled:
            results.append(compute(leaves, results))
            for step in spent:
                results[step] = None
        return results[-1]

    def __reduce__(self) -> tuple[Any, ...]:
        return Template, (self.__name__, self._steps, self._objects)


class Parted:
    """A task as its pattern and its leaves.

    Dask lets the fused tasks of a layer share the tasks inside, which take nothing but each other's
    results and what the fused one is given. So these are taken apart once for all that come to them
    with as many steps and leaves, which are then counted in the same way.

    Parameters
    ----------
    insides : dict
        What has been found inside fused tasks of one graph.

    Attributes
    ----------
    steps : list of Pattern
    leaves : list of object
        `TaskRef` where the result of another task belongs.
    objects : dict of int to object
        The functions and classes of the pattern by id.
    """

    __slots__ = ("_insides", "_places", "leaves", "objects", "steps")

    def __init__(self, insides: dict[Any, _Inside]) -> None:
        self.steps: list[Pattern] = []
        self.leaves: list[Any] = []
        self.objects: dict[int, Any] = {}
        self._places: dict[Key, int] = {}  # of results among the leaves
        self._insides = insides

    def part(self, part: Any, scope: Mapping[Key, int]) -> Pattern:
        """Return the pattern of a part of a task; `scope` has the keys of tasks that are steps."""
        kind = type(part)
        if kind in _ATOMS:  # most are
            return self._leaf(part)
        if kind is Task:
            return self._fused(part, scope) if is_fused(part) else self._call(part, scope)
        if isinstance(part, TaskRef):
            return self._reference(part.key, scope)
        if kind is Alias:
            return self._reference(part.target, scope)
        if kind is Literal:
            return self._value(part.value)
        if kind in _CONTAINERS:
            return (_CONTAINERS[kind], *[self.part(item, scope) for item in part.args])
        return self._whole(part, scope) if isinstance(part, GraphNode) else self._value(part)

    def step(self, part: Any, scope: Mapping[Key, int]) -> int:
        """Make a part a step of its own, if it is more than a leaf; return how it is referred to."""
        found = self.part(part, scope)
        if type(found) is int:
            return found
        self.steps.append(found)
        return len(self.steps) - 1

    def _leaf(self, value: Any) -> int:
        self.leaves.append(value)
        return ~(len(self.leaves) - 1)

    def _given(self, value: Any) -> int:
        self.objects[id(value)] = value
        return id(value)

    def _reference(self, key: Key, scope: Mapping[Key, int]) -> int:
        if key in scope:
            return scope[key]
        if key not in self._places:
            self._places[key] = self._leaf(TaskRef(key))
        return self._places[key]

    def _value(self, value: Any) -> Pattern:
        kind = type(value)
        if kind in _ATOMS:
            return self._leaf(value)
        if kind is tuple and len(value) <= _SHORT:
            return ("tuple", *[self._value(item) for item in value])
        if kind is slice:
            return ("slice", *map(self._value, (value.start, value.stop, value.step)))
        if isinstance(value, _GIVEN):
            return ("object", self._given(value))
        if kind in _PLAIN and len(value) <= _SHORT:
            items = [*chain.from_iterable(value.items())] if kind is dict else value
            if all(map(_is_single, items)):
                return (_PLAIN[kind], *[self._value(item) for item in items])
        return self._leaf(value)

    def _call(self, task: Task, scope: Mapping[Key, int]) -> Pattern:
        part, kwargs = self.part, task.kwargs
        parts = [part(item, scope) for item in task.args]
        if kwargs:
            parts += [part(item, scope) for item in kwargs.values()]
        return "call", self._given(task.func), tuple(parts), tuple(kwargs)

    def _fused(self, task: Task, scope: Mapping[Key, int]) -> int:
        """Make the tasks that Dask has fused steps, each after those it needs."""
        inside, output, outer, *results = task.args
        given = [self.step(part, scope) for part in results]
        mark = id(inside), output, outer, *given, len(self.steps), len(self.leaves)
        found = self._insides.get(mark)
        if found is None:
            found = self._insides[mark] = self._inside(
                inside, output, dict(zip(outer, given, strict=True))
            )
        value, steps, leaves, objects = found
        self.steps += steps
        self.leaves += leaves
        self.objects.update(objects)
        return value

    def _inside(
        self, tasks: Mapping[Key, GraphNode], output: Key, scope: dict[Key, int]
    ) -> _Inside:
        """Take the tasks inside a fused one apart, without adding to what is here."""
        others = Parted(self._insides)
        others.steps, others.leaves = self.steps[:], self.leaves[:]  # so that counting goes on
        for key, inner in in_order(tasks, output):
            scope[key] = others.step(inner, scope)
        steps, leaves = others.steps[len(self.steps) :], others.leaves[len(self.leaves) :]
        return scope[output], steps, leaves, others.objects

    def _whole(self, task: GraphNode, scope: Mapping[Key, int]) -> Pattern:
        """Return the call of a task of a kind that is not known here, with the results it needs."""
        keys = tuple(task.dependencies)
        parts = [self._leaf(task), self._leaf(keys), *(self._reference(k, scope) for k in keys)]
        return "call", self._given(_evaluate), tuple(parts), ()


def parted(task: GraphNode, insides: dict[Any, _Inside] | None = None) -> Parted:
    """Take a task apart; `insides` is what has been found inside others of its graph."""
    found = Parted({} if insides is None else insides)
    value = found.step(task, {})
    if value < 0 or value < len(found.steps) - 1:  # but a name for a leaf, or for an earlier step
        found.steps.append(value)
    return found


def _is_single(value: Any) -> bool:
    """Return whether a value has a place in a pattern, and contains no others."""
    return type(value) in _ATOMS or isinstance(value, _GIVEN)


_evaluate = Evaluate("task")


def _compiled(part: Pattern, objects: Mapping[int, Any]) -> _Compiled:
    if type(part) is int:
        if part >= 0:
            return lambda _, results: results[part]
        place = ~part
        return lambda leaves, _: leaves[place]
    kind, *rest = part
    if kind == "object":
        value = objects[rest[0]]
        return lambda *_: value
    if kind == "call":
        return _compiled_call(objects[rest[0]], *rest[1:], objects=objects)
    make, items = _MAKE[kind], [_compiled(item, objects) for item in rest]
    return lambda leaves, results: make([item(leaves, results) for item in items])


def _compiled_call(
    func: Callable[..., Any],
    parts: tuple[Pattern, ...],
    names: tuple[str, ...],
    *,
    objects: Mapping[int, Any],
) -> _Compiled:
    items = [_compiled(part, objects) for part in parts]
    args, kwargs = items[: len(items) - len(names)], items[len(items) - len(names) :]
    if not names:
        return lambda leaves, results: func(*[arg(leaves, results) for arg in args])
    named = list(zip(names, kwargs, strict=True))
    return lambda leaves, results: func(
        *[arg(leaves, results) for arg in args],
        **{name: arg(leaves, results) for name, arg in named},
    )


def _names(part: Pattern) -> Iterator[int]:
    """Return the ids of the functions and classes in a part."""
    if type(part) is int:
        return
    kind, *rest = part
    if kind in ("call", "object"):
        yield rest[0]
    for inner in rest[1] if kind == "call" else rest if kind != "object" else ():
        yield from _names(inner)


def _last_uses(steps: tuple[Pattern, ...]) -> list[tuple[int, ...]]:
    """Return for each step the steps whose values nobody needs after it."""
    needed: set[int] = set()
    spent: list[tuple[int, ...]] = []
    for step in reversed(steps):
        uses = set(_uses(step)) - needed
        needed |= uses
        spent.append(tuple(uses))
    return spent[::-1]


def _uses(part: Pattern) -> Iterator[int]:
    """Return the earlier steps whose values a part takes."""
    if type(part) is int:
        if part >= 0:
            yield part
    elif part[0] != "object":
        for inner in part[2] if part[0] == "call" else part[1:]:
            yield from _uses(inner)


class TemplateTranslation(Translation):
    """Makes nodes that call templates; tasks of one kind and pattern share one."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._templates: dict[Any, Template] = {}
        self._insides: dict[Any, _Inside] = {}  # by identity, among others: the graph outlives it

    def _call(self, key: Key, task: Any) -> Op[Any]:
        if is_coroutine(task):
            return super()._call(key, task)
        found = parted(task, self._insides)
        kind, steps = key_split(key), tuple(found.steps)
        template = self._templates.get((kind, steps))
        if template is None:
            template = self._templates[kind, steps] = Template(kind, steps, found.objects)
        nodes = self._nodes
        leaves = [nodes[leaf.key] if type(leaf) is TaskRef else leaf for leaf in found.leaves]
        return self._op(key, template, tuple(leaves), {})
