"""`dumps`: cloudpickle, and functions that keep the name of their file.

From 3.1.3 on cloudpickle gives functions that travel by value a made-up file name, so that equal ones
pickle to equal bytes. Then no traceback could show the user's own lines. What is pickled here is
compared with nothing, so code keeps its file.
"""

from __future__ import annotations

import io
from collections import ChainMap
from collections.abc import Callable
from types import CodeType
from typing import Any, ClassVar

import cloudpickle

__all__ = ["Pickler", "dumps"]

_TABLE = cloudpickle.Pickler.dispatch_table


def _with_file(code: CodeType) -> tuple[Any, ...]:
    """Return cloudpickle's recipe for a code object, and where the code is from."""
    return _restored, (*_TABLE[CodeType](code), code.co_filename)


def _restored(build: Callable[..., CodeType], parts: tuple[Any, ...], file: str) -> CodeType:
    return build(*parts).replace(co_filename=file)


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Cloudpickle's pickler, but for the file names of code."""

    dispatch_table: ClassVar[ChainMap[Any, Any]] = ChainMap({CodeType: _with_file}, _TABLE)


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
