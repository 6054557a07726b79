"""The schedule, one event at a time; `properties/test_schedule.py` has them in any order."""

import pytest

from dask_dispatcher import DataNode, DispatchGraph, op
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


def node(*needs, **options):
    return op(lambda *_: None, **options)(*needs)


class Play:
    """A schedule that is spoken to by node instead of by number."""

    def __init__(self, *requested, inputs=None, graph=None, max_losses=3, running=()):
        self.plan = compile_plan(requested, inputs, graph)
        self.schedule = Schedule(self.plan, max_losses, [self.plan.index[n] for n in running])

    def numbers(self, nodes):
        return [self.plan.index[n] for n in nodes]

    def nodes(self, numbers):
        return [self.plan.nodes[n] for n in numbers]

    def take(self, limit=1, **options):
        """Begin nodes; the one to run first comes first here."""
        return self.nodes(self.schedule.take(limit, **options))[::-1]

    def finish(self, *nodes):
        self.schedule.finish(self.numbers(nodes))

    def run(self, *nodes):
        """Begin and finish just these nodes, one after the other."""
        for one in nodes:
            while (taken := self.take()) != [one]:
                assert taken, f"{one} is not ready"
                self.aside.extend(taken)
            self.finish(one)
        self.put_back(*self.aside)
        self.aside.clear()

    @property
    def aside(self):
        return self.__dict__.setdefault("_aside", [])

    def put_back(self, *nodes):
        self.schedule.put_back(self.numbers(nodes))

    def lose(self, running=(), values=()):
        self.schedule.lose(self.numbers(running), self.numbers(values))

    def fail(self, one):
        self.schedule.fail(self.plan.index[one])

    def retry(self, one):
        self.schedule.retry(self.plan.index[one])

    def resume(self, one):
        self.schedule.resume(self.plan.index[one])

    def state(self, *nodes):
        states = [self.schedule.state[n] for n in self.numbers(nodes)]
        return states if len(states) > 1 else states[0]

    def freed(self):
        freed, self.schedule.freed = self.schedule.freed, []
        return self.nodes(freed)

    def settled(self):
        return self.nodes(self.schedule.settled)

    def exhausted(self):
        exhausted, self.schedule.exhausted = self.schedule.exhausted, []
        return self.nodes(exhausted)

    def drain(self):
        """Run what is left to its end; return the order."""
        order = []
        while taken := self.take():
            self.finish(*taken)
            order += taken
        return order


# Order


def test_a_node_is_ready_when_all_it_needs_is_done():
    a, b = node(), node()
    c = node(a, b)
    play = Play(c)
    assert play.state(a, b, c) == [READY, READY, WAITING]
    assert play.take(5) == [a, b]
    assert play.take(5) == []
    play.finish(a)
    assert play.state(c) == WAITING
    play.finish(b)
    assert play.state(c) == READY
    assert not play.schedule.is_over
    play.run(c)
    assert play.schedule.is_over
    assert (play.schedule.done, play.schedule.remaining) == (3, 0)


def test_the_first_argument_comes_first():
    sources = [node() for _ in range(4)]
    assert Play(node(*sources)).drain()[:4] == sources


def test_what_has_just_become_ready_runs_first():
    a, b = node(), node()
    c, d = node(a), node(b)
    assert Play(node(c, d)).drain()[:4] == [a, c, b, d]


def test_taking_is_limited():
    play = Play(*[node() for _ in range(5)])
    assert [len(play.take(2)) for _ in range(4)] == [2, 2, 1, 0]
    assert not play.schedule.has_ready


def test_a_slice_follows_chains():
    a = node()
    b = node(a)
    c = node(b)
    play = Play(c)
    assert play.take(8, follow=True) == [a, b, c]
    play.finish(a, b, c)
    assert play.schedule.is_over


def test_a_slice_follows_what_waits_for_several_of_its_nodes():
    a, b = node(), node()
    c, d = node(a, b), node(a)
    play = Play(node(c, d))
    order = play.take(8, follow=True)
    assert set(order[:-1]) == {a, b, c, d}
    assert order.index(c) > max(order.index(a), order.index(b))
    play.finish(*order)
    assert play.schedule.is_over


