"""The smallest program: a graph of four additions and a product, on every executor there is."""

import dask_dispatcher
from dask_dispatcher import DataNode

a = DataNode(1) + 2
x = a + 3
y = a + 1
result = x * y

for name in ("AsyncExecutor", "ParallelExecutor", "DaskExecutor"):
    if hasattr(dask_dispatcher, name):  # early versions have no ParallelExecutor
        with getattr(dask_dispatcher, name)() as executor:
            print(f"{name}: {executor.compute(result)}")
