"""On any graph, every local executor does what the reference interpreter does."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dask_dispatcher import AsyncExecutor
from dask_dispatcher.testing.agreement import check_agreement
from dask_dispatcher.testing.files import Gate, Journal
from dask_dispatcher.testing.graphs import RandomGraph
from tests.conformance.executors import ProcessesExecutor, ThreadsExecutor

# Not seeded by itself: hypothesis makes each choice, and shrinks a graph that fails.
CHOICES = st.randoms(use_true_random=False, note_method_calls=False)


@pytest.mark.parametrize(
    ("factory", "examples"),
    [
        (AsyncExecutor, 60),
        (lambda: AsyncExecutor(max_workers=1), 60),
        (ThreadsExecutor, 30),
        (lambda: ThreadsExecutor(1), 30),
        (ProcessesExecutor, 20),
    ],
    ids=["async", "async-1", "threads", "threads-1", "processes"],
)
def test_values_failures_and_starts_are_those_of_the_reference(factory, examples):
    with factory() as executor:

        @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
        @given(CHOICES, st.booleans())
        def agree(random, is_partial):
            with Journal() as journal, Gate() as gate:
                graph = RandomGraph(random, journal, gate)
                inputs = graph.inputs() if is_partial else {}
                check_agreement(executor, graph, graph.request(), inputs)

        agree()
