"""`Executor`: what a user may ask of any executor, shown on the local one."""

import threading
from operator import add

import pytest

from dask_dispatcher import (
    AsyncExecutor,
    CycleError,
    DataNode,
    DependencyError,
    DispatchGraph,
    Err,
    ExecutorError,
    NodeFuture,
    Ok,
    RunCancelledError,
    op,
)

WAIT = 20.0  # seconds, far beyond what anything here takes


def fail(message="boom"):
    raise ValueError(message)


def identity(value):
    return value


def future_of(run):
    """Return the future of a run's first node, ended or not, as `Client.submit` gives it."""
    number = run._state.plan.requested[0]
    return run._futures.setdefault(number, NodeFuture(run._state, number, run._requested[0]))


# What is run


def test_what_cannot_observe_is_refused(executor):
    started = []
    with pytest.raises(TypeError, match="on_events"):
        executor.run([op(started.append)(1)], observers=[print])
    assert started == []


def test_an_empty_request_gives_an_empty_list(executor):
    assert executor.run([]) == []
    assert executor.compute([]) == []
    assert executor.start([]).results(WAIT) == []


def test_a_repeated_node_runs_once_and_has_two_entries(executor):
    calls = []
    node = op(calls.append)(1)
    first, second = executor.run([node, node])
    assert first.unwrap() is second.unwrap()
    assert calls == [1]


def test_results_come_in_the_order_of_the_request(executor):
    nodes = [op(identity)(number) for number in range(50)]
    results = executor.run(nodes[::-1])
    assert [result.unwrap().node for result in results] == nodes[::-1]
    assert executor.gather(results) == list(range(50))[::-1]


def test_each_run_computes_anew_what_is_not_pure(executor):
    calls = []
    node = op(lambda: calls.append(1) or len(calls))()
    assert [executor.compute(node), executor.compute(node)] == [1, 2]


def test_equal_pure_calls_run_once_a_graph(executor):
    calls = []
    square = op(lambda x: calls.append(x) or x * x, pure=True)
    assert executor.compute([square(3), square(3) + 1, square(4)]) == [9, 10, 16]
    assert sorted(calls) == [3, 4]


def test_data_nodes_and_requested_inputs_need_no_run(executor):
    node = op(fail)()
    (data, given) = executor.run([DataNode([1]), node], inputs={node: 7})
    assert (data.unwrap().fetch(), given.unwrap().fetch()) == ([1], 7)


def test_a_graph_means_its_outputs(executor):
    a = op(add)(1, 2)
    b, c = a + 1, a + 2
    assert executor.gather(executor.run(DispatchGraph([b, c]))) == [4, 5]


def test_an_added_edge_orders(executor):
    order = []
    first, second = op(order.append)("first"), op(order.append)("second")
    for graph, expected in (((first, second), ["first", "second"]), ((second, first), None)):
        order.clear()
        ordered = DispatchGraph([first, second])
        ordered.add_edge(*graph)
        executor.run(ordered)
        assert order == (expected or ["second", "first"])


def test_a_cycle_is_refused_before_anything_runs(executor):
    calls = []
    a, b = op(calls.append)(1), op(calls.append)(2)
    graph = DispatchGraph([a, b])
    graph.add_edge(a, b)
    graph.add_edge(b, a)
    with pytest.raises(CycleError) as caught:
        executor.run(graph)
    assert {a, b} == set(caught.value.cycle)
    assert calls == []


@pytest.mark.parametrize("method", ["run", "start"])
@pytest.mark.parametrize("nodes", [[1], [None], [op(add)], ["ab"]])
def test_what_is_no_node_is_refused(executor, method, nodes):
    with pytest.raises(TypeError, match="node"):
        getattr(executor, method)(nodes)


def test_a_single_node_is_refused_with_the_remedy(executor):
    with pytest.raises(TypeError, match=r"run\(\[node\]\)"):
        executor.run(op(add)(1, 2))


# Failures


