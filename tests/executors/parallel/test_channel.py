"""Messages over a socket pair: whole, in order, from many threads."""

import random
import socket
import threading

import pytest

from dask_dispatcher.executors.parallel.channel import Channel, FrameReader, framed

WAIT = 20.0


@pytest.fixture
def pair():
    """Give the test both ends of a channel."""
    one, two = socket.socketpair()
    with one, two:
        yield one, two


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
    one, two = map(Channel, pair)
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
    assert list(Channel(pair[1]).messages()) == [("whole",)]


def test_messages_of_many_threads_do_not_mix(pair):
    channel, count = Channel(pair[0]), 4
    # Each is larger than the socket's buffer takes at once.
    threads = [
        threading.Thread(
            target=lambda n=n: [channel.send((n, i, b"x" * 200_000)) for i in range(5)]
        )
        for n in range(count)
    ]
    for thread in threads:
        thread.start()
    messages = Channel(pair[1]).messages()
    found = [next(messages) for _ in range(5 * count)]
    for thread in threads:
        thread.join(WAIT)
    for n in range(count):
        assert [i for sender, i, _ in found if sender == n] == list(range(5))
    assert all(len(data) == 200_000 for _, _, data in found)


def test_sending_to_nobody_is_an_error_of_the_system(pair):
    pair[1].close()
    with pytest.raises(OSError, match="pipe"):
        Channel(pair[0]).send(("anybody?",))
