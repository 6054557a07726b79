"""What third parties would write, as the docstring of `Executor` says."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from dask_dispatcher import Executor


class PoolExecutor(Executor):
    """Runs nodes on a pool of the standard library's."""

    def __init__(self, pool, max_workers):
        super().__init__(max_workers=max_workers)
        self.pool = pool

    def submit(self, call):
        return self.pool.submit(call)

    def close(self):
        super().close()
        self.pool.shutdown()


class ThreadsExecutor(PoolExecutor):
    def __init__(self, max_workers=2):
        super().__init__(ThreadPoolExecutor(max_workers), max_workers)


class ProcessesExecutor(PoolExecutor):
    """Where calls, values and exceptions must be pickled."""

    def __init__(self):
        # Not forked: this process has threads.
        spawning = multiprocessing.get_context("spawn")
        super().__init__(ProcessPoolExecutor(2, spawning), 2)
