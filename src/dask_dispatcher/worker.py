"""`Worker`: a stock Dask worker inside this process, in the background."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import tempfile
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import distributed

from .errors import ExecutorError
from .executors.dask.addresses import parse_address
from .executors.dask.connection import CONNECT_TIMEOUT, address_of, find_scheduler
from .options import check_count, check_resources

if TYPE_CHECKING:
    from distributed.security import Security

__all__ = ["Worker"]


class Worker:
    """A stock ``distributed.Worker`` on a thread of this process.

    The ``dask worker`` command serves as well.

    Parameters
    ----------
    address : str, distributed.Client or cluster object, optional
        The scheduler. Default: that of the process's current ``distributed.Client``, else Dask's
        configured ``scheduler-address``, else one on this machine's default port. Never starts one.
    nthreads : int, default 1
        How many nodes it runs at once.
    name : str, optional
        By which nodes' ``workers`` may ask for it.
    resources : dict of str to float, optional
        What it offers to nodes that ask for ``resources``.
    memory_limit : int, float or str, default "auto"
        As for ``dask worker``: bytes, a fraction of the machine's memory, or "auto".
    security : distributed.security.Security, optional

    Attributes
    ----------
    address : str
        Where the worker listens.

    Raises
    ------
    ValueError, TypeError
        If an argument makes no sense; before connecting.
    ExecutorError
        If there is no scheduler.
    """

    def __init__(
        self,
        address: Any = None,
        *,
        nthreads: int = 1,
        name: str | None = None,
        resources: Mapping[str, float] | None = None,
        memory_limit: int | float | str = "auto",
        security: Security | None = None,
    ) -> None:
        self._thread: threading.Thread | None = None
        check_count("nthreads", nthreads, minimum=1)
        options = {
            "nthreads": nthreads,
            "name": name,
            "resources": check_resources(resources),
            "memory_limit": memory_limit,
            "security": security,
        }
        scheduler = _scheduler_address(address, security)
        started: concurrent.futures.Future[str] = concurrent.futures.Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(scheduler, options, started)),
            name="dask-dispatcher-worker",
            daemon=True,
        )
        self._thread.start()
        try:
            self.address = started.result()
        except (OSError, TimeoutError, asyncio.TimeoutError) as error:
            self._thread.join()
            raise ExecutorError(
                f"the worker cannot reach a Dask scheduler at {scheduler}: "
                f"{str(error) or type(error).__name__}"
            ) from error

    async def _serve(
        self, scheduler: str, options: dict[str, Any], started: concurrent.futures.Future[str]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        with tempfile.TemporaryDirectory(prefix="dask-dispatcher-") as directory:
            worker = distributed.Worker(
                scheduler, local_directory=directory, dashboard=False, **options
            )
            try:
                await asyncio.wait_for(_started(worker), CONNECT_TIMEOUT)
            except BaseException as error:
                await worker.close(timeout=1)
                started.set_exception(error)
                return
            started.set_result(worker.address)
            closed = asyncio.ensure_future(worker.finished())
            await asyncio.wait(
                {closed, asyncio.ensure_future(self._stop.wait())},
                return_when=asyncio.FIRST_COMPLETED,
            )
            await worker.close()

    def close(self) -> None:
        """Leave the cluster and end the worker; a second close is harmless."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with contextlib.suppress(RuntimeError):  # the scheduler has ended it already
            self._loop.call_soon_threadsafe(self._stop.set)
        thread.join()

    def __enter__(self) -> Worker:
        if self._thread is None:
            raise ExecutorError("this Worker is closed; make a new one")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Worker {self.address}{'' if self._thread else ': closed'}>"


async def _started(worker: Any) -> None:
    await worker


def _scheduler_address(address: Any, security: Security | None) -> str:
    if address is None or address == "":
        address = find_scheduler()
        if address is None:
            raise ExecutorError(
                "no scheduler for the worker: none was named, there is no current "
                "distributed.Client, no scheduler-address is configured, and none answers on this "
                "machine's default port; start one with: dask scheduler"
            )
    if isinstance(address, distributed.Client):
        return address_of(address)
    if isinstance(address, str):
        return parse_address(address, tls=security is not None and security.require_encryption)
    if hasattr(address, "scheduler_address"):
        return str(address.scheduler_address)
    raise TypeError(
        "address must be a str, a distributed.Client or a cluster object, not "
        f"{type(address).__name__}"
    )
