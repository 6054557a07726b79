"""Dask's callbacks on executors of ours."""

import io
import threading
from operator import add

import dask
import pytest
from dask.callbacks import Callback
from dask.diagnostics import CacheProfiler, Profiler, ProgressBar
from dask.task_spec import DataNode, Task

from dask_dispatcher import AsyncExecutor, DaskExecutor

GRAPH = {"x": 1, "y": (add, "x", 2), "z": (add, "y", "y"), "alias": "z"}


@pytest.fixture(params=["async", "dask"])
def executor(request, shared_cluster):
    if request.param == "dask":
        with DaskExecutor(shared_cluster.address) as executor:
            yield executor
    else:
        with AsyncExecutor() as executor:
            yield executor


@pytest.fixture
def local():
    with AsyncExecutor() as executor:
        yield executor


class Recorder(Callback):
    """Writes down all calls."""

    def __init__(self):
        self.calls = []

    def _start(self, dsk):
        self.calls.append(("start", sorted(dsk)))

    def _start_state(self, dsk, state):
        self.calls.append(("start_state", sorted(state["cache"]), list(state["ready"])))

    def _pretask(self, key, dsk, state):
        assert key in state["running"]
        assert key in dsk
        self.calls.append(("pretask", key))

    def _posttask(self, key, value, dsk, state, worker):
        assert key in state["finished"]
        self.calls.append(("posttask", key, value))

    def _finish(self, dsk, state, failed):
        self.calls.append(("finish", failed))


def test_all_calls_in_order(local):
    with Recorder() as recorder:
        assert local.get(GRAPH, "alias") == 6
    assert recorder.calls == [
        ("start", ["alias", "x", "y", "z"]),
        ("start_state", ["x"], ["y"]),
        *(("pretask", "y"), ("posttask", "y", 3)),
        *(("pretask", "z"), ("posttask", "z", 6)),
        *(("pretask", "alias"), ("posttask", "alias", 6)),
        ("finish", False),
    ]


def test_tasks_elsewhere_are_told_of_without_their_values(shared_cluster):
    with DaskExecutor(shared_cluster.address) as executor, Recorder() as recorder:
        executor.get(GRAPH, "z")
    assert recorder.calls[2:] == [
        *(("pretask", "y"), ("posttask", "y", None)),
        *(("pretask", "z"), ("posttask", "z", None)),
        ("finish", False),
    ]


def test_finish_is_told_of_a_failure(executor):
    with Recorder() as recorder, pytest.raises(ZeroDivisionError):
        executor.get({"x": (lambda: 1 / 0,)}, "x")
    assert recorder.calls[-1] == ("finish", True)


def test_a_callback_that_raises_ends_the_run(local):
    class Broken(Callback):
        def _pretask(self, key, dsk, state):
            raise RuntimeError("broken callback")

    with Recorder() as recorder, Broken(), pytest.raises(RuntimeError, match="broken callback"):
        local.get(GRAPH, "z")
    assert recorder.calls[-1] == ("finish", True)


def test_one_at_a_time(local):
    inside = threading.Lock()

    class Alone(Callback):
        def _pretask(self, key, dsk, state):
            assert inside.acquire(blocking=False)
            inside.release()

    with Alone():
        local.get({str(n): (abs, -n) for n in range(200)}, [str(n) for n in range(200)])


def test_runs_inside_tasks_are_not_told_of(local):
    inner = dask.delayed(abs)(-1, dask_key_name="inner")
    outer = dask.delayed(lambda: inner.compute(scheduler=local.get))(dask_key_name="outer")
    with Recorder() as recorder:
        outer.compute(scheduler=local.get)
    assert ("pretask", "outer") in recorder.calls
    assert not any("inner" in str(call) for call in recorder.calls)


def test_coroutine_functions_are_told_of(local):
    async def answer():
        return 42

    with Recorder() as recorder:
        assert local.get({"x": Task("x", answer)}, "x") == 42
    assert recorder.calls[2:4] == [("pretask", "x"), ("posttask", "x", None)]


def test_values_that_a_callback_puts_into_the_graph_are_used(local):
    class Known(Callback):
        def _start(self, dsk):
            dsk["y"] = 100

    with Known():
        assert local.get(GRAPH, "z") == 200


def test_progress_bar(executor):
    out = io.StringIO()
    with ProgressBar(out=out):
        executor.get(GRAPH, "z")
    assert "100% Completed" in out.getvalue()


def test_profiler(local):
    with Profiler() as profiler:
        local.get(GRAPH, "z")
    assert [result.key for result in profiler.results] == ["y", "z"]
    assert all(result.end_time >= result.start_time for result in profiler.results)


def test_cache_profiler(local):
    with CacheProfiler(metric=lambda value: value) as profiler:
        local.get(GRAPH, "z")
    assert {(result.key, result.metric) for result in profiler.results} == {("y", 3), ("z", 6)}


def test_literals_are_no_tasks(local):
    with Recorder() as recorder:
        assert local.get({"x": DataNode("x", 1)}, "x") == 1
    assert [call[0] for call in recorder.calls] == ["start", "start_state", "finish"]
