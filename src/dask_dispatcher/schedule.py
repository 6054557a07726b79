"""Which nodes are ready, running, done, failed or lost: a pure state machine.

No thread, clock or I/O. An engine tells it what happened and then reads what follows:

====================  =================================================================
the engine says       ``take`` (begins nodes), ``finish``, ``retry`` and ``resume``, ``fail``,
                      ``lose`` (a worker died, with what it ran and held), ``stop``
the schedule answers  ``ready`` (through ``take``), ``freed`` (values nobody needs any more),
                      ``settled`` (requested nodes that have ended), ``exhausted`` (nodes lost
                      more often than they may be), ``is_over``
====================  =================================================================

States of a node, and what moves it::

    WAITING --all dependencies done--> READY --take--> RUNNING --finish--> DONE
       ^                                 ^               |  |               |  |
       |                                 +----resume-- DELAYED (retry)      |  +-freed--> RELEASED
       |                                                 |                  |                |
       +------------- lose: it ran, or its value was lost or released and is needed ---------+

    FAILED (itself, or something it depends on) and CANCELLED are final.

Invariants, which the property tests hold it to:

- ``waiting[n]`` of an unfinished node is the number of its dependencies that are not available; it
  is zero of a READY one. A RUNNING node waits for nothing but what runs before it in its slice, and
  for what was lost since it began.
- ``uses[n]`` is the number of unfinished nodes that take its value, plus one if it was requested,
  or must be kept for another reason. A value is freed when that reaches zero.
- Nothing waits for a node that failed or was cancelled: it ends with it.
- A node is started at most ``1 + retries + losses`` times.
- A requested node settles exactly once.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from typing import TYPE_CHECKING

from .ready import Ready
from .states import CANCELLED, DELAYED, DONE, FAILED, READY, RELEASED, RUNNING, WAITING
from .trail import Trail

if TYPE_CHECKING:
    from .plan import Plan

__all__ = [
    "CANCELLED",
    "DELAYED",
    "DONE",
    "FAILED",
    "FINAL",
    "READY",
    "RELEASED",
    "RUNNING",
    "WAITING",
    "Schedule",
    "Trail",
]

_NOT_RUNNING = (WAITING, READY, DELAYED)
FINAL = (DONE, RELEASED, FAILED, CANCELLED)
"""States of nodes that have ended; one that has a value may leave them again, if that is lost."""

_LONG = 10_000  # nodes met after which a trail begins anew


class Schedule:
    """The state of one run.

    Parameters
    ----------
    plan : Plan
    max_losses : int
        How often a node may be lost if its options say nothing.
    running : iterable of int
        Nodes without dependencies that somebody else computes already.
    """

    def __init__(self, plan: Plan, max_losses: int = 3, running: Iterable[int] = ()) -> None:
        total = len(plan.nodes)
        self._needs = plan.needs
        self._after = plan.after
        self._dependents = users = plan.dependents
        self._sole, self._rows, self._starts = users.sole, users.rows, users.starts
        self._special = plan.special
        self.leaders: Container[int] = plan.special
        """Nodes that never follow others in a slice; an engine may say otherwise."""
        self._max_losses = max_losses
        self._requested = frozenset(plan.requested)
        self._depth_first = plan.depth_first
        self.state = bytearray(total)
        self.waiting = [len(needs) for needs in plan.needs]
        self.uses = plan.dependents.counts()
        self.root: dict[int, int] = {}
        """Of each failed node: the node whose failure it shares."""
        self.losses: dict[int, int] = {}
        self.starts: dict[int, int] = {}
        """How often a node was started, of those started more than once."""
        self._ready = Ready(self.state, plan.special)
        self.freed: list[int] = []
        self.settled: list[int] = []
        self._has_settled: set[int] = set()
        self.exhausted: list[int] = []
        self.remaining = total - len(plan.given)
        self.done = 0
        self.failed = 0
        self.stopped = False
        self._setbacks = 0  # how often a node that was begun or done has not been so any more
        self._begin(plan, running)

    def _begin(self, plan: Plan, running: Iterable[int]) -> None:
        for number, before in self._after.items():
            self.waiting[number] += len(before)
            for other in before:
                self.uses[other] -= 1
        for number in self._requested:
            self.uses[number] += 1
        for number in plan.given:
            self.state[number] = DONE
            # A given value is not the engine's to free; and it cannot be computed again.
            self.uses[number] += 1
            for user in self._dependents[number]:
                self.waiting[user] -= 1
            if number in self._requested:
                self._settle(number)
        for number in running:
            self.state[number] = RUNNING
            self.uses[number] += 1  # as with given values
        ready = [n for n, count in enumerate(self.waiting) if not count and not self.state[n]]
        for number in ready:
            self.state[number] = READY
        self._ready.extend(reversed(ready))  # what was found first is taken first

    # What is ready

    @property
    def is_over(self) -> bool:
        """Whether no node is left to wait for."""
        return not self.remaining

    @property
    def has_ready(self) -> bool:
        """Whether `take` is likely to return something."""
        return bool(self._ready)

    def count_ready(self) -> int:
        """Return how many nodes `take` would return, at most."""
        return len(self._ready)

    def take(
        self,
        limit: int = 1,
        *,
        follow: bool = False,
        lead: int | None = None,
        trail: Trail | None = None,
    ) -> list[int]:
        """Begin up to `limit` nodes and return them; the one to run first comes last.

        Parameters
        ----------
        limit : int
        follow : bool, default False
            Also begin nodes that are not ready yet, if they wait for nothing but others of the
            list, which then come before them. Whoever takes them runs them in this order, and none
            whose dependency has failed.
        lead : int, optional
            How many of them may be nodes that are ready now; default: all.
        trail : Trail, optional
            Of those that run before them in the same place, and are not over yet: what waits for
            nothing but them may follow too. It is led on.
        """
        taken = self._ready.take(limit if lead is None else min(limit, lead))
        if not follow or self._ready.has_priorities:
            return taken
        trail = trail or Trail()
        if len(taken) * 2 <= limit:
            return self._with_followers(taken, limit, trail)
        trail.begin(self._setbacks)
        trail.ends = taken[:]
        return taken

    def _with_followers(self, taken: list[int], limit: int, trail: Trail) -> list[int]:
        state, waiting = self.state, self.waiting
        leaders = self.leaders
        sole, rows, starts = self._sole, self._rows, self._starts
        if trail.setbacks != self._setbacks or len(trail.left) > _LONG:
            trail.begin(self._setbacks)
        left, later = trail.left, trail.next
        found: list[int] = []
        room = limit - len(taken)
        while later and room > 0:
            number = later.pop()
            if not state[number]:  # else it has become ready since
                state[number] = RUNNING
                taken.append(number)
                room -= 1
        # What waits for those that are over has been told, and is ready if it can be.
        before = [number for number in trail.ends if state[number] == RUNNING]
        trail.ends = ends = []
        while before or taken:
            if before:
                number = before.pop()
            else:
                number = taken.pop()
                found.append(number)
            if room <= 0:
                ends.append(number)
                continue
            one = sole[number]  # as `Users` does, without a call
            for user in (one,) if one >= 0 else rows[starts[number] : starts[number + 1]]:
                count = waiting[user]
                if count > 1:
                    count = left.pop(user, count) - 1
                    if count:
                        left[user] = count
                        continue
                if state[user] or user in leaders:
                    continue
                if room <= 0:
                    later.append(user)
                    continue
                # What follows directly runs next: values live shortly.
                state[user] = RUNNING
                taken.append(user)
                room -= 1
        found.reverse()
        return found

    def begin(self, numbers: Iterable[int]) -> None:
        """Begin nodes of the caller's choice: each is ready, or begun, or waits for others of them."""
        for number in numbers:
            self._ready.is_stale |= self.state[number] == READY
            self.state[number] = RUNNING

    def follow(self, begun: list[int], limit: int) -> list[int]:
        """Begin also what waits for nothing but nodes that `take` has returned, as it can itself.

        Returns up to `limit` nodes, those `begun` included; the one to run first comes last.
        """
        return self._with_followers(begun, limit, Trail())

    def put_back(self, numbers: Iterable[int]) -> None:
        """Return nodes that were taken but have not started."""
        self._wait_again([number for number in numbers if self.state[number] == RUNNING])

    def _wait_again(self, numbers: Collection[int]) -> None:
        """Make begun nodes ready, or let them wait for what has been lost since they began."""
        self._setbacks += 1
        for number in numbers:
            self.state[number] = WAITING if self.waiting[number] else READY
        self._ready.extend(number for number in numbers if not self.waiting[number])
        for number in numbers:
            if self.waiting[number]:
                self._end_if_hopeless(number)

    def rank(self, weights: Sequence[float]) -> None:
        """From now on begin what most work hangs on first, unless the plan is `depth_first`.

        Parameters
        ----------
        weights : sequence of float
            By number: the expected seconds of the node.
        """
        if self._depth_first:
            return
        rank = [0.0] * len(weights)
        for number in self._backwards():
            below = max((rank[user] for user in self._dependents[number]), default=0.0)
            rank[number] = weights[number] + below
        self._ready.rank(rank)

    # What happened

    def finish(self, numbers: Iterable[int]) -> None:
        """Note that running nodes have their values.

        A node that is not running (its run was stopped, it was lost, it timed out) is passed over.
        """
        state, waiting, uses, freed = self.state, self.waiting, self.uses, self.freed
        sole, rows, starts = self._sole, self._rows, self._starts
        needs, requested = self._needs, self._requested
        push = self._ready.pusher()
        ended = 0
        for number in numbers:
            if state[number] != RUNNING:
                continue
            state[number] = DONE
            ended += 1
            one = sole[number]  # as `Users` does, without a call
            for user in (one,) if one >= 0 else rows[starts[number] : starts[number + 1]]:
                count = waiting[user] - 1
                waiting[user] = count
                if not count and not state[user]:
                    state[user] = READY
                    push(user)
            for need in needs[number]:
                count = uses[need] - 1
                uses[need] = count
                if not count and state[need] == DONE:
                    state[need] = RELEASED
                    freed.append(need)
            if number in requested:
                self._settle(number)
            elif not uses[number]:
                self._free(number)
        self.done += ended
        self.remaining -= ended

    def retry(self, number: int) -> None:
        """Note that a running node failed and is to be started again later."""
        if self.state[number] == RUNNING:
            self._setbacks += 1
            self.state[number] = DELAYED
            self.starts[number] = self.starts.get(number, 1) + 1

    def resume(self, number: int) -> None:
        """Let a node whose retry was delayed start again."""
        if self.state[number] == DELAYED:
            self._wait_again((number,))

    def fail(self, number: int) -> None:
        """Note that an unfinished node failed for good; what depends on it fails with it."""
        if self.state[number] not in FINAL:
            self._end_all(number, FAILED, number)

    def stop(self) -> list[int]:
        """Cancel everything unfinished; return the nodes that were running."""
        self.stopped = True
        running = []
        for number, state in enumerate(self.state):
            if state not in FINAL:
                if state == RUNNING:
                    running.append(number)
                self._end(number, CANCELLED)
        return running

    def cancel(self, numbers: Iterable[int]) -> list[int]:
        """Give nodes up, and what depends on them; return those that were running.

        The value of a node that has finished is given up too.
        """
        found = list(numbers)
        running = []
        for number in found:
            state = self.state[number]
            if state == RUNNING:
                running.append(number)
            if state in (DONE, RELEASED):
                self.state[number] = CANCELLED
                for user in self._dependents[number]:
                    self.waiting[user] += 1
            else:
                self._end(number, CANCELLED)
            found.extend(
                user for user in self._dependents[number] if self.state[user] in _NOT_RUNNING
            )
        return running

    def lose(self, running: Iterable[int] = (), values: Iterable[int] = ()) -> list[int]:
        """Note that a worker is gone, with the nodes it ran and the values it alone held.

        Returns the nodes that are unfinished again: these, and what they need that is gone too.

        What must run again becomes waiting or ready, with all it needs that is gone too. Nodes that
        were lost more often than they may be go to `exhausted`; the engine fails them, as it knows
        the reason.
        """
        self._setbacks += 1
        gone = [number for number in values if self.state[number] == DONE]
        for number in gone:
            self.state[number] = RELEASED
        again = [number for number in dict.fromkeys(running) if self.state[number] == RUNNING]
        for number in again:  # as if it had finished and its value had been lost at once
            self.remaining -= 1
            self.done += 1
            self.state[number] = RELEASED
            for need in self._needs[number]:
                self.uses[need] -= 1
        revived = self._revive([*again, *(number for number in gone if self.uses[number])])
        for need in {need for number in again for need in self._needs[number]}:
            if not self.uses[need] and self.state[need] == DONE:
                self._free(need)
        return revived

    def _revive(self, numbers: Iterable[int]) -> list[int]:
        """Let released nodes run again, and before them what they need."""
        stack = list(numbers)
        revived = []
        while stack:
            number = stack.pop()
            if self.state[number] != RELEASED:
                continue
            if self.losses.get(number, 0) >= self._loss_limit(number):
                # The engine fails it next, which takes down what waits for it.
                self.exhausted.append(number)
            else:
                self.starts[number] = self.starts.get(number, 1) + 1
            self.losses[number] = self.losses.get(number, 0) + 1
            self.state[number] = WAITING
            self.remaining += 1
            self.done -= 1
            revived.append(number)
            for need in self._needs[number]:
                self.uses[need] += 1
                if self.state[need] == RELEASED and number not in self.exhausted:
                    stack.append(need)
        self._recount(revived)
        for number in revived:
            if number not in self.exhausted:
                self._end_if_hopeless(number)
        return revived

    def _recount(self, revived: Collection[int]) -> None:
        changed = dict.fromkeys(revived)
        changed.update(dict.fromkeys(u for n in revived for u in self._dependents[n]))
        for number in changed:
            state = self.state[number]
            if state in FINAL:
                continue
            count = sum(self.state[need] != DONE for need in self._needs[number])
            count += sum(
                self.state[other] not in (DONE, RELEASED) for other in self._after.get(number, ())
            )
            self.waiting[number] = count
            if count and state == READY:
                self.state[number] = WAITING
                self._ready.is_stale = True
            elif not count and state == WAITING:
                self.state[number] = READY
                self._ready.extend((number,))

    def losses_left(self, number: int) -> int:
        """Return how often a node may still be lost."""
        return self._loss_limit(number) - self.losses.get(number, 0)

    def await_again(self, number: int) -> None:
        """Note that a given value was lost, and that somebody computes it anew.

        It counts as running from here on.
        """
        if self.state[number] != DONE:
            return
        self._setbacks += 1
        self.state[number] = RUNNING
        self.remaining += 1
        self._recount((number,))

    def _loss_limit(self, number: int) -> int:
        options = self._special.get(number)
        limit = options.max_losses if options else None
        return self._max_losses if limit is None else limit

    # What follows

    def _end_all(self, number: int, state: int, root: int | None) -> None:
        """Move an unfinished node, and what waits for it, to a final state."""
        self._end(number, state, root)
        found = [number]
        for current in found:
            for user in self._dependents[current]:
                if self.state[user] in _NOT_RUNNING:
                    self._end(user, state, root)
                    found.append(user)

    def _end_if_hopeless(self, number: int) -> None:
        """End a node if something it waits for has ended without a value."""
        if self.state[number] != WAITING:
            return
        for other in (*self._needs[number], *self._after.get(number, ())):
            if self.state[other] in (FAILED, CANCELLED):
                self._end_all(number, self.state[other], self.root.get(other))
                return

    def _end(self, number: int, state: int, root: int | None = None) -> None:
        """Move an unfinished node to a final state."""
        before = self.state[number]
        if before in FINAL:
            return
        if before == READY:
            self._ready.is_stale = True
        self.state[number] = state
        self.remaining -= 1
        self.failed += 1
        if root is not None:
            self.root[number] = root
        for need in self._needs[number]:
            self.uses[need] -= 1
            if not self.uses[need]:
                self._free(need)
        if number in self._requested:
            self._settle(number)

    def _settle(self, number: int) -> None:
        if number not in self._has_settled:  # it may end again, if its value was lost
            self._has_settled.add(number)
            self.settled.append(number)

    def _free(self, number: int) -> None:
        if self.state[number] == DONE:
            self.state[number] = RELEASED
            self.freed.append(number)

    def _backwards(self) -> list[int]:
        """Return all nodes, dependents first."""
        left = self._dependents.counts()
        order = [number for number, count in enumerate(left) if not count]
        for number in order:
            for need in (*self._needs[number], *self._after.get(number, ())):
                left[need] -= 1
                if not left[need]:
                    order.append(need)
        return order
