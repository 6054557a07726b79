"""The engine of DaskExecutor on a cluster that is simulated: small, and the same every time."""

import sys
import time
from pathlib import Path

import pytest

import simulate
from bench.instances import Instance, Task
from bench.scale import Scaled, cost_table, layered, makespan_table, wide
from bench.simulated import Model
from bench.simulation import Simulation, clock
from dask_dispatcher.executors.dask import crew, running

MODEL = Model()


def calls(seconds: list[float], sizes: list[int] | None = None, *, chain: bool = False) -> Instance:
    tasks: dict[str, Task] = {}
    for number, each in enumerate(seconds):
        parents = (str(number - 1),) if chain and number else ()
        size = sizes[number] if sizes else 0
        tasks[str(number)] = Task(str(number), "call", each, size, parents)
    return Instance("calls", tasks)


def test_one_group_takes_its_hops_and_its_costs() -> None:
    simulation = Simulation(1)
    simulation.run(calls([0.001] * 4))
    outcome = simulation.run(calls([0.001] * 4))
    costs = MODEL.client_task + 4 * MODEL.client_node + MODEL.scheduler_task / 2
    costs += MODEL.worker_task / 2 + 4 * (0.001 + MODEL.worker_node)
    costs += MODEL.scheduler_event + MODEL.client_task / 4
    assert outcome.counts["tasks"] == 1
    assert outcome.seconds == pytest.approx(4 * MODEL.hop + costs)


def test_runs_are_the_same_every_time() -> None:
    graph = layered(300, 60, seed=3)
    first, second = Simulation(4), Simulation(4)
    for _ in range(2):
        one, other = first.run(graph), second.run(graph)
        assert one.seconds == pytest.approx(other.seconds)
        assert one.counts["tasks"] == other.counts["tasks"]


def test_no_run_is_faster_than_the_bound() -> None:
    graph = layered(200, 40, seed=5)
    simulation = Simulation(3)
    each = Scaled(graph, 3, simulation.run(graph), simulation.run(graph))
    assert each.bound <= each.ideal < each.warm.seconds
    assert each.ideal < each.cold.seconds
    assert "| layered, seed 5 | 200 | 3 |" in makespan_table([each])
    assert cost_table([each]).splitlines()[2].startswith("| 3 |")


def test_large_values_are_there_while_the_cluster_is_looked_at() -> None:
    outcome = Simulation(1).run(calls([0.4] * 3, [10_000_000] * 3, chain=True))
    assert outcome.seconds > 1.2  # some of the looks, one every half a second, fall into that


def test_every_worker_is_used() -> None:
    outcome = Simulation(8).run(wide(160, 0.05))
    assert outcome.seconds < 160 * 0.05 / 8 * 1.5


def test_what_takes_too_long_is_given_back() -> None:
    # Nothing is known of the function: all four go to the one worker, which gives back three.
    seconds = 2 * running.BUDGET
    outcome = Simulation(1).run(calls([seconds] * 4))
    assert outcome.counts["work"] == pytest.approx(4 * (seconds + MODEL.worker_node))
    assert outcome.counts["tasks"] > 1
    assert outcome.counts["reports"] >= outcome.counts["tasks"]


def test_large_values_stay_where_they_are() -> None:
    graph = calls([0.03] * 5, [1_000_000] * 5, chain=True)
    assert Simulation(4).run(graph).counts["bytes moved"] == 0


def test_a_report_that_is_too_long_is_come_for() -> None:
    outcome = Simulation(1).run(wide(60_000, 0.0))
    assert outcome.counts["work"] == pytest.approx(60_000 * MODEL.worker_node)


def test_the_clock_is_given_back() -> None:
    simulation = Simulation(1)
    with clock(simulation.world):
        assert crew.time is simulation.world
    assert crew.time is time


def test_a_layered_graph_follows_from_its_seed() -> None:
    assert layered(50, 10, seed=1) == layered(50, 10, seed=1)
    assert layered(50, 10, seed=1) != layered(50, 10, seed=2)


def test_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "SCALE.md"
    arguments = ["--workers", "2", "--random", "20", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["simulate.py", *arguments])
    simulate.main()
    text = out.read_text()
    assert text in capsys.readouterr().out
    assert "| wide, 10 ms | 20 | 2 |" in text
    assert str(tmp_path) not in text
