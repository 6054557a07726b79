"""The conformance suite finds what is broken: each executor here breaks one promise."""

import subprocess
import sys
from concurrent.futures import Future
from dataclasses import replace

import pytest

from dask_dispatcher.executors.policy import Policy
from dask_dispatcher.testing import CHECKS, check_executor, files
from tests.conformance.executors import ThreadsExecutor

BY_NAME = {check.__name__: check for check in CHECKS}


class LosesValues(ThreadsExecutor):
    def submit(self, call):
        return self.pool.submit(lambda: call() and None)


class StartsTwice(ThreadsExecutor):
    def submit(self, call):
        return self.pool.submit(lambda: (call(), call())[1])


class StartsOnlyOnce(ThreadsExecutor):
    """Keeps the results of earlier runs for nodes that are not pure."""

    kept = None

    def run(self, nodes, **options):
        self.kept = self.kept or super().run(nodes, **options)
        return self.kept


class IgnoresFailures(ThreadsExecutor):
    def submit(self, call):
        def attempt():
            try:
                return call()
            except BaseException:
                return 0

        return self.pool.submit(attempt)


class HidesCauses(ThreadsExecutor):
    def submit(self, call):
        def attempt():
            try:
                return call()
            except BaseException:
                raise RuntimeError("something went wrong") from None

        return self.pool.submit(attempt)


class BlamesDependents(ThreadsExecutor):
    def start(self, nodes, **options):
        run = super().start(nodes, **options)
        run.results()
        for error in run._state.errors.values():
            error.node = run._requested[0]
        return run


class IgnoresOrder(ThreadsExecutor):
    def _plan(self, nodes, inputs):
        requested, plan = super()._plan(nodes, inputs)
        for number, before in plan.after.items():
            for other in before:
                plan.dependents[other] = [n for n in plan.dependents[other] if n != number]
        plan.after.clear()
        return requested, plan


class IgnoresPriority(ThreadsExecutor):
    def _plan(self, nodes, inputs):
        requested, plan = super()._plan(nodes, inputs)
        for number, options in plan.special.items():
            plan.special[number] = replace(options, priority=0)
        return requested, plan


class IgnoresInputs(ThreadsExecutor):
    def _plan(self, nodes, inputs):
        return super()._plan(nodes, None)


class IgnoresRaiseErrors(ThreadsExecutor):
    def run(self, nodes, *, raise_errors=True, **options):
        return super().run(nodes, raise_errors=False, **options)


class IgnoresObservers(ThreadsExecutor):
    def run(self, nodes, *, observers=(), **options):
        return super().run(nodes, **options)


class IgnoresCancel(ThreadsExecutor):
    def start(self, nodes, **options):
        run = super().start(nodes, **options)
        run.cancel = lambda: None
        return run


class IgnoresReset(ThreadsExecutor):
    def reset(self):
        pass


class ForgetsRepeats(ThreadsExecutor):
    def run(self, nodes, **options):
        return super().run(dict.fromkeys(nodes), **options)


class KeepsValuesWhenClosed(ThreadsExecutor):
    def _forget(self, reason, states):
        pass


class RaisesAnythingWhenClosed(ThreadsExecutor):
    def _check_open(self):
        if self._closed:
            raise RuntimeError("closed")


class ClosesOnce(ThreadsExecutor):
    def close(self):
        if self._closed:
            raise RuntimeError("closed twice")
        super().close()


class PolicyOf(ThreadsExecutor):
    """Breaks what `Policy` decides."""

    policy = Policy

    def _make_engine(self, policy, max_workers, resources):
        return super()._make_engine(self.policy(), max_workers, resources)


class NeverRetries(PolicyOf):
    class policy(Policy):
        def delay_before_retry(self, options, failures, error):
            return None


class RetriesOnceTooOften(PolicyOf):
    class policy(Policy):
        def delay_before_retry(self, options, failures, error):
            return super().delay_before_retry(options, failures - 1, error)


class RetriesAnything(PolicyOf):
    class policy(Policy):
        def _is_retryable(self, options, error):
            return True


class IgnoresTimeouts(PolicyOf):
    class policy(Policy):
        def timeout_of(self, options):
            return None


