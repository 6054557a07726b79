"""`Adjacency`: rows of ints, and the same edges seen from the other end."""

from hypothesis import given
from hypothesis import strategies as st

from dask_dispatcher.adjacency import Adjacency


@st.composite
def edges(draw):
    count = draw(st.integers(0, 8))
    row = st.lists(st.integers(0, max(0, count - 1)), unique=True)
    return draw(st.lists(row, min_size=count, max_size=count))


@given(edges())
def test_rows_are_what_they_were_made_of(rows):
    found = Adjacency.of(rows)
    assert [list(row) for row in found] == rows
    assert [list(found[number]) for number in range(len(rows))] == rows
    assert [list(row) for row in found[1:3]] == rows[1:3]
    assert found.lengths() == [len(row) for row in rows]


@given(edges())
def test_transposed_rows_are_in_order_and_lead_back(rows):
    turned = Adjacency.of(rows).transposed()
    for number, owners in enumerate(turned):
        assert list(owners) == [owner for owner, row in enumerate(rows) if number in row]
    assert [list(row) for row in turned.transposed()] == [sorted(row) for row in rows]


def test_more_edges_may_be_transposed_along():
    turned = Adjacency.of([[1], [], [1]]).transposed({1: [2, 0]})
    assert [list(row) for row in turned] == [[1], [0, 2], [1]]


def test_no_rows():
    assert list(Adjacency().transposed()) == []