def test_a_slice_follows_nothing_that_waits_for_something_else():
    a, other = node(), node()
    play = Play(node(a, other))
    (first,) = play.take(1)
    (second,) = play.take(8, follow=True)
    assert {first, second} == {a, other}
    play.finish(first)
    assert play.take(8, follow=True) == []


def test_a_slice_goes_on_where_the_one_before_it_ended():
    chain = [node()]
    for _ in range(9):
        chain.append(node(chain[-1]))
    play, trail = Play(chain[-1]), Trail()
    assert play.take(4, follow=True, trail=trail) == chain[:4]
    assert play.take(4, follow=True) == []  # elsewhere
    assert play.take(4, follow=True, trail=trail) == chain[4:8]
    play.finish(*chain[:4])
    assert play.take(4, follow=True, trail=trail) == chain[8:]
    play.finish(*chain[4:])
    assert play.schedule.is_over


def test_a_slice_follows_what_waits_for_nodes_of_the_one_before_and_its_own():
    sources = [node() for _ in range(4)]
    pairs = [node(*sources[:2]), node(*sources[1:3]), node(*sources[2:])]
    play, trail = Play(node(*pairs)), Trail()
    first = play.take(5, follow=True, trail=trail)
    second = play.take(8, follow=True, trail=trail)
    assert len({*first, *second}) == 8
    play.finish(*first, *second)
    assert play.schedule.is_over


@pytest.mark.parametrize("limit", [8, 9, 11, 13])
def test_a_trail_leads_through_a_whole_graph_of_which_nothing_is_over(limit):
    """What there was no room for is not forgotten: in the end all else would wait for it."""
    layer = [node() for _ in range(4)]
    for _ in range(9):
        layer = [node(a, b) for a, b in zip(layer, layer[1:] + layer[:1])]
    play, trail = Play(node(*layer)), Trail()
    slices = [play.take(limit, follow=True, trail=trail)]
    while trail.goes_on:
        slices.append(play.take(limit, follow=True, trail=trail))
    assert len({found for part in slices for found in part}) == 41
    for part in slices:
        play.finish(*part)
    assert play.schedule.is_over


def test_what_there_was_no_room_for_is_taken_by_whoever_comes_first_once_it_is_ready():
    first = node()
    users = [node(first) for _ in range(6)]
    play, trail = Play(node(*users)), Trail()
    begun = play.take(3, follow=True, trail=trail)
    assert begun[0] is first
    play.finish(first)
    elsewhere = play.take(2)
    rest = play.take(8, follow=True, trail=trail)
    assert (len(begun), len(elsewhere), len({*begun, *elsewhere, *rest})) == (3, 2, 7)
    play.finish(*begun[1:], *elsewhere, *rest)
    play.finish(*play.take())
    assert play.schedule.is_over


@pytest.mark.parametrize("end", [Play.finish, Play.put_back])
def test_a_slice_does_not_follow_what_is_not_running_any_more(end):
    a, other = node(), node()
    play, trail = Play(node(a, other)), Trail()
    assert play.take(1, follow=True, trail=trail) == [a]
    assert play.take(1) == [other]  # elsewhere
    end(play, a)
    assert play.take(1) == ([a] if end is Play.put_back else [])  # elsewhere, too
    play.finish(a)
    assert play.take(8, follow=True, trail=trail) == []


def test_a_slice_does_not_follow_nodes_that_ask_for_something():
    a = node()
    play = Play(node(a, timeout=1.0))
    assert play.take(8, follow=True) == [a]


def test_a_slice_is_no_longer_than_its_limit():
    chain = [node()]
    for _ in range(9):
        chain.append(node(chain[-1]))
    assert Play(chain[-1]).take(4, follow=True) == chain[:4]


def test_what_follows_can_be_begun_later():
    a = node()
    b = node(a)
    c, d = node(a, b), node(b, node())
    play = Play(c, d)
    begun = play.numbers(play.take())
    assert play.nodes(begun) == [a]
    assert play.nodes(play.schedule.follow(begun, 2)) == [b, a]
    assert play.state(a, b, c, d) == [RUNNING, RUNNING, WAITING, WAITING]
    assert play.nodes(play.schedule.follow(play.numbers([b, a]), 8)) == [c, b, a]


