"""What cannot leave this process is refused by name, before anything starts."""

import asyncio
import concurrent.futures
import io
import queue
import socket
import threading

import pytest

from dask_dispatcher import DaskExecutor, SerializationError, op
from dask_dispatcher.plan import compile_plan
from dask_dispatcher.travel import refuse_local_only


def take(*values, **named):
    return len(values) + len(named)


LOCAL_ONLY = {
    "queue": (queue.Queue, "DeferredChannel"),
    "simple queue": (queue.SimpleQueue, "DeferredChannel"),
    "priority queue": (queue.PriorityQueue, "DeferredChannel"),
    "asyncio queue": (asyncio.Queue, "DeferredChannel"),
    "future": (concurrent.futures.Future, "DeferredFuture"),
    "generator": (lambda: (x for x in "ab"), "DeferredChannel"),
    "lock": (threading.Lock, "process"),
    "rlock": (threading.RLock, "process"),
    "event": (threading.Event, "process"),
}


@pytest.mark.parametrize("kind", LOCAL_ONLY)
def test_local_only_arguments_are_refused_by_node_and_argument(kind):
    make, remedy = LOCAL_ONLY[kind]
    node = op(take, label="taker")(1, make())
    with pytest.raises(SerializationError, match=rf"argument 1 of taker.*{remedy}") as caught:
        refuse_local_only(compile_plan([node]))
    assert caught.value.node is node


def test_an_open_file_and_a_socket_are_refused(tmp_path):
    with (tmp_path / "file").open("w") as file, socket.socket() as connection:
        for value in (file, connection):
            with pytest.raises(SerializationError, match="argument 'where' of take"):
                refuse_local_only(compile_plan([op(take)(where=value)]))


def test_what_stands_beside_a_node_in_a_container_is_found():
    first = op(take)(1)
    with pytest.raises(SerializationError, match="argument 0 of take, a lock"):
        refuse_local_only(compile_plan([op(take)([first, {"a": threading.Lock()}])]))


class Hostile:
    """Answers every question about itself with an error."""

    @property
    def __class__(self):
        raise RuntimeError("asked")

    def __getattr__(self, name):
        raise RuntimeError("asked")


def test_all_else_may_travel():
    for value in (1, "a", None, io.BytesIO(b"x"), io.StringIO("x"), Hostile()):
        refuse_local_only(compile_plan([op(take)(value, [value])]))


def test_a_dask_executor_refuses_before_anything_starts(shared_cluster, starts_log):
    record = starts_log.record
    first = op(lambda: record("first"))()
    with DaskExecutor(shared_cluster.address) as executor:
        for run in (executor.run, executor.start):
            with pytest.raises(SerializationError, match="DeferredChannel"):
                run([op(take)(first, queue.Queue())])
    assert not starts_log.starts()
