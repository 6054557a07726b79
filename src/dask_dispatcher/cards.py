"""How nodes, runs and results show themselves in a notebook: a small card of facts.

All text goes through `drawing.markup`; colours are the notebook's own, so that a card is at home in
light and dark. Plain terminals get the ``repr``.
"""

from __future__ import annotations

from collections.abc import Iterable

from .drawing import markup

__all__ = ["card"]

_TONES = {"good": "#2f9e63", "bad": "#d1293d", "plain": "#98a2ac"}
_CARD = (
    '<div style="border:1px solid {tone};border-left-width:4px;border-radius:6px;padding:6px 12px;'
    'margin:2px 0;max-width:900px;overflow-wrap:anywhere">'
)
_FACTS = '<table style="border-collapse:collapse;margin:2px 0;font-size:inherit">'
_NAME = '<td style="padding:0 14px 0 0;opacity:.65;text-align:left;vertical-align:top">'
_VALUE = '<td style="padding:0;text-align:left">'
_TEXT = '<pre style="max-height:320px;overflow:auto;margin:4px 0;white-space:pre-wrap">'
_LONGEST = 20_000


def card(
    kind: str, name: str, facts: Iterable[tuple[str, str]], tone: str = "plain", text: str = ""
) -> str:
    """Return a card as HTML.

    Parameters
    ----------
    kind, name : str
        Its heading.
    facts : iterable of (str, str)
        Names and values; those without a value are left out.
    tone : {'plain', 'good', 'bad'}
    text : str
        Several lines, folded away.
    """
    rows = "".join(
        f"<tr>{_NAME}{markup(fact)}</td>{_VALUE}{markup(value, 2_000)}</td></tr>"
        for fact, value in facts
        if value
    )
    folded = f"<details><summary>Traceback</summary>{_TEXT}{_lines(text)}</pre></details>"
    return (
        f"{_CARD.format(tone=_TONES[tone])}<b>{markup(name, 200)}</b> "
        f'<span style="opacity:.65">{markup(kind)}</span>{_FACTS}{rows}</table>'
        f"{folded if text else ''}</div>"
    )


def _lines(text: str) -> str:
    return "\n".join(markup(line) for line in text[:_LONGEST].split("\n"))
