"""``FILE.py:NAME`` and ``module:NAME``: what a command line names, as nodes."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from ..errors import safe_text
from ..graph import DispatchGraph
from ..nodes import DispatchNode
from .refusing import Refused

__all__ = ["Target", "load_target"]

Target = DispatchGraph | list[DispatchNode[Any]]


def load_target(text: str) -> Target:
    """Import what `text` names, and return it as a graph or a list of nodes.

    A function without arguments is called; a single node becomes a list of one.

    Raises
    ------
    Refused
        If there is no such thing, importing it fails, or it is not made of nodes.
    """
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise Refused(f"{text!r} names no graph: FILE.py:NAME or module:NAME")
    module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise Refused(f"{place} has no {name!r}")
        found = getattr(found, part)
    return _as_target(text, found)


def _as_target(text: str, found: Any) -> Target:
    if callable(found) and not isinstance(found, DispatchNode):
        found = _guarded(f"{text} failed", found)
    if isinstance(found, DispatchGraph):
        return found
    nodes = [found] if isinstance(found, DispatchNode) else found
    if isinstance(nodes, Iterable) and not isinstance(nodes, (str, bytes, dict)):
        nodes = list(nodes)
        if nodes and all(isinstance(node, DispatchNode) for node in nodes):
            return nodes
    raise Refused(
        f"{text} is no node, list of nodes or graph, nor a function that returns one: it is of type "
        f"{type(found).__name__}"
    )


def _import_module(name: str) -> ModuleType:
    # As `python -m` has it: modules beside the user are found.
    if "" not in sys.path:
        sys.path.insert(0, "")
    module: ModuleType = _guarded(f"cannot import {name}", lambda: importlib.import_module(name))
    return module


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise Refused(f"{path} does not exist" if not path.exists() else f"{path} is no file")
    # As `python FILE.py` has it: modules beside the file are found.
    sys.path.insert(0, str(path.resolve().parent))
    name = path.stem
    if name in sys.modules or name in sys.stdlib_module_names:  # which others go on needing
        name = f"dispatch_{name}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # Workers do not have the file: what is in it travels whole, as what is in a script does.
    cloudpickle.register_pickle_by_value(module)
    loader = spec.loader
    _guarded(f"cannot import {path}", lambda: loader.exec_module(module))
    return module


def _guarded(what: str, function: Any) -> Any:
    try:
        return function()
    except (Exception, SystemExit) as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        where = f" ({line.filename}:{line.lineno})" if error.__traceback__ else ""
        text = f"{what}: {type(error).__name__}: {safe_text(error, 1_000)}{where}"
        raise Refused(text) from error