def test_the_first_failure_is_raised_with_the_results_so_far(executor):
    good = op(identity)(1)
    bad = op(fail, after=good, label="bad one")()
    with pytest.raises(DependencyError) as caught:
        executor.run([good, bad, bad + 1])
    error = caught.value
    assert error.node is bad
    assert error.label == "bad one"
    assert error.attempts == 1
    assert isinstance(error.__cause__, ValueError)
    first, second, third = error.results
    assert first.unwrap().fetch() == 1
    assert second == third == Err(error)


def test_a_failure_starts_nothing_new(executor):
    started = []
    bad = op(fail)()
    later = [op(started.append, after=bad)(n) for n in range(3)]
    others = op(started.append)(op(identity, after=bad)(9))
    with pytest.raises(DependencyError):
        executor.run([bad, *later, others])
    assert started == []


def test_a_failure_of_a_node_nobody_requested_is_the_one_raised(executor):
    bad = op(fail, label="inner")()
    with pytest.raises(DependencyError) as caught:
        executor.compute(bad + 1)
    assert caught.value.label == "inner"


def test_without_raise_errors_everything_else_completes(executor):
    bad = op(fail)()
    nodes = [bad, bad + 1, op(identity)(2), op(identity)(bad), op(identity)(3)]
    results = executor.run(nodes, raise_errors=False)
    assert [result.is_ok() for result in results] == [False, False, True, False, True]
    errors = [result.error for result in results if result.is_err()]
    assert all(error is errors[0] and error.node is bad for error in errors)
    assert executor.gather(r for r in results if r.is_ok()) == [2, 3]


def test_after_waits_without_taking_the_value(executor):
    order = []
    first = op(order.append)("first")
    second = op(lambda: order.append("second") or "value", after=first)()
    assert executor.compute(second) == "value"
    assert order == ["first", "second"]


def test_a_failed_after_fails_what_waits_for_it(executor):
    started = []
    bad = op(fail)()
    waiting = op(started.append, after=[op(identity)(1), bad])(1)
    (result,) = executor.run([waiting], raise_errors=False)
    assert result.error.node is bad
    assert started == []


def test_gather_raises_the_first_failure(executor):
    nodes = [op(identity)(1), op(fail)("one"), op(fail)("two")]
    results = executor.run(nodes, raise_errors=False)
    with pytest.raises(DependencyError, match="one"):
        executor.gather(results)
    assert executor.gather([results[0], results[0].unwrap()]) == [1, 1]
    assert executor.gather([]) == []


def test_gather_takes_nothing_else(executor):
    with pytest.raises(TypeError, match="results and futures of runs, not int"):
        executor.gather([3])


def test_gather_takes_futures_of_several_executors(executor):
    with AsyncExecutor() as other:
        mine = executor.run([op(identity)(1), op(identity)(2)])
        its = other.run([op(identity)(3)])
        assert executor.gather([mine[0], its[0], mine[1]]) == [1, 3, 2]


# Inputs


def test_what_only_an_input_needed_does_not_run(executor):
    calls = []
    source = op(calls.append)(1)
    middle = op(identity)(source)
    assert executor.gather(executor.run([op(add)(middle, 1)], inputs={middle: 41})) == [42]
    assert calls == []


def test_a_declared_input_without_a_value_is_a_value_error(executor):
    source = op(identity)(1)
    source.label = "the source"
    graph = DispatchGraph([source + 1], inputs=[source])
    with pytest.raises(ValueError, match="the source"):
        executor.run(graph)
    assert executor.gather(executor.run(graph, inputs={source: 4})) == [5]


@pytest.mark.parametrize("inputs", [{"a": 1}, [1], [("a", 1)], 1, "ab"], ids=repr)
def test_inputs_map_nodes(executor, inputs):
    with pytest.raises(TypeError, match="inputs must map nodes"):
        executor.run([op(identity)(1)], inputs=inputs)


