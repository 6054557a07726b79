"""``Ok`` or ``Err``: what one requested node ended in.

Two frozen final classes. ``match`` takes them apart, ``unwrap`` turns an ``Err`` back into an
exception. `Result` is their union, so that a type checker sees when a case is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar, final

from .cards import card
from .errors import DispatcherError, printable, safe_text

__all__ = ["Err", "Ok", "Result"]

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


@final
@dataclass(frozen=True, repr=False)
class Ok(Generic[T]):
    """A node that succeeded.

    Parameters
    ----------
    value : T
        In the results of a run, the `NodeFuture` of the node.

    Examples
    --------
    >>> Ok(24).unwrap()
    24
    """

    __slots__ = ("value",)
    value: T

    def is_ok(self) -> bool:
        """Return True."""
        return True

    def is_err(self) -> bool:
        """Return False."""
        return False

    def unwrap(self) -> T:
        """Return the value."""
        return self.value

    def unwrap_err(self) -> NoReturn:
        """Raise ValueError, as there is no error here."""
        raise ValueError(f"{self!r} is not an Err")

    def __repr__(self) -> str:
        return f"Ok({_short(self.value)})"

    def _repr_html_(self) -> str:
        node: Any = getattr(self.value, "node", None)
        name = getattr(node, "label", None) or type(self.value).__name__
        return card("Ok", name, (("", _short(self.value)),), "good")

    # Frozen and slotted: pickle's default would set the slots one by one, which is forbidden.
    def __reduce__(self) -> tuple[type[Ok[T]], tuple[T]]:
        return Ok, (self.value,)


@final
@dataclass(frozen=True, repr=False)
class Err(Generic[E]):
    """A node that failed, or that the run never finished.

    Parameters
    ----------
    error : BaseException
        In the results of a run, a `DispatcherError`.

    Examples
    --------
    >>> Err(ValueError("no")).is_err()
    True
    """

    __slots__ = ("error",)
    error: E

    def is_ok(self) -> bool:
        """Return False."""
        return False

    def is_err(self) -> bool:
        """Return True."""
        return True

    def unwrap(self) -> NoReturn:
        """Raise the error."""
        # One error may be unwrapped many times; without this its traceback would grow each time.
        raise self.error.with_traceback(None)

    def unwrap_err(self) -> E:
        """Return the error."""
        return self.error

    def __repr__(self) -> str:
        return f"Err({_short(self.error)})"

    def _repr_html_(self) -> str:
        error = self.error
        name = getattr(error, "label", "") or type(error).__name__
        origin, worker = getattr(error, "origin", None), getattr(error, "worker", None)
        facts = (
            (type(error).__name__, safe_text(error, 2_000)),
            ("built at", str(origin) if origin else ""),
            ("worker", worker or ""),
            *(("argument", text) for text in getattr(error, "arguments", ())),
        )
        return card("Err", name, facts, "bad", getattr(error, "traceback", ""))

    def __reduce__(self) -> tuple[type[Err[E]], tuple[E]]:
        return Err, (self.error,)


Result = Ok[T] | Err[DispatcherError]


def _short(value: object, limit: int = 200) -> str:
    """Return ``repr(value)`` cut and made printable, whatever its ``__repr__`` does."""
    try:
        text = repr(value)
    except Exception as broken:
        return f"<{type(value).__name__}: its __repr__ raised {type(broken).__name__}>"
    return printable(text, limit)
