"""The machine's cores, and how many of them the libraries in a worker are to use.

Numerical libraries start a thread a core each, in every process. With a worker a core these threads
wait for each other more than they compute: 1,728 products of matrices of 125 by 125, on two workers and
two cores that also did other work, took 22.5 s in place of 0.3 to 0.5. So workers begin with the
variables that such libraries read, as those of joblib and Dask do.
"""

from __future__ import annotations

import os

__all__ = ["count_cores", "thread_limits"]

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def count_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_limits(workers: int) -> dict[str, str]:
    """Return what is to be in a worker's environment, if the user has not set it.

    Parameters
    ----------
    workers : int
        How many share the cores.
    """
    return dict.fromkeys(_VARIABLES, str(max(1, count_cores() // workers)))
