"""Tokens: short texts, equal for equal values in every interpreter, for the keys of pure nodes.

Dask's own tokens leave functions, classes and most objects to pickle. That is not enough here: the
order of a set in it hangs on the interpreter's hash seed, cloudpickle numbers the classes of a
script at random, and text that is equal but not the same object pickles in another way. So a token
is made of what a value consists of, part by part; what another library has taught Dask to
tokenize, arrays and data frames above all, is left to Dask, and ``__dask_tokenize__`` counts
everywhere.

Functions and classes that can be imported count by name, all others by what they are made of.
Whatever has no parts to go by, such as a lock, is refused.
"""

from __future__ import annotations

import copyreg
import dis
import functools
import hashlib
import sys
import types
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from .nesting import PLACEHOLDERS
from .pickling import SCRIPTS

__all__ = ["tokenize"]

_ATOMS = frozenset(
    {int, float, complex, str, bytes, bool, type(None), type(...), type(NotImplemented)}
)
_BUILTIN_CONTAINERS = (dict, list, tuple, set, frozenset)
# What says where a class was written, or only what type checkers and help texts read.
_NOT_IN_A_CLASS = frozenset(
    {
        *("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__orig_bases__"),
        *("__annotations__", "__annotations_cache__", "__annotate__", "__annotate_func__"),
        *("__parameters__", "__firstlineno__", "__static_attributes__"),
        *("__abstractmethods__", "_abc_impl"),
    }
)
_SHORT = 100  # characters or bytes that are not worth a hash of their own


def tokenize(value: Any) -> str:
    """Return the token of `value`.

    Raises
    ------
    Exception
        Of any kind, if `value`, or something in it, has no token.
    """
    return _Tokenizer().token(value)


class _Tokenizer:
    def __init__(self) -> None:
        # By id: the depth of what is being tokenized now, and the token of what has been, which
        # is kept so that its id stays its own.
        self.depths: dict[int, int] = {}
        self.known: dict[int, tuple[Any, str]] = {}

    def token(self, value: Any) -> str:
        if type(value) in _ATOMS:
            return _atom(value)
        if id(value) in self.known:
            return self.known[id(value)][1]
        if id(value) in self.depths:
            return f"around {len(self.depths) - self.depths[id(value)]}"
        self.depths[id(value)] = len(self.depths)
        try:
            token = _hash(repr(self.parts(value)).encode("utf-8", "backslashreplace"))
        finally:
            del self.depths[id(value)]
        self.known[id(value)] = value, token
        return token

    def tokens(self, values: Iterable[Any]) -> list[str]:
        return [self.token(value) for value in values]

    def pairs(self, mapping: Any) -> list[tuple[str, str]]:
        return sorted((self.token(key), self.token(value)) for key, value in mapping.items())

    def parts(self, value: Any) -> Any:
        """Return plain texts, numbers and tokens in tuples and lists that make up `value`."""
        kind = type(value)
        if kind in PLACEHOLDERS:
            return "node", value.key
        if kind in (list, tuple):
            return kind.__name__, self.tokens(value)
        if kind in (set, frozenset):
            return kind.__name__, sorted(self.tokens(value))
        if kind is dict:
            return "dict", self.pairs(value)
        describe = _DESCRIPTIONS.get(kind)
        if describe is not None:
            return describe(self, value)
        if issubclass(kind, type):
            return self.class_(value)
        if getattr(kind, "__dask_tokenize__", None) is not None:
            return "tokenized", _name(kind), self.token(value.__dask_tokenize__())
        return self.known_to_dask(value) or self.reduced(value)

    def known_to_dask(self, value: Any) -> Any:
        from dask.base import normalize_token, tokenize  # importing dask takes a tenth of a second

        kind = type(value)
        if issubclass(kind, _BUILTIN_CONTAINERS):
            return None  # Dask would leave its items to pickle
        if normalize_token.dispatch(kind) is normalize_token.dispatch(object):
            return None
        return "dask", tokenize(value, ensure_deterministic=True)

    def reduced(self, value: Any) -> Any:
        """Return the parts of an object as pickle would take it apart."""
        if type(value) is object:
            raise TypeError("a bare object() is nothing but itself")
        reduce = copyreg.dispatch_table.get(type(value))
        found = value.__reduce_ex__(4) if reduce is None else reduce(value)
        if isinstance(found, str):
            return "global", getattr(value, "__module__", None), found
        func, args, state, items, entries = (*found, None, None, None)[:5]
        head = ("reduced", self.tokens((func, args, state)), self.tokens(items or ()))
        return *head, self.pairs(dict(entries or ()))

    # Functions, classes, and what is in them

    def function(self, func: Any) -> Any:
        if _is_importable(func):
            return "function", _name(func)
        code, cells = func.__code__, func.__closure__ or ()
        names = sorted(_global_names(code) & func.__globals__.keys())
        return (
            "function",
            self.token(code),
            self.tokens((func.__defaults__, func.__kwdefaults__, func.__dict__)),
            self.tokens(cells),
            [(name, self.token(func.__globals__[name])) for name in names],
        )

    def code(self, code: Any) -> Any:
        shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        table = getattr(code, "co_exceptiontable", b"")
        return "code", shape, names, code.co_code, table, self.tokens(code.co_consts)

    def class_(self, cls: Any) -> Any:
        if _is_importable(cls):
            return "class", _name(cls)
        body = {k: v for k, v in vars(cls).items() if k not in _NOT_IN_A_CLASS}
        return "class", _name(cls), self.tokens((type(cls), *cls.__bases__)), self.pairs(body)

    def method(self, method: Any) -> Any:
        owner = method.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            return "builtin", method.__module__, method.__qualname__
        return "method", self.token(owner), getattr(method, "__func__", method).__name__

    def cell(self, cell: Any) -> Any:
        try:
            return "cell", self.token(cell.cell_contents)
        except ValueError:  # not assigned yet
            return ("cell",)


