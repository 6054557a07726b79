"""Delayed calls: `Op`, and `op`, which makes them.

``op(func, **options)`` returns an `OpFactory`; calling that builds an `Op`. The factory checks the
arguments' arity, once a shape, and looks for nodes inside containers; an argument that is a node
itself or an atom costs one look at its type.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast, overload

from .callee import Callee
from .collector import Promoter
from .nesting import PLACEHOLDERS, Nested, enclose, fill
from .nodes import CollectNode, DataNode, DispatchNode, IndexNode
from .options import Options
from .origins import BUILDERS, site_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import OptionNames

__all__ = ["Op", "OpFactory", "op"]

R = TypeVar("R")

_new = object.__new__
_getframe = sys._getframe
_NO_KWARGS: dict[str, Any] = {}
_NOT_GIVEN: Any = object()
_promoter = Promoter()


class Op(DispatchNode[R]):
    """A delayed call.

    Parameters
    ----------
    func : callable
        Also what `op` returns, whose options then hold.
    *args, **kwargs
        Its arguments. Nodes among them, also inside lists, tuples, dicts, sets and dataclasses, are
        replaced by their values when the call runs; all else is passed as it is.

    Raises
    ------
    TypeError
        If `func` cannot be called or does not take these arguments.

    Examples
    --------
    >>> from operator import add
    >>> three = Op(add, 1, 2)
    >>> three.label, three.args
    ('add', (1, 2))
    """

    __slots__ = ("_args", "_callee", "_kwargs", "_nested")
    _args: tuple[Any, ...]
    # Any: a class attribute with __get__ would be read as a bound one.
    _callee: Any
    _kwargs: dict[str, Any] | None
    _nested: bool

    # What `op` returns builds nodes too, a million times: so __new__ asks it, and no __init__ runs.
    def __new__(cls, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Op[R]:
        return _factory_for(func)(*args, **kwargs)

    if TYPE_CHECKING:

        @overload
        def __init__(self, func: OpFactory[R], /, *args: Any, **kwargs: Any) -> None: ...
        @overload
        def __init__(
            self, func: Callable[..., Coroutine[Any, Any, R]], /, *args: Any, **kwargs: Any
        ) -> None: ...
        @overload
        def __init__(self, func: Callable[..., R], /, *args: Any, **kwargs: Any) -> None: ...
        def __init__(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None: ...
    else:

        def __init__(self, /, *args, **kwargs):
            pass

    @property
    def func(self) -> Callable[..., Any]:
        return cast("Callable[..., Any]", self._callee.func)

    @property
    def func_name(self) -> str:
        """The function's name."""
        return str(self._callee.__name__)

    @property
    def args(self) -> tuple[Any, ...]:
        return tuple(_shown(value) for value in self._args) if self._nested else self._args

    @property
    def kwargs(self) -> dict[str, Any]:
        return {name: _shown(value) for name, value in (self._kwargs or _NO_KWARGS).items()}

    @property
    def options(self) -> Options:
        return cast(Options, self._callee.settings)

    def _length(self) -> int | None:
        return cast("int | None", self._callee.length())

    def _is_pure(self) -> bool:
        return bool(self._callee.settings.pure)

    def _inputs(self) -> Iterable[Any]:
        values = (*self._args, *self._kwargs.values()) if self._kwargs else self._args
        for value in values:
            if type(value) in PLACEHOLDERS:
                yield value
            elif type(value) is Nested:
                yield from value.nodes

    def _after(self) -> tuple[DispatchNode[Any], ...]:
        return cast("tuple[DispatchNode[Any], ...]", self._callee.settings.after)

    def _default_label(self) -> str:
        return str(self._callee.label)

    def _state(self) -> tuple[Any, ...]:
        return (self._callee, self._args, self._kwargs, self._nested)

    def _restore(self, *state: Any) -> None:
        self._callee, self._args, self._kwargs, self._nested = state

    def evaluate(self, lookup: Callable[[Any], Any]) -> Any:
        if self._nested:
            args = [fill(value, lookup) for value in self._args]
        else:
            args = [lookup(a) if type(a) in PLACEHOLDERS else a for a in self._args]
        if self._kwargs is None:
            return self._callee.func(*args)
        kwargs = {name: fill(value, lookup) for name, value in self._kwargs.items()}
        return self._callee.func(*args, **kwargs)

    def call(
        self, values: Sequence[Any], needs: Sequence[int], lookup: Callable[[Any], Any]
    ) -> Any:
        """Do as `evaluate`, where values are numbered.

        Parameters
        ----------
        values : sequence
        needs : sequence of int
            The distinct nodes it depends on, in argument order; equal ones may share a number.
        lookup : callable
            As for `evaluate`; asked only where `needs` does not tell which argument is which.
        """
        if self._nested or self._kwargs is not None:
            return self.evaluate(lookup)
        args = self._args
        if len(args) == 1:  # as most have
            return self._callee.func(values[needs[0]] if needs else args[0])
        if len(needs) == len(args):  # each is a node of its own
            return self._callee.func(*[values[need] for need in needs])
        return self.evaluate(lookup)


