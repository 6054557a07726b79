"""Every exception: its place in the hierarchy, and that it pickles both ways with all it carries."""

import concurrent.futures
import pickle
import threading

import cloudpickle
import pytest
import tblib.pickling_support

import dask_dispatcher
from dask_dispatcher import Err, errors, op
from dask_dispatcher.errors import (
    AlreadySet,
    ChannelClosed,
    CycleError,
    DeferredError,
    DeferredLostError,
    DependencyError,
    DispatcherError,
    ExecutorClosedError,
    ExecutorError,
    NestedRunError,
    NodeTimeoutError,
    NoWorkersError,
    RemoteError,
    RunCancelledError,
    SchedulerLostError,
    SerializationError,
    WorkerLostError,
    portable,
    safe_text,
)

CLASSES = [getattr(errors, name) for name in errors.__all__]

PARENTS = {
    DependencyError: [DispatcherError],
    ExecutorError: [DispatcherError],
    NoWorkersError: [ExecutorError],
    SchedulerLostError: [ExecutorError],
    RunCancelledError: [ExecutorError, concurrent.futures.CancelledError],
    WorkerLostError: [ExecutorError, concurrent.futures.BrokenExecutor],
    SerializationError: [ExecutorError, TypeError],
    ExecutorClosedError: [ExecutorError, RuntimeError],
    NestedRunError: [ExecutorError, RuntimeError],
    CycleError: [DispatcherError, ValueError],
    NodeTimeoutError: [DispatcherError, TimeoutError],
    DeferredError: [DispatcherError],
    ChannelClosed: [DeferredError],
    AlreadySet: [DeferredError],
    DeferredLostError: [DeferredError],
    RemoteError: [DispatcherError],
    DispatcherError: [Exception],
}


def example(cls):
    """Return an error of the class with everything set that it can carry."""
    node = op(int)("1")
    if cls is DependencyError:
        error = cls("text", node=node, label="a", attempts=3, worker="w", traceback="tb")
        error.results = [Err(ValueError("other"))]
    elif cls is RemoteError:
        error = cls("pkg.Broken", "text")
    elif cls is CycleError:
        error = cls("text", [node, node])
    elif issubclass(cls, ExecutorError):
        error = cls("text", node=node, label="a")
    else:
        error = cls("text")
    error.__cause__ = KeyError("root")
    return error


def bare(value):
    """Return what stays the same when a value is pickled: nodes by key, exceptions by text."""
    if isinstance(value, list):
        return [bare(item) for item in value]
    return getattr(value, "key", None) or repr(value)


def test_every_exception_is_public_and_known_here():
    assert set(CLASSES) == set(PARENTS)
    assert all(getattr(dask_dispatcher, name) for name in errors.__all__)


@pytest.mark.parametrize("cls", CLASSES)
def test_each_is_below_the_classes_the_contract_names(cls):
    assert issubclass(cls, DispatcherError)
    assert set(PARENTS[cls]) <= set(cls.__mro__)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
@pytest.mark.parametrize("cls", CLASSES)
def test_each_pickles_with_attributes_and_cause(cls, dumps):
    error = example(cls)
    back = pickle.loads(dumps(error))
    assert type(back) is cls
    assert (str(back), back.args) == (str(error), error.args)
    assert vars(back).keys() == vars(error).keys()
    for name, value in vars(error).items():
        assert bare(getattr(back, name)) == bare(value), name
    assert repr(back.__cause__) == "KeyError('root')"


@pytest.mark.parametrize("cls", CLASSES)
def test_each_survives_many_journeys(cls):
    error = example(cls)
    for _ in range(3):
        error = pickle.loads(pickle.dumps(error))
    assert str(error) == str(example(cls))
    assert isinstance(error.__cause__, KeyError)


def test_a_cause_of_a_cause_comes_along():
    inner = WorkerLostError("died", label="b")
    inner.__cause__ = OSError(5, "gone")
    outer = DependencyError("b failed", label="b")
    outer.__cause__ = inner
    back = pickle.loads(pickle.dumps(outer))
    assert isinstance(back.__cause__, WorkerLostError)
    assert back.__cause__.__cause__.errno == 5


