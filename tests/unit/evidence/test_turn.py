"""What a TURN server forwards: RFC 8656's indications, whose content alone is media, in a file and at two sites."""

import struct
from ipaddress import ip_address
from pathlib import Path

import pytest
from lab_calls import files
from packet_world import IN, START, TOPOLOGY, World, frame, write_pcap

from lab.evidence import Captures, Endpoint, Packet
from lab.evidence.filed import verdict
from lab.evidence.live import between
from lab.evidence.media import voice_like
from lab.evidence.pcap import Direction
from lab.evidence.turn import forwarded
from lab.evidence.unclaimed import NO_VOICE

pytestmark = pytest.mark.slow


SERVER, ALLOCATED = ("198.51.100.100", 3478), ("198.51.100.100", 49152)
PEER = struct.pack("!HHBBHI", 0x0012, 8, 0, 1, 0x1234, 0x01020304)
FINGERPRINT = struct.pack("!HHI", 0x8028, 4, 7)
VOICE = b"\x80\x6f" + bytes(range(60))


def data(content: bytes) -> bytes:
    return struct.pack("!HH", 0x0013, len(content)) + content + bytes(-len(content) % 4)


def indication(*attributes: bytes, kind: int = 0x0016, cookie: int = 0x2112A442) -> bytes:
    said = b"".join(attributes)
    return struct.pack("!HHI", kind, len(said), cookie) + bytes(12) + said


def packet(payload: bytes, protocol: str = "udp", length: int | None = None) -> Packet:
    ends = Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2)
    size = len(payload) if length is None else length
    return Packet(START, "core", 1, Direction.IN, protocol, *ends, size, payload, 0, 0, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "payload",
    [
        indication(PEER, data(VOICE)),
        indication(PEER, data(VOICE), kind=0x0017),
        indication(data(VOICE), PEER),
        indication(PEER, data(VOICE), data(b"a second one"), FINGERPRINT),
    ],
)
def test_the_content_of_an_indication_is_the_packet(payload: bytes) -> None:
    found = forwarded(packet(payload))
    assert (found.payload, found.length) == (VOICE, len(VOICE)) and voice_like(found)
    assert found._replace(payload=b"", length=0) == packet(payload)._replace(payload=b"", length=0)


def test_where_the_capture_cut_it_the_size_is_that_on_the_wire() -> None:
    whole = indication(PEER, data(VOICE))
    found = forwarded(packet(whole[:60], length=len(whole)))
    assert (found.payload, found.length) == (VOICE[:24], len(VOICE))


def test_a_check_that_is_forwarded_is_no_voice() -> None:
    assert not voice_like(forwarded(packet(indication(PEER, data(indication(PEER, kind=0x0001))))))


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ("without a peer, to be discarded", packet(indication(data(VOICE)))),
        ("without content, as one that brings an ICMP error", packet(indication(PEER))),
        ("longer inside than outside", packet(indication(PEER, struct.pack("!HH", 0x0013, 200) + VOICE[:60]))),
        ("a request", packet(indication(PEER, data(VOICE), kind=0x0003))),
        ("of no STUN", packet(indication(PEER, data(VOICE), cookie=5))),
        ("of TCP, where it need not be one segment", packet(indication(PEER, data(VOICE)), "tcp")),
        ("voice", packet(VOICE)),
        ("cut before it", packet(indication(PEER, data(VOICE))[:34])),
        ("nothing", packet(b"")),
    ],
)
def test_anything_else_is_left_as_it_is(what: str, left: Packet) -> None:
    assert forwarded(left) is left, what


def turned(world: World, *, size: int = 0, both: bool = False) -> None:
    """Voice between bob, who has an allocation at a server, and carol, who writes to that, or has one as well."""
    legs = (("bob", 4000, SERVER), ("carol", 5000, (ALLOCATED[0], 3479) if both else ALLOCATED))
    outers = [world.outer(name, "udp", port, at) for name, port, at in legs]

    def dressed(side: int, content: bytes, kind: int) -> bytes:
        return content if side and not both else indication(PEER, data(content), FINGERPRINT, kind=kind)

    for number in range(125):
        time = START + 0.1 + number / 50
        for side, (name, port, at) in enumerate(legs):
            said = world.voice(number)[: size or None]
            world.send(time, "udp", name, port, at, dressed(side, said, 0x0016))
            there, out = legs[1 - side][2], dressed(1 - side, said, 0x0017)
            world.see("core", time + 0.03, frame("udp", there, outers[1 - side], out, IN))
            world._deliver("udp", outers[1 - side], time + 0.03, there, out, 0, 0, None)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(("size", "note"), [(0, None), (20, NO_VOICE)])
def test_between_two_sites_it_is_relayed_by_the_server(tmp_path: Path, both: bool, size: int, note: str | None) -> None:
    world = World()
    turned(world, size=size, both=both)
    found = between(TOPOLOGY, Captures.read(files(world, tmp_path)), ("home", "office"), START, START + 3)
    seen = found.observed
    assert (seen.kind, seen.transport, seen.via) == ("relayed", "udp", SERVER[0]), seen.reason
    assert (seen.packets, found.note) == (500, note)


def test_in_a_file_too(tmp_path: Path) -> None:
    world = World()
    turned(world)
    file = write_pcap(tmp_path / "core.pcap", world.frames["core"])
    ends = (ip_address("203.0.113.32"), ip_address("203.0.113.34"), ip_address(SERVER[0]))
    seen = verdict(file, ends).observed
    assert (seen.kind, seen.transport, seen.via, seen.packets) == ("relayed", "udp", "relay", 500), seen.reason
