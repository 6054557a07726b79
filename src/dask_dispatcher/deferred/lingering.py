"""Words that nobody waits for: they linger for company, and those that are alike become one.

A word is a list, whose last two elements are what it brings (a list of items, or a number) and whether
the process that says it is eager.
"""

from __future__ import annotations

from typing import Any

__all__ = ["LINGERING", "gather"]

LINGERING = frozenset({"put", "took"})
"""How those words begin; see `ahead.Asker`, which says them."""


def gather(words: list[list[Any]], word: list[Any]) -> None:
    """Append a word to others, or add what it brings to the last one, if that is like it."""
    if words and word[0] in LINGERING:
        last = words[-1]
        if last[:-2] == word[:-2] and last[-1] == word[-1]:
            last[-2] += word[-2]
            return
    words.append(word)
