"""Checks of an executor's own life: reset, close, and what there is no more afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ...errors import DependencyError, DispatcherError, ExecutorError
from ...executors.base import Executor
from ...ops import op
from ..calls import add, boom, note, stall
from ..expecting import equal, is_instance, raises, true
from ..files import Gate, Journal

__all__ = [
    "reset_forgets_values_and_the_executor_lives",
    "close_twice_is_harmless",
    "a_closed_executor_refuses_to_run",
    "values_go_when_the_executor_closes",
    "closing_ends_what_runs",
    "leaving_the_context_closes",
]

Factory = Callable[[], Executor]


def reset_forgets_values_and_the_executor_lives(factory: Factory) -> None:
    """After `reset` earlier futures raise ExecutorError, and the next run computes anew."""
    with Journal() as journal, factory() as executor:
        node = op(note, pure=True)(journal, "node")
        future = executor.run([node])[0].unwrap()
        executor.reset()
        with raises("fetch after reset", ExecutorError):
            future.fetch()
        equal("the next run", executor.compute([node, node + "!"]), ["node", "node!"])
        equal("starts", journal.entries(), ["node", "node"])
        executor.reset()
        executor.reset()
        equal("the run after that", executor.compute(op(add)(1)), 1)


def close_twice_is_harmless(factory: Factory) -> None:
    """An executor may be closed again, used or not."""
    for is_used in (False, True):
        with factory() as executor:
            if is_used:
                equal("the value", executor.compute(op(add)(1)), 1)
            executor.close()
            executor.close()
            true("a short repr", 0 < len(repr(executor)) < 500)


def a_closed_executor_refuses_to_run(factory: Factory) -> None:
    """Whatever would start something raises ExecutorError after close."""
    executor = factory()
    executor.close()
    node = op(add)(1)
    with raises("run after close", ExecutorError):
        executor.run([node])
    with raises("start after close", ExecutorError):
        executor.start([node])
    with raises("compute after close", ExecutorError):
        executor.compute(node)
    with raises("reset after close", ExecutorError):
        executor.reset()
    with raises("with after close", ExecutorError), executor:
        pass


def values_go_when_the_executor_closes(factory: Factory) -> None:
    """Fetching a value after close raises ExecutorError; errors stay what they were."""
    with factory() as executor:
        results = executor.run([op(add)(1), op(add)("not a number")], raise_errors=False)
    with raises("fetch after close", ExecutorError):
        results[0].unwrap().fetch()
    with raises("gather after close", ExecutorError):
        executor.gather(results[:1])
    is_instance("the error", results[1].unwrap_err().__cause__, TypeError)
    true("they can be shown", repr(results))


def closing_ends_what_runs(factory: Factory) -> None:
    """`close` during a run ends it: nothing more starts, and nobody waits for ever."""
    with Journal() as journal, Gate() as gate:
        executor = factory()
        held = op(stall)(gate)
        run = executor.start([held, op(note)(journal, "late", held)])
        gate.wait_for(1)
        closing = threading.Thread(target=executor.close)
        closing.start()
        # A closing executor may wait for calls that nobody can stop; nobody waits for the run.
        results = run.results()
        gate.open()
        closing.join()
        for result in results:
            is_instance("the error", result.unwrap_err(), DispatcherError)
        equal("starts", journal.entries(), [])


def leaving_the_context_closes(factory: Factory) -> None:
    """`with executor` closes it at the end, also when the block raises."""
    executor = factory()
    with raises("the block's own error", DependencyError), executor as entered:
        true("the executor itself is what the context gives", entered is executor)
        entered.compute(op(boom)("as planned"))
    with raises("use after the context", ExecutorError):
        executor.compute(op(add)(1))
