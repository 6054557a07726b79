"""`Packets`: what a worker is sent along with some nodes, and what is left out."""

import os
import pickle

import numpy as np
import pytest

from dask_dispatcher import DataNode, SerializationError, op
from dask_dispatcher.executors.parallel.memory import Witness
from dask_dispatcher.executors.parallel.packets import Packets
from dask_dispatcher.executors.parallel.places import bring
from dask_dispatcher.executors.parallel.values import Copy, Held, Pickled
from dask_dispatcher.executors.slices.carrying import dump, load
from tests.executors.parallel.runs import Somebody, make_job

WITNESS = Witness()
PLACE = ("memory", (1, 2, b"nonce"), [(0, 1_000), (5_000, 90_000)])


class Packing:
    """Packets for one job, and what was released."""

    def __init__(self, folder, *nodes, inputs=None):
        self.job = make_job(*nodes, inputs=inputs)
        self.folder = folder
        self.released = []
        self.packets = Packets(WITNESS.identity, str(folder), self.released.append)
        self.worker = Somebody()

    def number(self, node):
        return self.job.state.plan.index[node]

    def pack(self, *nodes, worker=None):
        packet, failed = self.packets.pack(
            self.job, worker or self.worker, [self.number(node) for node in nodes]
        )
        pickle.dumps((packet.packed.entries, packet.given))  # all of it is to be sent
        return packet, failed

    def put(self, node, worker):
        """Let a node's value be a large one on a worker."""
        held = Held(self.job.state, (self.job.serial, self.number(node)))
        held.put(Copy(worker, held.key, PLACE, self.released.append))
        self.job.state.values[self.number(node)] = held
        return held


def given(packet):
    functions, atoms, pickled, places = packet.given
    return {
        "functions": {number: load(data) for number, data in functions},
        "atoms": dict(zip(*atoms, strict=True)),
        "pickled": {number: load(data) for number, data in pickled.items()},
        "places": {number: (key, place) for number, key, place in places},
    }


@pytest.fixture
def make(tmp_path):
    """Give the test packets for a job of these nodes."""
    return lambda *nodes, inputs=None: Packing(tmp_path / "files", *nodes, inputs=inputs)


def add(*values):
    return sum(values)


# Values


def test_small_values_come_along(make):
    one, two, three = (op(int)(n) for n in range(3))
    node = op(add)(one, two, three)
    packing = make(node)
    values = packing.job.state.values
    values[packing.number(one)] = 1
    values[packing.number(two)] = None
    values[packing.number(three)] = Pickled(dump([3], "it")[0])
    packing.job.schedule.finish(packing.job.schedule.take(3))
    packet, failed = packing.pack(node)
    assert failed == []
    assert [entry[0] for entry in packet.packed.entries] == [packing.number(node)]
    found = given(packet)
    assert found["atoms"] == {packing.number(one): 1, packing.number(two): None}
    assert found["pickled"] == {packing.number(three): [3]}
    assert found["places"] == {}
    assert list(found["functions"].values()) == [add]


def test_what_its_worker_has_yet_to_make_does_not_come_along(make):
    one, two = op(int)(1), op(int)(2)
    node = op(add)(one, two)
    packing = make(node)
    (number,) = packing.job.schedule.take(1)
    packing.job.schedule.finish([number])
    packing.job.state.values[number] = 5
    packing.job.schedule.take(1)
    packet, failed = packing.pack(node)
    assert failed == []
    assert [entry[0] for entry in packet.packed.entries] == [packing.number(node)]
    assert given(packet)["atoms"] == {number: 5}


def test_functions_come_once_a_worker(make):
    step = op(add)
    one, two = step(1), step(2)
    packing = make(one, two)
    assert given(packing.pack(one)[0])["functions"]
    assert not given(packing.pack(two)[0])["functions"]
    assert given(packing.pack(two, worker=Somebody())[0])["functions"]


def test_of_large_values_only_the_place_travels_and_stays_meanwhile(make):
    source = op(int)()
    node = op(add)(source)
    packing = make(node)
    packing.put(source, Somebody())
    packet, _ = packing.pack(node)
    number = packing.number(source)
    assert given(packet)["places"] == {number: ((7, number), PLACE)}
    packing.job.state.values[number] = None
    assert packing.released == []
    packet.holds.clear()  # the worker has answered
    assert len(packing.released) == 2


