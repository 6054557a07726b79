"""A worker's part, played in this process: entries are packed, pickled, unpickled and run."""

import graphlib
import pickle
from typing import Any

from dask_dispatcher.executors.slices.carrying import dump, load
from dask_dispatcher.executors.slices.packing import BUILT_IN, Packed, Packer
from dask_dispatcher.executors.slices.running import Lazy, SliceRunner, Values
from dask_dispatcher.plan import Plan, compile_plan


class Local:
    """The nodes of one plan, to be packed and run.

    Attributes
    ----------
    kept : dict of int to object
        The large values that were made, as they came out.
    """

    def __init__(self, *nodes: Any) -> None:
        self.plan: Plan = compile_plan(nodes)
        self.packer = Packer(self.plan)
        self.order = list(
            graphlib.TopologicalSorter(dict(enumerate(self.plan.needs))).static_order()
        )
        self.kept: dict[int, Any] = {}

    def number(self, node: Any) -> int:
        return self.plan.index[node]

    def pack(self) -> tuple[Packed, list[tuple[int, Exception]]]:
        """Pack all nodes; entries and small literals make the way through pickle."""
        packed, failed = self.packer.pack(self.order)
        packed.entries, packed.small = pickle.loads(pickle.dumps((packed.entries, packed.small)))
        return packed, failed

    def values(self, packed: Packed) -> Values:
        """Return what comes along with the entries."""
        values = Values({}, packed.small)
        for literal in packed.large:
            pickled, buffers = self.packer.large[literal]
            values[literal] = Lazy(lambda p=pickled, b=buffers: load(p, b))
        return values

    def runner(self) -> SliceRunner:
        return SliceRunner(
            [*BUILT_IN, *(callee.func for callee in self.packer.functions)],
            self._keep,
            "here",
            [-1, 0],
        )

    def _keep(self, number: int, pickled: bytes, buffers: list[memoryview], value: Any) -> Any:
        self.kept[number] = value
        return f"place of {number}", value

    def compute(self, node: Any) -> Any:
        """Pack all, run all, return one node's value."""
        packed, failed = self.pack()
        assert failed == []
        values, runner = self.values(packed), self.runner()
        runner.run(packed.entries, values, lambda now: None)
        assert runner.outbox.failed == []
        return values.get_open(self.number(node))


def dumped(value: Any) -> bytes:
    """Pickle something that has no large buffers."""
    pickled, buffers = dump(value, "it")
    assert buffers == []
    return pickled
