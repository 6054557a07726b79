"""`ProgressBar`: an observer that shows how far a run is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ..events import Event, Progressed, RunEnded, RunStarted
from .screens import Quiet, Screen, Terminal, usual_screen
from .tally import Counts, Tally, first_and_rest

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["ProgressBar"]

_MOST_LABELS = 10
_SHARE = 0.01  # of the time may go into counting


class ProgressBar:
    """Shows what is done, running, failed and tried again, by label, and the time left.

    Live on a terminal and in Jupyter; elsewhere one line at the end. It costs a run next to
    nothing: it asks for no records of single nodes, reads counters a few times a second, and takes
    longer from one look to the next where a look takes long.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw. Default: the notebook or terminal the program runs in.
    period : float, default 0.25
        Seconds from one picture to the next, at least.

    Examples
    --------
    >>> from dask_dispatcher import AsyncExecutor, ProgressBar, op
    >>> with AsyncExecutor() as executor:
    ...     _ = executor.run([op(sum)([1, 2])], observers=[ProgressBar()])
    """

    counts_only = True

    def __init__(self, console: Console | None = None, period: float = 0.25) -> None:
        self._screen: Screen = usual_screen() if console is None else _screen_of(console)
        self._period = period
        self._begin(RunStarted(0.0, 0))

    def _begin(self, event: RunStarted) -> None:
        self._began = self._drawn = time.monotonic()
        self._counts = Progressed(event.time, event.nodes, 0, 0)
        self._view = event.view
        self._tally = Tally(event.view) if event.view else None
        self._labels: list[Counts] = []
        self._counted = -float("inf")
        self._retries = 0

    def on_events(self, batch: Sequence[Event]) -> None:
        """Draw the latest counts, if the last picture is old enough."""
        for event in batch:
            if isinstance(event, RunStarted):
                self._begin(event)
            elif isinstance(event, Progressed):
                self._counts = event
            elif isinstance(event, RunEnded):
                self._end(event)
                return
        now = time.monotonic()
        if self._screen.is_live and now - self._drawn >= self._period:
            self._drawn = now
            self._count(now)
            self._screen.draw(self._picture)

    def _count(self, now: float) -> None:
        if self._tally is None:
            return
        if now - self._counted >= self._tally.seconds / _SHARE:
            self._labels = first_and_rest(self._tally.look(), _MOST_LABELS)
            self._counted = now
            self._retries = self._tally.retries()

    def _end(self, event: RunEnded) -> None:
        retries = self._tally.retries() if self._tally else 0
        parts = [f"{event.done + event.failed:,}/{event.nodes:,} nodes"]
        parts += [f"{event.failed:,} failed"] if event.failed else []
        parts += [f"{retries:,} tried again"] if retries else []
        parts += [_duration(time.monotonic() - self._began)]
        self._view = self._tally = None
        self._screen.end(", ".join(parts))

    # The picture

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table

        table = Table.grid(padding=(0, 2), expand=False)
        sides: tuple[Literal["left", "right"], ...] = ("left", "left", "right", "right", "right")
        for side in sides:
            table.add_column(justify=side, no_wrap=True)
        running = sum(counts.running for counts in self._labels)
        counts = self._counts
        total = Counts("all nodes", counts.nodes, counts.done, running, counts.failed)
        for one in [total, *(self._labels if len(self._labels) > 1 else ())]:
            table.add_row(*self._row(one, is_total=one is total))
        return Group(table, self._footer())

    def _row(self, counts: Counts, *, is_total: bool) -> list[RenderableType]:
        from rich.progress_bar import ProgressBar as Bar
        from rich.text import Text

        style = "bold" if is_total else "dim" if counts.ended == counts.nodes else ""
        return [
            Text(counts.name[:40], style=style),
            Bar(total=max(1, counts.nodes), completed=counts.ended, width=30),
            Text(f"{counts.ended:,}/{counts.nodes:,}", style=style),
            Text(f"{counts.running:,} running" if counts.running else "", style="cyan"),
            Text(f"{counts.failed:,} failed" if counts.failed else "", style="red"),
        ]

    def _footer(self) -> RenderableType:
        from rich.text import Text

        passed = time.monotonic() - self._began
        parts = [_duration(passed)]
        ended = self._counts.done + self._counts.failed
        if 0 < ended < self._counts.nodes:
            left = passed / ended * (self._counts.nodes - ended)
            parts.append(f"about {_duration(left)} left")
        workers = self._view.workers() if self._view else None
        if workers is not None:
            parts.append(f"{workers:,} worker{'s' * (workers != 1)}")
        if self._retries:
            parts.append(f"{self._retries:,} tried again")
        return Text(" · ".join(parts), style="dim")


def _screen_of(console: Console) -> Screen:
    return Terminal(console) if console.is_terminal else Quiet(console.file)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
