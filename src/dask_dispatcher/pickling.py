"""`dumps`: cloudpickle, functions that keep the name of their file, and arrays no larger than they are.

From 3.1.3 on cloudpickle gives functions that travel by value a made-up file name, so that equal ones
pickle to equal bytes. Then no traceback could show the user's own lines. What is pickled here is
compared with nothing, so code keeps its file.

What the user's script defines travels by value also where that script is not ``__main__``: processes
that multiprocessing spawns have it as ``__mp_main__``, a name that nobody else can import.

An array that repeats itself by strides of zero, as ``numpy.broadcast_to`` and Dask's ``ones`` make
them, travels as what it repeats: numpy would write out every element.
"""

from __future__ import annotations

import copyreg
import io
import sys
from collections.abc import Callable
from types import CodeType
from typing import IO, Any

import cloudpickle

__all__ = ["SCRIPTS", "Pickler", "dumps", "is_plain_array"]

SCRIPTS = frozenset({"__main__", "__mp_main__"})
"""Names under which a process has the user's script, as no other process does."""

_TABLE = cloudpickle.Pickler.dispatch_table
_CLOUDPICKLES = _TABLE.maps[0]  # the others are copyreg's


def _with_file(code: CodeType) -> tuple[Any, ...]:
    """Return cloudpickle's recipe for a code object, and where the code is from."""
    return _restored, (*_TABLE[CodeType](code), code.co_filename)


def _restored(build: Callable[..., CodeType], parts: tuple[Any, ...], file: str) -> CodeType:
    return build(*parts).replace(co_filename=file)


def _compact(array: Any) -> tuple[Any, ...]:
    """Return numpy's recipe for an array, or that of the part that it repeats, and its shape."""
    if array.flags.writeable or 0 not in array.strides:
        return array.__reduce_ex__(5)  # type: ignore[no-any-return]
    part = array[tuple(slice(None if stride else 1) for stride in array.strides)]
    return _repeated, (part.copy(), array.shape)


def _repeated(part: Any, shape: tuple[int, ...]) -> Any:
    import numpy

    return numpy.broadcast_to(part, shape)


_OWN: dict[type, Callable[[Any], tuple[Any, ...]]] = {CodeType: _with_file}


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Cloudpickle's pickler, but for file names, spawned scripts, and arrays that repeat themselves."""

    def __init__(self, file: IO[bytes], **options: Any) -> None:
        if (numpy := sys.modules.get("numpy")) is not None and hasattr(numpy, "ndarray"):
            _OWN[numpy.ndarray] = _compact
        if (script := sys.modules.get("__mp_main__")) is not None:
            cloudpickle.register_pickle_by_value(script)
        # As one dict: every object of a type that is not there would cost two misses of a ChainMap.
        self.dispatch_table = {**copyreg.dispatch_table, **_CLOUDPICKLES, **_OWN}
        super().__init__(file, **options)


def is_plain_array(value: Any) -> bool:
    """Return whether a value is a numpy array or scalar that is nothing to cloudpickle.

    `pickle` takes half as long, and does the same.
    """
    numpy, kind = sys.modules.get("numpy"), type(value)
    if kind is getattr(numpy, "ndarray", None):
        if not value.flags.writeable and 0 in value.strides:
            return False  # it may repeat itself
    elif not issubclass(kind, getattr(numpy, "generic", ())) or value.dtype.type is not kind:
        return False
    dtype = value.dtype
    return dtype.fields is None and dtype.metadata is None and not dtype.hasobject


def dumps(value: Any, buffer_callback: Callable[[Any], Any] | None = None) -> bytes:
    """Pickle a value, lambdas, closures and a notebook's functions included.

    Parameters
    ----------
    value : object
    buffer_callback : callable, optional
        Takes the large buffers of pickle protocol 5, as with `pickle.dumps`.
    """
    with io.BytesIO() as file:
        Pickler(file, protocol=5, buffer_callback=buffer_callback).dump(value)
        return file.getvalue()