FOUND_BY = [
    (LosesValues, "nodes_of_every_kind_are_computed"),
    (LosesValues, "random_graphs_agree_with_the_reference"),
    (StartsTwice, "other_calls_start_anew_in_each_run"),
    (StartsTwice, "one_graph_runs_twice_at_once"),
    (StartsTwice, "random_graphs_agree_with_the_reference"),
    (StartsOnlyOnce, "other_calls_start_anew_in_each_run"),
    (IgnoresFailures, "dependents_carry_the_root_failure"),
    (IgnoresFailures, "random_graphs_agree_with_the_reference"),
    (HidesCauses, "errors_say_what_failed_where_and_why"),
    (HidesCauses, "random_graphs_agree_with_the_reference"),
    (BlamesDependents, "random_graphs_agree_with_the_reference"),
    (IgnoresOrder, "after_and_added_edges_order_without_data"),
    (IgnoresPriority, "higher_priority_starts_first"),
    (IgnoresInputs, "values_stand_in_for_nodes"),
    (IgnoresInputs, "futures_stand_in_for_nodes"),
    (IgnoresInputs, "random_graphs_agree_with_the_reference"),
    (IgnoresRaiseErrors, "raise_errors_stops_the_run_and_raises"),
    (IgnoresObservers, "events_tell_the_whole_story"),
    (IgnoresObservers, "an_observer_that_raises_is_dropped"),
    (IgnoresCancel, "a_cancelled_run_starts_nothing_more"),
    (IgnoresReset, "reset_forgets_values_and_the_executor_lives"),
    (ForgetsRepeats, "empty_and_repeated_requests"),
    (KeepsValuesWhenClosed, "values_go_when_the_executor_closes"),
    (RaisesAnythingWhenClosed, "a_closed_executor_refuses_to_run"),
    (ClosesOnce, "close_twice_is_harmless"),
    (NeverRetries, "retries_go_on_until_success"),
    (NeverRetries, "random_graphs_agree_with_the_reference"),
    (RetriesOnceTooOften, "retries_are_bounded"),
    (RetriesOnceTooOften, "random_graphs_agree_with_the_reference"),
    (RetriesAnything, "retry_on_says_what_is_tried_again"),
    (IgnoresTimeouts, "a_node_that_outlives_its_timeout_fails_alone"),
    (IgnoresTimeouts, "timed_out_attempts_are_retried"),
]


@pytest.mark.parametrize(("broken", "check"), FOUND_BY)
def test_a_broken_executor_is_found(broken, check, monkeypatch):
    monkeypatch.setattr(files, "_PATIENCE", 0.5)  # what nodes wait at gates that never open
    BY_NAME[check](ThreadsExecutor)
    with pytest.raises(AssertionError, match=f"1 of 1 checks failed:\n\n{check}: "):
        check_executor(broken, checks=[BY_NAME[check]])


def test_a_sound_executor_passes():
    check_executor(ThreadsExecutor)


def test_the_report_lists_all_that_failed_and_nothing_else():
    names = ("dependents_carry_the_root_failure", "close_twice_is_harmless", "retries_are_bounded")
    with pytest.raises(AssertionError) as caught:
        check_executor(IgnoresFailures, checks=[BY_NAME[name] for name in names])
    report = str(caught.value)
    assert report.startswith("2 of 3 checks failed:\n\n")
    for name in (names[0], names[2]):
        assert f"{name}: {BY_NAME[name].__doc__}\n" in report
    assert names[1] not in report


def test_the_report_tells_the_seed_of_a_random_graph():
    with pytest.raises(AssertionError, match=r"random graph with seed \d+"):
        check_executor(LosesValues, checks=[BY_NAME["random_graphs_agree_with_the_reference"]])


def test_an_executor_that_hangs_is_found():
    lost = []

    class Hangs(ThreadsExecutor):
        def submit(self, call):
            lost.append(Future())
            return lost[-1]

    check = BY_NAME["nodes_of_every_kind_are_computed"]
    try:
        with pytest.raises(AssertionError, match=r"did not end within 0\.2 s") as caught:
            check_executor(Hangs, checks=[check], timeout=0.2)
        assert f"in {check.__name__}" in str(caught.value), "the report shows where"
    finally:
        for future in lost:
            future.set_exception(RuntimeError("found at last"))


def test_checks_are_named_and_described():
    assert len(BY_NAME) == len(CHECKS)
    for check in CHECKS:
        assert check.__doc__.endswith(".")


def test_the_suite_needs_no_test_framework():
    code = (
        "import sys; import dask_dispatcher.testing;"
        "print(*sys.modules.keys() & {'pytest', 'hypothesis', 'distributed', 'numpy'})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not run.stdout.split()
