"""The keys of a call's TLS connections: asked for by what the captures saw begin, and kept beside them."""

import contextlib
import shutil
import ssl
import struct
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lab_calls import files, punched, setting
from packet_world import START, SUPERNODE, World

from lab.errors import ConfigError, NotNow
from lab.evidence import filed, pcapng, whole
from lab.evidence.whole import write
from lab.harness import keys, standing
from lab.node import keys as node_keys
from lab.node.tls import client_context, server_context
from lab.runtime.capture import Captured

pytestmark = pytest.mark.slow


def hello(number: int) -> bytes:
    random = bytes([number]) * 32
    return struct.pack("!BHH", 22, 0x0301, 300) + b"\x01\x00\x01\x28\x03\x03" + random + bytes(250)


class Client:
    node = "bob"

    def __init__(self, *states: str, keeps: bool = True) -> None:
        self.states, self.keeps, self.orders = list(states), keeps, list[str]()

    def order(self, order: str, **fields: object) -> dict[str, Any]:
        self.orders.append(order)
        if order == "keys" and not self.keeps:
            raise ConfigError("this node keeps no keys")
        return {"state": self.states.pop(0)} if order == "status" else {}


def test_a_client_that_keeps_none_is_named_with_what_to_do() -> None:
    keys.kept_by([cast("Any", Client())])
    with pytest.raises(NotNow, match="bob keeps no keys of its TLS connections; start the lab with `LAB_KEYLOG=1"):
        keys.kept_by([cast("Any", Client(keeps=False))])


def test_both_ends_sign_in_anew_and_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Client("away", "away", "ready")
    keys.begin_anew([cast("Any", one)])
    assert one.orders == ["sign-in-anew", "status", "status", "status"]
    monkeypatch.setattr(keys, "SIGN_IN_SECONDS", 0.0)
    with pytest.raises(NotNow, match="bob has not signed in anew"):
        keys.begin_anew([cast("Any", Client("away", "away", "away"))])


def test_lines_are_asked_for_by_the_randoms_of_the_captures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    for number in (7, 8):
        world.send(START + number, "tcp", "bob", 40000 + number, SUPERNODE, hello(number))
    captured = [Captured(place, file, 1, 0) for place, file in files(world, tmp_path).items()]
    captured.append(Captured("torn", tmp_path / "none.pcap", 0, 0))
    asked: list[tuple[str, Any]] = []

    def order(engine: Any, world: Any, node: str, order: str, **fields: Any) -> dict[str, Any]:
        asked.append((node, fields.get("call") or fields["randoms"]))
        if node == "frank":
            raise NotNow("frank is stopped")
        return {"keys": "CLIENT_TRAFFIC_SECRET_0 07 aa\n", "voice": "AES_CM_128_HMAC_SHA1_80 inline:AAAA"}

    monkeypatch.setattr(standing, "order", order)
    keys.collect(cast("Any", None), cast("Any", None), "c7", ("bob", "frank"), captured, tmp_path)
    assert asked == [(name, what) for name in ("bob", "frank") for what in ("c7", ["07" * 32, "08" * 32])]
    spoken, secret = (tmp_path / keys.FILE).read_text().splitlines()
    assert spoken == "# SRTP bob AES_CM_128_HMAC_SHA1_80 inline:AAAA", "a comment to whoever reads the keys of TLS"
    assert secret == "CLIENT_TRAFFIC_SECRET_0 07 aa"
    assert (tmp_path / keys.FILE).stat().st_mode & 0o777 == 0o600


def test_a_client_of_an_older_version_tells_no_key_of_its_voice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "order", lambda *told, **fields: {"keys": ""})
    keys.collect(cast("Any", None), cast("Any", None), "c7", ("bob", "frank"), [], tmp_path)
    assert (tmp_path / keys.FILE).read_text() == ""


def test_the_one_file_holds_them_before_its_packets_and_is_judged_as_ever(tmp_path: Path) -> None:
    world, _ = punched()
    log = "CLIENT_TRAFFIC_SECRET_0 07 aa\n"
    target = tmp_path / "call.pcapng"
    write(setting(), files(world, tmp_path), target, {}, {}, log)
    data = target.read_bytes()
    at = data.index(log.encode())
    kind, length, secrets, size = struct.unpack_from("<IIII", data, at - 16)
    assert (kind, secrets, size) == (0x0A, 0x544C534B, len(log)) and length == 20 + 32
    first = next(where for where, block in pcapng.blocks(data) if isinstance(block, pcapng.PacketRecord))
    assert at < first
    assert filed.verdict(target).observed.kind == "punched"
    found = whole.read(data)
    assert found is not None and not found.incomplete


def spoken(file: Path, monkeypatch: pytest.MonkeyPatch, word: bytes) -> list[tuple[bool, bytes]]:
    """A connection in memory whose secrets a client kept in `file`: what went to the server (True) and back."""
    monkeypatch.setenv(node_keys.VARIABLE, "1")
    monkeypatch.setattr(node_keys, "FILE", file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client_context().wrap_bio(to_client, to_server, server_side=False)
    monkeypatch.setenv(node_keys.VARIABLE, "")  # the server keeps none
    context = server_context("supernode-1", Ed25519PrivateKey.generate())
    far = context.wrap_bio(to_server, to_client, server_side=True)
    said: list[tuple[bool, bytes]] = []

    def carried(end: ssl.SSLObject, pipe: ssl.MemoryBIO, there: bool) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
        if data := pipe.read():
            said.append((there, data))
            pipe.write(data)

    for _ in range(3):
        carried(near, to_server, True)
        carried(far, to_client, False)
    near.write(word)
    said.append((True, to_server.read()))
    return said


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_wireshark_opens_the_connection_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "run" / "tls-keys"
    said = spoken(kept, monkeypatch, b"GET /an-invite-of-bob HTTP/1.1\r\n\r\n")
    world = World()
    back = world.outer("bob", "tcp", 40000, SUPERNODE)
    world.send(START, "tcp", "bob", 40000, SUPERNODE, b"", flags=0x02)
    world.send(START + 0.01, "tcp", "supernode-1", SUPERNODE[1], back, b"", flags=0x12)
    for number, (there, data) in enumerate(said):
        at = START + 0.02 + number / 100
        if there:
            world.send(at, "tcp", "bob", 40000, SUPERNODE, data)
        else:
            world.send(at, "tcp", "supernode-1", SUPERNODE[1], back, data)
    for log, opened in (("", False), (kept.read_text(), True)):
        target = tmp_path / "call.pcapng"
        write(setting(), {"core": files(world, tmp_path)["core"]}, target, {}, {}, log)
        argv = ["tshark", "-r", str(target), "-d", f"tcp.port=={SUPERNODE[1]},tls", "-V"]
        shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        assert ("an-invite-of-bob" in shown) is opened
