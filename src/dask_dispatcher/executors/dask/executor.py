"""`DaskExecutor`: runs graphs on a Dask cluster."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from ...config import seconds
from ...options import RetryOn, check_number, check_resources
from ..base import Executor
from .connection import Connection
from .engine import DaskEngine

if TYPE_CHECKING:
    from distributed.security import Security

    from ...client import Client
    from ..engine import Engine
    from ..policy import Policy

__all__ = ["DaskExecutor"]


class DaskExecutor(Executor):
    """Runs graphs on a stock Dask scheduler with stock workers, which may come and go.

    Workers need this package installed; the scheduler does not.

    Parameters
    ----------
    address : str, distributed.Client or cluster object, optional
        ``tcp://host:port``, ``tls://host:port`` or ``host:port``. Default: the process's current
        ``distributed.Client``, else Dask's configured ``scheduler-address``, else a scheduler on
        this machine's default port if one answers, else an embedded local cluster.
    worker_timeout : float, optional
        Seconds to wait for a worker that can run a node before it ends as Err(NoWorkersError).
        Default: ``dispatcher.worker-timeout`` of Dask's configuration, which is 30 s.
    security : distributed.security.Security, optional
        For TLS.
    resources : dict of str to float, optional
        What nodes that ask for ``resources`` share on an embedded cluster. Of any other, each worker
        says what it has (``dask worker --resources``), and this is left out of account.
    retries, retry_on, retry_delay, timeout, max_losses : optional
        Defaults for nodes that say nothing; see `op`.

    Raises
    ------
    ValueError
        If `address` is a str but no address; before connecting.
    ExecutorError
        If no scheduler answers.
    """

    def __init__(
        self,
        address: Any = None,
        *,
        worker_timeout: float | None = None,
        security: Security | None = None,
        resources: Mapping[str, float] | None = None,
        retries: int = 0,
        retry_on: RetryOn = Exception,
        retry_delay: float = 0.1,
        timeout: float | None = None,
        max_losses: int = 3,
    ) -> None:
        self._closed = True  # until a connection stands
        if worker_timeout is None:
            worker_timeout = seconds("worker-timeout") or 0.0
        check_number("worker_timeout", worker_timeout, zero=True)
        self._address, self._security = address, security
        self._worker_timeout = worker_timeout
        self._client: Client | None = None
        super().__init__(
            resources=resources,
            retries=retries,
            retry_on=retry_on,
            retry_delay=retry_delay,
            timeout=timeout,
            max_losses=max_losses,
        )
        _open.add(self)

    @property
    def client(self) -> Client:
        """The `Client` that shares this executor's connection."""
        self._check_open()
        if self._client is None or self._client.is_closed:
            from ...client import Client  # here, as that module stands on this one

            self._client = Client.of(self)
        return self._client

    @property
    def shares_memory(self) -> bool:  # type: ignore[override]  # known once it is connected
        """Whether the workers are threads of this process: no others reach such a scheduler."""
        address = cast(DaskEngine, self._engine).connection.address
        return address.startswith("inproc://")

    def _make_engine(
        self, policy: Policy, max_workers: int | None, resources: Mapping[str, float] | None
    ) -> Engine:
        resources = check_resources(resources)
        connection = Connection(self._address, security=self._security, resources=resources)
        return DaskEngine(policy, connection, self._worker_timeout)

    def _describe(self) -> str:
        if self._closed:
            return "closed"
        engine = cast(DaskEngine, self._engine)
        return f"{engine.connection.address}, {super()._describe()}"


_open: weakref.WeakSet[DaskExecutor] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Close what a program leaves open, while Dask's threads still run."""
    for executor in list(_open):
        executor.close()
