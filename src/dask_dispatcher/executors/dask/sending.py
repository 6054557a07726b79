"""`Sender`: nodes of a run as a Dask task.

What a group becomes::

    client.submit(apply, Task(loads, <bytes of a Parcel>), <futures of large inputs>, workers=[one])

``apply`` and ``loads`` are names that every scheduler knows, so it needs nothing of ours or the
user's. Small inputs ride along in the bytes, and so do small literals; large ones are scattered once
(`Scatterer`), and nodes that take one are sent when it is there.
"""

from __future__ import annotations

import contextlib
import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.config
from dask._task_spec import Task
from dask.utils import apply as dask_apply

from ...config import size
from ...deferred.links import home
from ...errors import SerializationError, WorkerLostError, shown
from ...ops import Op
from ...schedule import DONE
from ..slices.carrying import ATOMS, Dumped
from ..slices.packing import BUILT_IN
from ..slices.passing import passing_in
from .parcels import Parcel
from .running import BUDGET
from .scattering import Scattered
from .values import Given, Held, Pickled

if TYPE_CHECKING:
    import distributed

    from ..slices.packing import Entry
    from .batches import Batch
    from .connection import Connection
    from .job import Job
    from .members import Member
    from .scattering import Scatterer

__all__ = ["Sender", "Sent"]

_PATIENCE = 2.0  # times what a group is expected to take, until it gives back what has not begun


class Sent(NamedTuple):
    """What became of a batch.

    Attributes
    ----------
    name : str
        Of the Dask task.
    future : distributed.Future or None
        None if nothing was left to send.
    numbers : list of int
        The nodes that were sent.
    depends : set of str
        The names of the groups whose results are needed.
    failed : list of (int, Exception)
        The nodes that cannot travel.
    scattered : dict of Scattered to distributed.Future
        The large values of the program's that are needed.
    awaits : Scattered or None
        One that is still on its way; whoever is neither sent nor failed has to wait for it.
    """

    name: str
    future: distributed.Future[Any] | None
    numbers: list[int]
    depends: set[str]
    failed: list[tuple[int, Exception]]
    scattered: dict[Scattered, distributed.Future[Any]]
    awaits: Scattered | None


class _Inputs:
    """What a parcel takes along, as it is collected.

    Parameters
    ----------
    pickled : dict of int to bytes
    name : str
        Of the group.
    address : str
        Of the worker it goes to.
    """

    def __init__(self, pickled: dict[int, bytes], name: str, address: str) -> None:
        self.name, self.address = name, address
        self.atoms: dict[int, Any] = {}
        self.pickled = pickled
        self.dumped: dict[int, tuple[bytes, list[bytearray]]] = {}
        self.parts: list[tuple[int, int, int]] = []
        self.futures: dict[Any, int] = {}  # by future: its position
        self.depends: set[str] = set()
        self.is_borrowed = False  # whether Dask alone knows where some of it is, or will be
        self.scattered: dict[Scattered, distributed.Future[Any]] = {}
        self.missing: dict[int, Exception | None] = {}
        self.awaits: Scattered | None = None

    def carry(self, number: int, dumped: Dumped) -> None:
        data, buffers = dumped
        self.dumped[number] = data, [bytearray(buffer) for buffer in buffers]

    def add_part(self, number: int, future: distributed.Future[Any], inside: int = -1) -> None:
        position = self.futures.setdefault(future, len(self.futures))
        self.parts.append((number, position, inside))