def test_nodes_of_ones_own_choice_begin_and_can_be_put_back():
    a, b = node(), node()
    top = node(a, b)
    play = Play(top)
    number_a, number_b, number_top = play.numbers([a, b, top])
    play.schedule.begin([number_a, number_top])
    assert play.schedule.take(5) == [number_b]
    play.schedule.put_back([number_a, number_top])
    assert play.schedule.take(5) == [number_a]
    play.finish(a, b)
    assert play.schedule.take(5) == [number_top]


def test_priority_comes_before_all_else():
    low, plain, high = node(priority=-1), node(), node(priority=2)
    assert Play(low, high, plain).drain() == [high, plain, low]


def test_rank_puts_first_what_most_work_hangs_on():
    short, long = node(), node()
    top = node(node(node(long)))
    play = Play(short, top)
    play.schedule.rank([1.0] * len(play.plan.nodes))
    assert play.take() == [long]
    assert play.drain()[-1] != short or play.state(short) == DONE


def test_rank_counts_weights_and_yields_to_priority():
    light, heavy, urgent = node(), node(), node(priority=1)
    play = Play(light, heavy, urgent)
    weights = [0.0] * 3
    weights[play.plan.index[heavy]] = 9.0
    play.schedule.rank(weights)
    assert play.drain() == [urgent, heavy, light]


def test_after_orders_without_keeping_a_value():
    first = node()
    play = Play(node(after=first))
    assert play.take(5) == [first]
    play.finish(first)
    assert play.freed() == [first]
    assert play.state(first) == RELEASED
    assert len(play.take(5)) == 1


def test_added_edges_order():
    a, b = node(), node()
    graph = DispatchGraph([a, b])
    graph.add_edge(b, a)
    assert Play(a, b, graph=graph).drain() == [b, a]


def test_given_nodes_are_done_from_the_start():
    a = node()
    b = node(a, DataNode(1))
    play = Play(b, a, inputs={a: 5})
    assert play.state(a) == DONE
    assert play.settled() == [a]
    assert play.drain() == [b]
    assert play.freed() == []


def test_nothing_to_do_is_over_at_once():
    assert Play().schedule.is_over
    play = Play(DataNode(1))
    assert play.schedule.is_over
    assert len(play.settled()) == 1


def test_what_runs_elsewhere_is_waited_for_and_kept():
    future = DataNode(0)  # stands for another run's future
    user = node(future)
    plan = compile_plan([user])
    number = plan.index[future]
    del plan.given[number]
    schedule = Schedule(plan, 3, [number])
    assert schedule.take(5) == []
    schedule.finish([number])
    (taken,) = schedule.take(5)
    schedule.finish([taken])
    assert schedule.is_over
    assert schedule.freed == [], "it is not this run's to free, nor can it be computed again"


# Freeing


def test_a_value_is_freed_when_its_last_user_is_done():
    a = node()
    b, c = node(a), node(a)
    play = Play(b, c)
    play.run(a, b)
    assert play.freed() == []
    play.run(c)
    assert play.freed() == [a]
    assert play.state(a, b) == [RELEASED, DONE]


def test_requested_values_are_never_freed():
    a = node()
    play = Play(a, node(a))
    play.drain()
    assert play.freed() == []


def test_a_failed_user_frees_what_it_would_have_used():
    a = node()
    b = node(a)
    play = Play(b)
    play.run(a)
    assert play.take() == [b]
    play.fail(b)
    assert play.freed() == [a]


# Failing


def test_dependents_share_the_failure_and_others_go_on():
    a, other = node(), node()
    b = node(a)
    c = node(b, other)
    play = Play(c, other)
    play.take(5)
    play.fail(a)
    assert play.state(a, b, c) == [FAILED] * 3
    assert {play.schedule.root[n] for n in play.numbers([a, b, c])} == {play.plan.index[a]}
    assert play.settled() == [c]
    assert not play.schedule.is_over
    play.finish(other)
    assert play.settled() == [c, other]
    assert play.schedule.is_over
    assert play.schedule.failed == 3


def test_the_first_failure_is_the_root():
    a, b = node(), node()
    c = node(a, b)
    play = Play(c)
    play.take(5)
    play.fail(b)
    play.fail(a)
    assert play.schedule.root[play.plan.index[c]] == play.plan.index[b]


