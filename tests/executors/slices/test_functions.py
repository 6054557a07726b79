"""Functions as a worker loads them."""

import cloudpickle
import pytest

from dask_dispatcher import op
from dask_dispatcher.executors.slices.functions import load_function, raising


@pytest.mark.parametrize("sent", [len, op(len)], ids=["plain", "op"])
def test_a_function_is_what_nodes_call(sent):
    assert load_function(cloudpickle.dumps(sent)) is len


def test_what_cannot_be_loaded_says_why_whenever_it_is_called():
    function = raising(ImportError("no such module"))
    for _ in range(2):
        with pytest.raises(ImportError, match="no such module"):
            function(1, key=2)
