"""What Dask's annotations ask of a task, as our options.

``retries``, ``priority``, ``resources`` and ``workers`` mean the same on both sides. A node's
``workers`` are binding, so with ``allow_other_workers`` they are left out. All other annotations
are somebody else's.

Those of a layer come with its graph; those in force where a graph is computed, and the arguments of
``compute``, hold for all tasks that say nothing themselves, as on Dask's own scheduler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..options import Options

if TYPE_CHECKING:
    from .tasks import Key

__all__ = ["options_by_key"]

_KNOWN = ("retries", "priority", "resources", "workers", "allow_other_workers")


def options_by_key(
    annotations: Mapping[str, Mapping[Key, Any]],
    for_all: Mapping[str, Any],
    keys: Iterable[Key],
) -> dict[Key, Options]:
    """Return the options of each task that has any; equal ones are one object.

    Parameters
    ----------
    annotations : mapping of name to mapping of key to value
    for_all : mapping of name to value
    keys : iterable of key
        All tasks.

    Examples
    --------
    >>> options_by_key({"retries": {"x": 2}}, {}, ["x", "y"])["x"].retries
    2
    """
    common = {name: for_all[name] for name in _KNOWN if for_all.get(name) is not None}
    single = {name: annotations[name] for name in _KNOWN if annotations.get(name)}
    annotated = keys if common else dict.fromkeys(k for found in single.values() for k in found)
    made: dict[str, Options] = {}
    options = {}
    for key in annotated:
        asked = {**common, **{name: found[key] for name, found in single.items() if key in found}}
        # By their text: they may hold lists and dicts, and few of them differ.
        text = repr(asked)
        if text not in made:
            made[text] = _options(asked)
        options[key] = made[text]
    return options


def _options(asked: Mapping[str, Any]) -> Options:
    workers = None if asked.get("allow_other_workers") else asked.get("workers")
    retries, priority = asked.get("retries"), asked.get("priority") or 0
    return Options(
        retries=None if retries is None else int(retries),
        # Dask takes any number, numpy's included.
        priority=priority if type(priority) in (int, float) else float(priority),
        resources=asked.get("resources"),
        workers=workers or (),
    )
