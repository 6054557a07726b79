"""The head of a report: one HTML page that needs nothing from anywhere.

The page's script and style are files of this package, inlined as they are. The data follows as JSON
in ``<script type="application/json">`` blocks, which a browser does not run; all of it goes through
`embedded`, the one function that makes text safe to stand in the page, and the page's script puts
it on the screen as text, never as markup. A content security policy holds both to that: it allows
the one script and the one style whose hashes it names, no request to anywhere, and no way to turn
text into markup.

No closing tags: a page that ends after any block is whole.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

__all__ = ["embedded", "head", "is_report"]

# In the order in which they build on one another.
SCRIPTS = ("model", "analysis", "layout", "dom", "timeline", "graph", "tables", "main")

_TITLE = "<title>Run report of dask-dispatcher</title>"


def embedded(data: Any) -> str:
    """Return data as a block of the page that no content of it can leave or make run.

    Plain ASCII; what begins a tag, an entity or a comment is written as JSON escapes.
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return f'<script type="application/json">{text}</script>\n'


@cache
def head() -> str:
    """Return all of the page that comes before the data."""
    script = '"use strict";\n' + "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    style = _asset("report.css")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
    page = _asset("shell.html")
    for place, content in (("POLICY", policy), ("STYLE", style), ("SCRIPT", script)):
        page = page.replace(f"{{{{{place}}}}}", content)
    return page


def is_report(path: Path) -> bool:
    """Return whether a file is a report, which another one may replace."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return _TITLE in file.read(4_000)
    except OSError:
        return False


def _asset(name: str) -> str:
    return (files(__package__) / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
