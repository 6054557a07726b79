"""A pytest plugin: Dask's own tests, with the scheduler of our choice under every name of Dask's.

Dask's tests name a scheduler as often as not (its `assert_eq` says "sync"), so each name leads to
the one under test. What a test sets or starts itself stays.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dask
import pytest
from dask.base import named_schedulers
from dask.local import get_sync
from distributed import Client, LocalCluster

from dask_dispatcher import AsyncExecutor, DaskExecutor, Executor, ParallelExecutor, op

Get = Callable[..., Any]

LEFT_OUT = {"slow": "slow", "network": "needs the network", "gpu": "needs a GPU"}
MARKERS = (*LEFT_OUT, "array_expr", "normal_and_array_expr", "skip_with_pyarrow_strings")


@contextmanager
def in_process() -> Iterator[Executor]:
    """AsyncExecutor."""
    with AsyncExecutor() as executor:
        yield executor


@contextmanager
def on_processes() -> Iterator[Executor]:
    """ParallelExecutor."""
    with ParallelExecutor(2) as executor:
        yield executor


@contextmanager
def cluster() -> Iterator[LocalCluster]:
    """Open a cluster of workers that are threads here: they find what a test has defined and set."""
    quiet = {
        "distributed.worker.daemon": False,
        "distributed.comm.timeouts.connect": "10s",
        # The workers' statistical profiler calls `sys._current_frames`, which before CPython 3.12 may
        # stop the process for good if a thread is started meanwhile (python/cpython#106883).
        "distributed.worker.profile.enabled": False,
    }
    with (
        dask.config.set(quiet),
        LocalCluster(
            n_workers=2, threads_per_worker=2, processes=False, dashboard_address=None
        ) as found,
    ):
        yield found


@contextmanager
def on_cluster() -> Iterator[Executor]:
    """DaskExecutor, with all its threads: some tests look for those that are new."""
    with cluster() as there, DaskExecutor(there) as executor:
        pause = op(time.sleep)
        while sum(t.name == "dask-dispatcher-nodes" for t in threading.enumerate()) < 4:
            executor.compute([pause(0.05) for _ in range(8)])
        yield executor


@contextmanager
def client() -> Iterator[Get]:
    """Dask's own client, for a look at what it makes of a test that DaskExecutor fails."""
    with cluster() as there, Client(there, set_as_default=False) as found:
        yield found.get


EXECUTORS = {"async": in_process, "dask": on_cluster, "parallel": on_processes}
SCHEDULERS = ("sync", "client", *EXECUTORS)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--under", choices=SCHEDULERS, default="sync", help="the scheduler to test")
    parser.addoption("--outcomes", type=Path, help="the file to add outcomes to, a line a test")


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(Suite(config.getoption("under"), config.getoption("outcomes")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    known = read_outcomes(config.getoption("outcomes"))
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in known])
    items[:] = [item for item in items if item.nodeid not in known]
    for item in items:
        for marker, reason in LEFT_OUT.items():
            if marker in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


def read_outcomes(file: Path | None) -> dict[str, dict[str, Any]]:
    """Return what came of each test that a file tells of: nothing if there is no such file."""
    if file is None or not file.exists():
        return {}
    notes = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {note.pop("test"): note for note in notes}


class Suite:
    """Runs each test under one scheduler, and notes what came of it as soon as it has ended.

    So a run that was killed can be continued: tests of which the file tells are not run again.

    Parameters
    ----------
    under : str
        "sync" is Dask's synchronous scheduler, which ours are compared with.
    outcomes : Path or None
        Where to add a line for each test: its outcome, how many runs an executor of ours made in
        it, and the last line of its failure.
    """

    def __init__(self, under: str, outcomes: Path | None) -> None:
        self._under = under
        self._file = outcomes
        self._stack = ExitStack()
        self._get: Get = get_sync
        self._runs = 0
        self._note: dict[str, Any] = {}

    def pytest_sessionstart(self) -> None:
        # A shell's background jobs ignore it; a test of Dask's sends it to itself.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._under in EXECUTORS:
            executor = self._stack.enter_context(EXECUTORS[self._under]())
            executor.get({"x": (abs, -1)}, "x")  # its threads start before tests count theirs
            self._count_runs(executor)
            self._get = executor.get
        elif self._under == "client":
            self._get = self._stack.enter_context(client())
        named_schedulers.update(dict.fromkeys(named_schedulers, self._get))

    def _count_runs(self, executor: Executor) -> None:
        # A wrapper of `get` would be a frame in tracebacks that some tests look at.
        run = executor.run

        def counted(*args: Any, **kwargs: Any) -> Any:
            self._runs += 1
            return run(*args, **kwargs)

        executor.run = counted  # type: ignore[method-assign]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self._runs = 0
        self._note = {"test": item.nodeid, "outcome": "passed"}
        # By a name, as one of the tests writes the configuration to a file.
        with dask.config.set(scheduler="sync"):
            ended = yield
        self._write({**self._note, "runs": self._runs})
        return ended

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome != "passed":
            xfailed = hasattr(report, "wasxfail")
            self._note["outcome"] = "xfailed" if xfailed else report.outcome
        if report.failed:
            self._note["error"] = str(report.longrepr).strip().splitlines()[-1]

    def _write(self, note: dict[str, Any]) -> None:
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(note) + "\n")

    def pytest_sessionfinish(self) -> None:
        self._stack.close()
