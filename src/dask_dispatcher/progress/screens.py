"""Where progress is drawn: a terminal, a notebook's cell, or nowhere until the end.

rich draws. It is imported with the first picture, not before: a run that ends within a quarter of a
second shows a line, and does not wait for a library.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..drawing import markup

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

__all__ = ["Notebook", "Quiet", "Screen", "Terminal", "usual_screen"]

_PAGE = '<pre style="line-height:1.25;margin:0;font-family:monospace">{code}</pre>'
_NOTEBOOK_WIDTH = 110


class Screen(Protocol):
    """Shows a picture in place of the one before; at the end a line stays."""

    is_live: bool
    """Whether there is any use in drawing before the end."""

    def draw(self, picture: Callable[[], RenderableType]) -> None:
        """Show what `picture` returns."""

    def end(self, line: str) -> None:
        """Take the picture away and leave a line of text."""


class Quiet:
    """A file or a pipe: nothing before the end.

    Parameters
    ----------
    file : writable text file
    """

    is_live = False

    def __init__(self, file: Any) -> None:
        self._file = file

    def draw(self, picture: Callable[[], RenderableType]) -> None:
        """Do nothing."""

    def end(self, line: str) -> None:
        self._file.write(f"{line}\n")
        self._file.flush()


class Terminal:
    """A terminal, drawn over in place.

    Parameters
    ----------
    console : rich.console.Console, optional
        Default: standard error.
    """

    is_live = True

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._live: Live | None = None

    def draw(self, picture: Callable[[], RenderableType]) -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            self._console = self._console or Console(stderr=True)
            # Drawn when asked to: a refreshing thread of its own would be one more to end.
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(picture(), refresh=True)

    def end(self, line: str) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        file = self._console.file if self._console else sys.stderr
        file.write(f"{line}\n")
        file.flush()


class Notebook:
    """The output of a Jupyter cell, updated in place."""

    is_live = True

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, picture: Callable[[], RenderableType]) -> None:
        from rich.console import Console

        console = Console(
            file=io.StringIO(), record=True, width=_NOTEBOOK_WIDTH, force_jupyter=False
        )
        console.print(picture())
        text = console.export_text(clear=False, styles=False)
        self._show(text, console.export_html(inline_styles=True, code_format=_PAGE))

    def end(self, line: str) -> None:
        self._show(line, _PAGE.format(code=markup(line)))

    def _show(self, text: str, html: str) -> None:
        from IPython.display import display  # here, as only Jupyter has it

        bundle = {"text/plain": text, "text/html": html}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def usual_screen() -> Screen:
    """Return the screen of this program: its notebook, its terminal, or a quiet one."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if type(shell).__name__ == "ZMQInteractiveShell":
        return Notebook()
    return Terminal() if sys.stderr.isatty() else Quiet(sys.stderr)
