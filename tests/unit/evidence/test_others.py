"""ICMP, fragments and other packets of IP to words, from frames as scapy writes them; what a link says to itself."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_world import IN, OUT, START, frame, write_pcap
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, CookedLinuxV2
from scapy.packet import Raw

from lab.evidence.others import Other, other
from lab.evidence.pcap import Decoder, Direction
from lab.harness.feeding import Feed
from tests.unit.router_packets import TOPOLOGY

BOB, RELAY = "192.168.32.10", "203.0.113.21"
BOB6, RELAY6 = "2001:db8:0:32::10", "2001:db8:0:1::21"
IP4, IP6 = IP(src=RELAY, dst=BOB), IPv6(src=RELAY6, dst=BOB6)
SENT = IP(src=BOB, dst=RELAY) / UDP(sport=40000, dport=33034) / Raw(bytes(100))
SENT6 = IPv6(src=BOB6, dst=RELAY6) / TCP(sport=40000, dport=443)
PING = IP(src=BOB, dst=RELAY) / ICMP()
ENDS = (BOB, 40000), (RELAY, 33034)


def framed(layers: Any, kind: int = IN) -> bytes:
    return bytes(CookedLinuxV2(ifindex=5, pkttype=kind) / layers)


def told(layers: Any, kind: int = IN) -> Other | None:
    data = framed(layers, kind)
    assert Decoder("core").decode(START, data, 0) is None, "the judge has it"
    return other("core", START, data)


@pytest.mark.parametrize(
    ("layers", "what", "about"),
    [
        (IP4 / ICMP(type=8), "ICMP echo request", None),
        (IP4 / ICMP(type=0), "ICMP echo reply", None),
        (IP4 / ICMP(type=3, code=3) / SENT, "ICMP port unreachable", ENDS),
        (IP4 / ICMP(type=3, code=1) / SENT, "ICMP host unreachable", ENDS),
        (IP4 / ICMP(type=3, code=13) / SENT, "ICMP prohibited", ENDS),
        (IP4 / ICMP(type=3, code=4, nexthopmtu=1400) / SENT, "ICMP fragmentation needed", ENDS),
        (IP4 / ICMP(type=3, code=99) / SENT, "ICMP unreachable", ENDS),
        (IP4 / ICMP(type=11) / SENT, "ICMP TTL exceeded", ENDS),
        (IP4 / ICMP(type=3, code=3) / Raw(bytes(SENT)[:28]), "ICMP port unreachable", ENDS),
        (IP4 / ICMP(type=3, code=3) / Raw(bytes(SENT)[:22]), "ICMP port unreachable", ((BOB, None), (RELAY, None))),
        (IP4 / ICMP(type=3, code=3) / Raw(bytes(SENT)[:19]), "ICMP port unreachable", None),
        (IP4 / ICMP(type=3, code=0) / PING, "ICMP network unreachable", ((BOB, None), (RELAY, None))),
        (IP4 / ICMP(type=77), "ICMP type 77", None),
        (IP6 / ICMPv6EchoRequest(), "ICMPv6 echo request", None),
        (IP6 / IPv6ExtHdrHopByHop() / ICMPv6EchoRequest(), "ICMPv6 echo request", None),
        (IP6 / ICMPv6DestUnreach(code=1) / SENT6, "ICMPv6 prohibited", ((BOB6, 40000), (RELAY6, 443))),
        (IP6 / ICMPv6PacketTooBig(mtu=1280) / SENT6, "ICMPv6 packet too big", ((BOB6, 40000), (RELAY6, 443))),
        (IP6 / ICMPv6TimeExceeded() / SENT6, "ICMPv6 hop limit exceeded", ((BOB6, 40000), (RELAY6, 443))),
        (IP(src=RELAY, dst=BOB, frag=185, proto=17) / Raw(bytes(9)), "IP fragment of UDP", None),
        (IP6 / IPv6ExtHdrFragment(offset=185, nh=58) / Raw(bytes(9)), "IP fragment of ICMPv6", None),
        (IP(src=RELAY, dst=BOB, proto=132) / Raw(bytes(20)), "SCTP", None),
        (IP(src=RELAY, dst=BOB, proto=253) / Raw(bytes(20)), "IP protocol 253", None),
        (IP(src=RELAY, dst=BOB, proto=1) / Raw(b"\x08"), "ICMP", None),
        (IP(src=RELAY, dst=BOB, proto=17) / Raw(b"\0"), "UDP, cut short", None),
    ],
)  # fmt: skip
def test_a_packet_of_ip_is_called_by_its_name(layers: Any, what: str, about: object) -> None:
    found = told(layers)
    assert found is not None and (found.what, found.about) == (what, about)
    source, destination = (RELAY6, BOB6) if IPv6 in layers and IP not in layers else (RELAY, BOB)
    assert (found.time, found.place, found.source, found.destination) == (START, "core", source, destination)


def test_it_goes_the_way_that_its_place_says() -> None:
    ways = [told(IP4 / ICMP(), kind) for kind in (0, 3, OUT)]
    assert [way and way.direction for way in ways] == [Direction.IN, Direction.OTHER, Direction.OUT]


@pytest.mark.parametrize(
    "layers",
    [
        IP(src="0.0.0.0", dst="224.0.0.22", proto=2) / Raw(bytes(16)),
        IP4 / ICMP(type=10),
        *(IPv6(src="fe80::1", dst="ff02::1") / one() for one in (ICMPv6ND_NS, ICMPv6ND_NA, ICMPv6ND_RS, ICMPv6ND_RA)),
        IPv6(src="fe80::1", dst="ff02::16") / IPv6ExtHdrHopByHop() / ICMPv6MLReport2(),
        IP(src="127.0.0.1", dst="127.0.0.1") / ICMP(type=3, code=3) / SENT,
    ],
)
def test_what_a_link_or_a_node_says_to_itself_is_left_out(layers: Any) -> None:
    assert told(layers) is None


def test_what_is_not_ip_is_left_out() -> None:
    assert other("core", START, bytes(CookedLinuxV2(proto=0x0806) / ARP())) is None


@given(st.sampled_from([IP4 / ICMP(type=3, code=3) / SENT, IP6 / ICMPv6PacketTooBig() / SENT6]), st.data())
def test_no_bytes_are_too_strange(layers: Any, data: st.DataObject) -> None:
    whole = bytearray(framed(layers))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    other("core", START, bytes(whole[: data.draw(st.integers(0, len(whole)))]))


def test_a_capture_of_icmp_has_rows_and_one_of_everything_has_them_in_their_order(tmp_path: Path) -> None:
    frames = [
        (START, frame("udp", (BOB, 40000), (RELAY, 33034), b"?")),
        (START + 0.01, framed(IP(src="203.0.113.32", dst=RELAY) / ICMP(), OUT)),
        (START + 0.02, framed(IP4 / ICMP(type=3, code=3) / SENT, OUT)),
    ]
    for which in (frames, frames[1:]):
        pieces: list[bytes] = []
        feed = Feed(TOPOLOGY, [TOPOLOGY.node("home-router")], True, [pieces.extend])
        feed.hear("home-router", write_pcap(tmp_path / "a.pcap", which).read_bytes(), 1.0)
        rows = feed.due(9.0, over=True)
        assert [(row.place, row.source, row.destination, row.what, row.fate, row.became) for row in rows[-2:]] == [
            ("home wan", "home wan", "relay-1", "ICMP echo request", "", ""),
            ("home lan", "relay-1", "bob", "ICMP port unreachable", "", "about bob:40000 → relay-1:33034"),
        ]
        assert len(rows) == len(which) == len(pieces) - 1, "and all of them are written"
