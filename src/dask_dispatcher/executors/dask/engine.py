"""`DaskEngine`: groups of nodes as Dask tasks; small values come back, large ones stay on the workers.

::

    Schedule --nodes--> Job --batches--> Feeder --tasks--> scheduler --> Runner on a worker
       ^                                                                    |
       +------------- Inbox <----- reports, as events of the worker's <-----+

A group is bound to one worker, so Dask never runs it again by itself. What a worker takes with it
when it goes is known here: the groups that were under way on it, and the large values that it alone
held (`Holdings`). Their nodes go back to the schedule, which counts the losses. Only what is to fill
the next few hops is with the scheduler; the backlog stays here, and so a long run does not keep
others waiting, nor does its size show in the scheduler's memory.

No wait is without end: while anything is unfinished, `Watch` asks the scheduler twice a second.
"""

from __future__ import annotations

import logging
import weakref
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import distributed

from ...errors import ExecutorError, SchedulerLostError
from ...futures import NodeFuture
from ...travel import refuse_local_only
from ..drive import Drive
from ..slices.costs import Costs
from .borrowing import Borrowed, borrow, boxed
from .clerk import Clerk
from .crew import Crew
from .failing import why_scheduler_lost
from .feeding import Feeder
from .fetching import fetch
from .groups import Group
from .holdings import Holdings, names_of
from .inbox import Inbox
from .job import Job
from .listening import unlisten
from .members import Member
from .reclaiming import Reclaimer
from .scattering import Scatterer
from .values import Held
from .watching import Watch

if TYPE_CHECKING:
    from ...plan import Plan
    from ..policy import Policy
    from ..state import RunState
    from .connection import Connection

__all__ = ["DaskEngine"]

log = logging.getLogger("dask_dispatcher")


