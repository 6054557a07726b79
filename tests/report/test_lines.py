"""`EventLog`: one JSON object a line, with the fields of its record."""

import json

from dask_dispatcher import AsyncExecutor, EventLog, op
from dask_dispatcher.events import NodeFailed, NodeFinished, NodeRetried, RunEnded
from tests.test_drawing import EVIL

SECRET = "correct horse battery staple"


def fail(value):
    raise ValueError("a\x00b")


def lines_of(path):
    text = path.read_text()
    assert text.isascii()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_every_record_is_a_line(tmp_path):
    path = tmp_path / "run.jsonl"
    good = op(str, label="good")(SECRET)
    bad = op(fail, label="bad", retries=1, retry_delay=0)(good)
    with AsyncExecutor() as executor:
        executor.run([bad], raise_errors=False, observers=[EventLog(path)])
    lines = lines_of(path)
    assert lines[0]["event"] == "RunStarted"
    assert lines[0]["executor"] == "AsyncExecutor"
    assert lines[-1]["event"] == "RunEnded"
    assert set(lines[-1]) == {"event", "run", *RunEnded._fields}
    by_kind = {line["event"]: line for line in lines}
    for record in (NodeFinished, NodeRetried, NodeFailed):
        assert set(by_kind[record.__name__]) == {"event", "run", *record._fields}
    assert by_kind["NodeFailed"]["error"] == {"type": "ValueError", "message": "a\\x00b"}
    assert (
        by_kind["NodeFailed"]["node"]
        == by_kind["NodeRetried"]["node"]
        != by_kind["NodeFinished"]["node"]
    )
    assert SECRET not in path.read_text()


def test_evil_labels_are_data(tmp_path):
    path = tmp_path / "run.jsonl"
    nodes = [op(int, label=label)("1") for label in EVIL.values()]
    with AsyncExecutor() as executor:
        executor.run(nodes, observers=[EventLog(path)])
    labels = {line["label"] for line in lines_of(path) if line["event"] == "NodeFinished"}
    assert labels == {label[:20_000] for label in EVIL.values()}
