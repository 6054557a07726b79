"""`check_executor`: runs all checks and reports on those that failed."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterable

from ..executors.base import Executor
from .checks import CHECKS, Check

__all__ = ["check_executor"]

_INDENT = "    "


def check_executor(
    factory: Callable[[], Executor], *, checks: Iterable[Check] = CHECKS, timeout: float = 120.0
) -> None:
    """Run the suite that every executor of this library passes.

    It runs graphs of all kinds, random ones among them, and compares each value with that of a
    reference interpreter; it makes nodes fail, time out and be cancelled; and it uses the executor
    after it was closed. Needs no test framework; under pytest, `CHECKS` gives a test each.

    Parameters
    ----------
    factory : callable
        Takes no arguments, returns a new executor with default settings. Where its nodes run in
        other processes, these must have this package installed, and share this machine's temporary
        folder.
    checks : iterable of callable, optional
        Those to run; default: all, `CHECKS`.
    timeout : float, default 120.0
        Seconds that one check may take.

    Raises
    ------
    AssertionError
        If any check fails: lists all that do, with what each holds executors to and what it found.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from dask_dispatcher import Executor
    >>> from dask_dispatcher.testing import check_executor
    >>> class PoolExecutor(Executor):
    ...     def __init__(self):
    ...         super().__init__(max_workers=2)
    ...         self.pool = ThreadPoolExecutor(2)
    ...
    ...     def submit(self, call):
    ...         return self.pool.submit(call)
    ...
    ...     def close(self):
    ...         super().close()
    ...         self.pool.shutdown()
    >>> check_executor(PoolExecutor)

    With pytest, one test a promise::

        @pytest.mark.parametrize("check", dask_dispatcher.testing.CHECKS)
        def test_pool_executor(check):
            check(PoolExecutor)
    """
    checks = list(checks)
    reports = [report for check in checks if (report := _failure(check, factory, timeout))]
    if reports:
        found = "\n\n".join(reports)
        raise AssertionError(f"{len(reports)} of {len(checks)} checks failed:\n\n{found}")


def _failure(check: Check, factory: Callable[[], Executor], timeout: float) -> str | None:
    """Return what a check found, or None; one that hangs is left behind."""
    caught: list[BaseException] = []

    def run() -> None:
        try:
            check(factory)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=run, name=f"check {_name(check)}", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        return _report(check, f"did not end within {timeout:g} s\n{_stack(thread)}")
    return _report(check, _text(caught[0])) if caught else None


def _text(error: BaseException) -> str:
    if isinstance(error, AssertionError) and error.__cause__ is None:
        return str(error)
    return "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip()


def _stack(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame)).rstrip()


def _report(check: Check, text: str) -> str:
    lines = (f"{_INDENT}{line}" for line in text.splitlines())
    return "\n".join((f"{_name(check)}: {check.__doc__}", *lines))


def _name(check: Check) -> str:
    return getattr(check, "__name__", repr(check))
