"""`DeferredFuture` and `DeferredChannel`: what users hold.

A handle is an address and keeps nothing: it may be made before any executor is known, copied,
pickled, caught in closures. Handles of one reference compare equal.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, Generic, TypeVar

from ..errors import ChannelClosed, DeferredError
from .desk import desk
from .links import Ref, current_link, home
from .waiting import carry_out, carry_out_async

__all__ = ["DeferredChannel", "DeferredFuture"]

T = TypeVar("T")


class _Handle:
    """What both have in common."""

    def __init__(self, maxsize: int) -> None:
        link = current_link()
        self._open(Ref(os.urandom(16).hex(), link.home if link is not None else home(), maxsize))

    def _open(self, ref: Ref) -> None:
        self._ref = ref
        own = desk()
        if ref.home == own.home:
            own.enter(ref.key)
            weakref.finalize(self, own.leave, ref.key).atexit = False

    def ready(self) -> bool:
        """Return whether something can be fetched at once."""
        return bool(carry_out(self._ref, "ready"))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._ref == self._ref

    def __hash__(self) -> int:
        return hash(self._ref)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _restore, (type(self), *self._ref)

    def __dask_tokenize__(self) -> tuple[str, str]:
        return type(self).__name__, self._ref.key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._ref.key[:8]}: {self._state()}>"

    def _state(self) -> str:
        if self._ref.home != home():
            return "of another process"
        return self._state_here()

    def _state_here(self) -> str:
        raise NotImplementedError


class DeferredFuture(_Handle, Generic[T]):
    """A value that somebody will put: a node of any executor, or the program.

    It may be made before any executor is known, passed to nodes as an argument or caught in their
    closures. The value stays in the process that put it until someone fetches it.

    Examples
    --------
    >>> from dask_dispatcher import AsyncExecutor, DeferredFuture, op
    >>> answer = DeferredFuture()
    >>> with AsyncExecutor() as executor:
    ...     run = executor.start([op(answer.put)(42)])
    ...     answer.fetch(timeout=30)
    42
    """

    def __init__(self) -> None:
        super().__init__(-1)

    def put(self, value: T) -> None:
        """Set the value.

        What has been put must not be changed afterwards. A node that runs again, because it is
        retried or its worker was lost, puts again.

        Raises
        ------
        AlreadySet
            If somebody else has put before, or the same attempt has.
        SerializationError
            If it must travel and cannot be pickled.
        """
        carry_out(self._ref, "put", value)

    def fetch(self, timeout: float | None = None) -> T:
        """Wait for the value and return it; it stays for others to fetch.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        TimeoutError
            If it has not been put in time.
        DeferredLostError
            If the process that held it died.
        """
        value: T = carry_out(self._ref, "fetch", timeout=timeout)
        return value

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is put; return whether it was in time."""
        try:
            carry_out(self._ref, "wait", timeout=timeout)
        except TimeoutError:
            return False
        return True

    def reset(self) -> None:
        """Forget the value, so that another can be put."""
        carry_out(self._ref, "reset")

    def __await__(self) -> Generator[Any, None, T]:
        return self.afetch().__await__()

    async def afetch(self, timeout: float | None = None) -> T:
        """Do as `fetch`, while the event loop goes on; ``await future`` does it without timeout."""
        value: T = await carry_out_async(self._ref, "fetch", timeout=timeout)
        return value

    def _state_here(self) -> str:
        return "ready" if self.ready() else "pending"


class DeferredChannel(_Handle, Generic[T]):
    """A stream of items from whoever puts to whoever gets, in nodes of any executor or the program.

    Many may put and many may get; each item is got once, and the items of one producer in the order
    in which it put them.

    Parameters
    ----------
    maxsize : int, default 1
        How many items may be waiting to be got; 0: any number.

    Examples
    --------
    >>> from dask_dispatcher import AsyncExecutor, DeferredChannel, op
    >>> numbers = DeferredChannel(maxsize=2)
    >>> @op
    ... def produce():
    ...     for n in range(5):
    ...         numbers.put(n)
    ...     numbers.close()
    >>> with AsyncExecutor() as executor:
    ...     run = executor.start([produce()])
    ...     list(numbers)
    [0, 1, 2, 3, 4]
    """

    def __init__(self, maxsize: int = 1) -> None:
        if isinstance(maxsize, bool) or not isinstance(maxsize, int):
            raise TypeError(f"maxsize must be an int, not {type(maxsize).__name__}")
        if maxsize < 0:
            raise ValueError(f"maxsize must be 0 (unbounded) or more, not {maxsize}")
        super().__init__(maxsize)

    @property
    def maxsize(self) -> int:
        """How many items may be waiting to be got; 0: any number."""
        return self._ref.maxsize

    def put(self, value: T, timeout: float | None = None) -> None:
        """Put an item in; wait while the channel is full.

        Raises
        ------
        TimeoutError
            If there was no room in time; nothing has been put.
        ChannelClosed
            If the channel is closed, or is while this waits; nothing has been put.
        SerializationError
            If it must travel and cannot be pickled.
        """
        carry_out(self._ref, "put", value, timeout)

    def get(self, timeout: float | None = None) -> T:
        """Take the next item out; wait while there is none.

        Raises
        ------
        TimeoutError
            If there was none in time; nothing has been taken.
        ChannelClosed
            If there is none and the channel is closed.
        DeferredLostError
            If the process that held the item died; once for each such item.
        """
        item: T = carry_out(self._ref, "get", timeout=timeout)
        return item

    def fetch(self, timeout: float | None = None) -> T:
        """Return the next item and leave it there; wait while there is none; see `get`."""
        item: T = carry_out(self._ref, "fetch", timeout=timeout)
        return item

    def close(self) -> None:
        """Let nothing more be put; wake all who wait. A second close is harmless."""
        carry_out(self._ref, "close")

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                yield self.get()
            except ChannelClosed:
                return

    async def aput(self, value: T, timeout: float | None = None) -> None:
        """Do as `put`, while the event loop goes on."""
        await carry_out_async(self._ref, "put", value, timeout)

    async def aget(self, timeout: float | None = None) -> T:
        """Do as `get`, while the event loop goes on."""
        item: T = await carry_out_async(self._ref, "get", timeout=timeout)
        return item

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            try:
                item = await self.aget()
            except ChannelClosed:
                return
            yield item

    def _state_here(self) -> str:
        size, closed = carry_out(self._ref, "size"), carry_out(self._ref, "closed")
        of = f" of {self.maxsize}" if self.maxsize else ""
        return f"{size}{of} items{', closed' if closed else ''}"


def _restore(cls: type[_Handle], key: str, home: str, maxsize: int) -> _Handle:
    if not issubclass(cls, _Handle):
        raise DeferredError("this is no deferred reference")
    handle = cls.__new__(cls)
    handle._open(Ref(key, home, maxsize))
    return handle
