"""A small workflow of our own in WfFormat 1.5: split, two maps, one merge, a report beside it."""

from typing import Any


def document() -> dict[str, Any]:
    """Make the parsed JSON, anew at every call."""
    return {
        "name": "small",
        "schemaVersion": "1.5",
        "workflow": {
            "specification": {
                "tasks": [
                    task("merge_ID4", ["map_ID2", "map_ID3"], [], ["whole"]),
                    task("split_ID1", [], ["map_ID2", "map_ID3"], ["half.0", "half.1"]),
                    task("map_ID2", ["split_ID1"], ["merge_ID4"], ["done.0"]),
                    task("map_ID3", ["split_ID1"], ["merge_ID4"], ["done.1"]),
                    task("report_ID5", ["map_ID3"], [], ["page"]),
                ],
                "files": [
                    {"id": "half.0", "sizeInBytes": 1_000},
                    {"id": "half.1", "sizeInBytes": 3_000},
                    {"id": "done.0", "sizeInBytes": 500},
                    {"id": "done.1", "sizeInBytes": 700},
                    {"id": "whole", "sizeInBytes": 1},
                ],
            },
            "execution": {
                "tasks": [
                    record("split_ID1", 1.0, "split"),
                    record("map_ID2", 2.0, "map"),
                    record("map_ID3", 3.0, "map"),
                    record("merge_ID4", 4.0, "cat <<END\n a whole script\nEND"),
                    record("report_ID5", 0.0, None),
                ]
            },
        },
    }


def task(name: str, parents: list[str], children: list[str], outputs: list[str]) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "parents": parents,
        "children": children,
        "inputFiles": [],
        "outputFiles": outputs,
    }


def record(name: str, seconds: float, program: str | None) -> dict[str, Any]:
    command = {"command": {"program": program}} if program else {}
    return {"id": name, "runtimeInSeconds": seconds, **command}
