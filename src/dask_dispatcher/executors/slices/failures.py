"""Failures as bytes: an exception arrives as what it is, or as its type and text; never raises.

An exception travels by the first of these that can be read again here: its own recipe; what it holds,
made into one past its own ``__init__``, if that says the same; its type, text and traceback. Its
causes and contexts, which pickle leaves behind, travel likewise, each with the lines it came by.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from typing import Any, NamedTuple

from ...errors import RemoteError, portable, safe_text
from ...pickling import Pickler, dumps
from ..policy import Failure
from .frames import Lines, lines_of, traceback_of

__all__ = ["dump_error", "dump_failure", "load_failure"]

_LARGEST = 1_000_000  # bytes; beyond, the text of an exception, which is cut, says enough
_LONGEST_CHAIN = 10  # exceptions: the one that was raised, its cause, the cause of that …


class _Link(NamedTuple):
    """One exception of a chain, as it travels."""

    relation: str
    """Which attribute of the one before holds it; empty for the first."""
    name: str
    text: str
    lines: Lines
    pickled: bytes | None


def dump_error(error: BaseException) -> bytes:
    """Pickle an error, or what stands for it."""
    return pickle.dumps(portable(error))


def dump_failure(failure: Failure) -> bytes:
    """Pack a failure; an exception that cannot travel is replaced by its type and text."""
    links = [tuple(_link(relation, error)) for relation, error in _chain(failure.cause)]
    return pickle.dumps((failure.traceback, failure.worker, links))


def load_failure(data: bytes) -> Failure:
    """Unpack a failure."""
    traceback, worker, links = pickle.loads(data)
    first, *others = (_Link(*link) for link in links)
    cause = last = _exception(first)
    for link in others:
        error = _exception(link)
        # As BaseException does it: one that is a frozen dataclass refuses the assignment.
        BaseException.__setattr__(last, link.relation, error)
        last = error
    return Failure(cause, traceback, worker)


def _chain(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    """Return an exception and those that a traceback shows above it, each with its relation."""
    relation, seen = "", set[int]()
    following: BaseException | None = error
    while following is not None and id(following) not in seen and len(seen) < _LONGEST_CHAIN:
        yield relation, following
        seen.add(id(following))
        relation = "__context__" if following.__cause__ is None else "__cause__"
        is_hidden = relation == "__context__" and following.__suppress_context__
        following = None if is_hidden else getattr(following, relation)


def _link(relation: str, error: BaseException) -> _Link:
    lines = lines_of(error.__traceback__)
    try:
        pickled: bytes | None = _pickled_exception(error.with_traceback(None))
    except BaseException:
        pickled = None
    if pickled is not None and len(pickled) > _LARGEST:
        pickled = None
    return _Link(relation, type(error).__qualname__, safe_text(error), lines, pickled)


def _exception(link: _Link) -> BaseException:
    error: BaseException = RemoteError(link.name, link.text)
    if link.pickled is not None:
        try:
            loaded = pickle.loads(link.pickled)
        except BaseException:
            loaded = None
        if isinstance(loaded, BaseException):
            error = loaded
    return error.with_traceback(traceback_of(link.lines))


def _pickled_exception(error: BaseException) -> bytes:
    """Return the pickled exception, if possible by its own recipe; raise if there is no way.

    By what it holds only if it says the same then.
    """
    try:
        return _pickled_by(_ExceptionPickler, error)[0]
    except BaseException:
        pickled, twin = _pickled_by(_HoldingPickler, error)
        if safe_text(twin) != safe_text(error):
            raise
        return pickled


def _pickled_by(kind: type[Pickler], error: BaseException) -> tuple[bytes, BaseException]:
    with io.BytesIO() as file:
        kind(file, protocol=5).dump(error)
        pickled = file.getvalue()
    return pickled, pickle.loads(pickled)


class _ExceptionPickler(Pickler):
    """Pickles exceptions as they themselves ask for.

    distributed installs tblib, which rebuilds exceptions without calling ``__init__``; a SyntaxError
    or UnicodeDecodeError then loses its text, a SystemExit its code.
    """

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, BaseException):
            return obj.__reduce_ex__(5)
        return super().reducer_override(obj)


class _HoldingPickler(_ExceptionPickler):
    """Pickles exceptions that have no recipe of their own by what they hold.

    For those whose ``__init__`` takes other arguments than they keep, and those with attributes that
    cannot be pickled: these stay behind. So what a caller retries or catches keeps its class.
    """

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, BaseException) and type(obj).__reduce__ in _GENERAL_RECIPES:
            state = {name: value for name, value in vars(obj).items() if _travels(value)}
            return _held, (type(obj), obj.__reduce__()[1], state)
        return super().reducer_override(obj)


_GENERAL_RECIPES = (BaseException.__reduce__, OSError.__reduce__)


def _held(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    """Make an exception as its built-in base would, past what its class does to its arguments."""
    base: Any = next(base for base in cls.__mro__ if base.__module__ == "builtins")
    error = base.__new__(cls, *args)
    base.__init__(error, *args)
    error.__dict__.update(state)
    return error


def _travels(value: Any) -> bool:
    try:
        pickle.loads(dumps(value))
    except BaseException:  # whatever its recipe raises
        return False
    return True
