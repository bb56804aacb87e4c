"""The relays that are compared: how each is started, and how a call comes to stand on it.

Belongs here: one class a relay. Never: load, figures.
"""

import os
import secrets
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from lab.node.orders import VARIABLE
from lab.overlay.identity import Identity, issue_credential, issue_token
from lab.wire.framing import frame
from lab.wire.messages import RelayGrant
from lab.wire.stun import Kind, Method, StunMessage
from tests.bench.load import VOICE
from tests.bench.stage import LOAD, RELAY, Stage

FIRST_PORT = 10_000
PATIENCE = 10.0

Flow = tuple[tuple[str, int], tuple[str, int], bytes]
"""What one leg sends: from where, to where, what."""


class Contender(Protocol):
    name: str
    pids: list[int]

    def start(self) -> None: ...
    def udp(self, calls: int) -> tuple[list[Flow], list[Flow]]:
        """Sets calls up; the flows of voice, and those of binds that clients send beside it."""

    def tcp(self, calls: int) -> tuple[list[socket.socket], list[bytes], int]:
        """Sets calls up; connections, what each sends each time, and bytes that a packet arrives as."""

    def stop(self) -> None: ...


class Coturn:
    """Debian's turnserver as it is installed, but for authentication, which would count for nothing here."""

    name = "coturn"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.pids: list[int] = []
        self.sockets: list[socket.socket] = []

    def start(self) -> None:
        options = [
            "-n",
            "-z",
            "--no-tls",
            "--no-dtls",
            "--no-cli",
            "--log-file",
            "/dev/null",
            "--pidfile",
            "/dev/null",
            "-p",
            "3478",
        ]
        options += ["-L", RELAY, "-E", RELAY, "--min-port", "20000", "--max-port", "40000"]
        with self.stage.inside("relay"):
            self.process = subprocess.Popen(
                ["turnserver", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        self.pids = [self.process.pid]
        listening(self.stage, 3478)

    def udp(self, calls: int) -> tuple[list[Flow], list[Flow]]:
        flows: list[Flow] = []
        for call in range(calls):
            near, far = (LOAD, FIRST_PORT + 2 * call), (LOAD, FIRST_PORT + 2 * call + 1)
            with self.stage.inside("load"):
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(near)
            sock.connect((RELAY, 3478))
            sock.settimeout(PATIENCE)
            self.sockets.append(sock)
            relayed = _allocate(sock)
            _bind_channel(sock, far)
            flows.append((near, (RELAY, 3478), struct.pack("!HH", 0x4000, len(VOICE)) + VOICE))
            flows.append((far, relayed, VOICE))
        return flows, []

    def tcp(self, calls: int) -> tuple[list[socket.socket], list[bytes], int]:
        sent = struct.pack("!HH", 0x4000, len(VOICE)) + VOICE
        for _ in range(calls):
            ends = [_connected(self.stage, 3478) for _ in (0, 1)]
            relayed = [_allocate(end) for end in ends]
            for end, peer in zip(ends, reversed(relayed), strict=True):
                _bind_channel(end, peer)
            self.sockets += ends
        return self.sockets, [sent] * len(self.sockets), len(sent)

    def stop(self) -> None:
        _end(self.process, self.sockets)


class Own:
    """This project's relay, in user space or by its deputy."""

    def __init__(self, stage: Stage, kernel: bool) -> None:
        self.stage, self.kernel = stage, kernel
        self.name = "relay, kernel" if kernel else "relay, user space"
        self.issuer = Identity("bench")
        self.issuer.credential = issue_credential(self.issuer.private, "bench", self.issuer.public, time.time())
        self.pids: list[int] = []
        self.sockets: list[socket.socket] = []
        self.deputy: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        root = str(Path(__file__).parents[2])
        environment = {**os.environ, "PYTHONPATH": root}
        passed: list[int] = []
        with self.stage.inside("relay"):
            if self.kernel:
                ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                command = [sys.executable, "-m", "lab.node.deputy", str(its.fileno()), "33034"]
                self.deputy = subprocess.Popen(command, pass_fds=[its.fileno()], env=environment)
                environment[VARIABLE] = str(ours.fileno())
                passed = [ours.fileno()]
                its.close()
            command = [sys.executable, "-m", "tests.bench.serving", self.issuer.public.hex()]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=passed, env=environment, cwd=root)
        if self.kernel:
            ours.close()
        assert self.process.stdout is not None and self.process.stdout.readline() == b"ready\n"
        self.pids = [self.process.pid, *([self.deputy.pid] if self.deputy else [])]

    def udp(self, calls: int) -> tuple[list[Flow], list[Flow]]:
        voice: list[Flow] = []
        binds: list[Flow] = []
        for call in range(calls):
            for leg in (0, 1):
                end = (LOAD, FIRST_PORT + 2 * call + leg)
                with self.stage.inside("load"):
                    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                sock.bind(end)
                sock.connect((RELAY, 33034))
                sock.settimeout(PATIENCE)
                self.sockets.append(sock)
                bind = self._bind(call, leg)
                sock.send(bind)
                _bound(sock.recv(2000))
                voice.append((end, (RELAY, 33034), VOICE))
                binds.append((end, (RELAY, 33034), bind))
        if self.kernel:  # the counts in this answer come from the deputy, behind all that it had been told before
            sock.send(bind)
            _bound(sock.recv(2000))
        return voice, binds

    def tcp(self, calls: int) -> tuple[list[socket.socket], list[bytes], int]:
        for call in range(calls):
            for leg in (0, 1):
                sock = _connected(self.stage, 33034)
                sock.sendall(frame(self._bind(call, leg), 2))
                _bound(_exactly(sock, int.from_bytes(_exactly(sock, 2), "big")))
                self.sockets.append(sock)
        sent = frame(VOICE, 2)
        return self.sockets, [sent] * len(self.sockets), len(sent)

    def _bind(self, call: int, leg: int) -> bytes:
        token = issue_token(self.issuer, RelayGrant(f"c{call}", "relay", leg, time.time() + 60))
        return StunMessage(Method.BIND, Kind.REQUEST, secrets.token_bytes(12), token=token).encode()

    def stop(self) -> None:
        _end(self.process, self.sockets)
        if self.deputy is not None:
            self.deputy.wait(PATIENCE)


def listening(stage: Stage, port: int) -> None:
    """Waits until somebody accepts connections on a port of the relay."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            _connected(stage, port).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _connected(stage: Stage, port: int) -> socket.socket:
    with stage.inside("load"):
        sock = socket.create_connection((RELAY, port), PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _bound(answer: bytes) -> None:
    assert StunMessage.parse(answer).kind is Kind.SUCCESS


# RFC 8656: methods 3 (Allocate) and 9 (ChannelBind); what lab.wire has no use for stands here.
def _allocate(sock: socket.socket) -> tuple[str, int]:
    return _xor_address(_ask(sock, 3, _attribute(0x0019, bytes([17, 0, 0, 0])))[0x0016])


def _bind_channel(sock: socket.socket, peer: tuple[str, int]) -> None:
    host = int.from_bytes(socket.inet_aton(peer[0]), "big") ^ 0x2112A442
    address = struct.pack("!BBHI", 0, 1, peer[1] ^ 0x2112, host)
    _ask(sock, 9, _attribute(0x000C, struct.pack("!HH", 0x4000, 0)) + _attribute(0x0012, address))


def _ask(sock: socket.socket, method: int, body: bytes) -> dict[int, bytes]:
    sock.sendall(struct.pack("!HHI", method, len(body), 0x2112A442) + secrets.token_bytes(12) + body)
    if sock.type == socket.SOCK_STREAM:
        head = _exactly(sock, 20)
        answer = head + _exactly(sock, int.from_bytes(head[2:4], "big"))
    else:
        answer = sock.recv(2000)
    assert int.from_bytes(answer[:2], "big") == method | 0x100, f"coturn refuses: {answer!r}"
    found, at = {}, 20
    while at < len(answer):
        kind, size = struct.unpack_from("!HH", answer, at)
        found[kind] = answer[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4
    return found


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value


def _xor_address(value: bytes) -> tuple[str, int]:
    _, _, port, host = struct.unpack("!BBHI", value)
    return socket.inet_ntoa((host ^ 0x2112A442).to_bytes(4, "big")), port ^ 0x2112


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (more := sock.recv(size - len(data))):
            raise ConnectionError("the relay closed the connection")
        data += more
    return data


def _end(process: subprocess.Popen[bytes], sockets: list[socket.socket]) -> None:
    process.terminate()
    process.wait(PATIENCE)
    for sock in sockets:
        sock.close()
    sockets.clear()
