"""Objects that resist: whatever asks them something, beyond their type and identity, gets an error.

What a library does with a plain value, an argument it only passes on, must leave them alone.
"""

from typing import Any


class Asked(Exception):
    """Somebody asked a hostile object something."""


def _raise(*_: Any, **__: Any) -> Any:
    raise Asked


class Hostile:
    """Raises on comparison, hashing, truth, length, iteration, any attribute, its class, and repr."""

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _raise
    __hash__ = __bool__ = __len__ = __iter__ = __getattr__ = __contains__ = _raise
    __getitem__ = __repr__ = __str__ = __call__ = _raise
    __class__ = property(_raise)
