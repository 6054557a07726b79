"""`Trail`: how far `Schedule.take` has followed what one worker runs, slice after slice."""

from __future__ import annotations

__all__ = ["Trail"]


class Trail:
    """Of one worker.

    It holds only as long as nothing that was begun or done is so no more: with each such setback it begins
    anew. So a node in `next` need not be asked once more whether it is a leader: one becomes so only when a
    worker has died with it, which is a setback.

    Attributes
    ----------
    ends : list of int
        Nodes that were taken, and what waits for them was not looked at.
    next : list of int
        Nodes that may follow, and for which there was no room.
    left : dict of int to int
        Of nodes met: how many they wait for beyond those that were followed.
    setbacks : int
        Of the schedule, when this was begun.
    """

    __slots__ = ("ends", "left", "next", "setbacks")

    def __init__(self) -> None:
        self.begin(0)

    def begin(self, setbacks: int) -> None:
        """Forget all that was followed."""
        self.ends: list[int] = []
        self.next: list[int] = []
        self.left: dict[int, int] = {}
        self.setbacks = setbacks

    @property
    def goes_on(self) -> bool:
        """Whether `take` is likely to find something that may follow."""
        return bool(self.ends or self.next)
