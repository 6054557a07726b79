"""What the program's side knows of values: small ones as bytes, large ones by their task's key.

An atom stands for itself in `RunState.values`; all else is one of these.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from ..slices import values as slices
from ..slices.values import NOTHING, Pickled
from .failing import was_forgotten

if TYPE_CHECKING:
    import distributed

    from ..state import RunState
    from .boxes import Box
    from .scattering import Scattered

__all__ = ["Given", "Held", "Pickled"]


class Given(slices.Given):
    """A value of the program's.

    Attributes
    ----------
    scattered : Scattered or None
        The same on the workers, if it is large.
    """

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.scattered: Scattered | None = None


class Held:
    """A value that is on a worker: part of a group's result, or borrowed from Dask.

    Parameters
    ----------
    state : RunState or None
        The run that made it.
    number : int
        Of its node.
    future : distributed.Future
        Of the group, or of the task whose result is the value's box.
    worker : str
        Where it was made; empty if only Dask knows.
    size : int
        Bytes.
    small : object, optional
        The value itself, where it came along: an atom, or a `Pickled`.

    Attributes
    ----------
    is_lost : bool
        It went with its worker; if it is computed again, another one stands for it.
    box : Box or None
        The value, once it has been brought here.
    """

    def __init__(
        self,
        state: RunState | None,
        number: int,
        future: distributed.Future[Any],
        worker: str = "",
        size: int = 0,
        small: Any = NOTHING,
    ) -> None:
        self._state = None if state is None else weakref.ref(state)
        self.number = number
        self.future = future
        self.worker = worker
        self.size = size
        self.small = small
        self.is_lost = False
        self.box: Box | None = None

    @property
    def state(self) -> RunState | None:
        """The run that made it, as long as somebody refers to it."""
        return None if self._state is None else self._state()

    @property
    def name(self) -> str:
        """The name of the group."""
        key: Any = self.future.key
        return str(key[0] if isinstance(key, tuple) else key)

    @property
    def is_gone(self) -> bool:
        """Whether Dask says that it went with a worker."""
        return self.future.status == "lost" or was_forgotten(self.future)

    @property
    def is_small(self) -> bool:
        """Whether the value itself came along."""
        return self.small is not NOTHING

    @property
    def is_open(self) -> bool:
        """Whether the program has the value."""
        return self.box is not None or self.is_small

    def open(self) -> Any:
        """Return the value, which the program has."""
        if self.box is not None:
            return self.box.open()
        return self.small.open() if isinstance(self.small, Pickled) else self.small
