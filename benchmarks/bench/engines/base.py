"""What every engine in the tables can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any

from bench.workloads import Build, Workload


class Engine(ABC):
    """One way to run a workload; a context manager, so that pools are warm when it is measured.

    A new engine sets `name`, implements `run`, and is added to the list in `bench.engines`.
    """

    name: str
    coroutines = False  # whether it takes `async def` functions
    most_nodes = 1_000_000  # above this it would only make one wait
    most_nodes_of: dict[str, int] = {}  # the same for single workloads  # noqa: RUF012

    def accepts(self, workload: Workload) -> bool:
        """Whether the workload is to be measured on this engine."""
        most = self.most_nodes_of.get(workload.name, self.most_nodes)
        return workload.nodes <= most + 1 and (self.coroutines or not workload.coroutines)

    @abstractmethod
    def run(self, build: Build) -> Any:
        """Build the graph, run it, return the value; this is what the clock measures."""

    def close(self) -> None:  # noqa: B027 - most engines have nothing to end
        """End what the engine has started."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