@pytest.mark.parametrize("put_back_first", [True, False])
def test_what_was_begun_behind_a_failure_fails_with_it(put_back_first):
    a = node()
    b = node(a)
    c = node(b)
    play = Play(c)
    assert play.take(8, follow=True) == [a, b, c]
    if put_back_first:
        play.put_back(b, c)
        play.fail(a)
    else:
        play.fail(a)
        play.put_back(b, c)
    assert play.state(a, b, c) == [FAILED] * 3
    assert play.schedule.is_over
    assert play.settled() == [c]


def test_what_comes_after_a_failure_fails_too():
    first = node()
    second = node(after=first)
    play = Play(second)
    play.take()
    play.fail(first)
    assert play.state(second) == FAILED


def test_a_retry_starts_again_when_resumed():
    a = node()
    play = Play(a)
    play.take()
    play.retry(a)
    assert play.state(a) == DELAYED
    assert play.take() == []
    assert not play.schedule.is_over
    play.resume(a)
    assert play.take() == [a]
    assert play.schedule.starts == {play.plan.index[a]: 2}
    play.finish(a)
    assert play.schedule.is_over


def test_a_node_taken_back_did_not_start():
    a = node()
    play = Play(a)
    play.put_back(*play.take())
    assert play.state(a) == READY
    assert play.take() == [a]
    assert not play.schedule.starts


def test_followers_taken_back_wait():
    a = node()
    b = node(a)
    play = Play(b)
    play.take(8, follow=True)
    play.put_back(b)
    assert play.state(b) == WAITING
    play.finish(a)
    assert play.take() == [b]


@pytest.mark.parametrize("report", ["finish", "retry", "resume", "fail", "put_back"])
def test_late_reports_change_nothing(report):
    a = node()
    b = node(a)
    play = Play(b)
    play.run(a, b)
    for one in (a, b):
        getattr(play, report)(one)
    assert play.state(a, b) == [RELEASED, DONE]
    assert (play.schedule.done, play.schedule.remaining, play.schedule.failed) == (2, 0, 0)
    assert play.settled() == [b]


# Losing


def test_a_lost_running_node_starts_again():
    a = node()
    play = Play(a)
    play.take()
    play.lose(running=[a])
    assert play.state(a) == READY
    assert play.schedule.losses == {play.plan.index[a]: 1}
    assert play.drain() == [a]
    assert play.settled() == [a]


def test_a_lost_value_that_is_needed_is_computed_again():
    a, other = node(), node()
    b = node(a, other)
    play = Play(b)
    play.run(a)
    play.lose(values=[a])
    assert play.state(a, b) == [READY, WAITING]
    assert set(play.drain()[:2]) == {a, other}
    assert play.schedule.is_over


def test_a_lost_value_that_nobody_needs_is_not():
    a = node()
    b = node(a)
    play = Play(b)
    play.run(a, b)
    play.lose(values=[a])
    assert play.schedule.is_over
    assert play.take() == []
    assert not play.schedule.losses


def test_a_lost_requested_value_is_computed_again_with_all_it_took():
    a = node()
    b = node(a)
    c = node(b)
    play = Play(c)
    play.run(a, b, c)
    assert play.freed() == [a, b]
    play.lose(values=[c])
    assert play.state(a, b, c) == [READY, WAITING, WAITING]
    assert not play.schedule.is_over
    assert play.drain() == [a, b, c]
    assert play.freed() == [a, b]
    assert play.settled() == [c], "it settles once"
    assert play.schedule.is_over


def test_what_is_still_there_is_not_computed_again():
    a = node()
    b, keeper = node(a), node(a)
    play = Play(b, keeper)
    play.run(a, b)
    play.lose(values=[b])
    assert play.state(a, b) == [DONE, READY]


def test_a_value_lost_while_a_dependent_runs_is_computed_in_case():
    a = node()
    b = node(a)
    play = Play(b)
    play.run(a)
    play.take()
    play.lose(values=[a])
    assert play.state(a, b) == [READY, RUNNING]
    play.finish(b)
    assert play.settled() == [b]
    assert play.take() == [a], "it was ready already; the engine may as well run it"
    play.finish(a)
    assert play.freed() == [a]
    assert play.schedule.is_over


