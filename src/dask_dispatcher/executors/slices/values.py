"""Values as the program's side knows them: small ones as bytes, given ones until somebody needs them.

An atom stands for itself in `RunState.values`. What a large value is known by depends on where it
is, and is each executor's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import SerializationError, shown
from .carrying import Dumped, dump, load

if TYPE_CHECKING:
    from ...nodes import DispatchNode

__all__ = ["NOTHING", "Given", "Pickled", "opened"]

NOTHING: Any = object()
"""Stands for a value that is not here; None may be one."""


def opened(node: DispatchNode[Any], bring: Callable[[], Any]) -> Any:
    """Return a node's value for who fetches it.

    Parameters
    ----------
    node : DispatchNode
        That made the value.
    bring : callable
        Returns the value.

    Raises
    ------
    SerializationError
        If it cannot be unpickled here; says whose value it is.
    """
    try:
        return bring()
    except (SerializationError, ModuleNotFoundError) as error:
        text = f"{shown(node.label)}: {error}"
        cause = error.__cause__ or error
        raise SerializationError(text, node=node, label=node.label) from cause


class Pickled:
    """A small value, as it came from a worker."""

    __slots__ = ("_value", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._value = NOTHING

    def open(self) -> Any:
        """Return the value."""
        if self._value is NOTHING:
            self._value = load(self.data)
        return self._value


class Given:
    """A value of the program's that is no atom; pickled when first needed elsewhere.

    Parameters
    ----------
    value : object
    """

    def __init__(self, value: Any) -> None:
        self.value = value
        self._dumped: Dumped | None = None

    def dumped(self) -> Dumped:
        """Return the pickled value.

        Raises
        ------
        SerializationError
        """
        if self._dumped is None:
            self._dumped = dump(self.value, "the value given for it")
        return self._dumped
