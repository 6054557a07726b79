"""`Parcel`: nodes as plain data, in which nobody on the way looks at what is the user's."""

import pickle
import sys
from types import SimpleNamespace

from dask_dispatcher.executors.dask import parcels
from dask_dispatcher.executors.dask.parcels import Parcel
from dask_dispatcher.executors.slices.columns import to_columns

POISON = b"not a pickle"


def parcel(**fields):
    basic = {
        "columns": to_columns([(0, 5, (1,), (), ())]),
        "functions": {5: POISON},
        "atoms": {1: "atom"},
        "pickled": {2: POISON},
        "dumped": {3: (POISON, [bytearray(b"buffer")])},
        "parts": [(4, 0, 7)],
        "timeouts": {0: 1.5},
    }
    return Parcel("group", "topic", **{**basic, **fields})


def test_it_arrives_as_it_was_and_nothing_of_the_users_is_opened():
    sent = parcel(is_async=True, run="run", home="home")
    assert pickle.loads(pickle.dumps(sent, protocol=5)) == sent


def test_it_says_which_python_made_it():
    assert parcel().python == sys.version_info[:2]
    arrived = pickle.loads(pickle.dumps(parcel(python=(3, 99))))
    assert arrived.python == (3, 99)  # of the program, not of whoever unpickles it


def test_called_it_is_run_with_the_values_of_its_dependencies(monkeypatch):
    runs = []

    def runner(*given):
        return SimpleNamespace(run=lambda: runs.append(given) or "what is kept")

    monkeypatch.setattr(parcels, "Runner", runner)
    called = parcel()
    assert called("first", "second") == "what is kept"
    assert runs == [(called, ("first", "second"))]
