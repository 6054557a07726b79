"""The schedule against a naive model: any graph, any order of events.

A careless engine with three workers drives it. After every step the model counts anew what the
schedule keeps up to date, and at the end it lets everything finish: each run ends, each requested
node settles once, and nothing was started more often, freed earlier or lost longer than promised.
"""

import random
from collections import Counter

import pytest
from hypothesis import event, given, note, settings
from hypothesis import strategies as st

from dask_dispatcher import DataNode, op
from dask_dispatcher.plan import compile_plan
from dask_dispatcher.schedule import (
    CANCELLED,
    DELAYED,
    DONE,
    FAILED,
    READY,
    RELEASED,
    RUNNING,
    WAITING,
    Schedule,
    Trail,
)

ENDED = (DONE, RELEASED, FAILED, CANCELLED)
WORKERS = range(3)


def random_plan(rng, size):
    """Return a plan of about so many nodes, of all shapes and options."""
    nodes = []
    chains = rng.random()
    for _ in range(size):
        if nodes and rng.random() < 0.1:
            nodes.append(DataNode(0))
            continue
        options = {
            "after": rng.sample(nodes, min(len(nodes), rng.choice([0, 0, 0, 1, 2]))),
            "max_losses": rng.choice([None, None, 0, 1, 2]),
            "priority": rng.choice([0] * 9 + [5]) if size % 2 else 0,
        }
        needs = rng.sample(nodes, min(len(nodes), rng.choice([0, 1, 1, 2, 3])))
        last = nodes[-1:] if rng.random() < chains else []
        nodes.append(op(lambda *_: None, **options)(*last, *needs))
    requested = [*nodes[-2:], *rng.sample(nodes, min(len(nodes), rng.choice([0, 1, 2])))]
    inputs = rng.sample(nodes[:-1], min(len(nodes) - 1, rng.choice([0, 0, 1])))
    return compile_plan(requested, dict.fromkeys(inputs, 0))


class Slice:
    """What one `take` gave to one worker, in the order in which it runs."""

    def __init__(self, worker, left, trail):
        self.worker = worker
        self.left = left
        self.trail = trail


