"""`Shared`: its name leads to the object, for as long as there is one."""

import pickle

import pytest

from dask_dispatcher.shared import Shared


def test_a_name_leads_to_the_object():
    shared = Shared([1])
    assert pickle.loads(pickle.dumps([shared]))[0] is shared


def test_a_name_is_of_no_use_once_its_object_is_gone():
    name = pickle.dumps(Shared([1]))
    with pytest.raises(LookupError, match="after it has gone"):
        pickle.loads(name)