def test_an_error_without_a_cause_has_none_afterwards():
    assert pickle.loads(pickle.dumps(DispatcherError("x"))).__cause__ is None


def fail_to_load():
    raise RuntimeError("cannot be unpickled")


class FailsToLoad(Exception):
    def __reduce__(self):
        return fail_to_load, ()


class HoldsLock(Exception):
    def __init__(self):
        super().__init__("held")
        self.lock = threading.Lock()


class BrokenText(Exception):
    def __init__(self):
        self.lock = threading.Lock()

    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (FailsToLoad("text"), "FailsToLoad: text"),
        (HoldsLock(), "HoldsLock: held"),
        (BrokenText(), "BrokenText: <its __str__ raised RuntimeError>"),
    ],
)
def test_a_cause_that_cannot_be_pickled_becomes_a_remote_error(cause, text):
    error = DependencyError("failed", label="a")
    error.__cause__ = cause
    back = pickle.loads(pickle.dumps(error))
    assert type(back.__cause__) is RemoteError
    assert str(back.__cause__) == text
    assert back.__cause__.type_name == type(cause).__qualname__
    assert error.__cause__ is cause, "the original keeps what it had"


def test_what_distributed_does_to_exceptions_does_not_reach_ours():
    import distributed  # noqa: F401 - installs tblib's way to pickle all exceptions

    tblib.pickling_support.install()
    error = DependencyError("failed", label="a")
    error.__cause__ = HoldsLock()
    assert type(pickle.loads(pickle.dumps(error)).__cause__) is RemoteError


def test_an_error_whose_node_cannot_be_pickled_keeps_its_label():
    node = op(lambda lock: None)(threading.Lock())
    back = pickle.loads(pickle.dumps(DependencyError("failed", node=node, label="mine")))
    assert back.node is None
    assert back.label == "mine"


def test_results_that_cannot_be_pickled_leave_an_empty_list():
    error = DependencyError("failed")
    error.results = [threading.Lock()]
    assert pickle.loads(pickle.dumps(error)).results == []


def test_user_attributes_and_notes_travel():
    error = ExecutorError("text")
    error.detail = {"a": 1}
    error.lock = threading.Lock()
    back = pickle.loads(pickle.dumps(error))
    assert back.detail == {"a": 1}
    assert back.lock is None


def test_an_error_with_a_deep_node_among_others_keeps_it():
    def chain():
        node = op(int)("0")
        for _ in range(5000):
            node = -node
        return node

    first, second, third = (DependencyError("x", node=chain()) for _ in range(3))
    back = pickle.loads(pickle.dumps([first.node, first, second, Err(third), third.node]))
    assert back[0] is back[1].node
    assert back[1].node.key == first.node.key
    assert back[2].node.key == second.node.key
    assert back[3].error.node is back[4]


def test_executor_errors_and_dependency_errors_begin_with_empty_results():
    assert DependencyError("x").results == []
    assert ExecutorError("x").results == []
    assert (DependencyError("x").attempts, DependencyError("x").worker) == (1, None)


def test_handlers_for_the_standard_library_catch_ours():
    with pytest.raises(TimeoutError):
        raise NodeTimeoutError("late")
    with pytest.raises(concurrent.futures.CancelledError):
        raise RunCancelledError("stopped")
    with pytest.raises(concurrent.futures.BrokenExecutor):
        raise WorkerLostError("died")


def test_cycle_error_holds_its_own_list():
    nodes = [op(int)("1")]
    error = CycleError("x", nodes)
    nodes.clear()
    assert len(error.cycle) == 1


def test_portable_gives_back_what_pickles():
    error = ValueError("x")
    assert portable(error) is error
    assert portable(threading.Lock()) is None


def test_safe_text_is_cut_and_never_raises():
    assert safe_text(ValueError("x" * 100), limit=10) == "xxxxxxxxxx… (100 characters)"
    assert "RuntimeError" in safe_text(BrokenText())
    assert safe_text(KeyError("k")) == "'k'"


def test_every_error_has_a_label_and_a_node():
    for name in errors.__all__:
        assert getattr(errors, name).label == ""
        assert getattr(errors, name).node is None