class Engine:
    """Does to a schedule all that an engine may do, and keeps its own books."""

    def __init__(self, rng, size):
        self.rng = rng
        self.plan = random_plan(rng, size)
        self.max_losses = rng.choice([0, 1, 3])
        awaited = [n for n in self.plan.given if rng.random() < 0.3]
        for number in awaited:  # the future of another run, which has not ended
            del self.plan.given[number]
        self.schedule = Schedule(self.plan, self.max_losses, awaited)
        self.numbers = range(len(self.plan.nodes))
        self.slices = []
        self.elsewhere, self.foreign = set(awaited), {*self.plan.given, *awaited}
        self.values = dict.fromkeys(self.plan.given)  # number -> the worker that holds its value
        self.inputs = {}  # of each running node: those before it that ended while it was begun
        self.started, self.retried = Counter(), Counter()
        self.failures = set()  # what has failed by itself
        self.given_up = 0  # finished nodes that were cancelled afterwards

    # The model's own view

    def before(self, number):
        return [*self.plan.needs[number], *self.plan.after.get(number, ())]

    def limit(self, number):
        own = self.plan.options(number).max_losses
        return self.max_losses if own is None else own

    def running(self):
        return {n for part in self.slices for n in part.left} | self.elsewhere

    def in_state(self, *states):
        return [n for n in self.numbers if self.schedule.state[n] in states]

    def has_inputs(self, number):
        return self.inputs[number].issuperset(self.before(number))

    def runnable(self):
        return [part for part in self.slices if part.left and self.has_inputs(part.left[0])]

    def ancestry(self, number):
        found = [number]
        for current in found:
            found.extend(n for n in self.before(current) if n not in found)
        return found

    # What an engine does. Each does nothing, and says so, where there is nothing to do it to.

    def take(self):
        self.begin(self.rng.choice(WORKERS), self.rng.randint(1, 8), self.rng.random() < 0.7)

    def begin(self, worker, limit, follow):
        running = set(self.in_state(RUNNING))
        behind = [part for part in self.slices if part.worker == worker and part.left]
        trail = behind[-1].trail if behind else Trail()
        here = {n for part in behind for n in part.left}
        if behind or self.rng.random() < 0.7:
            taken = self.schedule.take(limit, follow=follow, trail=trail)
        else:
            taken = self.schedule.follow(self.schedule.take(), limit)
        assert len(taken) <= limit
        assert taken or not self.in_state(READY)
        order = taken[::-1]
        assert len(set(order)) == len(order)
        for place, number in enumerate(order):
            assert self.schedule.state[number] == RUNNING
            for need in self.plan.needs[number]:
                known = need in self.values or need in order[:place]
                assert known or need in here, "a value is missing"
            for other in self.plan.after.get(number, ()):
                assert self.schedule.state[other] in (DONE, RELEASED) or other in order[:place]
            assert running.intersection(self.before(number)) <= here
            self.started[number] += 1
            assert self.schedule.starts.get(number, 1) == self.started[number]
            self.inputs[number] = {
                n for n in self.before(number) if n not in order[:place] and n not in running
            }
        self.slices.append(Slice(worker, order, trail))

    def finish(self):
        if not self.runnable():
            return False
        part = self.rng.choice(self.runnable())
        done = []
        for number in part.left[: self.rng.randint(1, len(part.left))]:
            self.inputs[number] |= set(done)
            if not self.has_inputs(number):
                break
            done.append(number)
        for number in (n for p in self.slices if p.worker == part.worker for n in p.left):
            self.inputs[number] |= set(done)
        self.values.update(dict.fromkeys(done, part.worker))
        self.schedule.finish(done)
        part.left = part.left[len(done) :]
        return True

    def end_elsewhere(self):
        if not self.elsewhere:
            return False
        number = self.rng.choice(sorted(self.elsewhere))
        if self.rng.random() < 0.6:
            self.values[number] = None
            self.schedule.finish([number])
        else:
            self.failures.add(number)
            self.schedule.fail(number)
        return True

    def attempt_fails(self):
        if not self.runnable():
            return False
        part = self.rng.choice(self.runnable())
        (number, *behind), part.left = part.left, []
        self.started.subtract(behind)
        put_back_first = self.rng.random() < 0.5
        if put_back_first:
            self.schedule.put_back(behind)
        if self.rng.random() < 0.8:
            self.retried[number] += 1
            self.schedule.retry(number)
        else:
            self.failures.add(number)
            self.schedule.fail(number)
        if not put_back_first:
            self.schedule.put_back(behind)
        return True

    def resume(self):
        if not self.in_state(DELAYED):
            return False
        self.schedule.resume(self.rng.choice(self.in_state(DELAYED)))
        return True

    def put_back(self):
        parts = [part for part in self.slices if part.left]
        if not parts:
            return False
        part = self.rng.choice(parts)
        keep = self.rng.randrange(len(part.left))
        back, part.left = part.left[keep:], part.left[:keep]
        self.started.subtract(back)
        self.schedule.put_back(back)
        return True

    def lose_worker(self):
        worker = self.rng.choice(WORKERS)
        running = [n for part in self.slices if part.worker == worker for n in part.left]
        values = [n for n, holder in self.values.items() if holder == worker]
        self.slices = [part for part in self.slices if part.worker != worker]
        return self.lose(running, values)

    def lose_values(self):
        held = sorted(n for n, holder in self.values.items() if holder is not None)
        return self.lose([], self.rng.sample(held, min(len(held), self.rng.randint(1, 3))))

    def lose(self, running, values):
        if not running and not values:
            return False
        for number in values:
            del self.values[number]
        self.schedule.lose(running * 2, values * 2)  # an engine may say so twice
        exhausted, self.schedule.exhausted = self.schedule.exhausted, []
        for number in exhausted:
            assert self.schedule.losses[number] == self.limit(number) + 1
            self.failures.add(number)
            self.schedule.fail(number)
        for number in running:
            assert self.schedule.state[number] in (WAITING, READY, FAILED, CANCELLED)
        return True

    def report_late(self):
        """What is said of nodes that do not run (any more) changes nothing."""
        idle = [n for n in self.numbers if self.schedule.state[n] != RUNNING]
        if not idle:
            return False
        number = self.rng.choice(idle)
        before = self.snapshot()
        self.schedule.finish([number])
        self.schedule.retry(number)
        self.schedule.put_back([number])
        if self.schedule.state[number] != DELAYED:
            self.schedule.resume(number)
        if self.schedule.state[number] in ENDED:
            self.schedule.fail(number)
        assert self.snapshot() == before
        return True

    def snapshot(self):
        s = self.schedule
        return bytes(s.state), [*s.waiting], [*s.uses], s.remaining, s.done, [*s.settled], s.starts

    def rank(self):
        self.schedule.rank([self.rng.random() for _ in self.numbers])

    def cancel(self):
        numbers = self.rng.sample(self.numbers, self.rng.randint(0, min(2, len(self.numbers))))
        numbers = [n for n in numbers if n not in self.foreign]
        finished = {n for n in numbers if self.schedule.state[n] in (DONE, RELEASED)}
        running = self.running()
        stopped = self.schedule.cancel(numbers)
        assert set(stopped) == running & set(numbers)
        assert len(set(stopped)) == len(stopped)
        self.given_up += len(finished)
        self.do_what_follows()
        for number in finished:
            self.values.pop(number, None)

    def stop(self):
        assert set(self.schedule.stop()) == self.running()
        assert self.schedule.is_over
        self.slices, self.elsewhere = [], set()

    ACTIONS = (
        *([take] * 10 + [finish] * 10 + [end_elsewhere] * 2),
        *([attempt_fails] * 4 + [resume] * 3 + [put_back] * 2),
        *([lose_worker] * 3 + [lose_values] * 4),
        *(report_late, rank),
    )
    RARE = (cancel, stop)

    def step(self):
        """Do something at random, and look at what became of it."""
        action = self.rng.choice(self.RARE if self.rng.random() < 0.03 else self.ACTIONS)
        if action(self) is not False:
            note(f"{action.__name__}: {self.describe()}")
            self.check()

    def describe(self):
        names = [
            "WAITING",
            "READY",
            "RUNNING",
            "DELAYED",
            "DONE",
            "RELEASED",
            "FAILED",
            "CANCELLED",
        ]
        return " ".join(f"{n}:{names[state]}" for n, state in enumerate(self.schedule.state))

    # What must hold

    def check(self):
        self.do_what_follows()
        self.check_counts()
        self.check_values()
        self.check_promises()

    def do_what_follows(self):
        """Drop what may be dropped, as an engine does after each report."""
        freed, self.schedule.freed = self.schedule.freed, []
        for number in freed:
            assert number not in self.plan.requested, "a requested value was freed"
            users = [n for n in self.numbers if number in self.plan.needs[n]]
            assert all(self.schedule.state[n] in ENDED for n in users), "still needed"
            del self.values[number]
        for part in self.slices:
            part.left = [n for n in part.left if self.schedule.state[n] == RUNNING]
        self.elsewhere = {n for n in self.elsewhere if self.schedule.state[n] == RUNNING}

    def check_counts(self):
        s, state = self.schedule, self.schedule.state
        for n in self.numbers:
            users = [u for u in self.numbers if n in self.plan.needs[u]]
            uses = sum(state[u] not in ENDED for u in users)
            assert s.uses[n] == uses + (n in self.plan.requested) + (n in self.foreign)
            if state[n] in ENDED:
                continue
            missing = sum(state[need] != DONE for need in self.plan.needs[n])
            after = self.plan.after.get(n, ())
            missing += sum(state[other] not in (DONE, RELEASED) for other in after)
            assert s.waiting[n] == missing
            assert state[n] != READY or missing == 0
            assert state[n] != WAITING or missing > 0
            if state[n] in (WAITING, READY):
                assert all(state[other] not in (FAILED, CANCELLED) for other in self.before(n))
        assert s.remaining == sum(state[n] not in ENDED for n in self.numbers)
        assert s.is_over == (not s.remaining)
        finished = sum(state[n] in (DONE, RELEASED) for n in self.numbers)
        assert s.done == finished - len(self.plan.given) + self.given_up
        assert s.has_ready or not self.in_state(READY)

    def check_values(self):
        assert set(self.values) == set(self.in_state(DONE))
        assert all(self.schedule.uses[n] for n in self.in_state(DONE)), "kept for nobody"
        assert not any(self.schedule.uses[n] for n in self.in_state(RELEASED)), "needed and gone"
        assert self.running() == set(self.in_state(RUNNING))

    def check_promises(self):
        s = self.schedule
        for n in self.numbers:
            losses = s.losses.get(n, 0)
            assert losses <= self.limit(n) + 1
            assert self.started[n] <= 1 + self.retried[n] + min(losses, self.limit(n))
            if s.state[n] == FAILED:
                assert s.root[n] in self.failures
                assert s.root[n] in self.ancestry(n)
        assert len(set(s.settled)) == len(s.settled)
        assert set(s.settled) <= set(self.plan.requested)
        assert {n for n in self.plan.requested if s.state[n] in ENDED} <= set(s.settled)

    def run_to_the_end(self):
        """Let all that is left go well, and look at what the run ended in."""
        for _ in range(10 * len(self.numbers) + 10):
            if self.schedule.is_over:
                break
            for number in self.in_state(DELAYED):
                self.schedule.resume(number)
            while self.elsewhere:
                number = self.elsewhere.pop()
                self.values[number] = None
                self.schedule.finish([number])
            self.begin(0, 8, follow=True)
            while self.finish():
                self.check()
            for part in self.slices:  # behind what was lost since they were begun
                self.started.subtract(part.left)
                self.schedule.put_back(part.left)
                part.left = []
            self.check()
        assert self.schedule.is_over, f"the run does not end: {self.describe()}"
        assert set(self.schedule.settled) == set(self.plan.requested)
        if not self.in_state(FAILED, CANCELLED):
            assert all(n in self.values for n in self.plan.requested)


@pytest.mark.timeout(300)  # for finding the shortest example of what fails
@settings(max_examples=1_500)
@given(
    size=st.integers(2, 12),
    steps=st.integers(0, 100),
    # Hypothesis likes small numbers; what they seed is as good as any.
    seed=st.integers(0, 2**32),
)
def test_any_graph_survives_any_order_of_events(size, steps, seed):
    rng = random.Random(f"{size} {steps} {seed}")
    engine = Engine(rng, size)
    note(f"needs {engine.plan.needs}, after {engine.plan.after}, given {[*engine.plan.given]}")
    engine.check()
    for _ in range(steps):
        engine.step()
    engine.run_to_the_end()
    event("something was lost", bool(engine.schedule.losses))
