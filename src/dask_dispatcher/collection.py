"""What makes a node a Dask collection: the methods that Dask looks for.

``dask.compute(node)``, ``dask.visualize(node)`` and nodes among the arguments of ``dask.delayed``
work by these. What they return is made in `interop.protocol`, which loads Dask when it is asked
for: building nodes and running them needs none of it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Collection"]


class Collection:
    """Base of all nodes, for Dask's eyes."""

    __slots__ = ()

    @property
    def key(self) -> str:
        raise NotImplementedError

    def __dask_graph__(self) -> Any:
        return _protocol().graph_of(self)

    def __dask_keys__(self) -> list[str]:
        return [self.key]

    def __dask_layers__(self) -> tuple[str]:
        return (self.key,)

    def __dask_tokenize__(self) -> str:
        return self.key

    def __dask_postcompute__(self) -> Any:
        return _protocol().postcompute()

    def __dask_postpersist__(self) -> Any:
        return _protocol().postpersist(self)

    @property
    def __dask_optimize__(self) -> Any:
        return _protocol().OPTIMIZE

    @property
    def __dask_scheduler__(self) -> Any:
        return _protocol().DEFAULT_GET


def _protocol() -> Any:
    from .interop import protocol

    return protocol
