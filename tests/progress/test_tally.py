"""`Tally`: nodes by label and state."""

from dask_dispatcher import AsyncExecutor, DataNode, op
from dask_dispatcher.events import RunEnded, RunStarted
from dask_dispatcher.progress.tally import Counts, Tally, first_and_rest


class Looker:
    """Keeps what a tally finds at the end of the run."""

    counts_only = True

    def on_events(self, batch):
        for event in batch:
            if isinstance(event, RunStarted):
                self.tally = Tally(event.view)
                self.before = self.tally.look()
            if isinstance(event, RunEnded):
                self.after = self.tally.look()
                self.retries = self.tally.retries()


def look_at(nodes):
    looker = Looker()
    with AsyncExecutor() as executor:
        executor.run(nodes, raise_errors=False, observers=[looker])
    return looker


def fail(x):
    raise ValueError(x)


def test_states_by_label():
    good = [op(int, label="good")("1") for _ in range(3)]
    bad = op(fail, label="bad", retries=2, retry_delay=0)(DataNode(1))
    after = bad + 1
    looker = look_at([*good, after])
    assert looker.before[0] == Counts("good", nodes=3)
    found = {counts.name: counts for counts in looker.after}
    assert found == {
        "good": Counts("good", nodes=3, done=3),
        "bad": Counts("bad", nodes=1, failed=1),
        "add": Counts("add", nodes=1, failed=1),
    }
    assert [counts.ended for counts in found.values()] == [3, 1, 1]
    assert looker.retries == 2
    assert looker.tally.seconds > 0


def test_labels_that_are_all_different_give_way_to_functions():
    nodes = [op(int)("1") for _ in range(100)]
    for number, node in enumerate(nodes):
        node.label = f"load {number}"
    assert look_at(nodes).after == [Counts("int", nodes=100, done=100)]


def test_what_does_not_fit_is_summed_up():
    counts = [Counts(str(n), nodes=10, done=n, running=1, failed=2) for n in range(5)]
    assert first_and_rest(counts, 5) == counts
    assert first_and_rest(counts, 3) == [
        *counts[:2],
        Counts("3 other labels", nodes=30, done=9, running=3, failed=6),
    ]
