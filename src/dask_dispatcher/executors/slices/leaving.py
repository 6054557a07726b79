"""Leaving out of packed nodes those that cannot be sent, and what follows on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import SerializationError, shown

if TYPE_CHECKING:
    from ...nodes import DispatchNode
    from ...plan import Plan
    from .packing import Packed

__all__ = ["Failed", "leave_out", "refuse"]

Failed = list[tuple[int, Exception]]
"""Nodes that cannot travel, and why."""


def leave_out(packed: Packed, plan: Plan, missing: Mapping[int, Exception | None]) -> Failed:
    """Leave out the nodes that take something that is missing, and what follows on them.

    Parameters
    ----------
    packed : Packed
    plan : Plan
    missing : mapping of int to Exception or None
        Values and literals by their numbers; None: it is lost only at the moment.

    Returns
    -------
    list of (int, Exception)
        The nodes that fail for it.
    """
    if not missing:
        return []
    kept = []
    failed: Failed = []
    gone = set(missing)
    for entry in packed.entries:
        number, _, args, where, _ = entry
        taken = (*plan.needs[number], *(args[place] for place in where if place >= 0))
        absent = [need for need in taken if need in gone]
        if not absent:
            kept.append(entry)
            continue
        gone.add(number)
        error = next((e for n in absent if (e := missing.get(n)) is not None), None)
        if error is not None:
            failed.append((number, error))
    packed.entries = kept
    return failed


def refuse(packed: Packed, plan: Plan, refused: Mapping[int, SerializationError]) -> Failed:
    """Leave out the nodes whose functions cannot travel, by their targets, and what follows on them.

    Returns
    -------
    list of (int, SerializationError)
        The nodes that fail for it.
    """
    if not refused:
        return []
    failed: Failed = [
        (number, _named(plan.nodes[number], refused[target]))
        for number, target, *_ in packed.entries
        if target in refused
    ]
    packed.entries = [entry for entry in packed.entries if entry[1] not in refused]
    leave_out(packed, plan, dict.fromkeys(number for number, _ in failed))
    return failed


def _named(node: DispatchNode[object], cause: SerializationError) -> SerializationError:
    text = f"{shown(node.label)} cannot travel to a worker: {cause}"
    error = SerializationError(text, node=node, label=node.label)
    error.__cause__ = cause.__cause__
    return error
