"""`Batch`: columns that become records when somebody looks."""

import gc
import weakref

import pytest

from dask_dispatcher import AsyncExecutor, ParallelExecutor, op
from dask_dispatcher.events import NodeFinished, Progressed
from dask_dispatcher.executors.batches import Batch, Finished

PROGRESSED = Progressed(3.0, 2, 1, 0)


def nodes(*labels):
    found = [op(abs)(-1) for _ in labels]
    for node, label in zip(found, labels, strict=True):
        node.label = label
    return found


def test_records_come_in_order_and_with_all_they_tell():
    made = nodes("a", "b", "c")
    batch = Batch(made, {2: 4})
    batch.add(Finished([2, 0], [1.0, 2.0], [2.0, 3.0], "here"))
    batch.add(PROGRESSED)
    batch.add(Finished.of([(1, 5.0, 6.0, 7)], "there"))
    expected = [
        NodeFinished(2.0, made[2], "c", 4, "here", 1.0, None),
        NodeFinished(3.0, made[0], "a", 1, "here", 2.0, None),
        PROGRESSED,
        NodeFinished(6.0, made[1], "b", 1, "there", 5.0, 7),
    ]
    assert len(batch) == 4
    assert list(batch) == expected
    assert [type(event) for event in batch] == [type(event) for event in expected]
    assert (batch[-1], batch[1:3]) == (expected[-1], expected[1:3])
    assert batch[0] is batch[0], "records are made once"
    assert repr(batch) == "<Batch of 4 events>"


def test_labels_are_those_of_the_functions_unless_nodes_have_their_own():
    plain, named = op(abs)(-1), op(abs, label="size")(-1)
    batch = Batch([plain, named, plain[0]], {})
    batch.add(Finished([0, 1, 2], [1.0] * 3, [2.0] * 3, None))
    assert [event.label for event in batch] == ["abs", "size", "abs[0]"]


def test_attempts_are_those_of_the_time():
    starts = {0: 2}
    batch = Batch(nodes("a"), starts)
    batch.add(Finished([0], [1.0], [2.0], None))
    batch.close()
    starts[0] = 5
    assert batch[0].attempt == 2


def test_a_batch_that_is_kept_keeps_no_nodes_but_those_it_tells_of():
    told, other = nodes("told", "other")
    batch = Batch([told, other], {})
    batch.add(Finished([0], [1.0], [2.0], None))
    batch.close()
    gone = weakref.ref(other)
    del other
    gc.collect()
    assert gone() is None
    assert batch[0].node is told


class Log:
    """Keeps batches, and looks at none."""

    def __init__(self):
        self.batches = []

    def on_events(self, batch):
        self.batches.append(batch)


@pytest.mark.parametrize("make", [AsyncExecutor, lambda: ParallelExecutor(1)])
def test_a_log_may_be_read_when_all_is_over(make):
    step = op(abs)
    made = [step(-1)]
    for _ in range(99):
        made.append(step(made[-1]))
    log = Log()
    with make() as executor:
        executor.run(made, observers=[log])
    finished = [e for batch in log.batches for e in batch if type(e) is NodeFinished]
    assert [event.node for event in finished] == made
    for before, event in zip(finished, finished[1:], strict=False):
        assert event.started <= event.time
        assert before.time <= event.started