class OpFactory(Callee, Generic[R]):
    """What `op` returns: called like the function, it builds an `Op` instead.

    Attributes
    ----------
    func : callable
        The plain function.
    """

    def __call__(self, /, *args: Any, **kwargs: Any) -> Op[R]:
        """Build the node of one call; nothing is computed yet."""
        shape = (len(args), *kwargs) if kwargs else len(args)
        if shape not in self._fitting:
            self.check_arity(args, kwargs)
        for _ in _promoter.until_step:  # asks an iterator, and costs half of what `next` does
            break
        else:
            _promoter.step()
        node: Op[R] = _new(Op)
        node._callee = self
        node._args = args
        node._kwargs = None
        node._label = None
        node._key = None
        node._nested = False
        node._place = -1
        # Calls in a loop come from one place, whose site the factory remembers.
        frame, site = _getframe(1), self._site
        if frame.f_code is not site[0] or frame.f_lasti != site[1]:
            site = self._site = site_of(frame, site)
        node._site = site
        for value in args:
            if type(value) not in _FLAT:
                node._args = _enclose_all(node, args)
                break
        if kwargs:
            node._kwargs = dict(zip(kwargs, _enclose_all(node, kwargs.values()), strict=True))
        return node

    def bare(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> Op[R]:
        """Build a node without looking into its arguments.

        Parameters
        ----------
        args : tuple
            Nodes among them count; containers that hold nodes are `Nested` by now.
        kwargs : dict, optional
        """
        node: Op[R] = _new(Op)
        node._restore(self, args, kwargs or None, any(type(value) is Nested for value in args))
        node._label = node._key = node._site = None
        node._place = -1
        return node

    def options(self, **options: Any) -> OpFactory[R]:
        """Return a copy with these options changed; see `op`."""
        return OpFactory(self.func, Options.of({**self.settings.given(), **options}))

    @overload
    def __get__(self, owner: None, cls: type) -> OpFactory[R]: ...
    @overload
    def __get__(self, owner: object, cls: type) -> _Bound[R]: ...
    def __get__(self, owner: object, cls: type) -> OpFactory[R] | _Bound[R]:
        return self if owner is None else _Bound(self, owner)

    def __repr__(self) -> str:
        return f"<op {self.__qualname__}>"


class _Bound(Generic[R]):
    """An op found on an instance, as a bound method is a function found on one."""

    __slots__ = ("__func__", "__self__")

    def __init__(self, factory: OpFactory[R], owner: object) -> None:
        self.__func__ = factory
        self.__self__ = owner

    @property
    def func(self) -> Callable[..., Any]:
        return cast("Callable[..., Any]", self.__func__.func.__get__(self.__self__))

    def __call__(self, /, *args: Any, **kwargs: Any) -> Op[R]:
        return self.__func__(self.__self__, *args, **kwargs)

    def options(self, **options: Any) -> _Bound[R]:
        return _Bound(self.__func__.options(**options), self.__self__)

    def __repr__(self) -> str:
        return f"<bound op {self.__func__.__qualname__}>"


class _Decorator(Protocol):
    @overload
    def __call__(self, func: OpFactory[R], /) -> OpFactory[R]: ...
    @overload
    def __call__(self, func: Callable[..., Coroutine[Any, Any, R]], /) -> OpFactory[R]: ...
    @overload
    def __call__(self, func: Callable[..., R], /) -> OpFactory[R]: ...


@overload
def op(func: OpFactory[R], /, **options: Unpack[OptionNames]) -> OpFactory[R]: ...
@overload
def op(
    func: Callable[..., Coroutine[Any, Any, R]], /, **options: Unpack[OptionNames]
) -> OpFactory[R]: ...
@overload
def op(func: Callable[..., R], /, **options: Unpack[OptionNames]) -> OpFactory[R]: ...
@overload
def op(**options: Unpack[OptionNames]) -> _Decorator: ...
def op(func: Any = _NOT_GIVEN, /, **options: Any) -> Any:
    """Turn a function into a factory of nodes; usable as a decorator, with options or without.

    Parameters
    ----------
    func : callable
        A plain or an ``async def`` function; anything that can be called.
    label : str, optional
        Shown for its nodes; default: the function's name.
    retries : int, optional
        More attempts after a failure; default: the executor's.
    retry_on : exception type, tuple of them, or predicate, optional
        Which failures are tried again; default: any `Exception`.
    retry_delay : float, optional
        First wait before another attempt, in seconds; then exponential, with jitter.
    timeout : float, optional
        Seconds for one attempt.
    max_losses : int, optional
        How often it may start again because a worker was lost; 0 for calls with side effects.
    nout : int, optional
        The length of its result, so that ``a, b = node`` works.
    pure : bool, optional
        Equal calls are computed once a graph and may be reused.
    after : nodes, optional
        Nodes that must finish first without giving data.
    priority : float, optional
        Higher runs first.
    resources : dict of str to float, optional
        What each call needs of the executor's or the workers' resources.
    workers : str or list of str, optional
        Addresses or names of the Dask workers that may run it.

    Returns
    -------
    OpFactory
        Calling it builds an `Op`; ``.options(…)`` gives a changed copy; ``.func`` is `func`.

    Raises
    ------
    TypeError, ValueError
        If `func` cannot be called, or an option makes no sense.

    Examples
    --------
    >>> @op(retries=3)
    ... def load(path): ...
    >>> load("a.csv").label
    'load'
    """
    settings = Options.of(options)
    options = {name: getattr(settings, name) for name in options}  # `after` may be an iterator
    if func is _NOT_GIVEN:
        return lambda decorated: op(decorated, **options)
    if isinstance(func, (OpFactory, _Bound)):
        return func.options(**options) if options else func
    return OpFactory(func, settings)


# Types of arguments that need no search: atoms, and every kind of node there is.
_FLAT: set[type] = {int, float, str, bytes, bool, type(None), Op, DataNode, IndexNode, CollectNode}

_factories: weakref.WeakValueDictionary[int, OpFactory[Any]] = weakref.WeakValueDictionary()


def _factory_for(func: Callable[..., Any]) -> OpFactory[Any] | _Bound[Any]:
    """Return the factory for ``Op(func, …)``, the same one as long as a node uses it."""
    if isinstance(func, (OpFactory, _Bound)):
        return func
    factory = _factories.get(id(func))
    if factory is None or factory.func is not func:
        factory = _factories[id(func)] = OpFactory(func, Options())
    return factory


def _enclose_all(node: Op[Any], values: Iterable[Any]) -> tuple[Any, ...]:
    enclosed = tuple(enclose(value, _adopt) for value in values)
    if any(type(value) is Nested for value in enclosed):
        node._nested = True
    return enclosed


def _adopt(value: Any) -> Any:
    """Return a node for what is Dask's, and is computed in the same graph; see `from_dask`."""
    from .interop.collections import node_of  # here, as it loads dask, which is there by now

    return node_of(value)


def _shown(value: Any) -> Any:
    return value.fill(lambda node: node) if type(value) is Nested else value


def _operate(_: DispatchNode[Any], func: Callable[..., Any], *args: Any) -> Op[Any]:
    factory = _operators.get(func)
    if factory is None:
        factory = _operators[func] = OpFactory(func, Options())
    return factory(*args)


_operators: dict[Any, OpFactory[Any]] = {}
# An operation on nodes is an Op and an Op is a node: the circle is closed here, not by an import.
BUILDERS.update({_operate.__code__.co_filename, DispatchNode.__add__.__code__.co_filename})
DispatchNode._operate = _operate  # type: ignore[method-assign, assignment]
