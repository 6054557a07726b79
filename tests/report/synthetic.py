"""Reports of runs that never were: nodes with times to the microsecond, so that figures are known."""

from dask_dispatcher import Report, op
from dask_dispatcher.events import (
    NodeFailed,
    NodeFinished,
    NodeLost,
    NodeRetried,
    NodeStarted,
    RunEnded,
    RunStarted,
)
from dask_dispatcher.plan import compile_plan
from dask_dispatcher.schedule import DONE, Schedule
from dask_dispatcher.view import RunView

ORIGIN = 1_700_000_000.0


def node(label, *needs):
    return op(max, label=label)(0, 0, *needs)


def us(time):
    return ORIGIN + time / 1e6


class SyntheticRun:
    """A run whose story is told by hand, in microseconds.

    Parameters
    ----------
    path
        Where its report goes.
    requested
        The nodes.
    """

    def __init__(self, path, requested):
        self.report = Report(path)
        plan = compile_plan(requested)
        self.schedule = Schedule(plan)
        self.view = RunView("TestExecutor", plan, self.schedule, {}, lambda: 2)
        self.report.on_events([RunStarted(ORIGIN, len(plan.nodes), self.view)])

    def ran(self, node, start, took, worker="worker-1", moved=0, attempt=1):
        event = NodeFinished(us(start + took), node, node.label, attempt, worker, us(start), moved)
        self.report.on_events([event])
        self.schedule.state[self.view.number(node)] = DONE
        return self

    def started(self, node, start, worker="worker-1"):
        self.report.on_events([NodeStarted(us(start), node, node.label, 1, worker)])
        return self

    def failed(self, node, at, error, worker="worker-1", traceback="", arguments=()):
        event = NodeFailed(us(at), node, node.label, 1, worker, error, traceback, arguments)
        self.report.on_events([event])
        return self

    def retried(self, node, at, error, worker="worker-1"):
        event = NodeRetried(us(at), node, node.label, 1, worker, error, 0.1, "Traceback: again\n")
        self.report.on_events([event])
        return self

    def lost(self, node, at, worker="worker-1"):
        self.report.on_events([NodeLost(us(at), node, node.label, worker)])
        return self

    def written(self):
        """Write what was told so far as a block of its own."""
        self.report._write()
        return self

    def ended(self, at, done=0, failed=0):
        self.schedule.stop()
        self.report.on_events([RunEnded(us(at), len(self.view.nodes), done, failed)])
        return self
