"""The states of a node in one run; `schedule` says what moves it from one to the next."""

from __future__ import annotations

__all__ = ["CANCELLED", "DELAYED", "DONE", "FAILED", "READY", "RELEASED", "RUNNING", "WAITING"]

WAITING, READY, RUNNING, DELAYED, DONE, RELEASED, FAILED, CANCELLED = range(8)
