"""The section ``dispatcher`` of Dask's configuration: its defaults, and values in our own types.

Files, environment and ``dask.config.set`` are Dask's business; durations are written as everywhere
in Dask: ``30s``, ``500ms``, ``2 minutes``, or a number of seconds; sizes too: ``100kB``, ``1 MiB``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import dask.config
import yaml
from dask.utils import parse_bytes, parse_timedelta

__all__ = ["seconds", "setting", "size"]

_SECTION = "dispatcher"

# As Dask's own parts do it: on import, so that `dask config list` has them. What the user has set
# stays.
_defaults = (files(__package__) / "dispatcher.yaml").read_text(encoding="utf-8")
dask.config.update_defaults(yaml.safe_load(_defaults))


def setting(name: str) -> Any:
    """Return a setting of the section.

    Examples
    --------
    >>> setting("max-losses")
    3
    """
    return dask.config.get(f"{_SECTION}.{name}")


def seconds(name: str) -> float | None:
    """Return a setting that is a duration, in seconds; None if it is set to none.

    Raises
    ------
    ValueError
        If it is no duration.

    Examples
    --------
    >>> seconds("retry-delay")
    0.1
    """
    value = setting(name)
    if value is None:
        return None
    return float(_parsed(name, lambda: parse_timedelta(value, default="s"), "duration"))


def size(name: str) -> int:
    """Return a setting that is a size, in bytes.

    Raises
    ------
    ValueError
        If it is no size.

    Examples
    --------
    >>> size("large-argument")
    100000
    """
    value = setting(name)
    return int(_parsed(name, lambda: parse_bytes(value), "size"))


def _parsed(name: str, parse: Callable[[], float], what: str) -> float:
    try:
        return parse()
    except (AttributeError, KeyError, TypeError, ValueError):
        text = f"{_SECTION}.{name} is no {what}: {setting(name)!r:.100}"
        raise ValueError(text) from None
