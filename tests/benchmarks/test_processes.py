"""Engines on local processes: their answers, and what is said of those that are not there."""

from contextlib import ExitStack

import pytest

from bench import probes
from bench.engines import PROCESSES
from bench.engines.ours import Parallel
from bench.engines.processes import DelayedProcesses, Forked, ProcessPool
from bench.replaying import open_players
from bench.suite import Plan
from bench.workloads import SHAPES, cpu, data, mixed, tiny

OURS_AND_STANDARD = (Parallel, Forked, ProcessPool, DelayedProcesses)  # nothing else is installed
SMALL = [
    *[tiny(shape, n) for shape in SHAPES for n in (2, 200)],
    cpu(loops=10, n=5),
    mixed("random", 10, 50, 5),
    data(arrays=4, megabytes=1),
]


def plan(*engines: str) -> Plan:
    return Plan([10], [10], 10, 10, 0.1, 1, frozenset(), frozenset(engines), ())


@pytest.mark.parametrize("kind", OURS_AND_STANDARD, ids=lambda kind: kind.name)
def test_every_engine_finds_the_answer(kind: type) -> None:
    with kind() as engine:
        for workload in SMALL:
            if engine.accepts(workload):
                workload.check(engine.run(workload.build))


def test_forks_take_independent_calls_only() -> None:
    taken = {workload.name for workload in SMALL if Forked().accepts(workload)}
    assert taken == {"wide", "cpu", "mixed:random"}


def test_an_error_in_a_fork_is_not_an_answer() -> None:
    def build(wrap, collect):
        return collect([wrap(lambda: 1 / 0)()])

    with pytest.raises(EOFError):
        Forked().run(build)


def test_what_cannot_be_opened_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent(ProcessPool):
        name = "absent"

        def __init__(self) -> None:
            raise ModuleNotFoundError("No module named 'absent'")

    monkeypatch.setattr("bench.suite.PROCESSES", (Absent, Forked))
    with ExitStack() as stack:
        engines, absent = plan().open_processes(stack)
        assert [engine.name for engine in engines] == ["forked"]
    assert absent == ["Left out: absent (ModuleNotFoundError: No module named 'absent')."]


def test_only_those_wanted_are_opened() -> None:
    assert {"parallel", "ray", "joblib", "loky"} <= {kind.name for kind in PROCESSES}
    with ExitStack() as stack:
        engines, absent = plan("forked").open_processes(stack)
    assert [engine.name for engine in engines] == ["forked"]
    assert absent == []


def test_the_first_result_of_a_fresh_interpreter() -> None:
    assert 0 < probes.control("first")["seconds"] < 60


def test_memory_of_the_controller() -> None:
    found = probes.control("memory", "wide", 1_000)
    assert 0 < found["graph"] <= found["peak"]
    assert probes.control("data", 1)["growth"] >= 0


def test_a_kill_at_half_time() -> None:
    found = probes.control("kill", 20, 1)
    assert len(found["plain"]) == len(found["killed"]) == 1


def test_imports_are_measured_with_byte_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    code = "import json, sys; print(json.dumps({'writes': not sys.dont_write_bytecode}))"
    assert probes.fresh("-c", code) == {"writes": True}


def test_a_player_on_local_processes() -> None:
    with ExitStack() as stack:
        (player,) = open_players(stack, ["parallel"], 2, None, peer=False)
        assert player.name == "ParallelExecutor"
        seconds, values = player.play(lambda wrap: [wrap(bytes)(i) for i in range(3)])
        assert seconds > 0
        assert values == [bytes(0), bytes(1), bytes(2)]