class Sender:
    """Sends batches through a connection.

    Parameters
    ----------
    connection : Connection
    scatterer : Scatterer
    """

    def __init__(self, connection: Connection, scatterer: Scatterer) -> None:
        self._connection = connection
        self._scatterer = scatterer
        self._largest = size("large-argument")  # bytes of what rides along
        self._sent = 0

    def send(self, job: Job, batch: Batch, member: Member) -> Sent:
        """Send a batch to a worker."""
        packed, failed = job.packer.pack(batch.numbers)
        self._sent += 1
        name = f"{_title(job, batch.numbers)}-{job.state.name}-{self._sent}"
        inputs = _Inputs(packed.small, name, member.address)
        for need in packed.needs:
            self._add_input(job, need, inputs)
        for literal in dict.fromkeys(packed.large):
            self._add_literal(job, literal, inputs)
        entries, more = _without(job, packed.entries, inputs.missing)
        functions, entries, unpicklable = self._functions(job, packed.functions, entries, inputs)
        failed = [*failed, *more, *unpicklable]
        numbers = [entry[0] for entry in entries]
        if not entries:
            if inputs.awaits is not None:
                job.reserved.add(name)
            return Sent(name, None, [], set(), failed, {}, inputs.awaits)
        name = next((v.key_group for v in inputs.scattered if v.key_group in job.reserved), name)
        job.reserved.discard(name)
        parcel = Parcel(
            name,
            self._connection.client.id,
            entries,
            functions,
            inputs.atoms,
            inputs.pickled,
            inputs.dumped,
            inputs.parts,
            job.timeouts(numbers),
            _passing_in(job, numbers),
            batch.is_async,
            job.state.events is not None,
            job.keeps,
            job.state.name,
            home(),
            self._connection.name,
            max(BUDGET, _PATIENCE * batch.seconds),
        )
        place = None if inputs.is_borrowed else member.address
        future = self._submit(name, parcel, list(inputs.futures), batch, place)
        return Sent(name, future, numbers, inputs.depends, failed, inputs.scattered, inputs.awaits)

    def _submit(
        self,
        name: str,
        parcel: Parcel,
        futures: list[distributed.Future[Any]],
        batch: Batch,
        place: str | None,
    ) -> distributed.Future[Any]:
        payload = pickle.dumps(parcel, protocol=5)
        options = batch.options
        with _however_large(payload):
            return self._connection.submit(
                dask_apply,
                Task(None, pickle.loads, payload),
                futures,
                # A key group of its own, or a small run would wait for the whole of a large one.
                key=(name, 0),
                workers=None if place is None else [place],
                # Or its worker would run first what was sent last, of all sent within 100 ms.
                fifo_timeout=0,
                resources=dict(options.resources) if options and options.resources else None,
                priority=options.priority if options else 0,
            )

    def _add_input(self, job: Job, need: int, inputs: _Inputs) -> None:
        if job.schedule.state[need] != DONE:  # it has been lost since the batch was made
            inputs.missing[need] = None
            return
        value = job.state.values[need]
        if type(value) in ATOMS:  # as nearly all are
            inputs.atoms[need] = value
            return
        if isinstance(value, Held):
            if value.is_small:
                value = value.small
            elif value.is_lost:
                inputs.missing[need] = None
                return
        if isinstance(value, Pickled):
            inputs.pickled[need] = value.data
        elif isinstance(value, Held):
            inputs.add_part(need, value.future, value.number)
            inputs.depends.add(value.name)
            inputs.is_borrowed |= not value.worker
        elif isinstance(value, Given):
            self._add_given(value, need, inputs)
        else:
            inputs.atoms[need] = value

    def _add_given(self, value: Given, need: int, inputs: _Inputs) -> None:
        try:
            dumped = value.dumped()
        except SerializationError as error:
            inputs.missing[need] = error
            return
        if not self._is_large(dumped):
            inputs.carry(need, dumped)
            return
        if value.scattered is None:
            value.scattered = Scattered(dumped)
        self._add_scattered(value.scattered, need, inputs)

    def _add_literal(self, job: Job, literal: int, inputs: _Inputs) -> None:
        dumped = job.packer.large[literal]
        if not self._is_large(dumped):
            inputs.carry(literal, dumped)
            return
        value = job.literals.get(literal)
        if value is None:
            value = job.literals[literal] = Scattered(dumped)
        self._add_scattered(value, literal, inputs)

    def _is_large(self, dumped: Dumped) -> bool:
        data, buffers = dumped
        return len(data) + sum(buffer.nbytes for buffer in buffers) > self._largest

    def _add_scattered(self, value: Scattered, number: int, inputs: _Inputs) -> None:
        try:
            future = self._scatterer.find(value, inputs.address, inputs.name)
        except WorkerLostError as error:
            inputs.missing[number] = error
            return
        if future is None:
            inputs.missing[number] = None
            inputs.awaits = value
        else:
            inputs.scattered[value] = future
            inputs.add_part(number, future)

    def _functions(
        self, job: Job, targets: set[int], entries: list[Entry], inputs: _Inputs
    ) -> tuple[dict[int, bytes], list[Entry], list[tuple[int, Exception]]]:
        functions: dict[int, bytes] = {}
        refused: dict[int, SerializationError] = {}
        for target in targets:
            if target < len(BUILT_IN):
                continue
            try:
                functions[target] = job.function(target)
            except SerializationError as error:
                refused[target] = error
        if not refused:
            return functions, entries, []
        failed = [
            (entry[0], _named(job, entry[0], refused[entry[1]]))
            for entry in entries
            if entry[1] in refused
        ]
        gone: dict[int, Exception | None] = dict.fromkeys(number for number, _ in failed)
        kept, _ = _without(job, [e for e in entries if e[1] not in refused], gone)
        return functions, kept, failed


def _passing_in(job: Job, numbers: list[int]) -> dict[int, list[int]]:
    if len(numbers) == 1 or not job.has_large:
        return {}
    return passing_in(job.schedule, job.state.plan, numbers)


def _title(job: Job, numbers: list[int]) -> str:
    """Return what Dask's dashboard is to call a group: the function of its first node."""
    # Not the label: a thousand different ones make every worker's heartbeat slow.
    node = job.state.plan.nodes[numbers[0]] if numbers else None
    name = node.func_name if isinstance(node, Op) else type(node).__name__
    text = "".join(c if c.isascii() and c.isalnum() else "_" for c in name[:40])
    return (text or "node") + ("_etc" if len(numbers) > 1 else "")


def _without(
    job: Job, entries: list[Entry], missing: dict[int, Exception | None]
) -> tuple[list[Entry], list[tuple[int, Exception]]]:
    """Leave out the nodes that take something that is missing, and what follows on them."""
    if not missing:
        return entries, []
    needs = job.state.plan.needs
    kept, failed, gone = [], [], set(missing)
    for entry in entries:
        number, _, args, where, _ = entry
        taken = (*needs[number], *(args[place] for place in where if place >= 0))
        absent = [need for need in taken if need in gone]
        if not absent:
            kept.append(entry)
            continue
        gone.add(number)
        error = next((e for n in absent if (e := missing.get(n)) is not None), None)
        if error is not None:
            failed.append((number, error))
    return kept, failed


def _named(job: Job, number: int, cause: SerializationError) -> Exception:
    node = job.state.plan.nodes[number]
    text = f"{shown(node.label)} cannot travel to a worker: {cause}"
    error = SerializationError(text, node=node, label=node.label)
    error.__cause__ = cause.__cause__
    return error


def _however_large(data: bytes) -> contextlib.AbstractContextManager[Any]:
    """Keep Dask from warning of a large graph: the data has to travel, and does so once."""
    if len(data) < 1_000_000:
        return contextlib.nullcontext()
    return dask.config.set({"distributed.admin.large-graph-warning-threshold": 4 * len(data)})
