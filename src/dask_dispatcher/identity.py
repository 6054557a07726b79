"""What makes a node the same node elsewhere: its key, and how it pickles.

Both walk a node's ancestors without recursion, since a chain of nodes may be a hundred thousand
long.

Keys are made when first asked for. A `pure` node's key hashes its function and arguments, other
nodes by their keys; all others are random.

Pickle by itself would recurse from a node into its arguments. So the first node that a pickler
meets brings its ancestors along, dependencies first; when one of them comes up again it is in the
pickler's memo already. What a pickler has been given is remembered for as long as that pickler
lives.
"""

from __future__ import annotations

import threading
import uuid
import weakref
from typing import TYPE_CHECKING, Any

from .errors import one
from .tokens import tokenize

if TYPE_CHECKING:
    from collections.abc import Container

    from .nodes import DispatchNode

__all__ = ["ancestors", "ancestors_first", "assign_key"]

_key_lock = threading.Lock()  # guards DispatchNode._key: a key, once seen, never changes


def ancestors(node: DispatchNode[Any], known: Container[Any] = ()) -> list[DispatchNode[Any]]:
    """Return what `node` depends on, dependencies first, without `node` and those in `known`."""
    order: dict[DispatchNode[Any], None] = {}
    stack = [(node, iter(node.dependencies))]
    while stack:
        current, rest = stack[-1]
        for dependency in rest:
            if dependency not in order and dependency not in known:
                stack.append((dependency, iter(dependency.dependencies)))
                break
        else:
            order[current] = None
            stack.pop()
    del order[node]
    return list(order)


def assign_key(node: DispatchNode[Any]) -> None:
    """Give `node` its key, if it has none.

    Raises
    ------
    TypeError
        If `node` is pure and something in its function or arguments has no deterministic hash.
    """
    pending = [node]
    if node._is_pure():
        pending = [n for n in ancestors(node) if n._key is None and n._is_pure()] + pending
    for current in pending:
        key = (
            _pure_key(current)
            if current._is_pure()
            else f"{_slug(current.label)}-{uuid.uuid4().hex}"
        )
        with _key_lock:
            if current._key is None:
                current._key = key


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name[:40])


def _pure_key(node: Any) -> str:
    parts = [("function", node.func)]
    parts += [(f"argument {n}", value) for n, value in enumerate(node._args)]
    # A call's keyword arguments have names, and no order.
    named = sorted((node._kwargs or {}).items(), key=lambda pair: pair[0])
    parts += [(f"argument {name!r}", value) for name, value in named]
    return f"{_slug(node._callee.__name__)}-{tokenize([_token(node, *part) for part in parts])}"


def _token(node: DispatchNode[Any], what: str, value: Any) -> str:
    try:
        return f"{what} {tokenize(value)}"
    except Exception as error:
        raise TypeError(
            f"{node!r} is pure, but its {what}, {one(type(value))}, cannot be hashed the "
            "same way in every interpreter; give its class __dask_tokenize__, or drop pure=True"
        ) from error


class _Session:
    """What one pickler has been given; the pickler's memo keeps it alive, and nobody else.

    A node has no way to ask which pickler is at work. But a pickler asks a session to reduce only
    if it does not know it, and right after it asked a node to: so the session finds out.
    """

    def __init__(self) -> None:
        self.listed: set[DispatchNode[Any]] = set()
        self.node: DispatchNode[Any] | None = None
        self._is_taken = False
        _local.sessions.append(weakref.ref(self))

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._is_taken:
            self._is_taken = True
            return _ignore, ()
        # Another pickler, at work while the first one lives: it gets a session of its own.
        assert self.node is not None
        return _ignore, ancestors_first(self.node, _Session())


class _Ancestors:
    """The ancestors of a node, to be listed when a pickler comes to them."""

    __slots__ = ("node",)

    def __init__(self, node: DispatchNode[Any]) -> None:
        self.node = node

    def __reduce__(self) -> tuple[Any, ...]:
        session = _session()
        listed = ancestors(self.node, session.listed)
        session.listed.update(listed, (self.node,))
        return _ignore, tuple(listed)


class _Local(threading.local):
    def __init__(self) -> None:
        self.sessions: list[weakref.ref[_Session]] = []


_local = _Local()


def _session() -> _Session:
    """Return the session of the pickler that began last in this thread and is still there."""
    sessions = _local.sessions
    while sessions:
        session = sessions[-1]()
        if session is not None:
            return session
        sessions.pop()
    return _Session()


def ancestors_first(node: DispatchNode[Any], session: _Session | None = None) -> tuple[Any, ...]:
    """Return what must be pickled before `node`, to be ignored when it is unpickled."""
    session = session or _session()
    session.node = node
    return (session,) if node in session.listed else (session, _Ancestors(node))


def _ignore(*_: Any) -> None:
    """Stand for what was pickled only to be in the memo."""
