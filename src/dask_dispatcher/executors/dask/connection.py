"""`Connection`: finding a scheduler, connecting to it, and asking how it is.

Every wait here is bounded. A client or cluster that was passed in is used and left alone; what was
made here is closed here. Our clients never become the process's default client.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import dask.config
import distributed
from dask.base import annotate

from ...errors import ExecutorError, SchedulerLostError
from .addresses import parse_address
from .embedded import EmbeddedCluster
from .failing import was_forgotten
from .probing import check_scheduler

if TYPE_CHECKING:
    from distributed.security import Security

__all__ = ["CONNECT_TIMEOUT", "Connection", "address_of", "find_scheduler"]

log = logging.getLogger("dask_dispatcher")

T = TypeVar("T")

CONNECT_TIMEOUT = 4.5  # seconds; connection errors are promised within 5
_REACH = 2.0  # seconds for a worker to answer us
_SILENCE = 30.0  # seconds after which one that has not is asked again
_DEFAULT = "127.0.0.1:8786"


class Connection:
    """A connection to a Dask scheduler.

    Parameters
    ----------
    address : str, distributed.Client, cluster object or None
        None or '': the process's current client, else Dask's configured scheduler-address, else a
        scheduler on this machine's default port if one answers, else an embedded cluster.
    security : distributed.security.Security, optional
    resources : mapping of str to float, optional
        Of an embedded cluster.

    Raises
    ------
    ValueError
        If `address` is a str but no address; before connecting.
    ExecutorError
        If nothing that is a Dask scheduler answers.
    """

    def __init__(
        self,
        address: Any = None,
        *,
        security: Security | None = None,
        resources: Mapping[str, float] | None = None,
    ) -> None:
        self.name = os.urandom(8).hex()
        """Unique; what is sent by it and concerns it alone bears it, as a client may serve several."""
        self._security = security
        self._embedded: EmbeddedCluster | None = None
        self._owns_client = True
        self._renewing = threading.Lock()  # guards client while it is renewed
        self._answering: set[str] = set()  # addresses of workers that have answered us
        self._silent_until: dict[str, float] = {}  # of those that did not: when to ask again
        self._pid = os.getpid()
        self._reopen: Callable[[], distributed.Client] = lambda: self._open(address)
        if address is None or address == "":
            address = find_scheduler(security) or self._embed(resources)
        if isinstance(address, distributed.Client):
            self._owns_client = False
            self.client = address
        elif isinstance(address, str):
            address = parse_address(address, tls=_is_tls(security))
            self._reopen = lambda: self._open(address)
            self.client = self._connect(address)
        elif hasattr(address, "scheduler_address"):
            self.client = self._connect(address)
        else:
            raise TypeError(
                "address must be a str, a distributed.Client or a cluster object, not "
                f"{type(address).__name__}"
            )
        _all.add(self)

    def _embed(self, resources: Mapping[str, float] | None) -> str:
        self._embedded = EmbeddedCluster(resources=resources)
        log.info("started an embedded local cluster, %s", self._embedded.address)
        return self._embedded.address

    def _connect(self, address: Any) -> distributed.Client:
        try:
            return self._open(address)
        except BaseException as error:
            if self._embedded is not None:
                self._embedded.close()
            shown = getattr(address, "scheduler_address", address)
            if isinstance(
                error, (OSError, TimeoutError, asyncio.TimeoutError, TypeError, ValueError)
            ):
                raise ExecutorError(
                    f"cannot connect to a Dask scheduler at {shown}: "
                    f"{str(error) or type(error).__name__}"
                ) from error
            raise

    def _open(self, address: Any) -> distributed.Client:
        if isinstance(address, str):
            check_scheduler(address, self._security, CONNECT_TIMEOUT)
        return distributed.Client(
            address,
            timeout=CONNECT_TIMEOUT,
            security=self._security,
            set_as_default=False,
            name="dask-dispatcher",
        )

    @property
    def is_alive(self) -> bool:
        """Whether the client is connected to its scheduler."""
        return bool(self.client.status == "running")

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return address_of(self.client)

    def has_lost(self, future: distributed.Future[Any]) -> bool:
        """Return whether a task is of a scheduler that was lost, or somebody cancelled it."""
        was_cancelled = future.status == "cancelled" and not was_forgotten(future)
        return future.client is not self.client or was_cancelled

    def check_process(self) -> None:
        """Raise ExecutorError in a process that was forked from the one that connected."""
        if os.getpid() != self._pid:
            raise ExecutorError(
                f"this connection to {self.address} was made in process {self._pid}, before a "
                "fork; make a new one in this process"
            )

    def ensure(self) -> None:
        """Connect again if the connection was lost.

        Raises
        ------
        SchedulerLostError
            If that fails, or the client is not ours to renew.
        """
        self.check_process()
        with self._renewing:
            if self.is_alive:
                return
            if not self._owns_client:
                if self._waits_out_reconnection():
                    return
                raise SchedulerLostError(
                    "the distributed.Client that was passed in is not connected"
                )
            self._disconnect()
            try:
                self.client = self._reopen()
            except (ExecutorError, OSError, TimeoutError, asyncio.TimeoutError) as error:
                text = f"the scheduler is gone, and none answers: {error}"
                raise SchedulerLostError(text) from error

    def _waits_out_reconnection(self) -> bool:
        """Give a client that reconnects by itself the time to; return whether it has."""
        deadline = time.monotonic() + CONNECT_TIMEOUT
        while self.client.status == "connecting" and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.is_alive

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop: Any = self.client.loop
        return cast(asyncio.AbstractEventLoop, loop.asyncio_loop)

    def submit(
        self, function: Callable[..., Any], *args: Any, **options: Any
    ) -> distributed.Future[Any]:
        """Make a Dask task, as ``Client.submit`` does, in one span with all others of the client."""
        # Each burst of tasks without a span gets a new one, which scheduler and workers keep for ever.
        with annotate(span={"name": ("dask-dispatcher",), "ids": (self.client.id,)}):
            return self.client.submit(function, *args, pure=False, **options)

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Begin a coroutine on the client's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def when_done(self, future: distributed.Future[Any], callback: Callable[[], None]) -> None:
        """Call back, on the client's event loop, when a task has ended in whatever way.

        ``Future.add_done_callback`` takes a thread more, and fails while the program exits.
        """
        state = future._state

        async def watch() -> None:
            while state is not None and state.status == "pending":
                await state.wait()
            callback()

        loop: Any = self.client.loop
        loop.add_callback(watch)

    def scatter(
        self, key: tuple[str, int], value: Any, address: str
    ) -> concurrent.futures.Future[distributed.Future[Any]]:
        """Bring a value to a worker, past the scheduler if the worker can be reached from here."""
        client = self.client

        async def bring() -> distributed.Future[Any]:
            direct = await self._reaches(client, address)
            answer = client.scatter(
                {key: value}, workers=[address], direct=direct, asynchronous=True
            )
            found: dict[Any, distributed.Future[Any]] = await answer
            return found[key]

        return self.begin(bring())

    async def _reaches(self, client: distributed.Client, address: str) -> bool:
        """Return whether a worker answers us; one that did not is asked again after a while."""
        if address in self._answering:
            return True
        if time.monotonic() < self._silent_until.get(address, 0.0):
            return False
        try:
            await asyncio.wait_for(client.rpc(address).identity(), _REACH)
        except (OSError, asyncio.TimeoutError):  # out of reach, or too busy
            self._silent_until[address] = time.monotonic() + _SILENCE
            return False
        self._answering.add(address)
        return True

    def identity(self) -> concurrent.futures.Future[dict[str, Any]]:
        """Ask the scheduler about itself and all its workers."""

        async def ask() -> dict[str, Any]:
            scheduler: Any = self.client.scheduler
            found = scheduler.identity(n_workers=-1)
            return dict(await asyncio.wait_for(found, CONNECT_TIMEOUT))

        return self.begin(ask())

    def collect(self, keys: list[Any]) -> concurrent.futures.Future[dict[str, Any]]:
        """Ask the scheduler for the data of keys that are in memory somewhere."""

        async def ask() -> dict[str, Any]:
            scheduler: Any = self.client.scheduler
            return dict(await scheduler.gather(keys=keys))

        return self.begin(ask())

    def ask_worker(
        self, address: str, function: Callable[..., T], *args: Any
    ) -> concurrent.futures.Future[T]:
        """Call a function of ours on a worker's event loop; return what it returns."""

        async def ask() -> T:
            found = self.client.run(function, *args, workers=[address], asynchronous=True)
            return dict(await asyncio.wait_for(found, CONNECT_TIMEOUT))[address]  # type: ignore[no-any-return]

        return self.begin(ask())

    def close(self) -> None:
        """Disconnect, and end what was started here."""
        if self._owns_client:
            self._disconnect()
        if self._embedded is not None:
            self._embedded.close()

    def _disconnect(self) -> None:
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            self.client.close(timeout=5)
        # A client that found its scheduler gone and closed by itself leaves its thread running.
        self.client._loop_runner.stop()

    def abandon(self) -> None:
        """Forget, in a forked process, what belongs to the one that connected."""
        if self._owns_client:
            # Or the end of the process would wait for an event loop that is not there.
            self.client.status = "closed"
        if self._embedded is not None:
            self._embedded.abandon()


