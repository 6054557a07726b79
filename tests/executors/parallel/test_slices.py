"""`Slice`: what of it has been heard, and what is left."""

from dask_dispatcher.executors.parallel.slices import Slice


def test_what_is_left_keeps_its_order():
    part = Slice(None, 1, [5, 3, 9, 1], [], 0.0)
    assert part.left() == [5, 3, 9, 1]
    part.note([9, 5])
    assert part.left() == [3, 1]
    part.note([9, 77])  # said twice, or of another slice
    assert part.left() == [3, 1]
    part.note({1, 3})
    assert part.left() == []
    assert not part.pending
    assert part.numbers == [5, 3, 9, 1]


def test_nothing_is_left_of_a_slice_that_ends_in_one_report():
    part = Slice(None, 1, [5, 3, 9], [], 0.0)
    part.note([5, 3, 9])
    assert part.left() == []
    assert not part.pending
