"""Messages over a socket pair: whole, in order, from many threads; and those that linger."""

import os
import random
import socket
import threading

import pytest

from dask_dispatcher.executors.parallel.cell import Ledge, open_cell, shared_file
from dask_dispatcher.executors.parallel.channel import (
    LINGERED,
    Channel,
    FrameReader,
    framed,
    words,
)

WAIT = 20.0


@pytest.fixture
def pair():
    """Give the test both ends of a socket pair."""
    one, two = socket.socketpair()
    with one, two:
        one.settimeout(WAIT)
        two.settimeout(WAIT)
        yield one, two


def both_sides() -> tuple[Ledge, Ledge]:
    """Return a ledge as a worker and as the controller have it."""
    shared = shared_file()
    (_, here), (_, there) = open_cell(shared), open_cell(shared)
    os.close(shared)
    return here, there


def channel(sock: socket.socket) -> Channel:
    return Channel(sock, both_sides()[0])


MESSAGES = [("empty",), ("slice", 1, [(2, 3, (), (), ())], {"x": b"y"}), ("large", b"z" * 300_000)]


@pytest.mark.parametrize("step", [1, 7, 8, 9, 1_000, 1 << 20])
def test_messages_are_whole_however_the_bytes_come(step):
    data = b"".join(map(framed, MESSAGES))
    if step == 1:
        data = b"".join(map(framed, MESSAGES[:2]))
    reader, found = FrameReader(), []
    for start in range(0, len(data), step):
        found += reader.feed(data[start : start + step])
    assert found == (MESSAGES[:2] if step == 1 else MESSAGES)


def test_a_message_is_there_as_soon_as_its_last_byte():
    reader, data = FrameReader(), framed(("message", 1))
    assert list(reader.feed(data[:-1])) == []
    assert list(reader.feed(data[-1:] + framed(("next",))[:3])) == [("message", 1)]


def test_random_cuts():
    draw = random.Random(0)
    messages = [("n", number, b"x" * draw.randrange(500)) for number in range(200)]
    data, reader, found = b"".join(map(framed, messages)), FrameReader(), []
    while data:
        size = draw.randrange(1, 400)
        found += reader.feed(data[:size])
        data = data[size:]
    assert found == messages


def test_both_ways_until_the_other_end_closes(pair):
    one, two = map(channel, pair)
    one.send(("to", "two"))
    two.send(("to", "one"))
    messages = two.messages()
    assert next(messages) == ("to", "two")
    assert next(one.messages()) == ("to", "one")
    pair[0].close()
    assert list(messages) == []


def test_a_message_cut_off_by_the_others_end_is_never_seen(pair):
    pair[0].sendall(framed(("whole",)) + framed(("half", b"x" * 1_000))[:500])
    pair[0].close()
    assert list(channel(pair[1]).messages()) == [("whole",)]


def test_messages_of_many_threads_do_not_mix(pair):
    sender, count = channel(pair[0]), 4
    # Each is larger than the socket's buffer takes at once.
    threads = [
        threading.Thread(target=lambda n=n: [sender.send((n, i, b"x" * 200_000)) for i in range(5)])
        for n in range(count)
    ]
    for thread in threads:
        thread.start()
    messages = channel(pair[1]).messages()
    found = [next(messages) for _ in range(5 * count)]
    for thread in threads:
        thread.join(WAIT)
    for n in range(count):
        assert [i for whose, i, _ in found if whose == n] == list(range(5))
    assert all(len(data) == 200_000 for _, _, data in found)


def test_sending_to_nobody_is_an_error_of_the_system(pair):
    pair[1].close()
    with pytest.raises(OSError, match="pipe"):
        channel(pair[0]).send(("anybody?",))


# Messages that linger


def test_lingering_messages_leave_together_before_the_next_that_does_not(pair):
    sender = channel(pair[0])
    sender.linger(("took", "key", 1, True))  # nobody expects company for the first
    for _ in range(3):
        sender.linger(("took", "key", 1, True))
    sender.linger(("put", "key", ["item"], True))
    sender.send(("ask", 7))
    messages = channel(pair[1]).messages()
    said = []
    while not said or said[-1] != ["ask", 7]:  # where this thread is slow, the flusher is first
        message = next(messages)
        said += words(message[2]) if message[0] == LINGERED else [list(message)]
    assert sum(word[2] for word in said if word[0] == "took") == 4
    assert said[-2:] == [["put", "key", ["item"], True], ["ask", 7]]


def test_lingering_messages_leave_though_nothing_follows(pair):
    sender, messages = channel(pair[0]), channel(pair[1]).messages()
    found = 0
    for _ in range(5):
        sender.linger(("took", "key", 1, True))
    while found < 5:
        _, _, standing = next(messages)
        found += sum(word[2] for word in words(standing))


def test_what_has_no_room_on_the_ledge_is_sent_in_order(pair):
    sender, messages = channel(pair[0]), channel(pair[1]).messages()
    for number in range(4):
        sender.linger(("put", "key", [(number, b"x" * 30_000)], True))
    found = []
    while len(found) < 4:
        message = next(messages)
        lot = words(message[2]) if message[0] == LINGERED else [message]
        found += [number for _, _, items, _ in lot for number, _ in items]
    assert found == list(range(4))


def test_words_that_differ_are_not_made_one():
    said = [
        ("put", "a", [1], True),
        ("put", "a", [2], True),
        ("put", "a", [3], False),
        ("put", "b", [4], False),
        ("took", "b", 1, False),
        ("took", "b", 1, False),
        ("put", "b", [5], False),
    ]
    assert words(b"".join(map(framed, said))) == [
        ["put", "a", [1, 2], True],
        ["put", "a", [3], False],
        ["put", "b", [4], False],
        ["took", "b", 2, False],
        ["put", "b", [5], False],
    ]


def test_the_other_side_of_a_ledge_sees_what_stands_there():
    here, there = both_sides()
    assert there.standing() == (0, b"")
    assert here.add(b"one")
    assert here.add(b"two")
    assert there.standing() == (0, b"onetwo")
    here.clear()
    assert there.standing() == (1, b"")
    assert not here.add(b"x" * 100_000)
    assert there.standing() == (1, b"")
    assert here.add(b"three")
    assert there.standing() == (1, b"three")
