"""The options of a call and of an executor, and the checks of what users give for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypedDict

from .nesting import PLACEHOLDERS

__all__ = [
    "OptionNames",
    "Options",
    "RetryOn",
    "check_count",
    "check_resources",
    "check_retry_on",
    "check_number",
]

RetryOn = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]


class OptionNames(TypedDict, total=False):
    """The options that `op` takes, for the type checker; `Options` says what they mean."""

    label: str | None
    retries: int | None
    retry_on: RetryOn | None
    retry_delay: float | None
    timeout: float | None
    max_losses: int | None
    nout: int | None
    pure: bool
    after: Any
    priority: float
    resources: Mapping[str, float] | None
    workers: Any


@dataclass(frozen=True)
class Options:
    """How a call is to be run; None means that the executor's default holds.

    Attributes
    ----------
    label : str or None
        Shown for the node; None is the function's name.
    retries : int or None
        More attempts after a failure.
    retry_on : exception type, tuple of them, or predicate, or None
        Which failures are tried again.
    retry_delay : float or None
        First wait before another attempt, in seconds.
    timeout : float or None
        Seconds for one attempt.
    max_losses : int or None
        How often it may start again because a worker was lost.
    nout : int or None
        The length of its result, for ``a, b = node``.
    pure : bool
        Whether equal calls have equal results and no effects.
    after : tuple of DispatchNode
        Nodes that must finish first without giving data.
    priority : float
        Higher runs first.
    resources : dict of str to float
        What it needs of each resource while it runs.
    workers : tuple of str
        Addresses or names of the Dask workers that may run it.
    """

    label: str | None = None
    retries: int | None = None
    retry_on: RetryOn | None = None
    retry_delay: float | None = None
    timeout: float | None = None
    max_losses: int | None = None
    nout: int | None = None
    pure: bool = False
    after: tuple[Any, ...] = ()
    priority: float = 0
    resources: Mapping[str, float] | None = None
    workers: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """Return the options that a user gives by name; TypeError if there is no such option."""
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                raise TypeError(f"op has no option {name!r}; it has {', '.join(names)}")
        return cls(**given)

    def __post_init__(self) -> None:
        self._set("label", check_label(self.label))
        for name in ("retries", "max_losses", "nout"):
            check_count(name, getattr(self, name))
        check_number("retry_delay", self.retry_delay, zero=True)
        check_number("timeout", self.timeout)
        check_retry_on(self.retry_on)
        if not isinstance(self.pure, bool):
            raise TypeError(f"pure must be a bool, not {self.pure!r}")
        if isinstance(self.priority, bool) or not isinstance(self.priority, (int, float)):
            raise TypeError(f"priority must be a number, not {self.priority!r}")
        if math.isnan(self.priority):
            raise ValueError("priority must be a number that can be ordered, not nan")
        self._set("after", _check_after(self.after))
        self._set("resources", check_resources(self.resources))
        self._set("workers", _check_workers(self.workers))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @property
    def asks_something(self) -> bool:
        """Whether a plan must look at these options before the node runs."""
        return bool(
            self.pure
            or self.after
            or self.priority
            or self.resources
            or self.workers
            or self.timeout is not None
            or self.max_losses is not None
        )

    def given(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        pairs = ((field, getattr(self, field.name)) for field in fields(self))
        return {field.name: value for field, value in pairs if value is not field.default}


def check_label(label: Any) -> str | None:
    """Return `label` if it is a str or None, else raise TypeError."""
    if label is not None and not isinstance(label, str):
        raise TypeError(f"label must be a str, not {type(label).__name__}")
    return label


def check_count(name: str, value: Any, minimum: int = 0) -> None:
    """Raise unless `value` is None or an int of at least `minimum`."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, not {value}")


def check_number(name: str, value: Any, *, zero: bool = False) -> None:
    """Raise unless `value` is None or a finite number above (or, if `zero`, at) 0."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        floor = "of at least 0" if zero else "above 0"
        raise ValueError(f"{name} must be a finite number {floor}, not {value}")


def check_retry_on(value: Any) -> None:
    """Raise TypeError unless `value` is None, exception types, or a predicate."""
    kinds = value if isinstance(value, tuple) else (value,)
    types = [kind for kind in kinds if isinstance(kind, type)]
    if (
        types
        and all(issubclass(kind, BaseException) for kind in types)
        and len(types) == len(kinds)
    ):
        return
    if value is not None and (types or isinstance(value, tuple) or not callable(value)):
        raise TypeError(f"retry_on must be exception types or a predicate, not {value!r}")


def check_resources(resources: Any) -> dict[str, float] | None:
    """Return `resources` as a plain dict, or raise unless it maps names to positive numbers."""
    if resources is None:
        return None
    if not isinstance(resources, Mapping):
        raise TypeError(f"resources must map names to numbers, not {resources!r}")
    for name, amount in resources.items():
        if not isinstance(name, str):
            raise TypeError(f"a resource's name must be a str, not {name!r}")
        if amount is None:
            raise TypeError(f"resource {name!r} must be a number, not None")
        check_number(f"resource {name!r}", amount, zero=True)
    return dict(resources)


def _check_after(after: Any) -> tuple[Any, ...]:
    nodes = _one_or_many(after)
    for node in nodes:
        if type(node) not in PLACEHOLDERS:
            raise TypeError(f"after must be nodes, not {type(node).__name__}")
    return nodes


def _check_workers(workers: Any) -> tuple[str, ...]:
    names = _one_or_many(workers)
    for name in names:
        if not isinstance(name, (str, int)) or isinstance(name, bool):
            raise TypeError(f"workers must be addresses or names, not {name!r}")
    return names


def _one_or_many(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    if type(value) in PLACEHOLDERS:  # a node can be iterated, or says why it cannot
        return (value,)
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
