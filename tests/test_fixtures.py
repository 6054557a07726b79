"""The tests' own tools: leaks are found, and the Dask cluster is real."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from multiprocessing import shared_memory
from pathlib import Path

import psutil
import pytest
from distributed import Client

from tests.support import Cluster, StartsLog, eventually, leaks_since, snapshot
from tests.support.leaks import kill_leaked

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@contextlib.contextmanager
def leaked_process() -> Iterator[str]:
    process = subprocess.Popen(SLEEP)
    yield f"process {process.pid}"
    process.kill()
    process.wait()


@contextlib.contextmanager
def leaked_orphan() -> Iterator[str]:
    code = f"import subprocess; print(subprocess.Popen({SLEEP}, stdout=-3, stderr=-3).pid)"
    parent = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    orphan = psutil.Process(int(parent.stdout))
    yield f"process {orphan.pid}"
    orphan.kill()
    orphan.wait()


@contextlib.contextmanager
def leaked_thread() -> Iterator[str]:
    ending = threading.Event()
    thread = threading.Thread(target=ending.wait, name="leaked")
    thread.start()
    yield "thread leaked"
    ending.set()
    thread.join()


@contextlib.contextmanager
def leaked_socket() -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        yield f"descriptor {listening.fileno()}"


@contextlib.contextmanager
def leaked_pipe() -> Iterator[str]:
    ends = os.pipe()
    yield f"descriptor {ends[0]}"
    for end in ends:
        os.close(end)


@contextlib.contextmanager
def leaked_segment() -> Iterator[str]:
    segment = shared_memory.SharedMemory(create=True, size=100)
    yield f"shared memory /dev/shm/{segment.name}"
    segment.close()
    segment.unlink()


@contextlib.contextmanager
def leaked_file() -> Iterator[str]:
    with tempfile.NamedTemporaryFile() as file:
        yield f"temporary file {file.name}"


@pytest.mark.parametrize(
    "leaked",
    [
        leaked_process,
        leaked_orphan,
        leaked_thread,
        leaked_socket,
        leaked_pipe,
        leaked_segment,
        leaked_file,
    ],
)
def test_a_leak_is_found_until_it_is_gone(
    leaked: Callable[[], contextlib.AbstractContextManager[str]],
) -> None:
    before = snapshot()
    with leaked() as name:
        assert any(text.startswith(name) for text in leaks_since(before, patience=0).values())
    assert not {text for text in leaks_since(before).values() if text.startswith(name)}


def test_what_is_about_to_end_is_waited_for() -> None:
    before = snapshot()
    thread = threading.Timer(0.3, lambda: None)
    thread.start()
    assert leaks_since(before, patience=0)
    assert not leaks_since(before)


def test_leaked_processes_are_killed() -> None:
    before = snapshot()
    with subprocess.Popen(SLEEP) as process:
        kill_leaked(leaks_since(before, patience=0))
        assert process.wait(5) is not None


def test_a_test_that_leaks_fails(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        "from tests.conftest import no_leaks, own_temporary_folder, pytest_collection_finish"
    )
    pytester.makeini("[pytest]\nfilterwarnings = error\nfaulthandler_timeout = 30")
    pytester.makepyfile(
        textwrap.dedent(
            """
            import asyncio, socket, threading

            async def failing():
                raise ValueError("nobody looked")

            async def unattended():
                task = asyncio.create_task(failing())
                await asyncio.sleep(0)

            def failing_thread():
                raise ValueError("in a thread")

            def test_clean():
                with socket.socket():
                    asyncio.run(asyncio.sleep(0))

            def test_thread():
                threading.Thread(target=threading.Event().wait, daemon=True).start()

            def test_never_retrieved():
                asyncio.run(unattended())

            def test_unraisable():
                socket.socket()

            def test_never_awaited():
                failing()

            def test_exception_in_a_thread():
                thread = threading.Thread(target=failing_thread)
                thread.start()
                thread.join()
            """
        )
    )
    root = str(Path(__file__).parents[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", root)
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-rA")
    failed = {line.split("::")[1].split()[0] for line in result.outlines if bad_line(line)}
    assert failed == {
        "test_thread",
        "test_never_retrieved",
        "test_unraisable",
        "test_never_awaited",
        "test_exception_in_a_thread",
    }


def bad_line(line: str) -> bool:
    return line.startswith(("FAILED", "ERROR")) and "::" in line


def test_workers_are_processes_of_their_own(shared_cluster: Cluster, starts_log: StartsLog) -> None:
    record = starts_log.record

    def node(label: str) -> int:
        record(label)
        return os.getpid()

    workers = shared_cluster.workers
    with Client(shared_cluster.address, set_as_default=False) as client:
        futures = [client.submit(node, w.name, workers=[w.address]) for w in workers]
        assert client.gather(futures) == [worker.pid for worker in workers]
    assert starts_log.counts() == {worker.name: 1 for worker in workers}
    assert starts_log.pids(workers[0].name) == [workers[0].pid]


def test_a_killed_worker_is_gone_with_what_it_forked(cluster: Cluster) -> None:
    victim, survivor = cluster.workers
    with Client(cluster.address, set_as_default=False) as client:
        child = client.submit(start_sleeper, workers=[victim.address], pure=False).result()
        victim.kill()
        assert not victim.alive
        eventually(lambda: not psutil.pid_exists(child), what="its child is gone as well")
        eventually(lambda: [*client.scheduler_info(n_workers=-1)["workers"]] == [survivor.address])
        assert client.submit(os.getpid, pure=False).result() == survivor.pid


def start_sleeper() -> int:
    return subprocess.Popen(SLEEP).pid


def test_a_stopped_worker_goes_on(scheduler: Cluster) -> None:
    worker = scheduler.add_worker("slow", resources={"GPU": 1}, env={"COLOUR": "blue"})
    worker.stop()
    eventually(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED)
    with Client(scheduler.address, set_as_default=False) as client:
        future = client.submit(os.getenv, "COLOUR", resources={"GPU": 1})
        worker.cont()
        assert future.result() == "blue"
    worker.close()
    # Whether it then ends in time is Dask's affair: one was seen to hang in its own ending.
    assert "Received signal SIGTERM" in worker.log
    assert not worker.alive


def test_a_scheduler_comes_back_on_the_same_port(scheduler: Cluster) -> None:
    address = scheduler.address
    scheduler.add_workers(1)
    scheduler.kill_scheduler()
    assert not scheduler.scheduler.alive
    scheduler.restart_scheduler()
    scheduler.add_worker()
    assert scheduler.scheduler.address == scheduler.address == address
    with Client(address, set_as_default=False) as client:
        assert client.submit(os.getpid, pure=False).result() == scheduler.workers[-1].pid


def test_a_command_that_ends_at_once_shows_its_log(make_cluster: Callable[..., Cluster]) -> None:
    with pytest.raises(AssertionError, match="No such option"):
        make_cluster(options=["--no-such-option"])


def test_the_wait_for_a_condition_has_an_end() -> None:
    with pytest.raises(AssertionError, match=r"not within 0 s: pigs fly"):
        eventually(lambda: False, timeout=0, what="pigs fly")


def test_signals_reach_a_worker(scheduler: Cluster) -> None:
    worker = scheduler.add_worker()
    os.kill(worker.pid, signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
