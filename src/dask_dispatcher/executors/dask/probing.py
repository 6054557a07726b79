"""Asking, in bounded time, whether a Dask scheduler answers at an address.

`distributed.Client` waits without end for a port that takes connections and never speaks, and when
it fails it leaves a thread behind until it is collected. So we ask first, and make a client only
for what has proved to be a scheduler.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from distributed import Security
from distributed.core import rpc

from ...errors import ExecutorError, safe_text

__all__ = ["check_scheduler"]

T = TypeVar("T")

FLOOR = (2026, 1)
"""The oldest version of distributed that we work with: the first without CVE-2026-23528."""


def check_scheduler(address: str, security: Security | None, timeout: float) -> None:
    """Return if a Dask scheduler answers at an address.

    Parameters
    ----------
    address : str
        With its scheme.
    security : distributed.security.Security or None
    timeout : float
        Seconds to wait for the answer.

    Raises
    ------
    ExecutorError
        If nothing answers in time, or what answers is no scheduler, or one that is too old.
    """
    arguments = (security or Security()).get_connection_args("client")
    try:
        identity = _run_apart(_ask(address, arguments, timeout))
    except (TimeoutError, asyncio.TimeoutError) as error:
        why = f"it takes connections, but says nothing within {timeout} s"
        raise _refused(address, why) from error
    except (OSError, RuntimeError, TypeError) as error:  # the latter two: of `security`
        raise _refused(address, _first_words(error)) from error
    except Exception as error:  # bytes that are not Dask's raise anything from ValueError on
        why = f"what answers there is not Dask ({type(error).__name__})"
        raise _refused(address, why) from error
    if identity.get("type") != "Scheduler":
        raise _refused(address, f"a Dask {identity.get('type')} answers there")
    version = str(identity.get("distributed"))
    if _is_too_old(version):
        oldest = ".".join(map(str, FLOOR))
        why = f"it runs distributed {version}; {oldest} or newer is needed, for its security too"
        raise _refused(address, why)


def _is_too_old(version: str) -> bool:
    numbers = [int(word) for word in version.split(".")[:2] if word.isdigit()]
    return tuple(numbers) < FLOOR


def _first_words(error: BaseException) -> str:
    """Return what led to an error in the first place: why no connection came about."""
    words = ""
    cause: BaseException | None = error
    while cause is not None:
        words = safe_text(cause, 500) or words
        cause = cause.__cause__
    return words or type(error).__name__


def _refused(address: str, why: str) -> ExecutorError:
    return ExecutorError(f"cannot connect to a Dask scheduler at {address}: {why}")


async def _ask(address: str, arguments: dict[str, Any], timeout: float) -> dict[str, Any]:
    # Connecting ends a little sooner, so that who does not even connect is told apart.
    async with rpc(address, connection_args=arguments, timeout=0.9 * timeout) as server:
        return await asyncio.wait_for(_introduce(server), timeout)


async def _introduce(server: Any) -> dict[str, Any]:
    """Return what a Dask server says of itself; of a scheduler with the version of its Dask."""
    identity = dict(await server.identity())
    if identity.get("type") == "Scheduler":
        versions = await server.versions()
        identity["distributed"] = versions["packages"]["distributed"]
    return identity


def _run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on an event loop of its own, as one may be running in this thread."""
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()

    def target() -> None:
        loop = asyncio.new_event_loop()
        try:
            outcome.set_result(loop.run_until_complete(coroutine))
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            # Unlike asyncio.run, this does not wait for a slow look-up of a name.
            loop.close()

    thread = threading.Thread(target=target, name="dask-dispatcher-probe", daemon=True)
    thread.start()
    thread.join()
    return outcome.result()
