"""`check_scheduler`: a scheduler, or plain words in bounded time."""

import asyncio

import pytest
from distributed import Security
from tests.executors.dask.ports import closed_port, port_that

from dask_dispatcher import ExecutorError
from dask_dispatcher.executors.dask.probing import check_scheduler

SHORT = 0.6  # seconds; enough for a scheduler on this machine, and soon over


def test_a_scheduler_passes(shared_cluster):
    check_scheduler(shared_cluster.address, None, 10)
    check_scheduler(shared_cluster.address, Security(), 10)


def test_works_inside_a_running_loop(shared_cluster):
    async def main():
        check_scheduler(shared_cluster.address, None, 10)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("is silent", "takes connections, but says nothing within 0.6 s"),
        ("hangs up", "cannot connect"),
        ("answers HTTP", "is not Dask"),
        ("sends zeros", "is not Dask"),
    ],
)
def test_other_programs_are_told_apart(does, words):
    with (
        port_that(does) as address,
        pytest.raises(ExecutorError, match=words) as caught,
    ):
        check_scheduler(f"tcp://{address}", None, SHORT)
    assert f"cannot connect to a Dask scheduler at tcp://{address}: " in str(caught.value)
    assert caught.value.__cause__ is not None


def test_nobody_listens():
    with (
        closed_port() as address,
        pytest.raises(ExecutorError, match=r"Connection refused|[Tt]imed out"),
    ):
        check_scheduler(f"tcp://{address}", None, SHORT)


def test_host_without_an_address():
    with pytest.raises(ExecutorError, match=r"tcp://no-such-host\.invalid:8786"):
        check_scheduler("tcp://no-such-host.invalid:8786", None, SHORT)


def test_a_worker_is_no_scheduler(shared_cluster):
    with pytest.raises(ExecutorError, match="a Dask Worker answers there"):
        check_scheduler(shared_cluster.workers[0].address, None, 10)


@pytest.mark.parametrize("version", ["2025.12.0", "2.30.1"])
def test_a_scheduler_older_than_our_floor_is_refused(make_cluster, tmp_path, version):
    (tmp_path / "sitecustomize.py").write_text(
        f"import distributed\ndistributed.__version__ = {version!r}\n"
        "from distributed import versions\n"
        f"versions.get_package_info = lambda names: {{'distributed': {version!r}}}\n"
    )
    cluster = make_cluster(env={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(ExecutorError, match=f"it runs distributed {version}; 2026.1 or newer"):
        check_scheduler(cluster.address, None, 10)


def test_tls_without_a_certificate_is_an_error_before_connecting():
    with pytest.raises((ExecutorError, TypeError), match="TLS"):
        check_scheduler("tls://127.0.0.1:1", None, SHORT)
