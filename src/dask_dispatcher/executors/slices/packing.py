"""`Packer`: nodes of one run as entries, tuples of atoms.

An entry is ``(number, target, args, where, names)``::

    number   of the node in its run
    target   position of its function in the run's table of functions
    args     positional arguments, then those by keyword; in the places of `where` stand references
    where    places of references in `args`: p means that ``args[p]`` is the number of a value, ~p
             that ``args[p]`` is a list of such numbers, to be replaced by the list of their values
    names    of the arguments by keyword

References are to nodes of the run, or, if negative, to *literals*: arguments that are no atoms.
Literals are pickled one by one, each into bytes of its own, so that one that cannot be pickled or
unpickled fails only its own node. A large one is pickled once a run, and shared by all nodes that
take the same object.

Graphs of tiny calls hold nearly nothing but plain calls (`plain`). Columns of these are made at once,
not node by node, and entries of the columns only if anybody asks for them.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from ...nesting import PLACEHOLDERS, Input, Nested
from ...nodes import CollectNode, IndexNode
from ...ops import Op
from .carrying import ATOMS, SMALL, Dumped, dump, is_atom
from .columns import Columns, from_columns, one_or_all, to_columns

if TYPE_CHECKING:
    from ...plan import Plan

__all__ = ["BUILT_IN", "Entry", "Packed", "Packer"]

Entry = tuple[int, int, tuple[Any, ...], tuple[int, ...], tuple[str, ...]]

BUILT_IN: tuple[Any, ...] = (list, operator.getitem)
"""The first functions of every table: of a CollectNode, whose one argument is a list, and of an
IndexNode."""
_COLLECT, _GET_ITEM = range(2)

_get_target = operator.itemgetter(1)
_NO_PLACES: tuple[int, ...] = ()
_NO_NAMES: tuple[str, ...] = ()
# One object for all that are alike: pickle then writes it once a message.
_FIRST_PLACES = tuple(tuple(range(count)) for count in range(9))
_FIRST, _SECOND = _FIRST_PLACES[1], (1,)


class Packed:
    """What `Packer.pack` makes of some nodes.

    Attributes
    ----------
    needs : list of int
        The distinct nodes, not among these, whose values they take.
    small : dict of int to bytes
        Pickled literals that come along, by their negative numbers.
    large : list of int
        The large literals they take; `Packer.large` has them.
    functions : set of int
        Targets that occur.
    """

    __slots__ = ("_columns", "_entries", "functions", "large", "needs", "small")

    def __init__(self) -> None:
        self._columns: Columns | None = None
        self._entries: list[Entry] | None = []
        self.needs: list[int] = []
        self.small: dict[int, bytes] = {}
        self.large: list[int] = []
        self.functions: set[int] = set()

    @property
    def entries(self) -> list[Entry]:
        """The nodes in the order in which they are to run."""
        if self._entries is None:
            self._entries = from_columns(self._columns or ())
        return self._entries

    @entries.setter
    def entries(self, entries: list[Entry]) -> None:
        self._entries, self._columns = entries, None
        self.functions = set(map(_get_target, entries))

    @property
    def columns(self) -> Columns:
        """The same as columns."""
        if self._columns is None:
            self._columns = to_columns(self._entries or ())
        return self._columns

    @columns.setter
    def columns(self, columns: Columns) -> None:
        self._entries, self._columns = None, columns

    @property
    def numbers(self) -> list[int]:
        """Those of the nodes, in this order."""
        return self.columns[0] if self.columns else []


class Packer:
    """Packs nodes of one run.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    functions : list of Callee
        By target; those of `BUILT_IN` come before them and are not in it.
    large : dict of int to Dumped
        Large literals by their negative numbers.
    """

    def __init__(self, plan: Plan) -> None:
        self._nodes = plan.nodes
        self._index = plan.index
        self._needs = plan.needs
        self.functions: list[Any] = []
        self.large: dict[int, Dumped] = {}
        self._targets: dict[Any, int] = {}
        # By id: the number of a large literal, with the object, whose id is its own while it lives.
        self._met: dict[int, tuple[int, Any]] = {}
        self._serial = 0
        known = (*_FIRST_PLACES, _SECOND)
        self._places: dict[tuple[int, ...], tuple[int, ...]] = {places: places for places in known}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {_NO_NAMES: _NO_NAMES}
        self._codes = plan.plain.codes
        for callee in plan.plain.callees:  # first, so that a code tells the target
            self._target(callee)

    def target_of(self, number: int) -> int:
        """Return the position of a node's function in the table."""
        node = self._nodes[number]
        if type(node) is not Op:
            return _COLLECT if type(node) is CollectNode else _GET_ITEM
        return self._target(node._callee)

    def _target(self, callee: Any) -> int:
        target = self._targets.get(callee)
        if target is None:
            target = self._targets[callee] = len(BUILT_IN) + len(self.functions)
            self.functions.append(callee)
        return target

    def pack(self, numbers: Sequence[int]) -> tuple[Packed, list[tuple[int, Exception]]]:
        """Pack nodes, in the order in which they are to run.

        Returns
        -------
        packed : Packed
        failed : list of (int, SerializationError)
            The nodes that cannot travel, which are not in it.
        """
        packed = Packed()
        failed: list[tuple[int, Exception]] = []
        if not self._pack_plain(numbers, packed):
            self._pack_each(numbers, packed, failed)
        needs = self._needs
        if len(numbers) == 1:  # it may need a hundred thousand others, each once
            packed.needs = list(needs[numbers[0]])
        else:
            taken = chain.from_iterable(map(needs.__getitem__, numbers))
            packed.needs = list(set(taken).difference(numbers))
        return packed, failed

    def _pack_plain(self, numbers: Sequence[int], packed: Packed) -> bool:
        """Pack plain calls; return False if there are others among them."""
        codes = list(map(self._codes.__getitem__, numbers))
        if not all(codes):
            return False
        args = list(map(self._needs.__getitem__, numbers))
        counts = list(map(len, args))
        if not all(counts):
            nodes = self._nodes
            args = [mine or nodes[number]._args for number, mine in zip(numbers, args, strict=True)]
        places = {count: self._first_places(count) for count in set(counts)}
        targets = {code: code - 1 + len(BUILT_IN) for code in set(codes)}
        packed.functions = set(targets.values())
        packed.columns = (
            list(numbers),
            one_or_all(list(map(targets.__getitem__, codes))),
            one_or_all(list(map(places.__getitem__, counts))),
            (_NO_NAMES,),
            list(chain.from_iterable(args)),
            one_or_all(list(map(len, args))),
        )
        return True

    def _pack_each(
        self, numbers: Sequence[int], packed: Packed, failed: list[tuple[int, Exception]]
    ) -> None:
        """Pack nodes of all kinds, one by one."""
        entries: list[Entry] = []
        nodes, needs, add = self._nodes, self._needs, entries.append
        last, target = None, -1
        width, places = 0, _NO_PLACES
        for number in numbers:
            node = nodes[number]
            if type(node) is Op and node._kwargs is None and not node._nested:
                if node._callee is not last:
                    last, target = node._callee, self._target(node._callee)
                args, mine = node._args, needs[number]
                if args and len(mine) == len(args):
                    if len(mine) != width:
                        width = len(mine)
                        places = self._first_places(width)
                    add((number, target, mine, places, _NO_NAMES))
                    continue
                found = self._plain_args(args, mine)
                if found is not None:
                    add((number, target, *found, _NO_NAMES))
                    continue
            try:
                add(self._entry(number, packed))
            except Exception as error:
                failed.append((number, error))
        packed.entries = entries

    def _first_places(self, count: int) -> tuple[int, ...]:
        if count < len(_FIRST_PLACES):
            return _FIRST_PLACES[count]
        return self._known_places(range(count))

    def _plain_args(
        self, args: tuple[Any, ...], needs: Sequence[int]
    ) -> tuple[tuple[Any, ...], tuple[int, ...]] | None:
        """Return arguments and places of a call that takes atoms, or one node and one atom."""
        if not needs:
            return (args, _NO_PLACES) if ATOMS.issuperset(map(type, args)) else None
        if len(args) != 2 or len(needs) != 1:
            return None
        first, second = args
        if type(first) in ATOMS and type(second) in PLACEHOLDERS:
            return (first, *needs), _SECOND
        if type(second) in ATOMS and type(first) in PLACEHOLDERS:
            return (*needs, second), _FIRST
        return None

    def _entry(self, number: int, packed: Packed) -> Entry:
        node = self._nodes[number]
        target = self.target_of(number)
        if type(node) is Op:
            if node._kwargs is None:
                return self._filled(number, target, node._args, _NO_NAMES, packed)
            names = tuple(node._kwargs)
            names = self._names.setdefault(names, names)
            values = (*node._args, *node._kwargs.values())
            return self._filled(number, target, values, names, packed)
        if type(node) is IndexNode:
            return self._filled(number, target, (node.node, node.index), _NO_NAMES, packed)
        numbers = [self._index[other] for other in node.nodes]
        return number, target, (numbers,), self._known_places([~0]), _NO_NAMES

    def _filled(
        self,
        number: int,
        target: int,
        values: Sequence[Any],
        names: tuple[str, ...],
        packed: Packed,
    ) -> Entry:
        index = self._index
        args: list[Any] = []
        places: list[int] = []
        for position, value in enumerate(values):
            kind = type(value)
            if kind in PLACEHOLDERS:
                places.append(position)
                args.append(index[value])
            elif kind in ATOMS or is_atom(value):
                args.append(value)
            elif kind is Nested and _is_flat(value):
                places.append(~position)
                args.append([index[item] for item in value.steps[0][1]])
            else:
                places.append(position)
                args.append(self._literal(number, position, names, len(values), value, packed))
        where = self._known_places(places) if places else _NO_PLACES
        return number, target, tuple(args), where, names

    def _known_places(self, places: Iterable[int]) -> tuple[int, ...]:
        where = tuple(places)
        return self._places.setdefault(where, where)

    def _literal(
        self,
        number: int,
        position: int,
        names: tuple[str, ...],
        total: int,
        value: Any,
        packed: Packed,
    ) -> int:
        met = self._met.get(id(value))
        if met is not None:
            packed.large.append(met[0])
            return met[0]
        by_name = position - (total - len(names))
        what = f"argument {names[by_name]!r}" if by_name >= 0 else f"argument {position}"
        travelling = value
        if type(value) is Nested:
            travelling = value.rename(lambda node: Input(self._index[node]))
        pickled, buffers = dump(travelling, f"{what} of {self._nodes[number].label}")
        self._serial -= 1
        if not buffers and len(pickled) <= SMALL:
            packed.small[self._serial] = pickled
        else:
            self._met[id(value)] = self._serial, value
            self.large[self._serial] = pickled, buffers
            packed.large.append(self._serial)
        return self._serial


def _is_flat(nested: Nested) -> bool:
    """Return whether it is a list of nothing but nodes."""
    if len(nested.steps) != 1:
        return False
    pattern, items = nested.steps[0]
    return type(pattern) is list and all(type(item) in PLACEHOLDERS for item in items)
