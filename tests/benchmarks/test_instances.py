"""Reading and scaling WfFormat instances."""

import gzip
import json
from pathlib import Path

import pytest
from tests.benchmarks.small import document

from bench.instances import Instance, load_instance, parse_instance, scale


@pytest.fixture
def small() -> Instance:
    return parse_instance("small", document())


def test_tasks_come_after_their_parents(small: Instance) -> None:
    seen: set[str] = set()
    for task in small.tasks.values():
        assert seen.issuperset(task.parents)
        seen.add(task.id)
    assert len(seen) == 5


def test_what_a_task_is(small: Instance) -> None:
    split, merge = small.tasks["split_ID1"], small.tasks["merge_ID4"]
    assert (split.category, split.seconds, split.size, split.parents) == ("split", 1.0, 4_000, ())
    assert (merge.category, merge.parents) == ("merge", ("map_ID2", "map_ID3"))
    assert small.tasks["map_ID2"].category == small.tasks["map_ID3"].category == "map"
    assert small.tasks["report_ID5"].size == 0  # its file's size is not on record


def test_the_whole(small: Instance) -> None:
    assert sorted(small.sinks) == ["merge_ID4", "report_ID5"]
    assert small.size == 5_201
    assert sum(small.seconds.values()) == 10.0


def test_an_edge_may_be_stated_at_one_end(small: Instance) -> None:
    stated = document()
    for task in stated["workflow"]["specification"]["tasks"]:
        task["children" if task["id"] == "split_ID1" else "parents"].clear()
    parents = parse_instance("small", stated).parents
    assert parents["merge_ID4"] == small.parents["merge_ID4"]
    assert parents["map_ID2"] == ()


@pytest.mark.parametrize("name", ["small.json", "small.json.gz"])
def test_files(tmp_path: Path, small: Instance, name: str) -> None:
    text = json.dumps(document()).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    assert load_instance(tmp_path / name) == small


def test_scaling(small: Instance) -> None:
    scaled = scale(small, seconds=1.0, bytes_scale=0.001)
    assert scaled.seconds["merge_ID4"] == pytest.approx(0.4)
    assert [task.size for task in scaled.tasks.values() if task.id == "split_ID1"] == [4]
    assert scaled.tasks["merge_ID4"].size == 1  # at least a byte
    assert scaled.tasks["report_ID5"].size == 0


def test_not_an_instance(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"workflow": {"specification": {"tasks": []}}}')
    with pytest.raises(ValueError, match=r"other\.json is no WfFormat 1\.5 instance.*execution"):
        load_instance(path)


def test_cycle() -> None:
    stated = document()
    stated["workflow"]["specification"]["tasks"][1]["parents"] = ["merge_ID4"]
    with pytest.raises(ValueError, match="cycle"):
        parse_instance("small", stated)


def test_id_used_twice() -> None:
    stated = document()
    stated["workflow"]["specification"]["tasks"] *= 2
    with pytest.raises(ValueError, match="same id"):
        parse_instance("small", stated)
