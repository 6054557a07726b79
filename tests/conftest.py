"""Fixtures for all tests: nothing may be left behind, and a real Dask cluster to work on."""

import gc
import logging
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support import Cluster, StartsLog, leaks_since, snapshot, strays
from tests.support.gates import Gate
from tests.support.leaks import kill_leaked, mark_children

pytest_plugins = ["pytester"]

# Times vary on a shared machine; each test has its timeout anyway.
hypothesis.settings.register_profile("default", deadline=None, print_blob=True)
hypothesis.settings.load_profile("default")


_own_clusters = pytest.StashKey[list[Cluster]]()


def pytest_configure() -> None:
    # A record with a traceback keeps alive what its frames refer to, sockets among it, for as long
    # as pytest keeps the record; the text of it is enough.
    for name in ("distributed.client", "distributed.core", "distributed.utils"):
        logging.getLogger(name).addFilter(_as_text)


def _as_text(record: logging.LogRecord) -> bool:
    if record.exc_info:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_info = None
    return True


def pytest_collection_finish() -> None:
    # What the imports made stays for good. Left out of account, a collection after every test
    # costs little, and brings each test's own stray objects to light within that test.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show what the test's Dask processes wrote, if it failed."""
    report = yield
    if report.failed:
        for cluster in item.stash.get(_own_clusters, []):
            report.sections.append((f"logs of {cluster.directory.name}", cluster.logs))
    return report


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give this session, and what it starts, a temporary folder that no other program uses."""
    folder = str(tmp_path_factory.mktemp("tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        mark_children()
        resource_tracker.ensure_running()  # multiprocessing's one helper process an interpreter
        yield


@pytest.fixture(autouse=True)
def no_leaks(own_temporary_folder: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves something behind.

    Set up before, and torn down after, the test's other fixtures; those of a wider scope are older
    still, and not the test's to clean up.
    """
    before = snapshot()
    with strays() as messages:
        yield
        gc.collect()
    leaks = leaks_since(before)
    if request.node.get_closest_marker("reconnects"):
        # Tornado, stopped while it connects, leaves the socket to the event loop for good.
        leaks = {key: text for key, text in leaks.items() if ": socket:" not in text}
    kill_leaked(leaks)
    if leaks or messages:
        pytest.fail("left behind:\n  " + "\n  ".join([*leaks.values(), *messages]), pytrace=False)


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers for all tests that do no harm to them."""
    with Cluster(tmp_path_factory.mktemp("shared-cluster"), workers=2) as cluster:
        yield cluster


@pytest.fixture
def make_cluster(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Cluster]]:
    """Start a cluster of the test's own, to kill at will: ``make_cluster(workers=2, env=...)``."""
    clusters: list[Cluster] = []

    def make(workers: int = 0, **options: object) -> Cluster:
        clusters.append(Cluster(tmp_path_factory.mktemp("cluster"), workers, **options))
        return clusters[-1]

    request.node.stash[_own_clusters] = clusters
    yield make
    for cluster in clusters:
        cluster.close()


@pytest.fixture
def scheduler(make_cluster: Callable[..., Cluster]) -> Cluster:
    """Give the test a cluster of its own with no workers yet."""
    return make_cluster()


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    """Give the test a cluster of its own with two workers."""
    return make_cluster(workers=2)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Hold nodes; all may go when the test is over."""
    gate = Gate(tmp_path)
    yield gate
    gate.open()


@pytest.fixture
def starts_log(tmp_path: Path) -> StartsLog:
    """Count starts: call ``starts_log.record(label)`` in a node, read ``starts_log.counts()``."""
    return StartsLog(tmp_path / "starts.log")