def test_a_worker_that_has_it_is_told_so_and_one_that_takes_it_is_noted(make):
    source = op(int)()
    one, two = op(add)(source), op(add)(source)
    packing = make(one, two)
    other = Somebody()
    held = packing.put(source, other)
    packing.pack(one)
    assert held.copies.keys() == {other, packing.worker}
    packet, _ = packing.pack(two)
    ((_, place),) = given(packet)["places"].values()
    assert place in (("here",), PLACE)


def test_nodes_whose_input_is_lost_are_left_out_and_what_follows_them_too(make):
    source = op(int)()
    middle = op(add)(source)
    last, fine = op(add)([middle]), op(int)(1)
    packing = make(last, fine)
    packing.put(source, packing.worker).lose(packing.worker)
    packet, failed = packing.pack(middle, last, fine)
    assert failed == []
    assert [entry[0] for entry in packet.packed.entries] == [packing.number(fine)]


# Values and literals of the program


def test_large_literals_are_read_from_the_programs_memory(make):
    array = np.arange(10_000.0)
    one, two = op(len)(array), op(len)([array])
    packing = make(one, two)
    packet, _ = packing.pack(one, two)
    places = given(packet)["places"]
    assert len(places) == 2  # the array, and a list with it inside
    for key, place in places.values():
        assert key[0] == packing.job.serial
        assert key[1] < 0
        np.testing.assert_equal(np.ravel(load(*bring(place))), array)


def test_where_workers_cannot_read_they_go_to_files_which_end_with_the_run(make):
    array = np.arange(10_000.0)
    node = op(len)(array)
    packing = make(node)
    packing.packets.note_reader(True)
    packing.packets.note_reader(False)
    packing.packets.note_reader(True)  # another worker may, but not all
    packet, _ = packing.pack(node)
    ((_, place),) = given(packet)["places"].values()
    assert place[0] == "file"
    assert os.path.dirname(place[1]) == str(packing.folder)
    np.testing.assert_equal(load(*bring(place)), array)
    assert packing.pack(node)[0].given[3][0][2] == place
    packing.packets.forget(packing.job)
    assert list(packing.folder.iterdir()) == []


def test_no_room_for_a_file_fails_the_nodes_that_take_the_literal(make):
    node, fine = op(len)(np.arange(10_000.0)), op(int)(1)
    packing = make(node, fine)
    packing.packets.note_reader(False)
    packing.folder.write_text("no folder")
    packet, ((number, error),) = packing.pack(node, fine)
    assert number == packing.number(node)
    assert isinstance(error, OSError)
    assert [entry[0] for entry in packet.packed.entries] == [packing.number(fine)]


def test_given_values_small_and_large(make):
    small, large = DataNode([1]), DataNode(np.zeros(1_000))
    node = op(add)(small, large)
    packing = make(node)
    packet, failed = packing.pack(node)
    assert failed == []
    found = given(packet)
    assert found["pickled"] == {packing.number(small): [1]}
    ((key, place),) = found["places"].values()
    np.testing.assert_equal(load(*bring(place)), np.zeros(1_000))
    assert key[0] == 0  # of no run: it may be given to several


def test_a_given_value_that_cannot_be_pickled_fails_who_takes_it(make):
    bad = DataNode(n for n in ())
    node, after, fine = op(add)(bad), op(add)(1, 2), op(int)(1)
    packing = make(node, after, fine)
    packet, failed = packing.pack(node, after, fine)
    ((number, error),) = failed
    assert number == packing.number(node)
    assert type(error) is SerializationError
    assert [entry[0] for entry in packet.packed.entries] == [
        packing.number(after),
        packing.number(fine),
    ]


# Functions


def test_a_function_that_cannot_be_pickled_fails_its_nodes_by_name(make):
    iterator = iter(())

    def bad(x):
        return [generator, x]

    generator = (n for n in iterator)
    step = op(bad, label="scoring")
    one, two, fine = step(1), step(2), op(int)(1)
    packing = make(one, two, fine)
    for _ in range(2):
        packet, failed = packing.pack(one, two, fine)
        assert {number for number, _ in failed} == {packing.number(one), packing.number(two)}
        for number, error in failed:
            assert type(error) is SerializationError
            assert error.node is packing.job.state.plan.nodes[number]
            assert "scoring cannot travel to a worker: the function bad cannot be pickled" in str(
                error
            )
        assert [entry[0] for entry in packet.packed.entries] == [packing.number(fine)]
