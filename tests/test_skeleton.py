"""The seed's program on real Dask processes: what worked first, and must go on working."""

from operator import add

from dask_dispatcher import DaskExecutor, Ok, op


def test_seed_program_on_stock_scheduler_and_workers(cluster):
    a = op(add)(1, 2)
    x = a + 3
    y = a + 1
    with DaskExecutor(cluster.address) as executor:
        (result,) = executor.run([x * y])
        assert isinstance(result, Ok)
        assert result.value.fetch() == 24