_all: weakref.WeakSet[Connection] = weakref.WeakSet()


def _abandon_all() -> None:
    for connection in list(_all):
        connection.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)


def address_of(client: distributed.Client) -> str:
    """Return the address of a client's scheduler."""
    scheduler: Any = client.scheduler
    return str(scheduler.address) if scheduler is not None else "a lost scheduler"


def find_scheduler(security: Security | None = None) -> distributed.Client | str | None:
    """Return the scheduler that is there already, if any, in the contract's order."""
    try:
        found = distributed.get_client()
    except ValueError:
        pass
    else:
        log.info("using the current distributed.Client, %s", address_of(found))
        return found
    configured = dask.config.get("scheduler-address", None)
    if configured:
        log.info("using the configured scheduler-address, %s", configured)
        return str(configured)
    if _answers(_DEFAULT, security):
        log.info("using the scheduler on this machine's default port, %s", _DEFAULT)
        return _DEFAULT
    return None


def _answers(address: str, security: Security | None) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=0.5).close()
    except OSError:
        return False
    try:
        check_scheduler(parse_address(address, tls=_is_tls(security)), security, CONNECT_TIMEOUT)
    except ExecutorError as error:
        log.info("not using what listens on this machine's default port: %s", error)
        return False
    return True


def _is_tls(security: Security | None) -> bool:
    return security is not None and bool(security.require_encryption)
