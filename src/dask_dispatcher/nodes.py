"""What a computation is: nodes, immutable descriptions of values yet to be computed.

A node holds what it calls and its arguments, other nodes among them; nothing about any run. Nodes
compare and hash by identity. They are built by the million, so an `Op` is two references and a
tuple: its dependencies are read off its arguments when somebody asks, and its key is made then too.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from .cards import card
from .collection import Collection
from .identity import ancestors_first, assign_key
from .nesting import PLACEHOLDERS, enclose
from .operators import Operators
from .options import check_count, check_label
from .origins import BUILDERS, Origin, Site, site_of

__all__ = ["CollectNode", "DataNode", "DispatchNode", "IndexNode"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_LONGEST_LABEL = 60
_MOST_NEEDS = 8  # told of in a notebook


class DispatchNode(Operators, Collection, Generic[T_co]):
    """Base of all nodes.

    Attributes
    ----------
    label : str
        Shown everywhere; may be assigned; never part of identity.
    dependencies : tuple of DispatchNode
        The distinct nodes it needs, in argument order, then those of ``after``.
    key : str
        Unique; equal for `pure` nodes of the same function and arguments.
    origin : Origin or None
        The line of the program that built it; None of a node that was unpickled.
    """

    __slots__ = ("__weakref__", "_key", "_label", "_place", "_site")
    _label: str | None
    _key: str | None
    _site: Site | None
    _place: int  # in the plan that wrote it there last; see `numbering`

    # numpy arrays on the left hand leave the operation to the node on the right.
    __array_ufunc__ = None

    def __init__(self) -> None:
        self._label = None
        self._key = None
        self._place = -1
        self._site = site_of(sys._getframe(1))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        PLACEHOLDERS.add(cls)

    # What a kind of node says of itself.

    def _inputs(self) -> Iterable[Any]:
        """Return the placeholders whose values it needs, in argument order."""
        return ()

    def _after(self) -> tuple[DispatchNode[Any], ...]:
        """Return the nodes that must finish first without giving data."""
        return ()

    def _default_label(self) -> str:
        return type(self).__name__

    def _is_pure(self) -> bool:
        return False

    def _length(self) -> int | None:
        """Return the length of its value, where that is known."""
        return None

    def _state(self) -> tuple[Any, ...]:
        """Return what `_restore` takes: all but the label and the key."""
        raise NotImplementedError

    def _restore(self, *state: Any) -> None:
        """Make a node of a bare object."""
        self.__init__(*state)  # type: ignore[misc]  # of the same class, hence of the same arguments

    def evaluate(self, lookup: Callable[[Any], Any]) -> Any:
        """Compute the node's value (of a coroutine node: its coroutine).

        Parameters
        ----------
        lookup : callable
            Gives the value of each node that `self` depends on.
        """
        raise NotImplementedError

    # What all nodes have in common.

    @property
    def label(self) -> str:
        return self._default_label() if self._label is None else self._label

    @label.setter
    def label(self, label: str) -> None:
        if check_label(label) is None:
            raise TypeError("label must be a str, not None")
        self._label = label

    @property
    def dependencies(self) -> tuple[DispatchNode[Any], ...]:
        found = dict.fromkeys((*self._inputs(), *self._after()))
        return tuple(node for node in found if isinstance(node, DispatchNode))

    @property
    def key(self) -> str:
        if self._key is None:
            assign_key(self)
        return cast(str, self._key)

    @property
    def origin(self) -> Origin | None:
        return None if self._site is None else Origin.of(self._site)

    def unpack(self, n: int) -> tuple[IndexNode, ...]:
        """Return nodes for the first `n` items of the result."""
        check_count("n", n)
        return tuple(IndexNode(self, position) for position in range(n))

    def __iter__(self) -> Iterator[Any]:
        length = self._length()
        if length is None:
            raise TypeError(
                f"{self!r} has no known length; give nout=, annotate the function as returning "
                "tuple[A, B], or call node.unpack(n)"
            )
        return iter(self.unpack(length))

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self!r} has no truth value before it runs; decide inside an op")

    def __len__(self) -> NoReturn:
        raise TypeError(f"{self!r} has no length before it runs; use op(len)(node)")

    def __contains__(self, item: object) -> NoReturn:
        raise TypeError(f"{self!r} has no items before it runs; use op(operator.contains)(node, x)")

    if not TYPE_CHECKING:  # which knows the attributes there are

        def __getattr__(self, name):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}; for the attribute of its value "
                f"use op(getattr)(node, {name!r})",
                name=name,
                obj=self,
            )

    def __repr__(self) -> str:
        label = self.label
        cut = label if len(label) <= _LONGEST_LABEL else f"{label[:_LONGEST_LABEL]}…"
        return f"<{type(self).__name__} {cut!r}>"

    def _repr_html_(self) -> str:
        needs = [node.label for node in self.dependencies[: _MOST_NEEDS + 1]]
        needs[_MOST_NEEDS:] = ["…"] if len(needs) > _MOST_NEEDS else []
        origin = self.origin
        facts = (("needs", ", ".join(needs)), ("built at", str(origin) if origin else ""))
        return card(type(self).__name__, self.label, facts)

    def __copy__(self) -> DispatchNode[T_co]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> DispatchNode[T_co]:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        parts = (type(self), self._label, self.key, *self._state())
        return _rebuild, (*ancestors_first(self), parts)

    def __getitem__(self, index: Any) -> DispatchNode[Any]:
        if enclose(index) is not index or type(index) in PLACEHOLDERS:
            return cast("DispatchNode[Any]", self._operate(operator.getitem, self, index))
        return IndexNode(self, index)


PLACEHOLDERS.add(DispatchNode)
BUILDERS.add(DispatchNode.__init__.__code__.co_filename)


class DataNode(DispatchNode[T]):
    """A value, never searched for nodes.

    Parameters
    ----------
    value : object
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        super().__init__()
        self._value = value

    @property
    def value(self) -> T:
        return self._value

    def _default_label(self) -> str:
        return "data"

    def _state(self) -> tuple[Any, ...]:
        return (self._value,)

    def evaluate(self, lookup: Callable[[Any], Any]) -> T:
        return self._value


