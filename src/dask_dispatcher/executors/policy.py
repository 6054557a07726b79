"""What an executor does for nodes whose options say nothing, and when a failure is tried again."""

from __future__ import annotations

import logging
import random
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from ..options import Options, RetryOn, check_count, check_number, check_retry_on

__all__ = ["Failure", "Policy"]

log = logging.getLogger("dask_dispatcher")

_LONGEST_DELAY = 60.0  # seconds between two attempts, however many came before
_LONGEST_TRACEBACK = 20_000  # characters of text kept with an error
_OWN_FILES = str(Path(__file__).parents[1])


class Failure(NamedTuple):
    """Why one attempt of a node failed."""

    cause: BaseException
    traceback: str
    worker: str | None

    @classmethod
    def of(cls, error: BaseException, worker: str | None = None) -> Failure:
        """Describe an exception caught around a user's call; keeps the user's own frames only."""
        # By its method: an exception that is a frozen dataclass refuses the assignment.
        error.with_traceback(users_part(error.__traceback__))
        try:
            text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        except BaseException as broken:  # the user's __str__ may raise anything
            frames = "".join(traceback.format_tb(error.__traceback__))
            text = f"{frames}{type(error).__name__}: <its __str__ raised {type(broken).__name__}>\n"
        if len(text) > _LONGEST_TRACEBACK:
            half = _LONGEST_TRACEBACK // 2
            text = f"{text[:half]}\n… {len(text) - 2 * half:,} characters …\n{text[-half:]}"
        return cls(error, text, worker)


def users_part(frames: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that lies below the frames of this library that called it.

    Frames of this library that come later stay: there the user's own lines called it again.
    """
    start = frames
    while start is not None and not _is_own(start):
        start = start.tb_next
    if start is None:
        return frames
    while start is not None and _is_own(start):
        start = start.tb_next
    return start


def _is_own(frame: TracebackType) -> bool:
    return frame.tb_frame.f_code.co_filename.startswith(_OWN_FILES)


@dataclass(frozen=True)
class Policy:
    """Defaults for nodes that say nothing; the fields are those of `Options`."""

    retries: int = 0
    retry_on: RetryOn = Exception
    retry_delay: float = 0.1
    timeout: float | None = None
    max_losses: int = 3

    def __post_init__(self) -> None:
        for name in ("retries", "max_losses"):
            if getattr(self, name) is None:
                raise TypeError(f"{name} must be an int, not None")
            check_count(name, getattr(self, name))
        check_number("retry_delay", self.retry_delay, zero=True)
        check_number("timeout", self.timeout)
        check_retry_on(self.retry_on)

    def timeout_of(self, options: Options) -> float | None:
        """Return the seconds that one attempt may take, or None."""
        return self.timeout if options.timeout is None else options.timeout

    def delay_before_retry(
        self, options: Options, failures: int, error: BaseException
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or None if there is none.

        Parameters
        ----------
        options : Options
        failures : int
            How often the node has failed, this time included.
        error : BaseException
            Its latest failure.
        """
        retries = self.retries if options.retries is None else options.retries
        if failures > retries or not self._is_retryable(options, error):
            return None
        first = self.retry_delay if options.retry_delay is None else options.retry_delay
        # The exponent is bounded before the power is taken: 2.0 ** 1100 overflows.
        delay = min(first * 2.0 ** min(failures - 1, 30), max(first, _LONGEST_DELAY))
        return delay * random.uniform(1.0, 1.25)

    def _is_retryable(self, options: Options, error: BaseException) -> bool:
        if isinstance(error, KeyboardInterrupt):
            return False
        retry_on = self.retry_on if options.retry_on is None else options.retry_on
        if isinstance(retry_on, (type, tuple)):
            return isinstance(error, retry_on)
        try:
            return bool(retry_on(error))
        except BaseException:  # a predicate that calls sys.exit must not end a thread of ours
            log.exception("retry_on raised; %s is not tried again", type(error).__name__)
            return False
