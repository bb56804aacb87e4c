"""An engine on a Unix socket that knows just enough to run one command: for what the SDK's own fakes cannot show.

Belongs here: the bytes of the engine's exec protocol. Never: anything of the lab.
"""

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import docker

Process = Callable[[socket.socket], None]


def frame(kind: int, data: bytes) -> bytes:
    """One chunk of a stream as the engine multiplexes it."""
    return struct.pack(">BxxxL", kind, len(data)) + data


class FakeEngine:
    """Answers exec_create, and upgrades exec_start and attach to `process`; `first` leaves together with the headers.
    `state` is that of every container."""

    def __init__(self, folder: Path, first: bytes, process: Process) -> None:
        self._first, self._process = first, process
        self._path = folder / "engine.sock"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen()
        self.asked: list[dict[str, object]] = []
        self.state: dict[str, object] = {"Running": True, "StartedAt": "2003-08-29T00:00:00.000000000Z"}
        self.before: list[dict[str, object]] = []
        """States that are told first, each once."""
        threading.Thread(target=self._serve, daemon=True).start()

    def client(self) -> docker.DockerClient:
        """A client of the SDK that talks to this engine."""
        return docker.DockerClient(base_url=f"unix://{self._path}", version="1.41")

    def close(self) -> None:
        """Stop answering."""
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _of(self, request: str) -> dict[str, object]:
        looked = request.startswith("GET") and "/containers/" in request
        return self.before.pop(0) if looked and self.before else self.state

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            for request in _requests(reader):
                line, body = request
                if ("/exec/" in line and line.endswith("/start HTTP/1.1")) or "/attach?" in line:
                    head = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
                    connection.sendall(head + self._first)
                    self._process(connection)
                    return
                if body:
                    self.asked.append(json.loads(body))
                answer = json.dumps({"Id": "e1", "ExitCode": 3, "StatusCode": 5, "State": self._of(line)}).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))


def _requests(reader: object) -> Iterator[tuple[str, bytes]]:
    while line := reader.readline():  # type: ignore[attr-defined]
        length = 0
        while (header := reader.readline()) not in (b"\r\n", b""):  # type: ignore[attr-defined]
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        yield line.decode().strip(), reader.read(length)  # type: ignore[attr-defined]
