"""What was signalled inside TLS, by name: opened with the keys of the connection, and left alone without them."""

import contextlib
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lab_calls import files
from packet_world import START, SUPERNODE, TOPOLOGY, World

from lab.evidence import Captures, unsealed
from lab.evidence.journeys import follow
from lab.evidence.ladder import ladder
from lab.node import keys as node_keys
from lab.node.tls import client_context, server_context
from lab.wire.framing import frame
from lab.wire.messages import Ping, Pong, encode

SPOKEN = [(True, "ping"), (False, "pong"), (True, "ping, pong")]


class Connection:
    """A client's connection to its supernode, in memory; `send` says who sent which bytes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log = folder / "run" / "tls-keys"
        monkeypatch.setenv(node_keys.VARIABLE, "1")
        monkeypatch.setattr(node_keys, "FILE", self.log)
        self._there, self._back = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client_context().wrap_bio(self._back, self._there, server_side=False)
        monkeypatch.setenv(node_keys.VARIABLE, "")
        context = server_context("supernode-1", Ed25519PrivateKey.generate())
        self.server = context.wrap_bio(self._there, self._back, server_side=True)
        self.sent: list[tuple[bool, bytes]] = []
        for _ in range(3):
            for there, end in ((True, self.client), (False, self.server)):
                with contextlib.suppress(ssl.SSLWantReadError):
                    end.do_handshake()
                self._carry(there)

    def say(self, there: bool, data: bytes) -> None:
        (self.client if there else self.server).write(data)
        self._carry(there)

    def _carry(self, there: bool) -> None:
        pipe = self._there if there else self._back
        if data := pipe.read():
            self.sent.append((there, data))
            pipe.write(data)
            with contextlib.suppress(ssl.SSLWantReadError):
                (self.server if there else self.client).read()


def captured(
    sent: list[tuple[bool, bytes]], folder: Path, lost: frozenset[int] = frozenset(), *, halved: bool = False
) -> tuple[World, Captures]:
    """The same as routers and core see it; those `lost`, by number, no capture has. `halved`: each in two segments."""
    world = World()
    back = world.outer("bob", "tcp", 40000, SUPERNODE)
    ends = {True: ("bob", 40000, SUPERNODE), False: ("supernode-1", SUPERNODE[1], back)}
    sequence = {True: 2**32 - 700, False: 5000}  # it begins anew in the middle
    for number, (there, data) in enumerate(sent):
        middle = len(data) // 2 if halved else len(data)
        for part, piece in enumerate((data[:middle], data[middle:])):
            if piece and number not in lost:
                at = START + 0.02 + number / 100 + part / 1000
                world.send(at, "tcp", *ends[there], piece, seq=sequence[there] % 2**32)
            sequence[there] += len(piece)
    return world, Captures.read(files(world, folder))


def spoken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Connection:
    made = Connection(folder, monkeypatch)
    ping, pong = frame(encode(Ping()), 4), frame(encode(Pong()), 4)
    for there, data in ((True, ping), (False, pong), (True, ping + pong)):
        made.say(there, data)
    return made


def told(captures: Captures, log: str) -> list[tuple[bool, str]]:
    """What was named, in the order of time, and whether it went to the supernode."""
    names = unsealed.names(captures, log)
    packets = [one for one in captures.everything() if (one.place, one.offset) in names]
    return [
        (str(one.destination) == f"{SUPERNODE[0]}:{SUPERNODE[1]}", ", ".join(names[one.place, one.offset]))
        for one in packets
    ]


@pytest.mark.parametrize("halved", [False, True])
def test_messages_are_named_once_in_their_order_and_by_who_sent_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, halved: bool
) -> None:
    made = spoken(tmp_path, monkeypatch)
    _, captures = captured(made.sent, tmp_path, halved=halved)
    assert told(captures, made.log.read_text()) == SPOKEN


def test_without_keys_or_with_torn_ones_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = spoken(tmp_path, monkeypatch)
    _, captures = captured(made.sent, tmp_path)
    log = made.log.read_text()
    other = "".join(f"{line[:-8]}{'0' * 8}\n" for line in log.splitlines())
    cut = "".join(f"{line[:-1]}\n" for line in log.splitlines())
    for one in ("", log.replace("TRAFFIC", "T"), other, cut):
        assert told(captures, one) == []


def test_from_a_packet_on_that_no_capture_has_one_direction_says_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = spoken(tmp_path, monkeypatch)
    first = len(made.sent) - len(SPOKEN)
    _, captures = captured(made.sent, tmp_path, frozenset({first}))
    assert told(captures, made.log.read_text()) == [(False, "pong")]


def test_what_is_no_signalling_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Connection(tmp_path, monkeypatch)
    made.say(True, b"GET / HTTP/1.1\r\n\r\n" * 1000)
    made.say(True, frame(b"no MessagePack", 4))
    _, captures = captured(made.sent, tmp_path)
    assert told(captures, made.log.read_text()) == []


def test_a_ladder_names_what_was_signalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = spoken(tmp_path, monkeypatch)
    _, captures = captured(made.sent, tmp_path)
    journeys = follow(TOPOLOGY, captures)

    def labels(log: str) -> list[str]:
        names = unsealed.names(captures, log)
        rows = ladder(TOPOLOGY, "c1", ("bob", "frank"), None, journeys, (), START, {}, names).rows
        return [row.what for row in rows if row.what.endswith("supernode-1")]

    assert {"ping supernode-1", "ping, pong supernode-1"} <= set(labels(made.log.read_text()))
    assert set(labels("")) == {"signalling supernode-1"}
