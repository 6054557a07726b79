"""The conformance suite: proves that an executor keeps the promises that ours keep.

`check_executor` runs all of it. `CHECKS` holds its parts, for ``pytest.mark.parametrize``. Nothing
here needs a test framework.

::

    suite       check_executor, and its report
    checks      what executors are held to, one function a promise
    agreement   ... of which: do as the reference interpreter does
    oracle      the reference interpreter
    graphs      random graphs
    calls       the functions that nodes call
    files       what nodes and checks tell each other, across processes
    expecting   assertions
"""

from .checks import CHECKS
from .suite import check_executor

__all__ = ["CHECKS", "check_executor"]
