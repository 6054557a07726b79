"""`Packets`: all that a worker needs in order to run some nodes, in one message."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import SerializationError
from ...schedule import DONE
from ..slices.carrying import ATOMS, SMALL
from ..slices.leaving import Failed, leave_out, refuse
from .places import Place, in_file, in_memory
from .values import Copy, Given, Held, Pickled

if TYPE_CHECKING:
    from ..slices.carrying import Dumped
    from ..slices.packing import Packed
    from .job import Job
    from .memory import Identity
    from .process import WorkerProcess

__all__ = ["Packet", "Packets"]

_STAND_INS = (Pickled, Held, Given)  # for values that do not travel as they are


class Packet:
    """What is sent.

    Attributes
    ----------
    packed : Packed
        The nodes.
    given : tuple
        Functions; numbers of atoms, and the atoms; pickled values by number; numbers, keys and
        places of large values.
    holds : list
        What must stay where it is until the worker has answered.
    """

    __slots__ = ("given", "holds", "packed")

    def __init__(self, packed: Packed, given: tuple[Any, ...], holds: list[Any]) -> None:
        self.packed = packed
        self.given = given
        self.holds = holds


class Packets:
    """Packs nodes for workers.

    Parameters
    ----------
    identity : Identity
        Of the program's process, where large literals are.
    folder : str
        For files, where workers cannot read the program's memory.
    release : callable
        Told of copies that nobody needs any more.
    """

    def __init__(self, identity: Identity, folder: str, release: Callable[[Copy], None]) -> None:
        self._identity = identity
        self._folder = folder
        self._release = release
        self._is_readable = True

    def note_reader(self, can_read: bool) -> None:
        """Note whether a worker can read the program's memory."""
        self._is_readable = self._is_readable and can_read

    def pack(self, job: Job, worker: WorkerProcess, numbers: list[int]) -> tuple[Packet, Failed]:
        """Pack nodes of one run for one worker.

        Returns
        -------
        packet : Packet
            Without the nodes that cannot travel, and without those that need a value which is lost
            at the moment.
        failed : list of (int, Exception)
            The nodes that cannot travel.
        """
        packed, failed = job.packer.pack(numbers)
        # Two lists: a node may take a hundred thousand values, and a dictionary is four times that.
        known: list[int] = []
        atoms: list[Any] = []
        pickled = packed.small
        places: list[tuple[int, Any, Place]] = []
        holds: list[Any] = []
        missing: dict[int, Exception | None] = {}
        values, state = job.state.values, job.schedule.state
        for need in packed.needs:
            value = values[need]
            if value is None and state[need] != DONE:
                continue  # in the slice before this one
            # The first is true of nearly all, in a graph of tiny calls.
            if type(value) in ATOMS or not isinstance(value, _STAND_INS):
                known.append(need)
                atoms.append(value)
            elif isinstance(value, Pickled):
                pickled[need] = value.data
            elif isinstance(value, Held):
                if value.source is None:
                    missing[need] = None
                else:
                    # A worker that has it already, or made it, takes its own.
                    value.note_copy(worker, self._release)
                    places.append((need, value.key, value.source.place))
                    holds.append((value, value.source))
            else:
                try:
                    self._give(value, need, worker, pickled, places, holds)
                except Exception as error:
                    missing[need] = error
        for literal in dict.fromkeys(packed.large):
            try:
                places.append((literal, (job.serial, literal), self._literal(job, literal)))
            except OSError as error:
                missing[literal] = error
        # First, as the worker is told only of functions that come with entries: a packet without any
        # is never sent.
        failed = [*failed, *leave_out(packed, job.state.plan, missing)]
        functions, more = self._functions(job, worker, packed)
        given = functions, (known, atoms), pickled, places
        return Packet(packed, given, holds), [*failed, *more]

    def _give(
        self,
        given: Given,
        number: int,
        worker: WorkerProcess,
        pickled: dict[int, bytes],
        places: list[tuple[int, Any, Place]],
        holds: list[Any],
    ) -> None:
        data, buffers = given.dumped()
        if not buffers and len(data) <= SMALL:
            pickled[number] = data
            return
        if given.place is None:
            given.place = self._own_place((data, buffers))
        given.note_copy(worker)
        places.append((number, given.key, given.place))
        holds.append(given)

    def _literal(self, job: Job, literal: int) -> Place:
        place = job.places.get(literal)
        if place is None:
            place = job.places[literal] = self._own_place(job.packer.large[literal])
        return place

    def _own_place(self, dumped: Dumped) -> Place:
        if self._is_readable:
            return in_memory(self._identity, dumped)
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        return in_file(self._folder, dumped)

    def forget(self, job: Job) -> None:
        """Let the literals of a run that is over go."""
        for place in job.places.values():
            if place[0] == "file":
                os.unlink(place[1])
        job.places.clear()

    def _functions(
        self, job: Job, worker: WorkerProcess, packed: Packed
    ) -> tuple[list[tuple[int, bytes]], Failed]:
        """Return the functions to send along; leave out the nodes of those that cannot travel."""
        functions: list[tuple[int, bytes]] = []
        refused: dict[int, SerializationError] = {}
        for target in packed.functions:
            try:
                functions += job.functions_for(worker, {target})
            except SerializationError as error:
                refused[target] = error
        return functions, refuse(packed, job.state.plan, refused)
