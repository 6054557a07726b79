"""Every exception of the library.

One root, few leaves. Where the standard library has a class for the same thing, the leaf is also of
that class, so that handlers written for ``concurrent.futures`` or ``asyncio`` go on working. All of
them pickle both ways; a cause that cannot be pickled is replaced by its text, a node by None.
"""

from __future__ import annotations

import concurrent.futures
import copyreg
import pickle
import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .nodes import DispatchNode
    from .origins import Origin

__all__ = [
    "AlreadySet",
    "ChannelClosed",
    "CycleError",
    "DeferredError",
    "DeferredLostError",
    "DependencyError",
    "DispatcherError",
    "ExecutorClosedError",
    "ExecutorError",
    "NestedRunError",
    "NoWorkersError",
    "NodeTimeoutError",
    "RemoteError",
    "RunCancelledError",
    "SchedulerLostError",
    "SerializationError",
    "WorkerLostError",
]


Self = TypeVar("Self", bound="DispatcherError")


class DispatcherError(Exception):
    """Root of every error that this library raises on its own account.

    Attributes
    ----------
    node : DispatchNode or None
        The node it is about, where there is one.
    label : str
        Its label.
    """

    node: DispatchNode[Any] | None = None
    label: str = ""

    def __new__(cls: type[Self], *args: Any, **kwargs: Any) -> Self:
        # distributed, when it is imported, sees to it that all exceptions there are by then pickle
        # with their causes and contexts as they are, whether those can be pickled or not.
        copyreg.dispatch_table.pop(cls, None)
        return super().__new__(cls, *args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: portable(value) for name, value in self.__dict__.items()}
        return _restore, (type(self), self.args, state, portable(self.__cause__))


class RemoteError(DispatcherError):
    """Stands in for a user's exception that could not be brought over.

    Attributes
    ----------
    type_name : str
        Qualified name of the exception's class.
    """

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name


class DependencyError(DispatcherError):
    """A node failed; every node that depends on it carries this same error.

    The user's exception is the ``__cause__``.

    Attributes
    ----------
    node : DispatchNode or None
        The node that failed first.
    label : str
        Its label.
    attempts : int
        How often it was started.
    worker : str or None
        Where its last attempt ran.
    traceback : str
        The user's traceback as text, without this library's frames.
    origin : Origin or None
        The line of the program that built the node.
    arguments : tuple of str
        Of each argument its type and size, in words.
    results : list of Result
        With ``raise_errors=True``: the results of the run so far.
    """

    def __init__(
        self,
        message: str,
        *,
        node: DispatchNode[Any] | None = None,
        label: str = "",
        attempts: int = 1,
        worker: str | None = None,
        traceback: str = "",
        origin: Origin | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.node = node
        self.label = label
        self.attempts = attempts
        self.worker = worker
        self.traceback = traceback
        self.origin = origin
        self.arguments = arguments
        self.results: list[Any] = []
        # Notes are what tracebacks show below the message; Python 3.10 has none.
        if sys.version_info >= (3, 11):
            for note in _notes(origin, arguments):
                self.add_note(note)


class ExecutorError(DispatcherError):
    """The executor, not a node, cannot do what was asked.

    Attributes
    ----------
    node : DispatchNode or None
        The unfinished node this error stands for, where there is one.
    label : str
        Its label.
    results : list of Result
        With ``raise_errors=True``: the results of the run so far.
    """

    def __init__(
        self, message: str, *, node: DispatchNode[Any] | None = None, label: str = ""
    ) -> None:
        super().__init__(message)
        self.node = node
        self.label = label
        self.results: list[Any] = []


class NoWorkersError(ExecutorError):
    """No worker came in time, or none has what the node asks for."""


class SchedulerLostError(ExecutorError):
    """The connection to the scheduler broke while nodes were unfinished."""


class RunCancelledError(ExecutorError, concurrent.futures.CancelledError):
    """The run was cancelled before this node finished."""


class WorkerLostError(ExecutorError, concurrent.futures.BrokenExecutor):
    """The worker that ran the node, or held its value, died too often."""


class SerializationError(ExecutorError, TypeError):
    """Something cannot travel to a worker or back; the message names what."""


class ExecutorClosedError(ExecutorError, RuntimeError):
    """The executor has been closed, or belongs to the process that this one is a fork of."""


class NestedRunError(ExecutorError, RuntimeError):
    """A blocking run was started where it would wait for itself."""


class CycleError(DispatcherError, ValueError):
    """The graph has a cycle.

    Attributes
    ----------
    cycle : list of DispatchNode
        The nodes on it; the first one appears again at the end.
    """

    def __init__(self, message: str, cycle: Sequence[DispatchNode[Any]] = ()) -> None:
        super().__init__(message)
        self.cycle = list(cycle)


class NodeTimeoutError(DispatcherError, TimeoutError):
    """One attempt of a node took longer than its ``timeout``."""


class DeferredError(DispatcherError):
    """Something is wrong with a deferred reference."""


class ChannelClosed(DeferredError):
    """The channel is closed: nothing can be put, and nothing is left to get."""


class AlreadySet(DeferredError):
    """The future has its value already."""


class DeferredLostError(DeferredError):
    """The process that held the value died."""


def portable(value: Any) -> Any:
    """Return `value` if it pickles, else the nearest thing that does.

    Exceptions turn into a `RemoteError` with their text, lists into empty ones, everything else
    into None.
    """
    try:
        pickle.loads(pickle.dumps(value))
    except Exception:
        if isinstance(value, BaseException):
            return RemoteError(type(value).__qualname__, safe_text(value))
        return [] if type(value) is list else None
    return value


def _notes(origin: Origin | None, arguments: Sequence[str]) -> list[str]:
    notes = [f"built at {origin}"] if origin else []
    if origin and origin.source:
        notes.append(f"    {origin.source}")
    return [*notes, *(f"argument {argument}" for argument in arguments)]


def shown(label: str) -> str:
    """Return a node's label as messages show it."""
    return printable(label, 100)


def one(kind: type) -> str:
    """Return the name of a type with its article, as messages have it.

    Examples
    --------
    >>> one(list), one(object)
    ('a list', 'an object')
    """
    article = "an" if kind.__name__[:1] in "aeiouAEIOU" else "a"
    return f"{article} {kind.__name__}"


def printable(text: str, limit: int) -> str:
    """Return `text` cut to `limit` characters, its unprintable ones escaped.

    Control, direction-changing and other unprintable characters come out as backslash escapes.
    """
    cut = text if len(text) <= limit else f"{text[:limit]}…"
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)


def safe_text(error: BaseException, limit: int = 10_000) -> str:
    """Return ``str(error)``, cut to `limit` characters, whatever its ``__str__`` does."""
    try:
        text = str(error)
    except BaseException as broken:
        return f"<its __str__ raised {type(broken).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def _restore(
    cls: type[DispatcherError],
    args: tuple[Any, ...],
    state: dict[str, Any],
    cause: BaseException | None,
) -> DispatcherError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    error.__cause__ = cause
    return error
