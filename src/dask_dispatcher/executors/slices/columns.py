"""Entries as columns: what most entries of a slice share is said once in a message.

Pickling and unpickling a tuple a node, in ten thousands, costs more than all else that is done with
it. Lists of ints are next to nothing, and `zip` makes tuples of them at the other end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .packing import Entry

__all__ = ["Columns", "from_columns", "one_or_all", "to_columns"]

Columns = tuple[Any, ...]
"""Numbers; then targets, places and names, each a list or what all have in common; then the
arguments, one after the other, and how many each entry has: a list, or the number of all."""


def to_columns(entries: Sequence[Entry]) -> Columns:
    """Return entries as columns."""
    if not entries:
        return ()
    numbers, targets, args, where, names = zip(*entries, strict=True)
    flat = list(chain.from_iterable(args))
    widths = list(map(len, args))
    return list(numbers), *map(one_or_all, (targets, where, names)), flat, one_or_all(widths)


def one_or_all(column: Sequence[Any]) -> Any:
    """Return the one thing that fills a column in a tuple of its own, or the column as a list."""
    first = column[0]
    return (first,) if column.count(first) == len(column) else list(column)


def from_columns(columns: Columns) -> list[Entry]:
    """Return the entries that columns were made of."""
    if not columns:
        return []
    numbers, targets, where, names, flat, widths = columns
    args: Iterable[tuple[Any, ...]]
    if type(widths) is list:
        values = iter(flat)
        args = [tuple([next(values) for _ in range(width)]) for width in widths]
    elif widths[0]:
        args = zip(*[iter(flat)] * widths[0], strict=True)
    else:
        args = repeat(())
    # The numbers come first: with them, `zip` ends, however long the others could go on.
    shared = _filled(where), _filled(names)
    return list(zip(numbers, _filled(targets), args, *shared, strict=False))


def _filled(column: Any) -> Iterable[Any]:
    return column if type(column) is list else repeat(column[0])