class DaskEngine(Drive):
    """Runs nodes as tasks of a Dask scheduler.

    Parameters
    ----------
    policy : Policy
    connection : Connection
    worker_timeout : float
        Seconds to wait for a worker that can run a node.
    """

    def __init__(self, policy: Policy, connection: Connection, worker_timeout: float) -> None:
        super().__init__(policy, "dask-dispatcher-dask")
        self.connection = connection
        self.crew = Crew()
        self.jobs: deque[Job] = deque()
        self.watch = Watch(self, worker_timeout)
        self.holdings = Holdings(self)
        self.reclaimer = Reclaimer(self)
        self.scatterer = Scatterer(self)
        self.keeping: weakref.WeakSet[RunState] = weakref.WeakSet()
        """Runs all of whose values are to stay on workers: those of a `Client`."""
        self._feeder = Feeder(self)
        self._inbox = Inbox(self)
        self._clerk = Clerk(self)
        self._groups: dict[str, Group] = {}  # by name: sent, and not heard of to the end
        self._tasks: dict[str, distributed.Future[Any]] = {}  # by name: not at their end
        self._spent: list[distributed.Future[Any]] = []  # ended, with nothing left on workers
        self._costs, self._sizes = Costs(), Costs()
        self._over: weakref.WeakSet[RunState] = weakref.WeakSet()  # runs that were over once
        self._client = connection.client  # which is another one once the scheduler was lost

    def close(self) -> None:
        super().close()
        for future in self._tasks.values():
            future.release()
        self._tasks.clear()
        self._spent.clear()
        self.scatterer.close()
        for job in self.jobs:
            job.release()
        unlisten(self.connection.client, self)
        self._clerk.close()
        self.connection.close()

    # Runs

    def prepare(self, plan: Plan) -> None:
        refuse_local_only(plan)
        self.connection.ensure()
        borrow(plan, self.connection)
        with self.lock:
            self.holdings.prepare(plan)

    def launch(self, state: RunState, *, blocking: bool) -> None:
        def begin() -> None:
            self.jobs.append(self._job(state))
            if self._client is not self.connection.client:
                self._client = self.connection.client
                self.crew = Crew()
                self._clerk.scheduler_lost()
                self._clerk = Clerk(self)
            self.watch.begin()

        super().launch(state, blocking=blocking)
        self.post(begin)

    def _job(self, state: RunState) -> Job:
        keeps, is_again = state in self.keeping, state in self._over
        return Job(state, self._costs, self._sizes, keeps=keeps, is_again=is_again)

    def feed(self) -> None:
        self._feeder.feed()

    def has_ended(self, state: RunState) -> None:
        self._over.add(state)
        for job in [job for job in self.jobs if job.state is state]:
            self.jobs.remove(job)
            job.release()
        if not self.jobs:
            self.watch.rest()

    def stop(self, state: RunState, running: Iterable[int]) -> None:
        for group in self._groups_of(state):
            self.drop(group)

    def give_up(self, state: RunState, numbers: Iterable[int]) -> None:
        unwanted = set(numbers)
        for group in self._groups_of(state):
            if group.pending <= unwanted:
                self.drop(group)

    def is_under_way(self, state: RunState) -> bool:
        """Return whether any node of a run is on a worker."""
        return any(group.job.state is state for group in self._groups.values())

    def _groups_of(self, state: RunState) -> list[Group]:
        return [group for group in self._groups.values() if group.job.state is state]

    def scheduler_lost(self, why: str) -> None:
        """End all runs, as what they have sent is gone."""
        self.stop_all(SchedulerLostError, f"the scheduler was lost: {why}")
        self.crew = Crew()
        self._clerk.scheduler_lost()

    def stop_all(self, error: type[ExecutorError], text: str, *, again: bool = True) -> None:
        """End all runs with an error; if not `again`, but those that compute lost values anew."""
        # Whoever waits for such a value sees for himself that no worker comes.
        spared = () if again else {job.state for job in self.jobs if job.is_again}
        for state in [state for state in self.states if state not in spared]:
            state.stop(
                lambda node: error(
                    f"{text}; {node.label} had not finished", node=node, label=node.label
                )
            )

    # Groups

    def add(self, group: Group) -> None:
        """Take note of a group that was sent."""
        self._spent.clear()  # now, as word of it goes along with the group
        self._groups[group.name] = group
        group.member.add(group)
        name = group.name
        self._tasks[name] = group.future
        self.connection.when_done(group.future, lambda: self.post(lambda: self._ended(name)))

    def knows(self, group: Group) -> bool:
        """Return whether something is still to be heard of a group."""
        return self._groups.get(group.name) is group

    def remove(self, group: Group) -> None:
        """Forget a group of which all has been heard."""
        self._groups.pop(group.name, None)
        group.member.remove(group)
        self._clerk.forget(group.name, group.member.address)

    def drop(self, group: Group) -> None:
        """Forget a group, and let Dask forget it; its worker stops it."""
        self.remove(group)
        self._tasks.pop(group.name, None)
        group.future.release()

    def lose(self, group: Group, reason: str) -> None:
        """Let the nodes of a group run again that were under way on a worker that is gone."""
        if not self.knows(group):
            return
        why = why_scheduler_lost(group.future)
        if why:  # of a restart we may hear by the workers that go with it
            self.scheduler_lost(why)
        else:
            self.drop(group)
            group.lose(group.left(), reason)

    def lose_users(self, held: Held) -> None:
        """Let the groups run again that take a lost value."""
        for group in [g for g in self._groups.values() if held.name in g.depends]:
            self.lose(group, f"an input went with {held.worker}")

    def take_back(self, names: Iterable[str]) -> None:
        """Let groups that have not begun, and will not, go elsewhere."""
        for group in [self._groups[name] for name in names if name in self._groups]:
            self.drop(group)
            group.job.schedule.put_back(group.left())

    def reported(self, name: str, message: dict[str, Any]) -> None:
        """Take what a group has to say."""
        group = self._groups.get(name)
        if group is not None:
            self._inbox.reported(group, message)

    def has_group(self, name: str) -> bool:
        """Return whether nodes of a group may be under way."""
        return name in self._groups

    def asked(self, name: str, worker: str, said: bytes) -> None:
        """Take what nodes on a worker ask of deferred references, if they came by this connection."""
        if name == self.connection.name:
            self._clerk.heard(worker, said)

    def _ended(self, name: str) -> None:
        future = self._tasks.pop(name, None)
        group = self._groups.get(name)
        if group is not None:
            self._inbox.ended(group)
        elif future is not None and self._groups:
            self._spent.append(future)
        else:
            self._spent.clear()

    def worker_removed(self, worker: str, message: dict[str, Any]) -> None:
        """Deal with the end of a worker, of which the scheduler has told."""
        member = self.crew.remove(worker)
        # We may know of a group's end before the scheduler does.
        names = names_of(message.get("lost-computed-tasks", ()))
        names |= names_of(message.get("processing-tasks", ()))
        self.gone([] if member is None else [member], names)

    def gone(self, members: Iterable[Member], names: set[str]) -> None:
        """Let what went with workers run again, as far as it is needed."""
        for member in members:
            log.info("worker %s is gone", member.address)
            self._clerk.worker_gone(member.address, is_idle=not member.groups)
            self.scatterer.worker_gone(member.address)
            for group in list(member.groups.values()):
                self.lose(group, f"{member.address} is gone")
        self.holdings.lose(names)

    # Values

    def hold(self, value: Any) -> Any:
        if type(value) is Borrowed:
            return Held(None, 0, boxed(value, self.connection.client))
        return self.holdings.given(value)

    def adopt(self, future: NodeFuture[Any]) -> Any:
        return self.holdings.adopt(future)

    def look(self, state: RunState, number: int) -> Any:
        return self.holdings.look(state, number)

    def count_workers(self) -> int:
        return len(self.crew.members)

    def fetch(self, state: RunState, number: int, timeout: float | None) -> Any:
        (value,) = fetch(self, [(state, number)], timeout)
        return value

    def gather(self, futures: list[NodeFuture[Any]]) -> list[Any]:
        wanted = []
        for future in futures:
            state = future._checked()
            error = state.error_of(future._number)
            if error is not None:
                raise error.with_traceback(None)
            wanted.append((state, future._number))
        return fetch(self, wanted, None)
