"""`ProgressBar`: how far a run is, live on a terminal and in Jupyter, one line at the end elsewhere."""

from __future__ import annotations

from .bar import ProgressBar

__all__ = ["ProgressBar"]