class IndexNode(DispatchNode[Any]):
    """One item of another node's value.

    Parameters
    ----------
    node : DispatchNode
    index : object
        As in ``value[index]``.
    """

    __slots__ = ("_index", "_node")

    def __init__(self, node: DispatchNode[Any], index: Any) -> None:
        super().__init__()
        self._node: DispatchNode[Any] = _check_node(node)
        self._index = index

    @property
    def node(self) -> DispatchNode[Any]:
        return self._node

    @property
    def index(self) -> Any:
        return self._index

    def _inputs(self) -> Iterable[Any]:
        return (self._node,)

    def _default_label(self) -> str:
        # One level only: a chain of indices may be a hundred thousand long.
        of = self._node
        name = "…" if type(of) is IndexNode and of._label is None else of.label
        try:
            index = repr(self._index)
        except Exception:  # labels are shown in errors: a broken repr must not hide them
            index = type(self._index).__name__
        return f"{name}[{index[:_LONGEST_LABEL]}]"

    def _state(self) -> tuple[Any, ...]:
        return (self._node, self._index)

    def evaluate(self, lookup: Callable[[Any], Any]) -> Any:
        return lookup(self._node)[self._index]


class CollectNode(DispatchNode[list[Any]]):
    """The list of several nodes' values.

    Parameters
    ----------
    nodes : iterable of DispatchNode
    """

    __slots__ = ("_nodes",)

    def __init__(self, nodes: Iterable[Any]) -> None:
        super().__init__()
        self._nodes = tuple(_check_node(node) for node in _each(nodes))

    @property
    def nodes(self) -> tuple[DispatchNode[Any], ...]:
        return self._nodes

    def _length(self) -> int:
        return len(self._nodes)

    def _inputs(self) -> Iterable[Any]:
        return self._nodes

    def _default_label(self) -> str:
        return "collect"

    def _state(self) -> tuple[Any, ...]:
        return (self._nodes,)

    def evaluate(self, lookup: Callable[[Any], Any]) -> list[Any]:
        return [lookup(node) for node in self._nodes]


def _check_node(node: Any) -> Any:
    if type(node) not in PLACEHOLDERS:
        raise TypeError(f"a node is needed here, not {type(node).__name__}: wrap it in DataNode")
    return node


def _each(nodes: Any) -> Iterable[Any]:
    if type(nodes) in PLACEHOLDERS:
        raise TypeError("CollectNode needs several nodes: CollectNode([node, …])")
    return cast("Iterable[Any]", nodes)


def _rebuild(*parts: Any) -> DispatchNode[Any]:
    """Make a node from the last part; those before it are its ancestors, unpickled by now."""
    cls, label, key, *state = parts[-1]
    node: DispatchNode[Any] = object.__new__(cls)
    node._restore(*state)
    node._label, node._key, node._site, node._place = label, key, None, -1
    return node
