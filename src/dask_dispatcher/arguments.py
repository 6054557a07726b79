"""What a call was given, in words: of each argument its type and size, never its value.

Whoever reads of a failure wants to know what the function got; whoever wrote the program may not
want its data in a log. Objects are asked nothing but by types that are known to answer: a user's
own may raise, or take a minute, on any question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .errors import printable, shown
from .nesting import PLACEHOLDERS, Nested
from .nodes import CollectNode, DispatchNode, IndexNode
from .ops import Op

if TYPE_CHECKING:
    Look = Callable[[Any], Any]

__all__ = ["NOT_HERE", "described", "described_arguments", "shown_values"]

NOT_HERE: Any = object()
"""What `look` returns for a value that is not in this process."""

_SIZED = (list, tuple, dict, set, frozenset, str, bytes, bytearray)
_UNITS: dict[type, str] = {str: "characters", bytes: "bytes", bytearray: "bytes"}
_ARRAYS = ("numpy", "pandas", "polars", "pyarrow", "torch", "cupy", "xarray", "scipy")
_MOST = 20  # arguments told of a call
_LONGEST_VALUE = 300


def described(value: Any) -> str:
    """Return the type of a value, and its size where that is known without asking its own code."""
    kind = type(value)
    if kind in _SIZED:
        unit = _UNITS.get(kind)
        return f"{kind.__name__} of {len(value):,}" + (f" {unit}" if unit else "")
    name = printable(kind.__qualname__, 100)
    module = getattr(kind, "__module__", None)
    if isinstance(module, str) and module.partition(".")[0] in _ARRAYS:
        return name + _shape(value)
    return name


def _shape(value: Any) -> str:
    try:
        shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", "")
        if isinstance(shape, tuple):
            return printable(f"{tuple(shape)!r} {dtype}".rstrip(), 100)
    except Exception:  # a broken array must not hide the failure it took part in
        return ""
    return ""


def described_arguments(node: DispatchNode[Any], look: Look) -> tuple[str, ...]:
    """Return a line an argument: its name or place, where it came from, its type and size.

    Parameters
    ----------
    node : DispatchNode
    look : callable
        Gives the value of a node it depends on, or `NOT_HERE`.

    Examples
    --------
    >>> from dask_dispatcher import op
    >>> described_arguments(op(pow)(2, op(abs, label="exponent")(-3)), {}.get)
    ('0: int', '1: exponent, NoneType')
    """
    lines = [f"{name}: {_told(value, look)}" for name, value in _arguments(node)]
    if len(lines) > _MOST:
        lines[_MOST:] = [f"… and {len(lines) - _MOST:,} more"]
    return tuple(lines)


def shown_values(node: DispatchNode[Any]) -> dict[str, str]:
    """Return the values among a call's own arguments as text, by name or place; for who asks.

    Examples
    --------
    >>> from dask_dispatcher import op
    >>> shown_values(op(pow)(2, op(abs)(-3)))
    {'0': '2'}
    """
    return {
        str(name): _shown(value)
        for name, value in _arguments(node)
        if type(value) not in PLACEHOLDERS and type(value) is not Nested
    }


def _shown(value: Any) -> str:
    try:
        return printable(repr(value), _LONGEST_VALUE)
    except Exception as error:  # the user's own repr
        return f"its __repr__ raised {type(error).__name__}"


def _arguments(node: DispatchNode[Any]) -> Iterator[tuple[Any, Any]]:
    values: Iterable[Any] = ()
    if isinstance(node, Op):
        values = node._args
        yield from enumerate(values)
        yield from ((printable(name, 100), value) for name, value in (node._kwargs or {}).items())
    elif isinstance(node, IndexNode):
        yield from ((0, node.node), ("index", node.index))
    elif isinstance(node, CollectNode):
        yield from enumerate(node.nodes)


def _told(value: Any, look: Look) -> str:
    if type(value) is Nested:
        container = type(value.steps[-1][0]).__name__
        return f"{container} with {len(value.nodes):,} nodes"
    if type(value) not in PLACEHOLDERS:
        return described(value)
    label = shown(value.label) if isinstance(value, DispatchNode) else "a future"
    found = look(value)
    return label if found is NOT_HERE else f"{label}, {described(found)}"
