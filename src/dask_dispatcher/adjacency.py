"""`Adjacency`: which numbers go with each number, in two arrays.

A graph's edges as a list of lists would be an object a node: memory, and work for the cycle
collector, which looks through all of them again and again. Arrays of ints are two objects however
long they are, and stay in the processor's caches.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, repeat
from operator import sub
from typing import overload

__all__ = ["Adjacency"]


class Adjacency(Sequence[Sequence[int]]):
    """Rows of ints, one a number.

    Parameters
    ----------
    flat : array of int
        All rows, one after the other.
    starts : array of int
        Where each row begins in `flat`, and at last where the last one ends. Loops that pass many
        rows slice `flat` themselves.

    Examples
    --------
    >>> rows = Adjacency.of([[1, 2], [], [1]])
    >>> list(rows[0]), rows.lengths(), [list(row) for row in rows.transposed()]
    ([1, 2], [2, 0, 1], [[], [0, 2], [0]])
    """

    __slots__ = ("flat", "starts")

    def __init__(self, flat: array[int] | None = None, starts: array[int] | None = None) -> None:
        self.flat = array("i") if flat is None else flat
        self.starts = array("i", [0]) if starts is None else starts

    @classmethod
    def of(cls, rows: Iterable[Iterable[int]]) -> Adjacency:
        """Return rows that are given one by one."""
        found = cls()
        for row in rows:
            found.flat.extend(row)
            found.starts.append(len(found.flat))
        return found

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, number: int) -> array[int]: ...
    @overload
    def __getitem__(self, number: slice) -> list[array[int]]: ...
    def __getitem__(self, number: int | slice) -> array[int] | list[array[int]]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        return self.flat[self.starts[number] : self.starts[number + 1]]

    def __iter__(self) -> Iterator[array[int]]:
        return map(self.__getitem__, range(len(self)))

    def lengths(self) -> list[int]:
        """Return how long each row is."""
        return list(map(sub, self.starts[1:], self.starts))

    def transposed(self, also: Mapping[int, Sequence[int]] | None = None) -> Adjacency:
        """Return rows that say, of each number, in which of these rows it is.

        Parameters
        ----------
        also : mapping of int to sequence of int, optional
            More that is in some of the rows.
        """
        flat: Sequence[int] = self.flat
        owners: Iterable[int] = chain.from_iterable(map(repeat, range(len(self)), self.lengths()))
        if also:
            more = list(map(len, also.values()))
            owners = chain(owners, chain.from_iterable(map(repeat, also, more)))
            flat = self.flat + array("i", chain.from_iterable(also.values()))
        counts = [0] * len(self)
        for number in flat:
            counts[number] += 1
        starts = array("i", accumulate(counts, initial=0))
        places, turned = starts[:-1], array("i", bytes(len(flat) * starts.itemsize))
        for number, owner in zip(flat, owners, strict=True):
            place = places[number]
            turned[place] = owner
            places[number] = place + 1
        return Adjacency(turned, starts)
