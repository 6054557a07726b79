"""Every workload gives its known answer on every engine of this process."""

import pytest

from bench.engines import LOCAL, Engine
from bench.engines.peers import CountingLoop
from bench.seed import seed
from bench.workloads import SHAPES, Workload, WrongResultError, cpu, data, mixed, tiny

SMALL = [
    *[tiny(shape, n) for shape in SHAPES for n in (1, 2, 300)],
    *[tiny(shape, 300, coroutines=True) for shape in SHAPES],
    seed(sleeps=False),
    seed(sleeps=False, coroutines=True),
    cpu(loops=10, n=5),
    mixed("random", 10, 50, 5),
    mixed("adjacent", 10, 50, 5),
    data(arrays=4, megabytes=1),
]


@pytest.mark.parametrize("workload", SMALL, ids=lambda w: f"{w.name}-{w.nodes}")
@pytest.mark.parametrize("kind", LOCAL, ids=lambda kind: kind.name)
def test_every_engine_finds_the_answer(kind: type[Engine], workload: Workload) -> None:
    with kind() as engine:
        if engine.accepts(workload):
            workload.check(engine.run(workload.build))
        else:
            assert workload.coroutines


def test_answers_known_otherwise() -> None:
    assert tiny("wide", 7).expected == [0, 1, 2, 3, 4, 5, 6]
    assert tiny("chain", 7).expected == 7
    assert tiny("tree", 7).expected == 0 + 1 + 2 + 3
    assert len(tiny("layered", 700).expected) == 100


def test_a_wrong_answer_is_an_error() -> None:
    with pytest.raises(WrongResultError, match="chain: expected 7, got 8"):
        tiny("chain", 7).check(8)


def test_nodes_are_counted() -> None:
    assert tiny("wide", 10).nodes == 11
    assert tiny("tree", 10).nodes == 9
    assert tiny("layered", 1_000).nodes == 1_001
    assert seed(sleeps=False).nodes == 501  # the 500 of the example, and the collect


@pytest.mark.parametrize("coroutines", [False, True])
def test_seed_sleeps_alike_every_time(coroutines: bool) -> None:
    one, other = (seed(sleeps=True, coroutines=coroutines) for _ in range(2))
    assert (one.seconds, one.critical_path) == (other.seconds, other.critical_path)
    # A load, a process, a roll, a compare and the reduction at their longest.
    assert 0 < one.critical_path < (1 / 2 + 1 / 2 + 1 / 5 + 1 / 10 + 1) / 10 < one.seconds


def test_engines_leave_out_what_is_too_much() -> None:
    loop = CountingLoop()
    assert not loop.accepts(tiny("wide", 10, coroutines=True))
    loop.most_nodes_of = {"chain": 5}
    assert loop.accepts(tiny("wide", 10))
    assert not loop.accepts(tiny("chain", 10))
