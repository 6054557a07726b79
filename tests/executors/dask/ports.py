"""Ports on which something listens that is no Dask scheduler."""

import contextlib
import socket
import threading
from collections.abc import Iterator

HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 11\r\nConnection: close\r\n\r\nBad Request"


@contextlib.contextmanager
def port_that(does: str, port: int = 0) -> Iterator[str]:
    """Listen on a loopback port; give its address as host:port.

    Parameters
    ----------
    does
        ``"is silent"``, ``"hangs up"``, ``"answers HTTP"`` or ``"sends zeros"``.
    port
        Default: a free one.
    """
    kept: list[socket.socket] = []

    def answer(connection: socket.socket) -> None:
        with connection:
            if does == "answers HTTP":
                connection.recv(1000)
                connection.sendall(HTTP)
            elif does == "sends zeros":
                connection.sendall(bytes(100))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            if does == "is silent":
                kept.append(connection)
            else:
                with contextlib.suppress(OSError):
                    answer(connection)

    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield "{}:{}".format(*listening.getsockname())
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """Give the address of a loopback port that nobody listens on, and nobody else gets."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield "{}:{}".format(*bound.getsockname())
