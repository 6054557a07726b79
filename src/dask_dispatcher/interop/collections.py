"""Dask's collections as nodes.

Dask optimises a collection, and says what is to be computed, by calling a scheduler: ours to it is
`nodes_for`, which computes nothing and returns nodes. So whatever Dask's optimisers do is done, for
collections of today's kind (data frames) and of the older (arrays, bags, delayed) alike.

A collection among the arguments of an Op becomes a node too; the same one for each Op, as long as
one of them is there.
"""

from __future__ import annotations

import weakref
from typing import Any, cast

from dask.base import collections_to_expr, compute, is_dask_collection, tokenize

from ..nodes import DispatchNode
from .futures import future_node, is_future
from .getting import nodes_for

__all__ = ["from_dask", "from_dask_keys", "node_of"]


def from_dask(collection: Any) -> DispatchNode[Any]:
    """Return a node for the value of a Dask collection: what its ``compute()`` would return.

    All of its tasks are nodes, which run as part of whatever graph they are in. A collection that
    is an argument of an Op becomes such a node by itself.

    Parameters
    ----------
    collection : Delayed, Array, Bag, DataFrame or any other Dask collection

    Returns
    -------
    DispatchNode

    Raises
    ------
    TypeError
        If it is no Dask collection.

    Examples
    --------
    >>> import dask
    >>> from dask_dispatcher import AsyncExecutor, from_dask
    >>> three = from_dask(dask.delayed(abs)(-3))
    >>> with AsyncExecutor() as executor:
    ...     executor.compute(three + 1)
    4
    """
    (node,) = compute(_checked(collection), traverse=False, scheduler=nodes_for)
    return cast("DispatchNode[Any]", node)


def from_dask_keys(collection: Any) -> Any:
    """Return a node for each key of a Dask collection: for each block, partition or value.

    Parameters
    ----------
    collection : Delayed, Array, Bag, DataFrame or any other Dask collection

    Returns
    -------
    nested tuples of DispatchNode
        In the shape of ``collection.__dask_keys__()``: of an array, one level a dimension.

    Raises
    ------
    TypeError
        If it is no Dask collection.

    Examples
    --------
    >>> import dask.bag
    >>> from dask_dispatcher import AsyncExecutor, from_dask_keys, op
    >>> partitions = from_dask_keys(dask.bag.from_sequence([1, 2, 3, 4], npartitions=2))
    >>> with AsyncExecutor() as executor:
    ...     executor.compute([op(sum)(part) for part in partitions])
    [3, 7]
    """
    expression = collections_to_expr(_checked(collection)).optimize()
    return nodes_for(expression, expression.__dask_keys__())


def node_of(value: Any) -> Any:
    """Return the node for what Dask would compute among arguments; anything else as it is.

    Parameters
    ----------
    value : object
        Of a type that `is_dask_type` takes for Dask's; what it is, it knows itself.
    """
    if is_future(value):
        return future_node(value)
    if not is_dask_collection(value):
        return value
    # An array may be changed in place, and has another token then.
    token = id(value), tokenize(value)
    node = _nodes.get(token)
    if node is None:
        node = _nodes[token] = from_dask(value)
        _sources[node] = value
    return node


# A collection lives as long as its node, so that its id stays its own.
_nodes: weakref.WeakValueDictionary[tuple[int, str], DispatchNode[Any]]
_nodes = weakref.WeakValueDictionary()
_sources: weakref.WeakKeyDictionary[DispatchNode[Any], Any] = weakref.WeakKeyDictionary()


def _checked(collection: Any) -> Any:
    if not is_dask_collection(collection):
        raise TypeError(f"a Dask collection is needed here, not {type(collection).__name__}")
    return collection
