"""`Group`: what is still to be heard of nodes that were sent."""

from types import SimpleNamespace

from dask_dispatcher.executors.dask.batches import Batch
from dask_dispatcher.executors.dask.groups import Group
from dask_dispatcher.executors.dask.sending import Sent


def group(*numbers):
    sent = Sent("name", SimpleNamespace(), list(numbers), {"other"}, [], {}, None)
    return Group(SimpleNamespace(), sent, Batch(list(numbers), 0.1), SimpleNamespace(), {})


def test_all_nodes_are_pending_at_first():
    made = group(4, 2, 7)
    assert made.pending == {2, 4, 7}
    assert (made.depends, made.started, made.has_begun) == ({"other"}, set(), False)


def test_what_is_left_keeps_its_order():
    made = group(4, 2, 7, 1)
    made.note([7, 7, 99])
    assert made.left() == [4, 2, 1]
    made.note([1, 2, 4])
    assert made.left() == []
