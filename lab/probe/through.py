"""Ordinary TCP by the kernel, for what no crafted packet gets through: an HTTP CONNECT proxy.

Belongs here: the listener on the internet, and the connection through the proxy. Never: what the outcome means.
"""

import contextlib
import socket
import struct
import threading
import time
from typing import Any

from lab.probe.crafting import CLIENT_HELLO, TLS_RECORD

_STAMP = struct.Struct("!4sQQ")  # "lab!", left (ns), and in an answer: arrived (ns)
_WORD = b"lab!"
_RECORD = TLS_RECORD + (4 + _STAMP.size).to_bytes(2, "big") + CLIENT_HELLO + _STAMP.size.to_bytes(3, "big")
_PATIENCE_S = 5.0
_PACE_S = 0.02


def listen(address: str, port: int) -> None:
    """Answer every stamped record with when it came, for ever."""
    listener = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


def _answer(connection: socket.socket) -> None:
    size = len(_RECORD) + _STAMP.size
    with connection, contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := _exactly(connection, size):
            arrived = time.time_ns()
            word, left, _ = _STAMP.unpack_from(data, len(_RECORD))
            if word != _WORD:
                return
            connection.sendall(_RECORD + _STAMP.pack(_WORD, left, arrived) + struct.pack("!Q", time.time_ns()))


def connect(proxy: str, proxy_port: int, target: str, port: int, count: int) -> dict[str, Any]:
    """CONNECT to `target` and send stamped records, one after the other.

    Returns `said`: the proxy's status line ("" where nobody answers), and `up_us` and `down_us`: microseconds on the
    way, one figure a record. Never raises for what a network may do.
    """
    said = ""
    up: list[int] = []
    down: list[int] = []
    host = f"[{target}]" if ":" in target else target
    with contextlib.suppress(OSError), socket.create_connection((proxy, proxy_port), timeout=_PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head and (more := connection.recv(1)):
            head += more
        said = head.split(b"\r\n")[0].decode("latin-1")
        if " 200" not in said:
            return {"said": said, "up_us": up, "down_us": down}
        for _ in range(count):
            connection.sendall(_RECORD + _STAMP.pack(_WORD, time.time_ns(), 0))
            data = _exactly(connection, len(_RECORD) + _STAMP.size + 8)
            if not data:
                break
            here = time.time_ns()
            _, left, arrived = _STAMP.unpack_from(data, len(_RECORD))
            (answered,) = struct.unpack_from("!Q", data, len(_RECORD) + _STAMP.size)
            up.append((arrived - left) // 1000)
            down.append((here - answered) // 1000)
            time.sleep(_PACE_S)  # the records' pace: none waits behind another
    return {"said": said, "up_us": up, "down_us": down}


def _exactly(connection: socket.socket, count: int) -> bytes:
    """So many bytes, or none where the other side has ended."""
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            return b""
        data += more
    return data
