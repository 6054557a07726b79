"""The embedded cluster: loopback only, and gone with the program that started it."""

import os
import subprocess
import sys
import textwrap

import distributed
import psutil
import pytest
from tests.support import eventually

from dask_dispatcher import DaskExecutor, ExecutorError, NoWorkersError, op
from dask_dispatcher.executors.dask import embedded
from dask_dispatcher.executors.dask.embedded import EmbeddedCluster


def processes_of(cluster):
    root = psutil.Process(cluster._process.pid)
    return [root, *root.children(recursive=True)]


@pytest.fixture(scope="module")
def cluster():
    cluster = EmbeddedCluster(2)
    yield cluster
    cluster.close()


def test_listens_on_loopback_only(cluster):
    listening = {
        connection.laddr
        for process in processes_of(cluster)
        for connection in process.net_connections("all")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert not {8786, 8787} & {address.port for address in listening}  # where users have theirs
    assert cluster.address.startswith("tcp://127.0.0.1:")


def test_has_workers_of_one_thread(cluster):
    with distributed.Client(cluster.address, set_as_default=False) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
    assert [worker["nthreads"] for worker in workers.values()] == [1, 1]


def test_files_are_in_a_folder_for_us_alone(cluster):
    assert os.stat(cluster._directory).st_mode & 0o777 == 0o700


def test_close_ends_all_and_a_second_close_is_harmless():
    cluster = EmbeddedCluster(1)
    processes = processes_of(cluster)
    assert len(processes) >= 2
    cluster.close()
    cluster.close()
    eventually(lambda: not any(process.is_running() for process in processes))
    assert not os.path.exists(cluster._directory)


def test_close_after_it_was_killed():
    cluster = EmbeddedCluster(1)
    root, *others = processes_of(cluster)
    root.kill()
    root.wait(10)
    eventually(lambda: not any(process.is_running() for process in others))
    cluster.close()
    assert not os.path.exists(cluster._directory)


def test_a_start_that_fails_is_an_error_and_leaves_nothing(monkeypatch):
    monkeypatch.setattr(embedded.sys, "executable", "/bin/false")
    with pytest.raises(ExecutorError, match="did not start"):
        EmbeddedCluster(1)


def script(folder, text):
    path = folder / "script.py"
    path.write_text(textwrap.dedent(text))
    return path


def test_a_script_needs_no_main_guard_and_its_modules_are_found(tmp_path):
    (tmp_path / "beside.py").write_text("def double(x):\n    return 2 * x\n")
    path = script(
        tmp_path,
        """
        from beside import double
        from dask_dispatcher import DaskExecutor, op

        print("begun")

        def own(x):
            return x + 1

        with DaskExecutor() as executor:
            print(executor.compute(op(own)(op(double)(3))))
        """,
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", path],
        cwd=elsewhere,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["begun", "7"], "")


def test_ends_with_a_killed_parent(tmp_path):
    path = script(
        tmp_path,
        """
        import sys
        from dask_dispatcher.executors.dask.embedded import EmbeddedCluster

        cluster = EmbeddedCluster(1)
        print(cluster._process.pid, cluster._directory, flush=True)
        sys.stdin.read()
        """,
    )
    with subprocess.Popen(
        [sys.executable, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        pid, directory = parent.stdout.readline().split()
        root = psutil.Process(int(pid))
        processes = [root, *root.children(recursive=True)]
        parent.kill()
    eventually(lambda: not any(p.is_running() for p in processes), 15)
    eventually(lambda: not os.path.exists(directory))


def test_one_worker_has_the_resources():
    with DaskExecutor(resources={"GPU": 1}, worker_timeout=0.5) as executor:
        nodes = [op(os.getpid, resources={"GPU": 1})() for _ in range(4)]
        assert len(set(executor.compute(nodes))) == 1
        with pytest.raises(NoWorkersError, match="GPU"):
            executor.compute(op(os.getpid, resources={"GPU": 2})())
