"""One packet at several places: recognised, named, and what each router made of it."""

import pytest

from lab.evidence import Captures
from lab.evidence.journeys import follow
from lab.evidence.passages import Passage, kinds, passages, what
from lab.evidence.pcap import Capture, Packet, Protocol
from lab.evidence.sorts import tell
from tests.unit.router_packets import BOB, FLAT, FRANK, HOME, IN, OUT, TOPOLOGY, out_of_home, seen, stun

RELAY = "203.0.113.21:33034"


def passed(packets: list[Packet]) -> list[Passage]:
    places = {packet.place for packet in packets}
    seen = {place: [packet for packet in packets if packet.place == place] for place in places}
    captures = Captures(Capture(place, found, len(found)) for place, found in seen.items())
    return passages(TOPOLOGY, follow(TOPOLOGY, captures))


def one(packets: list[Packet]) -> Passage:
    (found,) = passed(packets)
    return found


def test_a_check_that_nobody_has_asked_for_ends_at_the_other_router() -> None:
    found = one([*out_of_home(1.0, FLAT), seen(1.02, "flat-router", IN, HOME, FLAT)])
    assert (found.what, found.source, found.destination) == ("STUN check", "bob:40000", "flat wan:50000")
    assert found.ends == ("bob", "flat wan")
    assert [(step.router, step.source) for step in found.steps] == [
        ("home-router", "home wan:40000"),
        ("flat-router", None),
    ]
    assert found.dropped_at == "flat-router" and not found.lost


def test_one_that_is_let_in_arrives_under_the_inner_address() -> None:
    arrives = [seen(1.02, "flat-router", IN, HOME, FLAT), seen(1.0201, "flat-router", OUT, HOME, FRANK)]
    found = one([*out_of_home(1.0, FLAT), *arrives])
    assert found.steps[-1].destination == "frank:50000" and found.dropped_at is None


def test_a_private_address_is_nobody_s_out_there() -> None:
    found = one(out_of_home(1.0, FRANK))
    assert found.lost and found.dropped_at is None


def test_what_a_relay_passes_on_is_the_same_packet() -> None:
    legs = [
        seen(1.01, "relay-1", IN, HOME, RELAY),
        seen(1.0101, "relay-1", OUT, RELAY, FLAT),
        seen(1.03, "flat-router", IN, RELAY, FLAT),
        seen(1.0301, "flat-router", OUT, RELAY, FRANK),
    ]
    found = one([*out_of_home(1.0, RELAY), *legs])
    assert [(step.source, step.destination) for step in found.steps] == [
        ("home wan:40000", "relay-1:33034"),
        ("relay-1:33034", "frank:50000"),
    ]


def test_the_same_bytes_a_second_later_are_another_packet() -> None:
    assert len(passed([*out_of_home(1.0, FLAT), *out_of_home(2.0, FLAT)])) == 2


def test_packets_that_are_alike_are_one_kind_and_counted() -> None:
    packets = [packet for n in range(5) for packet in out_of_home(1 + n, FLAT, stun(transaction=bytes([n]) * 12))]
    packets += [seen(9.0, "home-router", IN, BOB, "203.0.113.11:3478", stun(attributes=bytes(8)))]
    found = kinds(passed(packets), lambda passage: passage.what == "STUN check")
    assert [(kind.number, kind.first.at) for kind in found] == [(5, 1.0)]


@pytest.mark.parametrize(
    ("payload", "protocol", "flags", "name"),
    [
        (stun(1, attributes=bytes(8)), "udp", 0, "STUN question"),
        (stun(1), "udp", 0, "STUN check"),
        (stun(0x0101), "udp", 0, "STUN answer"),
        (stun(0x0111), "udp", 0, "STUN refusal"),
        (stun(0x02E0), "udp", 0, "request for a leg"),
        (stun(0x03E0), "udp", 0, "leg granted"),
        (b"\x80\x6f" + bytes(60), "udp", 0, "voice"),
        (b"\x80\xc8" + bytes(20), "udp", 0, "report of voice"),
        (b"?", "udp", 0, "UDP"),
        (b"", "tcp", 0x02, "TCP SYN"),
        (b"", "tcp", 0x12, "TCP SYN, ACK"),
        (b"", "tcp", 0x04, "TCP RST"),
        (b"", "tcp", 0x11, "TCP FIN"),
        (b"\x16\x03\x01\x00\xc8\x01", "tcp", 0x18, "TLS handshake"),
        (b"\x16\x03", "tcp", 0x18, "TCP data"),
    ],
)
def test_what_a_packet_is(payload: bytes, protocol: Protocol, flags: int, name: str) -> None:
    told = tell(seen(1.0, "core", IN, HOME, FLAT, payload, protocol, flags))
    assert told is not None and what(told, protocol) == name


def test_an_acknowledgement_alone_says_nothing() -> None:
    assert passed([seen(1.0, "core", IN, HOME, FLAT, b"", "tcp", 0x10)]) == []
