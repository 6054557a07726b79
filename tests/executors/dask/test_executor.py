"""`DaskExecutor`: what its user gives it and sees of it."""

import numpy
import pytest
from distributed import Security

from dask_dispatcher import Client, DaskExecutor, DependencyError, ExecutorError, op


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"worker_timeout": -1}, ValueError),
        ({"worker_timeout": float("nan")}, ValueError),
        ({"worker_timeout": "5"}, TypeError),
        ({"worker_timeout": True}, TypeError),
        ({"retries": -1}, ValueError),
        ({"retries": 1.5}, TypeError),
        ({"retries": None}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"max_losses": -1}, ValueError),
        ({"retry_on": 3}, TypeError),
    ],
)
def test_bad_options_are_refused_before_connecting(options, error):
    # Nobody answers at this address; connecting would be another error, and take its time.
    with pytest.raises(error, match=next(iter(options))):
        DaskExecutor("127.0.0.1:1", **options)


def test_arrays_come_back(shared_cluster):
    # Through the scheduler, which asks workers in a protocol without buffers out of band.
    with DaskExecutor(shared_cluster.address) as executor:
        assert executor.compute(op(numpy.arange)(5)).tolist() == [0, 1, 2, 3, 4]


def test_repr_names_address_and_state(shared_cluster):
    executor = DaskExecutor(shared_cluster.address)
    assert repr(executor) == f"<DaskExecutor: {shared_cluster.address}, 0 runs under way>"
    executor.close()
    assert repr(executor) == "<DaskExecutor: closed>"


def test_repr_of_one_that_never_connected():
    executor = DaskExecutor.__new__(DaskExecutor)
    with pytest.raises(ValueError, match="no scheduler address"):
        executor.__init__("http://127.0.0.1")
    assert repr(executor) == "<DaskExecutor: closed>"
    with pytest.raises(ExecutorError, match="closed"):
        executor.run([op(int)("3")])


def test_its_client_is_one_and_shares_the_connection(shared_cluster):
    with DaskExecutor(shared_cluster.address) as executor:
        assert isinstance(executor.client, Client)
        assert executor.client is executor.client
        assert executor.client.dask is executor._engine.connection.client


def test_its_defaults_hold_for_nodes_that_say_nothing(shared_cluster, starts_log):
    record = starts_log.record

    def fail(label):
        record(label)
        raise ValueError(label)

    nodes = [op(fail)("default"), op(fail, retries=0)("own")]
    with DaskExecutor(shared_cluster.address, retries=2, retry_delay=0.001) as executor:
        results = executor.run(nodes, raise_errors=False)
    assert starts_log.counts() == {"default": 3, "own": 1}
    assert [result.unwrap_err().attempts for result in results] == [3, 1]


def test_without_with_it_is_closed_when_collected(shared_cluster):
    executor = DaskExecutor(shared_cluster.address)
    client = executor._engine.connection.client
    assert executor.compute(op(int)("3")) == 3
    del executor
    assert client.status == "closed"


async def _use(address):
    async with DaskExecutor(address) as executor:
        first = executor.start([op(int)("3"), op(int)("x")])
        good, bad = await first
        return await good.unwrap(), bad.unwrap_err()


def test_it_works_from_a_running_loop(shared_cluster):
    import asyncio

    value, error = asyncio.run(_use(shared_cluster.address))
    assert value == 3
    assert type(error) is DependencyError
    assert isinstance(error.__cause__, ValueError)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    import subprocess

    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
            "-keyout",
            key,
            "-out",
            cert,
        ],
        check=True,
        capture_output=True,
    )
    return {"tls_ca_file": str(cert), "tls_client_cert": str(cert), "tls_client_key": str(key)}


@pytest.fixture(scope="module")
def tls_cluster(tmp_path_factory, certificate):
    from tests.support import Cluster

    options = ["--tls-ca-file", certificate["tls_ca_file"]]
    options += ["--tls-cert", certificate["tls_client_cert"]]
    options += ["--tls-key", certificate["tls_client_key"], "--protocol", "tls"]
    folder = tmp_path_factory.mktemp("tls-cluster")
    with Cluster(folder, workers=1, options=options) as cluster:
        yield cluster


def test_tls(tls_cluster, certificate):
    security = Security(require_encryption=True, **certificate)
    assert tls_cluster.address.startswith("tls://")
    for address in (tls_cluster.address, tls_cluster.address.removeprefix("tls://")):
        with DaskExecutor(address, security=security) as executor:
            assert executor.compute(op(int)("3")) == 3
            assert executor._engine.connection.address == tls_cluster.address


def test_no_plain_text_to_a_scheduler_that_wants_tls(tls_cluster, certificate):
    address = tls_cluster.address.removeprefix("tls://")
    with pytest.raises(ExecutorError, match="cannot connect"):
        DaskExecutor(f"tcp://{address}")
    with pytest.raises(ExecutorError, match="encryption required"):
        DaskExecutor(f"tcp://{address}", security=Security(require_encryption=True, **certificate))
    with pytest.raises(ExecutorError, match="TLS"):
        DaskExecutor(f"tls://{address}")
