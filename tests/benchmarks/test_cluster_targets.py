"""The rows of heavy nodes, and of ten calls beside a long run."""

import pytest

from bench import heavy, sharing
from bench.measure import Timing
from bench.workloads import run_plain


@pytest.mark.parametrize("arrays", [2, 3, 16])
def test_heavy_knows_its_answer_and_its_nodes(arrays: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heavy, "SECONDS", 0.0)
    monkeypatch.setattr(heavy, "MEGABYTES", 1)
    workload = heavy.heavy(arrays)
    value, nodes = run_plain(workload.build)
    workload.check(value)
    assert nodes == workload.nodes


def test_targets_of_heavy_nodes() -> None:
    def found(seconds: float, moved: int) -> heavy.Heavy:
        return heavy.Heavy(Timing(64, [seconds]), [moved])

    theirs = found(2.0, 84_000_000)
    good = heavy.heavy_rows({"dask": found(2.09, 84_000_000), "delayed-cluster": theirs})
    bad = heavy.heavy_rows({"dask": found(2.11, 85_000_000), "delayed-cluster": theirs})
    assert [row.reached for row in good] == [True, True]
    assert [row.reached for row in bad] == [False, False]
    assert heavy.heavy_rows({"dask": found(1.0, 0)}) == []


def test_targets_of_fairness() -> None:
    times = {
        sharing.ALONE: [0.5],
        sharing.BESIDE_OURS: [1.4],
        sharing.PLAIN_ALONE: [0.5],
        sharing.PLAIN_BESIDE_OURS: [1.6],
        sharing.BESIDE_PLAIN: [5.0],
        sharing.PLAIN_BESIDE_PLAIN: [5.0],
    }
    assert [row.reached for row in sharing.sharing_rows(times)] == [True, False, True]
    assert len(sharing.sharing_table(times).splitlines()) == 8