def test_a_retry_waits_for_a_value_lost_meanwhile():
    a = node()
    b = node(a)
    play = Play(b)
    play.run(a)
    play.take()
    play.lose(values=[a])
    play.retry(b)
    play.resume(b)
    assert play.state(a, b) == [READY, WAITING]
    assert play.drain() == [a, b]


def test_a_delayed_node_waits_for_a_value_lost_meanwhile():
    a = node()
    b = node(a)
    play = Play(b)
    play.run(a)
    play.take()
    play.retry(b)
    play.lose(values=[a])
    play.resume(b)
    assert play.state(b) == WAITING
    assert play.drain() == [a, b]


def test_a_node_taken_back_waits_for_a_value_lost_meanwhile():
    a = node()
    b = node(a)
    play = Play(b)
    play.run(a)
    play.take()
    play.lose(values=[a])
    play.put_back(b)
    assert play.drain() == [a, b]


def test_ready_nodes_wait_again_for_lost_values():
    a = node()
    b = node(a)
    play = Play(b)
    play.run(a)
    assert play.state(b) == READY
    play.lose(values=[a])
    assert play.state(b) == WAITING
    assert play.take(5) == [a]
    assert play.take(5) == []


def test_a_slice_that_is_lost_starts_again_in_order():
    a = node()
    b = node(a)
    c = node(b)
    play = Play(c)
    play.take(8, follow=True)
    play.finish(a)
    play.lose(running=[b, c], values=[a])
    assert play.drain() == [a, b, c]


def test_a_node_can_be_lost_until_its_losses_are_used_up():
    a = node()
    b = node(a)
    play = Play(b, max_losses=2)
    for _ in range(2):
        assert play.take() == [a]
        play.lose(running=[a])
        assert play.exhausted() == []
    play.take()
    play.lose(running=[a])
    assert play.exhausted() == [a]
    assert play.schedule.starts[play.plan.index[a]] == 3, "no fourth start is announced"
    play.fail(a)
    assert play.state(a, b) == [FAILED, FAILED]
    assert play.settled() == [b]
    assert play.take() == []
    assert play.schedule.is_over


def test_a_node_without_losses_is_never_computed_again():
    a = node(max_losses=0)
    b = node(a)
    c = node(b)
    play = Play(c)
    play.run(a, b)
    assert play.freed() == [a]
    play.lose(values=[b])
    assert play.exhausted() == [a], "b could run again, were it not for a"
    play.fail(a)
    assert play.state(a, b, c) == [FAILED] * 3
    assert play.schedule.is_over


def test_an_option_counts_more_than_the_default():
    a = node(max_losses=1)
    play = Play(a, max_losses=0)
    play.take()
    play.lose(running=[a])
    assert play.exhausted() == []
    play.take()
    play.lose(running=[a])
    assert play.exhausted() == [a]


def test_losses_and_retries_add_up():
    a = node()
    play = Play(a)
    for _ in range(2):
        play.take()
        play.lose(running=[a])
        play.take()
        play.retry(a)
        play.resume(a)
    play.take()
    assert play.schedule.starts == {play.plan.index[a]: 5}
    assert play.schedule.losses == {play.plan.index[a]: 2}


def test_the_same_loss_reported_twice_counts_once():
    a = node()
    play = Play(a)
    play.take()
    play.lose(running=[a, a], values=[a])
    play.lose(running=[a])
    assert play.schedule.losses == {play.plan.index[a]: 1}
    assert play.drain() == [a]
    assert play.schedule.is_over


@pytest.mark.parametrize("meanwhile", ["running", "delayed"])
def test_a_node_whose_input_is_gone_for_good_fails_when_it_needs_it_again(meanwhile):
    a = node(max_losses=0)
    b = node(a)
    play = Play(b)
    play.run(a)
    play.take()
    if meanwhile == "delayed":
        play.retry(b)
    play.lose(values=[a])
    assert play.exhausted() == [a]
    play.fail(a)
    if meanwhile == "running":
        assert play.state(b) == RUNNING, "it has the value, and may succeed"
        play.lose(running=[b])
    assert play.state(b) == FAILED
    assert play.schedule.root[play.plan.index[b]] == play.plan.index[a]
    assert play.settled() == [b]
    assert play.schedule.is_over


