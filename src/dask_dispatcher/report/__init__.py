"""Files that tell how runs went: a page to look at, a trace for Perfetto, JSON lines for programs.

Each is an observer, and writes while the run goes on, so that a program that crashes leaves what
had happened by then.
"""

from __future__ import annotations

from .lines import EventLog
from .observer import Report
from .trace import ChromeTrace

__all__ = ["ChromeTrace", "EventLog", "Report"]
