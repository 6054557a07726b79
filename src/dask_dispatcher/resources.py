"""What an executor has of each resource, and who uses it now."""

from __future__ import annotations

from collections.abc import Mapping

from .options import check_resources

__all__ = ["Resources"]

_LOST_TO_ROUNDING = 1e-9  # of a count that was taken and given back in fractions


class Resources:
    """Counts of abstract resources, as in ``{"GPU": 2}``. Its user serialises access.

    Parameters
    ----------
    total : mapping of str to float, optional
    """

    def __init__(self, total: Mapping[str, float] | None = None) -> None:
        self.total = check_resources(total) or {}
        self._left = dict(self.total)

    def missing(self, demand: Mapping[str, float]) -> dict[str, float]:
        """Return the part of a demand that could not be met even with nothing else running."""
        return {name: n for name, n in demand.items() if n > self.total.get(name, 0)}

    def acquire(self, demand: Mapping[str, float]) -> bool:
        """Take what is demanded, all or nothing; return whether it was there."""
        if any(n > self._left.get(name, 0) + _LOST_TO_ROUNDING for name, n in demand.items()):
            return False
        for name, n in demand.items():
            self._left[name] = self._left.get(name, 0) - n
        return True

    def release(self, demand: Mapping[str, float]) -> None:
        """Give back what was taken."""
        for name, n in demand.items():
            self._left[name] += n