def test_a_value_whose_input_failed_since_cannot_be_computed_again():
    a = node(max_losses=1)
    b, c = node(a), node(a)
    play = Play(b, c)
    play.run(a, b)
    play.lose(values=[a])
    play.run(a)
    play.lose(values=[a])
    assert play.exhausted() == [a]
    play.fail(a)
    assert play.state(b, c) == [DONE, FAILED]
    play.lose(values=[b])
    assert play.state(b) == FAILED
    assert play.schedule.is_over


def test_a_given_value_that_is_lost_is_waited_for_once_more():
    a = DataNode(1)
    b, c = node(a), node(a)
    play = Play(b, c)
    begun = play.take()  # with the value, before that was lost
    play.schedule.await_again(play.plan.index[a])
    assert play.take(8) == []
    play.put_back(*begun)
    assert play.take(8) == []
    play.finish(a)
    assert set(play.take(8)) == {b, c}
    play.finish(b, c)
    assert play.schedule.is_over


def test_what_is_left_of_the_losses_allowed():
    a = node()
    play = Play(a, max_losses=2)
    play.take()
    play.lose(running=[a])
    assert play.schedule.losses_left(play.plan.index[a]) == 1


# Stopping


def test_stop_cancels_what_is_unfinished_and_keeps_what_is_done():
    a, b = node(), node()
    c = node(b)
    play = Play(a, c, node())
    play.run(a)
    (running,) = play.take()
    assert play.nodes(play.schedule.stop()) == [running]
    assert play.schedule.is_over
    assert play.schedule.stopped
    assert play.state(a, c) == [DONE, CANCELLED]
    assert set(play.settled()) == set(play.nodes(play.plan.requested))
    assert play.take(5) == []


def test_stop_frees_what_only_the_cancelled_needed():
    a = node()
    play = Play(node(a))
    play.run(a)
    play.schedule.stop()
    assert play.freed() == [a]


def test_nothing_that_ends_after_a_stop_counts():
    a, b = node(), node()
    play = Play(a, b)
    play.take(2)
    play.schedule.stop()
    play.finish(a)
    play.retry(b)
    play.resume(b)
    assert play.state(a, b) == [CANCELLED, CANCELLED]
    assert play.take(5) == []
    assert play.schedule.is_over


def test_a_value_lost_after_a_stop_is_computed_again():
    a = node()
    b = node(a)
    play = Play(b, node())
    play.run(a, b)
    play.schedule.stop()
    play.lose(values=[b])
    assert play.drain() == [a, b]


def test_cancelling_takes_dependents_along_and_leaves_the_rest():
    a, b = node(), node()
    c = node(a)
    play = Play(c, b)
    play.take(5)
    assert play.nodes(play.schedule.cancel(play.numbers([a]))) == [a]
    assert play.state(a, b, c) == [CANCELLED, RUNNING, CANCELLED]
    play.finish(b)
    assert play.schedule.is_over


def test_a_cancelled_ready_node_is_not_begun():
    a, b = node(), node()
    play = Play(a, b)
    play.schedule.cancel(play.numbers([a]))
    assert play.take(5) == [b]
    play.finish(b)
    assert (play.schedule.remaining, play.schedule.done, play.schedule.failed) == (0, 1, 1)


def test_a_cancelled_value_is_given_up():
    a = node()
    b = node(a)
    play = Play(a, b)
    play.run(a)
    play.schedule.cancel(play.numbers([a]))
    assert play.state(a, b) == [CANCELLED, CANCELLED]
    assert play.schedule.is_over


def test_something_ready_is_found_below_what_no_longer_is():
    nodes = [node() for _ in range(10)]
    play = Play(*nodes)
    play.schedule.cancel(play.numbers(nodes[:9]))
    assert play.take(1) == [nodes[9]]


# Big ones


def test_a_hundred_thousand_deep_and_lost_at_the_end():
    chain = [op(int)("0")]
    for _ in range(99_999):
        chain.append(-chain[-1])
    play = Play(chain[-1])
    while taken := play.take(1_000, follow=True):
        play.finish(*taken)
    assert len(play.freed()) == 99_999
    play.lose(values=[chain[-1]])
    assert play.take(5, follow=True) == chain[:5]
    play.fail(chain[0])
    play.put_back(*chain[1:5])
    assert play.schedule.is_over
