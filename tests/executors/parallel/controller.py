"""A controller that does nothing of its own: starts a worker, sends messages, hears the answers."""

from __future__ import annotations

import concurrent.futures
import queue
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import cloudpickle
import psutil

from dask_dispatcher.executors.inprocess.watch import Watch
from dask_dispatcher.executors.parallel.memory import Witness
from dask_dispatcher.executors.parallel.process import WorkerProcess
from dask_dispatcher.executors.slices.carrying import load
from dask_dispatcher.executors.slices.columns import to_columns
from dask_dispatcher.executors.slices.failures import load_failure
from tests.executors.slices.local import Local

WAIT = 20.0


class Found:
    """What a worker has said of a slice, or of coroutines.

    Attributes
    ----------
    serial : int
        The slice's.
    values, places, failures : dict
        By node: values, where large ones are, exceptions.
    skipped, used_up, back : list of int
    counts : list of int
        How many calls in a row had the same function.
    """

    def __init__(self, messages: list[tuple[Any, ...]]) -> None:
        self.serial = messages[-1][2]
        self.values: dict[int, Any] = {}
        self.places: dict[int, Any] = {}
        self.failures: dict[int, BaseException] = {}
        self.skipped: list[int] = []
        self.used_up: list[int] = []
        self.back: list[int] = []
        self.counts: list[int] = []
        for _, _, _, report, *back in messages:
            numbers, atoms, pickled, large, failed, skipped, costs, _, used_up = report
            self.values.update(zip(numbers, atoms, strict=True))
            self.values.update((number, load(data)) for number, data in pickled)
            self.places.update(large)
            self.failures.update((number, load_failure(data).cause) for number, data in failed)
            self.skipped += skipped
            self.used_up += used_up
            self.back += back[0] if back else ()
            self.counts += [count for _, count, _ in costs]


class Controller:
    """One worker, talked to by hand.

    Attributes
    ----------
    heard : queue of tuple
        The worker's messages, oldest first.
    ends : queue of str
        How it ended, in words.
    last_node : int or None
        Where it was in the latest slice when it ended, as the cell tells.
    """

    def __init__(self, folder: Path, limit: int = 0, greeting: bool = True) -> None:
        self.heard: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self.ends: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.folder = folder
        self.witness = Witness()
        self.last_node: int | None = None
        self._watch = Watch(threading.RLock())
        self._serial = 0
        self.worker: WorkerProcess = self.call(self._start)
        if greeting:
            self.send("hello", 1, str(folder), self.witness.identity, limit, "home")

    def _start(self) -> WorkerProcess:
        return WorkerProcess(
            1,
            self._watch.loop,
            lambda worker, message: self.heard.put(message),
            self._gone,
            {},
        )

    def _gone(self, worker: WorkerProcess) -> None:
        self.last_node = worker.node_of(self._serial)
        self.ends.put(worker.reason)

    def call(self, function: Any, *args: Any) -> Any:
        """Call a function in the loop's thread; return what it returns."""
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def call() -> None:
            try:
                answer.set_result(function(*args))
            except BaseException as error:
                answer.set_exception(error)

        self._watch.post(call)
        return answer.result(WAIT)

    def send(self, *message: Any) -> None:
        self.call(self.worker.send, *message)

    def hang_up(self) -> None:
        """Close the channel, in the loop's thread, and do nothing about the process."""
        transport = self.worker._transport
        assert transport is not None
        transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def hear(self, *kinds: str) -> tuple[Any, ...]:
        """Return the next message of one of these kinds, or the next at all."""
        while True:
            message = self.heard.get(timeout=WAIT)
            if not kinds or message[0] in kinds:
                return message

    def ready(self) -> tuple[Any, ...]:
        """Wait for the worker to be there; return its identity."""
        identity: tuple[Any, ...] = self.hear("ready")[1]
        return identity

    def give(
        self,
        *nodes: Any,
        run: int = 5,
        pickled: Any = None,
        places: Any = (),
        patience: float = 1000.0,
        observed: bool = False,
        numbers: Any = None,
        passing: Any = None,
    ) -> tuple[int, Local]:
        """Send nodes as a slice; return its serial, and the nodes' numbers."""
        local, given = self.packed(*nodes, numbers=numbers, pickled=pickled, places=places)
        self._serial += 1
        columns = to_columns(given.pop())
        what = run, self._serial, columns, tuple(given), patience, observed, True
        self.send("slice", *what, None, passing or {})
        return self._serial, local

    def give_coroutines(self, *nodes: Any, run: int = 5) -> Local:
        """Send coroutine nodes."""
        local, given = self.packed(*nodes)
        self.send("coroutines", run, given.pop(), tuple(given), {}, False)
        return local

    def packed(
        self, *nodes: Any, numbers: Any = None, pickled: Any = None, places: Any = ()
    ) -> tuple[Local, list[Any]]:
        """Return what is sent along with nodes; the entries come last."""
        local = Local(*nodes)
        packed, failed = local.packer.pack(local.order if numbers is None else numbers)
        assert failed == []
        functions = [
            (2 + target, cloudpickle.dumps(callee.traveller()))
            for target, callee in enumerate(local.packer.functions)
        ]
        small = {**packed.small, **(pickled or {})}
        return local, [functions, ((), ()), small, list(places), packed.entries]

    def report(self) -> Found:
        """Wait for a report; return what it says."""
        return Found([self.hear("report")])

    def ended(self) -> Found:
        """Wait for the end of a slice; return what was said of it since the last one."""
        messages = [self.hear("report", "ended")]
        while messages[-1][0] != "ended":
            messages.append(self.hear("report", "ended"))
        return Found(messages)

    def compute(self, *nodes: Any, **more: Any) -> list[Any]:
        """Let the worker run nodes; return their values, which are small."""
        _, local = self.give(*nodes, **more)
        found = self.ended()
        assert found.failures == {}
        return [found.values[local.number(node)] for node in nodes]

    def end(self) -> str:
        """Wait for the worker's end; return the reason."""
        return self.ends.get(timeout=WAIT)

    def __enter__(self) -> Controller:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.call(self.worker.kill)
        self.call(self.worker.end)
        self._watch.close()


def is_running(pid: int) -> bool:
    """Return whether a process is there and not just unburied."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
