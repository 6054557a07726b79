"""Clusters that are not as a program expects them: paused, adaptive, of another version."""

import logging
import os
import pathlib
import sys
import threading

import distributed
import numpy
import pytest
from tests.support import eventually
from tests.support.pythons import other_python

from dask_dispatcher import DaskExecutor, ExecutorError, NoWorkersError, RunCancelledError, op
from dask_dispatcher.executors.dask.parcels import Parcel

BOUND = 20.0  # seconds in which a run must have ended after a fault


# Workers that take no tasks


def pause(dask_worker):
    dask_worker.status = distributed.core.Status.paused


def go_on(dask_worker):
    dask_worker.status = distributed.core.Status.running


def all_are(client, status):
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return {worker["status"] for worker in workers} == {status}


@pytest.mark.timeout(120)
def test_all_workers_are_paused(make_cluster, caplog):
    # Without a limit, nothing but this test says when they are paused.
    cluster = make_cluster()
    cluster.add_worker(options=["--memory-limit", "0"])
    with (
        caplog.at_level(logging.INFO, "dask_dispatcher"),
        distributed.Client(cluster.address, set_as_default=False) as other,
        DaskExecutor(cluster.address, worker_timeout=1.5) as executor,
    ):
        other.run(pause)
        eventually(lambda: all_are(other, "paused"))
        (result,) = executor.run([op(abs)(-3)], raise_errors=False)
        error = result.unwrap_err()
        assert type(error) is NoWorkersError
        assert "paused" in str(error)
        assert "waiting for workers: all workers" in caplog.text
        other.run(go_on)
        eventually(lambda: all_are(other, "running"))
        assert executor.compute(op(abs)(-4)) == 4


# Clusters that start workers when they are needed


def test_adaptive_cluster_starts_a_worker_for_a_run():
    with distributed.LocalCluster(
        n_workers=0,
        processes=False,
        threads_per_worker=1,
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # 8787 may be taken
    ) as cluster:
        cluster.adapt(minimum=0, maximum=1, interval="100ms")
        with DaskExecutor(cluster) as executor:
            nodes = [op(abs)(-n) for n in range(20)]
            assert executor.compute(op(sum)(nodes)) == sum(range(20))


# Other versions


def test_worker_of_another_python_is_named(shared_cluster, monkeypatch):
    init = Parcel.__init__

    def from_the_future(self, *args, **options):
        init(self, *args, **options)
        self.python = (4, 2)

    monkeypatch.setattr(Parcel, "__init__", from_the_future)
    with DaskExecutor(shared_cluster.address) as executor:
        (result,) = executor.run([op(abs)(-3)], raise_errors=False)
    error = result.unwrap_err()
    here = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
    assert error.worker in [worker.address for worker in shared_cluster.workers]
    for words in (error.worker, here, "this program 4.2", "only travel between equal versions"):
        assert words in str(error)


@pytest.mark.timeout(240)  # once, Dask is installed for the other Python
@pytest.mark.filterwarnings("ignore::distributed.versions.VersionMismatchWarning")
def test_scheduler_and_a_worker_of_another_python(make_cluster):
    """The scheduler sees nothing of what travels to workers; the worker is refused."""
    python, version = other_python()
    cluster = make_cluster(python=python)
    cluster.add_worker("equal")
    with DaskExecutor(cluster.address) as executor:
        nodes = [op(lambda n: n * n, label="square")(n) for n in range(100)]
        array = op(lambda: numpy.arange(50_000), label="array")()  # which stays on the worker
        assert executor.compute([op(sum)(nodes), op(len)(array)]) == [328_350, 50_000]
        assert _python_of_scheduler(executor) == version
        worker = cluster.add_worker("other", python=python, env=_OURS)
        refused, fine = (op(abs, workers=name)(-3) for name in ("other", "equal"))
        *errors, three = executor.run([refused, op(abs)(refused), fine], raise_errors=False)
    assert three.is_ok()
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for error in (result.unwrap_err() for result in errors):
        assert error.node is refused
        assert error.worker == worker.address
        text = f"worker {worker.address} runs Python {version}, this program {here}"
        assert text in str(error.__cause__)


# Other Pythons have Dask installed, but not this package.
_ROOT = pathlib.Path(__file__).parents[2]
_OURS = {"PYTHONPATH": os.pathsep.join(map(str, (_ROOT, _ROOT / "src")))}


def _python_of_scheduler(executor):
    versions = executor.client.dask.get_versions()
    return ".".join(versions["scheduler"]["host"]["python"].split(".")[:2])


# reset()


def test_reset_in_the_middle_of_a_run(shared_cluster, gate):
    with DaskExecutor(shared_cluster.address) as executor:
        run = executor.start([op(lambda: [7] * 5_000)(), op(gate.passing)()])
        gate.wait()
        executor.reset()
        for result in run.results(BOUND):
            if result.is_err():
                assert isinstance(result.unwrap_err(), ExecutorError)
            else:
                with pytest.raises((ExecutorError, RunCancelledError)):
                    result.unwrap().fetch(BOUND)
        gate.open()
        assert executor.compute(op(abs)(-3)) == 3


def test_two_threads_reset_and_run(shared_cluster):
    with DaskExecutor(shared_cluster.address) as executor:
        thread = threading.Thread(target=executor.reset)
        run = executor.start([op(abs)(-n) for n in range(100)])
        thread.start()
        assert len(run.results(BOUND)) == 100
        thread.join()
        assert executor.compute(op(abs)(-3)) == 3
