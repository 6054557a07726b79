"""How many bytes were brought for each node of a run, by what observers are told."""

from dask_dispatcher.events import NodeFinished

__all__ = ["run_and_note_moved"]


class _Finished:
    def __init__(self):
        self.moved = {}

    def on_events(self, batch):
        self.moved.update({e.node: e.moved for e in batch if isinstance(e, NodeFinished)})


def run_and_note_moved(executor, node):
    """Run a node; return the bytes moved for each node that ran."""
    observer = _Finished()
    executor.run([node], observers=[observer])
    return observer.moved