_DESCRIPTIONS: dict[type, Any] = {
    types.FunctionType: _Tokenizer.function,
    types.CodeType: _Tokenizer.code,
    types.CellType: _Tokenizer.cell,
    types.MethodType: _Tokenizer.method,
    types.BuiltinMethodType: _Tokenizer.method,
    types.MethodWrapperType: _Tokenizer.method,
    types.ModuleType: lambda _, module: ("module", module.__name__),
    types.MappingProxyType: lambda self, proxy: ("proxy", self.pairs(proxy)),
    OrderedDict: lambda self, mapping: ("OrderedDict", self.tokens(mapping.items())),
    slice: lambda self, s: ("slice", self.tokens((s.start, s.stop, s.step))),
    staticmethod: lambda self, method: ("staticmethod", self.token(method.__func__)),
    classmethod: lambda self, method: ("classmethod", self.token(method.__func__)),
    property: lambda self, p: ("property", self.tokens((p.fget, p.fset, p.fdel))),
    functools.cached_property: lambda self, p: ("cached_property", self.token(p.func)),
    functools.partial: lambda self, p: ("partial", self.tokens((p.func, p.args, p.keywords))),
}


def _atom(value: Any) -> str:
    kind = type(value)
    if kind is int:
        text = f"{value:x}"  # repr has a limit
    elif kind is bytes and len(value) > _SHORT:
        text = _hash(value)
    elif kind is str and len(value) > _SHORT:
        text = _hash(value.encode("utf-8", "surrogatepass"))
    else:
        text = repr(value)
    return f"{kind.__name__} {text}"


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _name(thing: Any) -> tuple[Any, str]:
    module = thing.__module__
    return "__main__" if module in SCRIPTS else module, thing.__qualname__


def _is_importable(thing: Any) -> bool:
    """Return whether another interpreter finds a function or class under its name."""
    module, path = _name(thing)
    if module in SCRIPTS:
        return False
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found is thing


def _global_names(code: types.CodeType) -> set[str]:
    names = {
        i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return names.union(*map(_global_names, inner))
