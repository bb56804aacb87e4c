"""The keys of a call's TLS connections: asked for by what the captures saw begin, and kept beside them."""

import struct
from pathlib import Path
from typing import Any, cast

import pytest
from lab_calls import files, punched, setting
from packet_world import START, SUPERNODE, World

from lab.errors import ConfigError, NotNow
from lab.evidence import filed, pcapng, whole
from lab.evidence.whole import write
from lab.harness import keys, standing
from lab.runtime.capture import Captured


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
        asked.append((node, fields["randoms"]))
        if node == "frank":
            raise NotNow("frank is stopped")
        return {"keys": "CLIENT_TRAFFIC_SECRET_0 07 aa\n"}

    monkeypatch.setattr(standing, "order", order)
    keys.collect(cast("Any", None), cast("Any", None), ("bob", "frank"), captured, tmp_path)
    assert asked == [(name, ["07" * 32, "08" * 32]) for name in ("bob", "frank")]
    assert (tmp_path / keys.FILE).read_text() == "CLIENT_TRAFFIC_SECRET_0 07 aa\n"


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
