"""`ChromeTrace`: valid JSON once its bracket is closed, rows that do not overlap."""

import asyncio
import json
from collections import defaultdict

from dask_dispatcher import AsyncExecutor, ChromeTrace, op
from tests.test_drawing import EVIL


def events_of(path):
    text = path.read_text()
    assert text.isascii()
    return json.loads(text.rstrip().rstrip(",") + "]")


def fail():
    raise ValueError("no \x1b[31m")


def test_calls_are_slices_on_named_rows(tmp_path):
    path = tmp_path / "trace.json"
    nodes = [op(int, label=label)("1") for label in EVIL.values()]
    bad = op(fail, label="bad", retries=1, retry_delay=0)()
    with AsyncExecutor() as executor:
        executor.run([*nodes, bad], raise_errors=False, observers=[ChromeTrace(path)])
    events = events_of(path)
    slices = [event for event in events if event["ph"] == "X"]
    assert len(slices) == len(nodes) + 2
    assert all(event["name"].isprintable() and len(event["name"]) < 400 for event in slices)
    attempts = [event["args"] for event in slices if event["name"] == "bad"]
    assert [args["attempt"] for args in attempts] == [1, 2]
    assert attempts[0]["error"] == "ValueError: no \\x1b[31m"
    names = {
        event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"
    }
    assert {event["tid"] for event in slices} == set(names)
    assert all(name.startswith("dask-dispatcher-") for name in names.values())
    assert {
        "ph": "M",
        "name": "process_name",
        "pid": 1,
        "tid": 0,
        "args": {"name": "AsyncExecutor 1"},
    } in events


def test_coroutines_that_overlap_have_rows_of_their_own(tmp_path):
    path = tmp_path / "trace.json"
    gathered = asyncio.Event()
    inside = []

    async def meet():
        inside.append(1)
        if len(inside) == 3:
            gathered.set()
        await gathered.wait()

    with AsyncExecutor() as executor:
        executor.run([op(meet)() for _ in range(3)], observers=[ChromeTrace(path)])
    rows = defaultdict(list)
    for event in events_of(path):
        if event["ph"] == "X":
            rows[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    assert len(rows) == 3
    for spans in rows.values():
        spans.sort()
        assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:]))


def test_a_second_run_is_a_process_of_its_own(tmp_path):
    path = tmp_path / "trace.json"
    trace = ChromeTrace(path)
    with AsyncExecutor() as executor:
        for _ in range(2):
            executor.run([op(int)("1")], observers=[trace])
    assert {event["pid"] for event in events_of(path)} == {1, 2}
