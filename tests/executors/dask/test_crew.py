"""The workers as the engine sees them, and which of them is given something next."""

import math
import time
from types import SimpleNamespace

import pytest

from dask_dispatcher.executors.dask.batches import Batch
from dask_dispatcher.executors.dask.crew import Crew
from dask_dispatcher.executors.dask.members import Member
from dask_dispatcher.options import Options


def told(nthreads=1, status="running", **more):
    return {"nthreads": nthreads, "status": status, "resources": {}, **more}


@pytest.fixture
def crew():
    crew = Crew()
    crew.update({"a": told(), "b": told()})
    return crew


def give(member, seconds=0.02, name=None, inputs=None, **more):
    """Give a member a group, as far as a crew looks at it."""
    group = SimpleNamespace(
        name=name or f"group-{len(member.groups)}",
        batch=Batch([1], seconds, **more),
        inputs=inputs or {},
        is_bound=False,
        is_long=False,
        is_waiting=False,
        has_begun=False,
    )
    member.add(group)
    return group


def turn_out_long(member, group):
    group.is_long = group.has_begun = True
    member.changed()


@pytest.fixture
def let_time_pass(monkeypatch):
    """A function that lets seconds pass, which do not pass by themselves."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def let_pass(seconds):
        nonlocal now
        now += seconds

    return let_pass


def test_workers_come_and_go(crew):
    a = crew.members["a"]
    (gone,) = crew.update({"b": told(), "c": told(nthreads=3)})
    assert gone is a
    assert list(crew.members) == ["b", "c"]
    assert crew.threads == 4
    given = SimpleNamespace(name="late", batch=Batch([1], 0.0))
    a.remove(given)  # what is heard of it now makes it no member again
    assert crew.with_room() is not a


def test_a_worker_that_is_paused_or_leaves_is_given_nothing(crew):
    crew.update({"a": told(status="paused"), "b": told(status="closing_gracefully")})
    assert not crew.is_running
    assert crew.with_room() is None
    assert crew.for_coroutines() is None
    assert crew.bound(Options(workers="a")) == (None, False)
    crew.update({"a": told(), "b": told(status="paused")})
    assert crew.with_room() is crew.members["a"]


def test_idle_threads_come_first_and_then_who_is_done_first(crew):
    first = crew.with_room()
    give(first, seconds=0.03)
    second = crew.with_room()
    assert second is not first
    give(second, seconds=0.01)
    assert crew.with_room(idle=True) is None
    assert crew.with_room() is second


def test_a_worker_has_a_few_hops_of_work_at_most(crew):
    crew.update({"a": told()})
    a = crew.members["a"]
    for number in range(3):
        assert crew.with_room() is a, number
        give(a, seconds=0.025)
    assert crew.with_room() is None
    assert 0.0 < crew.next_room() < 0.1
    for group in list(a.groups.values()):
        a.remove(group)
    assert crew.with_room() is a
    assert a.load(0.0) >= 0.0


def test_many_short_groups_do_not_pile_up(crew):
    crew.update({"a": told()})
    a = crew.members["a"]
    while crew.with_room() is not None:
        give(a, seconds=1e-6)
    assert 2 <= len(a.groups) <= 10


def test_one_group_waits_behind_what_is_unknown(crew):
    crew.update({"a": told()})
    a = crew.members["a"]
    give(a, seconds=0.001, is_known=False)
    assert crew.with_room() is a
    give(a, seconds=0.001)
    assert crew.with_room() is None


def test_nothing_waits_behind_what_may_take_its_worker_along(crew):
    crew.update({"a": told()})
    a = crew.members["a"]
    group = give(a, seconds=0.001, is_alone=True)
    assert crew.with_room() is None
    assert crew.empty() is None
    a.remove(group)
    assert crew.empty() is a


def test_nothing_waits_behind_what_turned_out_long(crew):
    crew.update({"a": told(nthreads=2)})
    a = crew.members["a"]
    turn_out_long(a, give(a, seconds=0.001, name="first"))
    assert crew.with_room(idle=True) is a
    turn_out_long(a, give(a, seconds=0.001, name="second"))
    assert crew.with_room() is None
    assert a.is_stuck


def test_a_worker_that_others_keep_busy_is_tried_again_later(crew, let_time_pass):
    crew.update({"a": told()})
    a = crew.members["a"]
    a.shut()
    assert crew.with_room() is None
    assert 0.0 < crew.next_room() <= 0.5
    let_time_pass(10)
    assert crew.with_room(idle=True) is a


def test_what_waits_longest_is_taken_back_for_a_worker_with_nothing_to_do(crew):
    a, b = crew.members.values()
    give(a, seconds=0.1)
    assert crew.spare(b) is None  # it has begun
    first, last = give(a, seconds=0.1), give(a, seconds=0.1)
    assert crew.spare(b) is last
    a.is_asked = True
    assert crew.spare(b) is None
    a.is_asked = False
    last.has_begun = True
    assert crew.spare(b) is None
    a.remove(last)
    assert crew.spare(b) is first


def test_what_would_have_to_be_moved_is_taken_back_only_if_that_is_worth_it(crew):
    a, b = crew.members.values()
    give(a, seconds=0.1)
    group = give(a, seconds=0.1, inputs={"a": 50_000_000})
    assert crew.spare(b) is None
    crew.update({"a": told(), "b": told(metrics={"bandwidth": {"total": 1e9}})})
    assert crew.spare(b) is group


def test_what_waits_counts_however_late_that_is_for_which_it_waits(crew, let_time_pass):
    a, b = crew.members.values()
    give(a, seconds=0.02)
    waiting = [give(a, seconds=0.025), give(a, seconds=0.035)]
    let_time_pass(0.5)
    assert a.load(time.monotonic()) == pytest.approx(0.06)
    assert a.opens_at == math.inf  # it has enough to do, whenever it comes to that
    assert crew.spare(b) is waiting[-1]
    a.remove(next(iter(a.groups.values())))
    assert a.load(time.monotonic()) == pytest.approx(0.06)
    assert a.opens_at == pytest.approx(time.monotonic())


def test_a_group_that_is_not_worth_a_hop_waits_where_it_is(crew, let_time_pass):
    a, b = crew.members.values()
    give(a, seconds=0.005)
    waiting = give(a, seconds=0.1)
    assert crew.spare(b) is None
    let_time_pass(1)
    turn_out_long(a, next(iter(a.groups.values())))
    assert crew.spare(b) is waiting


def test_the_choice_among_a_thousand_workers_looks_at_few(monkeypatch):
    crew = Crew()
    crew.update({f"w{n}": told() for n in range(1000)})
    for member in list(crew.members.values())[:-1]:
        give(member, seconds=10.0)
    looks = []
    order = Member.order
    monkeypatch.setattr(Member, "order", lambda self: looks.append(self) or order(self))
    for _ in range(100):
        member = crew.with_room()
        assert member is crew.members["w999"]
        member.remove(give(member))
    assert len(looks) <= 300


def test_coroutines_occupy_no_thread(crew):
    for _ in range(3):
        give(crew.for_coroutines(), seconds=0.0, is_async=True)
    assert sorted(len(member.groups) for member in crew.members.values()) == [1, 2]
    assert crew.with_room(idle=True) is not None


def test_a_node_goes_to_its_inputs_unless_that_takes_longer(crew):
    a, b = crew.members.values()
    assert crew.near({"b": 50_000_000}, a) is b
    give(b, seconds=0.05)
    assert crew.near({"b": 50_000_000}, a) is b
    assert crew.near({"b": 10}, a) is a
    assert crew.near({"gone": 10}, a) is a


def test_who_asks_for_something_goes_to_who_has_it():
    crew = Crew()
    crew.update({"a": told(resources={"GPU": 1}), "b": told(resources={"GPU": 1}), "c": told()})
    a, b, c = crew.members.values()
    gpu = Options(resources={"GPU": 1})
    give(a)
    assert crew.bound(gpu) == (b, True)
    give(b)
    give(b, name="another")
    assert crew.bound(gpu) == (a, True)
    assert crew.bound(gpu, idle=True) == (None, True)
    assert crew.bound(Options(workers="c")) == (c, True)
    assert crew.bound(Options(resources={"GPU": 2})) == (None, False)
