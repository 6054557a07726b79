"""Deferred references: handles on a value, or a stream of values, that somebody will put.

`handles` is what users hold. Each reference has a *home*, the program that made it, where its
`Book` (`books`, a pure state machine) says what was put and who waits. In the home, operations go to
the `Desk`; elsewhere they go over a `Link`, which the executor that runs the node provides
(`links`). Values stay with who put them: a book holds an `Item`, which says how to bring one.
"""

from __future__ import annotations

from .handles import DeferredChannel, DeferredFuture

__all__ = ["DeferredChannel", "DeferredFuture"]
