"""What a node calls: a function with its options, its arity and its name.

One `Callee` serves all nodes built from it, so that a node itself holds only a reference and its
arguments. It pickles by reference where its module has it under its own name, as a decorated
function at module level does; otherwise by value, its function left to cloudpickle.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any

import cloudpickle

from .nesting import PLACEHOLDERS, Nested, enclose
from .options import Options
from .pickling import SCRIPTS

__all__ = ["Callee", "Kindred"]

_signatures: weakref.WeakKeyDictionary[Any, inspect.Signature | None] = weakref.WeakKeyDictionary()


class Kindred:
    """A callable made for one graph, of a kind that other graphs have too.

    Engines expect of it what calls of its kind have cost.

    Parameters
    ----------
    kind : str
    """

    def __init__(self, kind: str) -> None:
        self.__name__ = kind


class Callee:
    """A function and how it is to be called.

    Parameters
    ----------
    func : callable
    options : Options

    Raises
    ------
    TypeError
        If `func` cannot be called, or has a node in its closure or among its bound arguments.
    """

    def __init__(self, func: Callable[..., Any], options: Options) -> None:
        if isinstance(func, (staticmethod, classmethod)):
            raise TypeError(f"put @op below @{type(func).__name__}, not above it")
        if not callable(func):
            raise TypeError(f"op needs something to call, not {type(func).__name__}: {func!r:.80}")
        name = _name(func)
        _refuse_captured_nodes(func, name)
        self.func = func
        self.settings = options
        self.label = name if options.label is None else options.label
        self.__name__ = name
        self.__qualname__ = _text(func, "__qualname__") or name
        self.__module__ = _text(func, "__module__")
        self.__doc__ = getattr(func, "__doc__", None)
        self.__wrapped__ = func
        self.is_coroutine = _is_coroutine_function(func)
        # Whether nothing but the function and the arguments matters, as for nearly all nodes.
        self.is_plain = not options.asks_something
        # Shapes of arguments that are known to fit: a number of positionals, or that and the names.
        self._fitting: set[Any] = set()
        self._site: tuple[Any, int] = (None, -1)  # of the latest node built with it

    def check_arity(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise TypeError if the function cannot take these arguments, and remember their shape."""
        signature = _signature(self.func)
        if signature is not None:
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{self.__name__}{signature}: {error}") from None
        self._fitting.add((len(args), *kwargs) if kwargs else len(args))

    def length(self) -> int | None:
        """Return the length of the result: `nout`, or that of a ``tuple[A, B]`` annotation."""
        if self.settings.nout is not None:
            return self.settings.nout
        try:
            returned = typing.get_type_hints(_innermost(self.func)).get("return")
        except Exception:  # annotations are the user's own text, which may not evaluate
            return None
        if typing.get_origin(returned) is not tuple:
            return None
        parts = typing.get_args(returned)
        return None if Ellipsis in parts else len([part for part in parts if part != ()])

    def traveller(self) -> Any:
        """Return what another process needs in order to call the function, options left out.

        Itself or its factory, where that can be imported there, else the plain function.
        """
        found = _importable(self)
        return found if type(found) is type(self) and found.func is self.func else self.func

    def __reduce__(self) -> str | tuple[Any, ...]:
        found = _importable(self)
        if found is self:
            return str(self.__qualname__)
        # The same function with other options: its own factory is what can be imported.
        source = found if type(found) is type(self) and found.func is self.func else self.func
        return _restore, (type(self), source, self.settings.given())


def _restore(cls: type[Callee], source: Any, options: dict[str, Any]) -> Callee:
    return cls(source.func if isinstance(source, cls) else source, Options(**options))


def _importable(callee: Callee) -> Any:
    """Return what another process finds under the name of the callee's function; None: nothing."""
    name = callee.__module__
    if not name or name in SCRIPTS or "<locals>" in callee.__qualname__:
        return None
    by_value = cloudpickle.list_registry_pickle_by_value()
    if any(name == package or name.startswith(f"{package}.") for package in by_value):
        return None
    found: Any = sys.modules.get(name)
    for part in callee.__qualname__.split("."):
        found = getattr(found, part, None)
    return found


def _innermost(func: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(func, functools.partial):
        func = func.func
    return func


def _name(func: Callable[..., Any]) -> str:
    func = _innermost(func)
    return _text(func, "__name__") or type(func).__name__


def _text(func: Callable[..., Any], attribute: str) -> str:
    """Return an attribute if it is a str; objects that forward any attribute have others."""
    text = getattr(func, attribute, None)
    return text if isinstance(text, str) else ""


def _is_coroutine_function(func: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(
        getattr(type(func), "__call__", None)  # noqa: B004 - its code is asked, not whether it is
    )


def _signature(func: Callable[..., Any]) -> inspect.Signature | None:
    """Return the signature of `func`, or None where it has none, as some builtins."""
    # Only functions: other callables may have a hash and an equality of their own.
    cached = type(func) is types.FunctionType
    if cached and func in _signatures:
        return _signatures[func]
    try:
        signature = inspect.signature(func)
    except Exception:  # inspect asks the callable itself, whose answer may be anything
        signature = None
    if cached:
        _signatures[func] = signature
    return signature


def _refuse_captured_nodes(func: Any, name: str) -> None:
    """Raise TypeError if `func` has a node where the graph cannot see it."""
    pending, met = [func], {}
    for current in pending:
        for value in _captured(current):
            nested = enclose(value)
            if type(value) in PLACEHOLDERS or type(nested) is Nested:
                node = value if type(value) in PLACEHOLDERS else nested.nodes[0]
                raise TypeError(
                    f"{name} has a node ({node!r}) in its closure, where its value cannot be "
                    "filled in; pass the node as an argument"
                )
            if id(value) not in met:
                met[id(value)] = value
                pending.append(value)


def _captured(func: Any) -> list[Any]:
    """Return what a function brings along: of its closure, its defaults, its bound arguments."""
    kind = type(func)
    if issubclass(kind, functools.partial):
        return [func.func, *func.args, *func.keywords.values()]
    if kind in (types.MethodType, types.BuiltinMethodType):
        return [getattr(func, "__func__", None), func.__self__]
    if kind is types.FunctionType:
        cells = [_contents(cell) for cell in func.__closure__ or ()]
        return [*cells, *(func.__defaults__ or ()), *(func.__kwdefaults__ or {}).values()]
    return []


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None
