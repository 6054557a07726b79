"""Entries come back from columns as they were."""

import pickle

import pytest

from dask_dispatcher.executors.slices.columns import from_columns, to_columns

ALIKE = [(5, 2, (1, 2), (0, 1), ()), (7, 2, (3, 5), (0, 1), ())]
WITHOUT_ARGUMENTS = [(0, 2, (), (), ()), (1, 2, (), (), ())]
OTHERS = [
    (0, 2, (), (), ()),
    (1, 3, (True, 1.5, None), (), ("b", "c")),
    (2, 0, ([0, 1],), (~0,), ()),
    (3, 2, (-1, "text"), (0,), ()),
]


@pytest.mark.parametrize("entries", [[], ALIKE, WITHOUT_ARGUMENTS, OTHERS, [*ALIKE, *OTHERS]])
def test_entries_come_back(entries):
    there = from_columns(pickle.loads(pickle.dumps(to_columns(entries))))
    assert there == entries
    assert [list(map(type, entry[2])) for entry in there] == [
        list(map(type, entry[2])) for entry in entries
    ]


def test_what_all_share_is_said_once():
    alike = [(n, 2, (n,), (), ()) for n in range(1000)]
    assert len(pickle.dumps(to_columns(alike))) < len(pickle.dumps(alike)) / 2
