"""What a proxy says to CONNECT, by the kernel's TCP on this machine."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.probe import through

LOCAL = "127.0.0.1"


@contextmanager
def proxy(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and the one request that it has answered so."""
    heard: list[bytes] = []
    with socket.create_server((LOCAL, 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while not (heard and heard[0].endswith(b"\r\n\r\n")):
                    heard[:] = [b"".join(heard) + connection.recv(4096)]
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], heard
        thread.join()


@pytest.mark.parametrize("said", ["HTTP/1.1 403 Access violation", "HTTP/1.0 200 Connection established"])
def test_a_proxy_s_word_is_heard_without_a_record_sent(said: str) -> None:
    with proxy(f"{said}\r\nServer: one\r\n\r\n".encode()) as (port, heard):
        found = through.connect(LOCAL, port, "203.0.113.251", 22, 0)
    assert found == {"said": said, "up_us": [], "down_us": []}
    assert heard[0].startswith(b"CONNECT 203.0.113.251:22 HTTP/1.1\r\n")


def test_nobody_s_word_is_none() -> None:
    with socket.create_server((LOCAL, 0)) as server:
        port = server.getsockname()[1]
    assert through.connect(LOCAL, port, "203.0.113.251", 22, 0)["said"] == ""