@pytest.mark.parametrize("value", [None, ValueError("a value"), Ok(1), Err(ValueError()), [op]])
def test_an_input_is_passed_as_it_is(executor, value):
    source = op(identity)(1)
    (result,) = executor.run([op(identity)(source)], inputs={source: value})
    assert result.unwrap().fetch() is value


@pytest.mark.parametrize("same", [True, False], ids=["same executor", "another executor"])
@pytest.mark.parametrize("kind", ["input", "argument"])
def test_a_future_of_an_earlier_run_stands_for_its_value(executor, same, kind):
    with AsyncExecutor() as other:
        (earlier,) = (executor if same else other).run([op(identity)([1])])
        future = earlier.unwrap()
        source = op(fail)()
        node = op(identity)(source if kind == "input" else future)
        inputs = {source: future} if kind == "input" else None
        (result,) = executor.run([node], inputs=inputs)
        assert result.unwrap().fetch() is future.fetch()


@pytest.mark.parametrize("same", [True, False], ids=["same executor", "another executor"])
@pytest.mark.parametrize("fails", [False, True])
def test_a_pending_future_is_waited_for(executor, release, same, fails):
    def slow():
        assert release.wait(WAIT)
        return fail("late") if fails else 5

    with AsyncExecutor() as other:
        earlier = (executor if same else other).start([op(slow, label="slow")()])
        future = future_of(earlier)
        run = executor.start([op(add)(future, 1), op(identity)("free")])
        pairs = run.as_completed()
        assert next(pairs)[1].unwrap().fetch() == "free"
        release.set()
        (_, result) = next(pairs)
        if fails:
            assert result.error.label == "slow"
            assert str(result.error.__cause__) == "late"
        else:
            assert result.unwrap().fetch() == 6
        earlier.results(WAIT)


def test_a_failed_future_fails_what_takes_it(executor):
    with AsyncExecutor() as fresh:
        run = executor.start([op(fail, label="first")()])
        run.results(WAIT)
        node = op(identity)(future_of(run))
        (result,) = fresh.run([node], raise_errors=False)
        assert result.error.label == "first"
        with pytest.raises(DependencyError, match="boom"):
            fresh.compute(node)


def test_a_released_future_is_refused(executor):
    (result,) = executor.run([op(identity)(1)])
    future = result.unwrap()
    future.release()
    with pytest.raises(ExecutorError, match="released"):
        executor.run([op(identity)(future)])


def test_a_future_from_before_a_reset_fails_what_takes_it(executor):
    (result,) = executor.run([op(identity)(1)])
    executor.reset()
    with pytest.raises(ExecutorError, match="reset"):
        executor.compute(op(identity)(result.unwrap()))


@pytest.mark.parametrize("end", ["reset", "close", "cancel"])
def test_ending_a_run_that_waits_for_a_future_disturbs_nobody(executor, release, end, caplog):
    earlier = executor.start([op(release.wait)(WAIT)])
    with AsyncExecutor() as other:
        run = other.start([op(identity)(future_of(earlier))])
        if end == "cancel":
            run.cancel()
        else:
            getattr(other, end)()
        (result,) = run.results(WAIT)
        assert isinstance(result.error, ExecutorError)
        release.set()
        (first,) = earlier.results(WAIT)
        assert first.unwrap().fetch() is True
        if end != "close":
            assert other.compute(op(add)(1, 1)) == 2
    assert caplog.records == []


def test_the_future_of_a_cancelled_run_fails_what_takes_it(executor, release):
    earlier = executor.start([op(release.wait)(WAIT)])
    run = executor.start([op(identity)(future_of(earlier))])
    earlier.cancel()
    (result,) = run.results(WAIT)
    assert isinstance(result.error, RunCancelledError)


# Its own life


def test_reset_forgets_values_and_keeps_the_executor(executor):
    (result,) = executor.run([op(identity)(1)])
    executor.reset()
    with pytest.raises(ExecutorError, match="reset"):
        result.unwrap().fetch()
    assert executor.compute(op(identity)(2)) == 2


