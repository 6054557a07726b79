"""Reading another process's memory: all of it, or a clean error."""

import ctypes
import mmap
import os
import subprocess
import sys

import numpy as np
import pytest

from dask_dispatcher.executors.parallel.memory import (
    GoneError,
    Witness,
    address_of,
    allow_readers,
    is_readable,
    read_regions,
)
from tests.executors.parallel.other import Other


@pytest.fixture
def other():
    """Give the test another process; where the system lets nobody read it, there is nothing to see."""
    with Other() as other:
        if not is_readable(other.identity):
            pytest.skip("this system does not let a process read another one's memory")
        yield other


@pytest.fixture
def witness():
    """Give the test this process's own witness."""
    return Witness()


def region_of(data):
    return address_of(data), memoryview(data).nbytes


# Addresses


@pytest.mark.parametrize("length", [1, 100_000])
def test_addresses_of_bytes_and_arrays(witness, length):
    data = os.urandom(length)
    for buffer in (data, bytearray(data), memoryview(data), np.frombuffer(data, dtype="u1").copy()):
        (copy,) = read_regions(witness.identity, [region_of(buffer)])
        assert bytes(copy) == data


def test_the_address_of_an_array_is_that_of_its_data():
    array = np.arange(10, dtype="u1")
    assert address_of(array) == array.ctypes.data
    assert address_of(array[5:]) == array.ctypes.data + 5


def test_looking_for_an_address_holds_nothing():
    data = bytearray(10)
    address_of(data)
    data.extend(b"more")  # BufferError if anything still held it


def test_what_has_no_buffer_has_no_address():
    with pytest.raises(TypeError):
        address_of([1])


# Reading


def test_another_processs_bytes(other):
    whole, part = read_regions(other.identity, [other.region, (other.region[0] + 5, 10)])
    assert bytes(whole) == other.content
    assert bytes(part) == other.content[5:15]


@pytest.mark.parametrize("length", [1_000, 1 << 20])
def test_copies_are_the_readers_own(witness, length):
    data = bytes(length)
    (copy,) = read_regions(witness.identity, [region_of(data)])
    copy[0] = 7
    assert data == bytes(length)


def test_no_regions_read_nothing_but_the_witness(witness):
    assert read_regions(witness.identity, []) == []


def test_a_process_that_is_gone(other):
    other.kill()
    assert not is_readable(other.identity)
    with pytest.raises(GoneError, match=f"cannot read process {other.pid}"):
        read_regions(other.identity, [other.region])


def test_another_process_with_the_same_number_cannot_pass(other, witness):
    pid, address, _ = other.identity
    impostor = pid, address, os.urandom(16)
    assert not is_readable(impostor)
    with pytest.raises(GoneError, match="another one by now"):
        read_regions(impostor, [other.region])
    # It may as well have nothing at that address.
    with pytest.raises(GoneError):
        read_regions((pid, 1, witness.identity[2]), [])


def test_memory_that_is_not_there(other):
    with pytest.raises(GoneError, match="cannot read process"):
        read_regions(other.identity, [(1, 10)])


def test_memory_that_ends_half_way(witness):
    pages = mmap.mmap(-1, 4 * mmap.PAGESIZE)
    start = address_of(pages)
    middle = start + 2 * mmap.PAGESIZE
    _protect(middle, mmap.PAGESIZE, readable=False)
    try:
        with pytest.raises(GoneError):
            read_regions(witness.identity, [(start, 4 * mmap.PAGESIZE)])
    finally:
        _protect(middle, mmap.PAGESIZE, readable=True)
    pages.close()


def _protect(address, length, *, readable):
    flags = mmap.PROT_READ | mmap.PROT_WRITE if readable else 0
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(length), flags) == 0


def test_a_system_without_the_call(monkeypatch, witness):
    monkeypatch.setattr("dask_dispatcher.executors.parallel.memory._process_vm_readv", None)
    assert not is_readable(witness.identity)
    with pytest.raises(GoneError, match="no process_vm_readv"):
        read_regions(witness.identity, [])


def test_a_parent_can_be_read_by_its_child_once_it_allows_readers(witness):
    allow_readers()
    code = (
        "import sys, ast; from dask_dispatcher.executors.parallel.memory import is_readable;"
        "print(is_readable(ast.literal_eval(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, repr(witness.identity)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    with Other() as other:
        assert run.stdout.strip() == str(is_readable(other.identity))


def test_witnesses_differ():
    one, two = Witness(), Witness()
    assert one.identity[0] == two.identity[0] == os.getpid()
    assert one.identity[1:] != two.identity[1:]
