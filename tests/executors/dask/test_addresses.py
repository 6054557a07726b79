"""`parse_address`: what is a scheduler's address, and what is refused before anybody connects."""

import pytest

from dask_dispatcher.executors.dask.addresses import parse_address


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
        ("tls://127.0.0.1:8786", "tls://127.0.0.1:8786"),
        ("127.0.0.1:8786", "tcp://127.0.0.1:8786"),
        ("node-7.cluster_2.example.org:1", "tcp://node-7.cluster_2.example.org:1"),
        ("localhost:65535", "tcp://localhost:65535"),
        ("tcp://[::1]:8786", "tcp://[::1]:8786"),
    ],
)
def test_an_address_gets_its_scheme(given, expected):
    assert parse_address(given) == expected


def test_without_a_scheme_tls_is_what_the_security_says():
    assert parse_address("host:1", tls=True) == "tls://host:1"
    assert parse_address("tcp://host:1", tls=True) == "tcp://host:1"


BAD = [
    "tcp://",
    "tcp://:8786",
    ":8786",
    "host",
    "tcp://host",
    "host:",
    "host:port",
    "host:0",
    "host:99999",
    "host:65536",
    "host:-1",
    "tcp://127.0.0.1:99999",
    "tcp://127.0.0.1:-1",
    " ",
    "   \t\n",
    " 127.0.0.1:8786",
    "127.0.0.1:8786 ",
    "127.0.0.1:8786\n",
    "127.0.0.1: 8786",
    "my host:8786",
    "http://127.0.0.1:8786",
    "https://127.0.0.1:8786",
    "ucx://127.0.0.1:8786",
    "inproc://1.2.3.4/5/6",
    "TCP:/127.0.0.1:8786",
    "tcp://tcp://127.0.0.1:8786",
    "tcp://user@127.0.0.1:8786",
    "tcp://127.0.0.1:8786/path",
    "::1:8786",
    "127.0.0.1:٨٧٨٦",
    "\0:1",
]


@pytest.mark.parametrize("address", BAD)
def test_anything_else_is_refused_in_plain_words(address):
    with pytest.raises(ValueError, match="is no scheduler address; write tcp://host:port"):
        parse_address(address)


def test_a_long_address_is_cut_in_the_message():
    with pytest.raises(ValueError, match="is no scheduler address") as caught:
        parse_address("x" * 1_000_000)
    assert len(str(caught.value)) < 500