def test_reset_cancels_what_runs(executor, release):
    begun = threading.Event()
    started = []

    def wait():
        begun.set()
        release.wait(WAIT)

    run = executor.start([op(started.append)(op(wait)())])
    assert begun.wait(WAIT)
    executor.reset()
    (result,) = run.results(WAIT)
    assert isinstance(result.error, ExecutorError)
    release.set()
    assert executor.compute(op(identity)(2)) == 2
    assert started == []


@pytest.mark.parametrize("end", ["reset", "close"])
def test_a_run_that_its_executor_ends_tells_what_became_of_each_node(executor, release, end):
    begun = threading.Event()
    good, bad = op(identity)(1), op(int)("x")
    stuck = op(lambda: begun.set() or release.wait(WAIT))()
    run = executor.start([good, bad, stuck, op(identity)(stuck)])
    assert begun.wait(WAIT)
    ended = run.as_completed()
    assert {next(ended)[0], next(ended)[0]} == {good, bad}
    getattr(executor, end)()
    gone, failed, *unfinished = (result.unwrap_err() for result in run.results(WAIT))
    assert type(gone) is ExecutorError
    assert end in str(gone)
    assert isinstance(failed.__cause__, ValueError)
    assert all(type(error) is RunCancelledError for error in unfinished)
    assert [error.node for error in unfinished] == [stuck, run.results()[3].error.node]
    assert [type(result.error) for _, result in ended] == [RunCancelledError] * 2


def test_use_after_close_is_an_executor_error():
    executor = AsyncExecutor()
    (result,) = executor.run([op(identity)(1)])
    executor.close()
    executor.close()
    for use in (
        lambda: executor.run([]),
        lambda: executor.start([]),
        lambda: executor.compute(op(identity)(1)),
        executor.reset,
        executor.__enter__,
        result.unwrap().fetch,
    ):
        with pytest.raises(ExecutorError, match="closed"):
            use()
    assert "closed" in repr(executor)


def test_an_executor_never_used_closes():
    AsyncExecutor().close()
    with AsyncExecutor() as executor:
        assert "0 runs" in repr(executor)


def test_repr_counts_the_runs_under_way(executor, release):
    run = executor.start([op(release.wait)(WAIT)])
    assert repr(executor) == "<AsyncExecutor: 1 runs under way>"
    release.set()
    run.results(WAIT)
    assert repr(executor) == "<AsyncExecutor: 0 runs under way>"


def test_an_executor_closed_while_a_run_begins_ends_that_run():
    executor = AsyncExecutor()

    class Closing:
        def on_events(self, batch):
            executor.close()

    run = executor.start([op(identity)(1)], observers=[Closing()])
    (result,) = run.results(WAIT)
    assert isinstance(result.error, ExecutorError)


# Bad input


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_workers": 0}, ValueError),
        ({"max_workers": -1}, ValueError),
        ({"max_workers": True}, TypeError),
        ({"max_workers": 1.5}, TypeError),
        ({"max_workers": "3"}, TypeError),
        ({"retries": -1}, ValueError),
        ({"retries": True}, TypeError),
        ({"retries": 1.5}, TypeError),
        ({"retries": "3"}, TypeError),
        ({"retries": None}, TypeError),
        ({"max_losses": -1}, ValueError),
        ({"timeout": float("nan")}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"timeout": "5"}, TypeError),
        ({"retry_delay": -1}, ValueError),
        ({"retry_delay": float("inf")}, ValueError),
        ({"retry_on": 3}, TypeError),
        ({"retry_on": (ValueError, 3)}, TypeError),
        ({"retry_on": int}, TypeError),
        ({"resources": ["GPU"]}, TypeError),
        ({"resources": {"GPU": -1}}, ValueError),
        ({"resources": {"GPU": "1"}}, TypeError),
        ({"resources": {1: 1}}, TypeError),
    ],
    ids=repr,
)
def test_bad_options_are_refused_where_given(options, error):
    with pytest.raises(error):
        AsyncExecutor(**options)
