"""Packets as they come, of many places, to rows: their order, a router's two sides, what was dropped by what."""

import random
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Interface
from math import inf
from pathlib import Path
from typing import Any

import pytest

from lab.evidence.others import End, Other
from lab.evidence.pcap import Direction, Endpoint, Packet, Protocol
from lab.harness.blocking import Remembered
from lab.harness.passing import MOMENT, PATIENCE, QUIET, SETTLE, Passing, Row, all_marks, all_rows
from lab.topology import parse
from lab.topology.model import Attachment, Topology
from tests.unit.router_packets import BOB, FLAT, FRANK, HOME, IN, OUT, TOPOLOGY, out_of_home, seen, stun

ZOO = parse(Path(__file__).parents[3] / "compose" / "zoo.yml", {})
FAMILIES = parse(Path(__file__).parents[3] / "compose" / "families.yml", {})
BELLA = "192.168.32.77/24"
DAVE, ERIN = "192.168.35.10:7000", "192.168.36.10:7000"
SUPERNODE, RELAY = "203.0.113.11:33033", "203.0.113.21:33034"


def endpoint(text: str) -> Endpoint:
    host, _, port = text.rpartition(":")
    return Endpoint(host, int(port))


def voice(number: int) -> bytes:
    return b"\x80\x6f" + number.to_bytes(2, "big") + bytes(8) + random.Random(number).randbytes(80)


def with_site(site: str, **changes: str) -> Topology:
    nodes = tuple(replace(node, **changes) if node.site == site else node for node in TOPOLOGY.nodes)  # type: ignore[arg-type]
    return replace(TOPOLOGY, nodes=nodes)


def rows(packets: Sequence[Packet], topology: Topology = TOPOLOGY) -> list[Row]:
    return all_rows(topology, packets)


def one(packets: Sequence[Packet], topology: Topology = TOPOLOGY) -> Row:
    (found,) = rows(packets, topology)
    return found


def test_both_sides_of_a_router_are_one_row_that_says_what_was_translated() -> None:
    at_home, at_core = rows(out_of_home(1.0, FLAT))
    assert (at_home.place, at_home.source, at_home.destination) == ("home lan", "bob:40000", "flat wan:50000")
    assert (at_home.what, at_home.fate, at_home.became) == ("STUN check", "translated", "as home wan:40000")
    assert at_home.brief == "as :40000"
    assert (at_core.place, at_core.source, at_core.became) == ("core", "home wan:40000", "")


def test_what_is_marked_needs_no_more_packets_at_once_than_wait_for_their_turn() -> None:
    def passing_by() -> Iterator[Packet]:
        for number in range(2_000):
            at, payload = 1 + number * 0.02, voice(number)
            there = FLAT if number < 1_000 else RELAY
            for packet in out_of_home(at, there, payload):
                yield packet._replace(time=packet.time - 0.1 * (packet.place == "core"))

    at_once = Passing(TOPOLOGY)
    for packet in passing_by():
        at_once.hear(packet, packet.time)
    at_once.due(0.0, over=True)
    tracemalloc.start()
    try:
        found = all_marks(TOPOLOGY, passing_by())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == at_once.marked and [event for _, event in found] == ["first voice of bob", "path moved of bob"]
    assert most < 500_000


def test_what_comes_from_outside_is_handed_to_somebody() -> None:
    row = one([seen(1, "home-router", IN, FLAT, HOME), seen(1.0001, "home-router", OUT, FLAT, BOB)])
    assert (row.place, row.became) == ("home wan", "to bob:40000")


@pytest.mark.parametrize(("after", "became"), [(0.4, "to mobile-1-pc:40000"), (3.0, "dropped")])
def test_at_a_carrier_s_line_a_packet_may_be_held_back_for_as_long_as_the_line_takes(after: float, became: str) -> None:
    there, own, inside = "203.0.113.31:5000", "100.64.63.11:40000", "192.168.67.10:40000"
    came = seen(1, "mobile-1-router", IN, there, own)
    row = rows([came, seen(1 + after, "mobile-1-router", OUT, there, inside)], ZOO)[0]
    assert row.became.startswith(became)


def test_where_a_line_loses_packets_whoever_came_no_further_may_have_been_lost_there() -> None:
    out = [
        seen(1, "mobile-1-router", IN, "192.168.67.10:40000", RELAY),
        seen(1.0001, "mobile-1-router", OUT, "100.64.63.11:40000", RELAY),
    ]
    came = seen(2, "mobile-1-router", IN, SUPERNODE, "100.64.63.11:40000")
    passing = Passing(ZOO, frozenset({("mobile-1-router", "100.64.63.11")}))
    for packet in [*out, came]:
        passing.hear(packet, packet.time)
    row = passing.due(0.0, over=True)[-1]
    assert (row.fate, row.became) == ("dropped", "lost on the line, or dropped: not asked for")
    assert row.brief == "✗ lost, or not asked for"
    assert rows([*out, came], ZOO)[-1].became == "dropped: not asked for", "on a line that loses nothing"


def test_what_a_subscriber_sent_may_be_lost_at_its_carrier_and_its_neighbour_s_was_not() -> None:
    passing = Passing(ZOO, frozenset({("carrier-1-router", "100.64.63.11")}))
    for subscriber in ("100.64.63.11:40000", "100.64.63.12:40000"):
        passing.hear(seen(1, "carrier-1-router", IN, subscriber, RELAY), 1)
    assert [row.became for row in passing.due(0.0, over=True)] == ["lost on the line", "dropped"]


def test_a_router_that_translates_nothing_passes_on() -> None:
    alice = "198.51.100.18:4000"
    row = one([seen(1, "park-router", IN, alice, FLAT), seen(1.0001, "park-router", OUT, alice, FLAT)])
    assert (row.fate, row.became) == ("passed", "passed on")


def test_what_a_router_turns_back_has_both_addresses_changed() -> None:
    other = "192.168.32.11:41000"
    row = one([seen(1, "home-router", IN, BOB, HOME), seen(1.0001, "home-router", OUT, "203.0.113.32:1", other)])
    assert row.became == "as home wan:1 to 192.168.32.11:41000"


CONSTANT = bytes(100)
"""What a program says that says the same again and again, both ways."""


def through_home(at: float, to: str = FLAT) -> list[Packet]:
    return out_of_home(at, to, CONSTANT)[:2]


def test_what_was_dropped_is_not_taken_for_an_equal_packet_that_leaves_the_other_way() -> None:
    dropped = [seen(1 + n / 50, "home-router", IN, "203.0.113.33:9", HOME, CONSTANT) for n in range(5)]
    left = [packet for n in range(5) for packet in through_home(1.005 + n / 50)]
    found = [(row.source, row.became) for row in rows([*dropped, *left])]
    assert found[:2] == [("flat wan:9", "dropped: no mapping"), ("bob:40000", "as home wan:40000")]
    assert [fate for _, fate in found[2::2]] == ["dropped: not asked for"] * 4
    assert found[1::2] == [("bob:40000", "as home wan:40000")] * 5


def test_what_was_not_let_out_is_not_taken_for_an_equal_packet_that_is_handed_in() -> None:
    blocked = seen(1, "home-router", IN, BOB, FLAT, CONSTANT)
    came = [seen(1.02, "home-router", IN, FLAT, HOME, CONSTANT), seen(1.0201, "home-router", OUT, FLAT, BOB, CONSTANT)]
    assert [row.became for row in rows([blocked, *came])] == ["dropped", "to bob:40000"]


def test_equal_packets_for_two_are_told_apart_by_whom_they_are_for() -> None:
    blocked = seen(1, "home-router", IN, BOB, RELAY, CONSTANT)
    assert [row.became for row in rows([blocked, *through_home(1.001)])] == ["dropped", "as home wan:40000"]


def test_what_was_dropped_is_not_taken_for_the_next_one_that_is_equal() -> None:
    blocked = seen(1, "home-router", IN, BOB, FLAT, CONSTANT)
    later = [packet for n in range(1, 5) for packet in through_home(1 + n / 50)]
    assert [row.became for row in rows([blocked, *later])] == ["dropped", *["as home wan:40000"] * 4]


def test_of_equal_packets_from_one_the_one_that_a_rule_explains_was_dropped() -> None:
    strange = seen(1.001, "home-router", IN, FLAT, HOME.replace("40000", "9"), CONSTANT)
    came = [seen(1.002, "home-router", IN, FLAT, HOME, CONSTANT), seen(1.0021, "home-router", OUT, FLAT, BOB, CONSTANT)]
    found = [row.became for row in rows([*through_home(1), strange, *came])]
    assert found == ["as home wan:40000", "dropped: no mapping", "to bob:40000"]


def test_of_equal_packets_that_a_router_has_at_once_the_first_leaves_first() -> None:
    one, two = through_home(1), through_home(1.00005)
    row, other = rows([*one, *two])
    assert (row.at, row.became, other.at, other.became) == (1, "as home wan:40000", 1.00005, "as home wan:40000")
    assert rows([*one, two[0]])[1].became == "dropped"


def test_what_a_line_holds_back_leaves_in_its_order() -> None:
    there, own, inside = "203.0.113.31:5000", "100.64.63.11:40000", "192.168.67.10:40000"
    came = [seen(1 + n / 50, "mobile-1-router", IN, there, own, CONSTANT) for n in range(3)]
    left = [seen(1.05 + n / 50, "mobile-1-router", OUT, there, inside, CONSTANT) for n in range(2)]
    assert [row.fate for row in rows([*came, *left], ZOO)] == ["translated", "translated", "dropped"]


def test_an_acknowledgement_is_turned_back_as_well() -> None:
    ack: dict[str, Any] = {"payload": b"", "protocol": "tcp", "flags": 0x10}
    came = seen(1, "home-router", IN, BOB, HOME, **ack)
    row = one([came, seen(1.0001, "home-router", OUT, "203.0.113.32:1", "192.168.32.11:41000", **ack)])
    assert row.became == "as home wan:1 to 192.168.32.11:41000"


def test_npt_v6_keeps_the_address_outside_and_changes_the_one_inside() -> None:
    lan = FAMILIES.lan_of("nptv6").subnet6
    assert lan is not None
    inner, outer, there = f"{lan[10]}:7000", "2001:db8:0:39::a:7000", "2001:db8:0:1::21:33034"
    out = [
        seen(1, "nptv6-router", IN, inner, there, CONSTANT),
        seen(1.0001, "nptv6-router", OUT, outer, there, CONSTANT),
    ]
    back = [
        seen(2, "nptv6-router", IN, there, outer, CONSTANT),
        seen(2.0001, "nptv6-router", OUT, there, inner, CONSTANT),
    ]
    assert [row.fate for row in rows([*out, *back], FAMILIES)] == ["translated", "translated"]


def test_what_no_mapping_is_for_is_dropped_by_that_name() -> None:
    row = one([seen(1_700_000_000, "flat-router", IN, HOME, FLAT)])
    assert (row.place, row.fate, row.became, row.brief) == (
        "flat wan",
        "dropped",
        "dropped: no mapping",
        "✗ no mapping",
    )


def test_a_mapping_that_was_seen_to_be_made_for_somebody_else_is_told_from_none() -> None:
    out = [seen(1, "flat-router", IN, FRANK, RELAY), seen(1.0001, "flat-router", OUT, FLAT, RELAY)]
    assert rows([*out, seen(1.1, "flat-router", IN, HOME, FLAT)])[-1].became == "dropped: not asked for"
    assert rows([*out, seen(122, "flat-router", IN, HOME, FLAT)])[-1].became == "dropped: no mapping"  # it has expired


NOW = 1_700_000_000.0


def rows_after(remembered: Remembered | None, *packets: Packet) -> list[str]:
    passing = Passing(TOPOLOGY)
    passing.know(TOPOLOGY, remembered={"flat-router": remembered} if remembered else None)
    for packet in packets:
        passing.hear(packet, packet.time)
    return [row.became for row in passing.due(0.0, over=True)]


@pytest.mark.parametrize(
    ("mappings", "became"),
    [
        ([], "dropped: no mapping"),
        ([("udp", endpoint(FLAT), endpoint(RELAY), 40.0)], "dropped: not asked for"),
        ([("udp", endpoint(FLAT), None, inf)], "dropped: not asked for"),
        ([("udp", endpoint(FLAT), endpoint(HOME), 40.0)], "dropped"),
        ([("udp", endpoint(FLAT), endpoint(HOME), 5.0)], "dropped: no mapping"),
        ([("tcp", endpoint(FLAT), endpoint(HOME), 40.0)], "dropped: no mapping"),
    ],
)
def test_a_mapping_that_is_older_than_the_capture_is_one(mappings: Any, became: str) -> None:
    came = seen(NOW + 9, "flat-router", IN, HOME, FLAT)
    assert rows_after(Remembered(NOW, tuple(mappings)), came) == [became]


def test_where_a_router_does_not_tell_its_mappings_no_reason_is_named_until_none_can_be_as_old() -> None:
    out = [seen(NOW + 1, "flat-router", IN, FRANK, RELAY), seen(NOW + 1.0001, "flat-router", OUT, FLAT, RELAY)]
    came = [seen(NOW + at, "flat-router", IN, HOME, FLAT) for at in (0.5, 2, 120.5, 122)]
    told = rows_after(Remembered(NOW, whole=False), *out, *came)
    assert [one for one in told if one.startswith("dropped")] == [
        "dropped",
        "dropped",
        "dropped: not asked for",
        "dropped: no mapping",
    ]


def test_what_was_seen_outlives_a_change_of_the_world_unless_the_router_says_what_it_has_now() -> None:
    out = [seen(NOW, "flat-router", IN, FRANK, RELAY), seen(NOW + 0.0001, "flat-router", OUT, FLAT, RELAY)]
    for told, became in (
        (None, "dropped: not asked for"),
        (Remembered(NOW + 1), "dropped: no mapping"),
        (Remembered(NOW - 1), "dropped: not asked for"),  # it was made after the router was asked
        (Remembered(NOW + 1, whole=False), "dropped"),
    ):
        passing = Passing(TOPOLOGY)
        for packet in out:
            passing.hear(packet, packet.time)
        passing.due(NOW + 9)
        passing.know(TOPOLOGY, remembered={"flat-router": told} if told else None)
        passing.hear(seen(NOW + 5, "flat-router", IN, HOME, FLAT), NOW + 9)
        assert [row.became for row in passing.due(0.0, over=True)][-1] == became


@pytest.mark.parametrize(
    ("profile", "to", "after", "became"),
    [
        ("linux", HOME, 1.0, "dropped"),
        ("linux", HOME.replace("40000", "1"), 1.0, "dropped: not asked for"),
        ("restricted-cone", HOME.replace("40000", "1"), 1.0, "dropped"),
        ("restricted-cone", RELAY, 1.0, "dropped: not asked for"),
        ("linux", HOME, 121.0, "dropped: not asked for"),  # the hole has closed, the mapping lives
    ],
)
def test_what_was_asked_for_was_not_dropped_for_that(profile: str, to: str, after: float, became: str) -> None:
    out = [seen(1, "flat-router", IN, FRANK, HOME), seen(1.0001, "flat-router", OUT, FLAT, HOME)]
    other = seen(119, "flat-router", IN, FRANK, DAVE), seen(119.0001, "flat-router", OUT, FLAT, DAVE)
    later = [*(other if after > 100 else ()), seen(1 + after, "flat-router", IN, to, FLAT)]
    assert rows([*out, *later], with_site("flat", profile=profile))[-1].became == became


def test_what_came_before_its_receiver_asked_for_it_fell_to_that() -> None:
    came = seen(1, "flat-router", IN, HOME, FLAT)
    own = stun(1, b"f" * 12)
    out = [seen(1.01, "flat-router", IN, FRANK, HOME, own), seen(1.0101, "flat-router", OUT, FLAT, HOME, own)]
    assert [row.became for row in rows([came, *out])] == ["dropped: no mapping", "as flat wan:50000"]


def test_what_a_carrier_s_line_lost_is_lost_and_not_the_router_s_drop() -> None:
    there, own, inside = "203.0.113.31:5000", "100.64.63.11:40000", "192.168.67.10:40000"
    own_address = own.partition(":")[0]
    line = [seen(1, "mobile-1-router", IN, inside, there), seen(1.01, "mobile-1-router", OUT, own, there)]
    down, strange = seen(2, "mobile-1-router", IN, there, own), seen(3, "mobile-1-router", IN, "203.0.113.9:9", own)
    up = seen(4, "carrier-1-router", IN, own, there)
    passing = Passing(ZOO, frozenset({("mobile-1-router", own_address), ("carrier-1-router", own_address)}))
    for packet in (*line, down, strange, up):
        passing.hear(packet, packet.time)
    lost = [(row.place, row.fate, row.became) for row in passing.due(0.0, over=True)][1:]
    assert lost == [
        ("mobile-1 wan", "lost", "lost on the line"),
        ("mobile-1 wan", "dropped", "lost on the line, or dropped: not asked for"),
        ("carrier-1 lan", "lost", "lost on the line"),
    ]
    assert passing.dropped == {"mobile-1-router": 1}


@pytest.mark.parametrize(
    ("place", "sender", "to", "protocol", "flags", "payload", "why"),
    [
        ("hotel-router", DAVE, FLAT, "udp", 0, stun(), "firewall udp-blocked"),
        ("bank-router", ERIN, RELAY, "tcp", 2, b"", "firewall tcp-443"),
        ("bank-router", ERIN, RELAY, "udp", 0, stun(), "firewall tcp-443"),
    ],
)
def test_what_a_firewall_lets_nobody_send_names_it(
    place: str, sender: str, to: str, protocol: Protocol, flags: int, payload: bytes, why: str
) -> None:
    assert one([seen(1, place, IN, sender, to, payload, protocol, flags)]).became == f"dropped: {why}"


def test_rules_are_told_by_what_stands_now_and_not_by_a_profiles_name() -> None:
    proxied, tls = with_site("home", firewall="proxy-only"), with_site("home", firewall="tls-only")
    syn = seen(1, "home-router", IN, BOB, "203.0.113.33:443", b"", "tcp", 2)
    plain = seen(1, "home-router", IN, BOB, "203.0.113.33:443", b"GET /", "tcp", 24)
    assert one([syn], proxied).became == "dropped: firewall proxy-only"
    assert one([plain], tls).became == "dropped: firewall tls-only: no TLS"
    throttled = with_site("home", firewall="udp-throttled")
    assert one([seen(1, "home-router", IN, BOB, FLAT, voice(1))], throttled).became == "dropped: firewall udp-throttled"
    blocked, alice = with_site("park", firewall="inbound-blocked"), "198.51.100.18:4000"
    assert one([seen(1, "park-router", IN, HOME, alice)], blocked).became == "dropped: firewall inbound-blocked"


def test_a_drop_that_no_rule_explains_is_dropped_and_no_more() -> None:
    assert one([seen(1, "home-router", IN, BOB, FLAT)]).became == "dropped"


def test_out_there_nobody_has_a_private_address() -> None:
    row = one([seen(1, "core", IN, HOME, FRANK)])
    assert (row.fate, row.brief) == ("lost", "✗ nobody's address")


def test_what_is_for_the_router_or_from_it_was_not_dropped() -> None:
    ask = seen(1, "home-router", IN, BOB, "192.168.32.1:5351", b"\x02\x01" + bytes(22))
    told = seen(1.001, "home-router", OUT, "192.168.32.1:5351", BOB, b"\x02\x81" + bytes(22))
    everybody = seen(1.002, "home-router", IN, BOB, "239.255.255.250:1900", b"M-SEARCH *")
    assert [row.became for row in rows([ask, told, everybody])] == [
        "for the router itself",
        "the router's own",
        "for the router itself",
    ]


@pytest.mark.parametrize(
    ("packet", "what"),
    [
        (seen(1, "core", IN, HOME, FLAT, stun(0x101)), "STUN answer"),
        (seen(1, "core", IN, HOME, "203.0.113.11:3478"), "STUN question"),
        (seen(1, "core", IN, HOME, FLAT, stun(attributes=b"")), "STUN question"),
        (seen(1, "core", IN, HOME, FLAT, stun(1, b"b" * 12, b"\0\x25\0\0")), "STUN nominates"),
        (seen(1, "core", IN, HOME, RELAY, stun(0x2E0)), "relay bind"),
        (seen(1, "core", IN, HOME, FLAT, voice(4711)), "RTP 4711"),
        (seen(1, "core", IN, HOME, FLAT, b"\x80\xc8" + bytes(26)), "RTCP"),
        (seen(1, "core", IN, HOME, SUPERNODE, b"\x17\x03\x03\0\x05hello", "tcp", 24), "signalling"),
        (seen(1, "core", IN, HOME, FLAT, b"\x17\x03\x03\0\x05hello", "tcp", 24), "TLS"),
        (seen(1, "core", IN, HOME, FLAT, b"", "tcp", 2), "TCP SYN"),
        (seen(1, "core", IN, HOME, FLAT, b"", "tcp", 0x12), "TCP SYN ACK"),
        (seen(1, "core", IN, HOME, FLAT, b"", "tcp", 0x10), "TCP ACK"),
        (seen(1, "core", IN, HOME, FLAT, b"", "tcp", 0x14), "TCP RST"),
        (seen(1, "core", IN, HOME, FLAT, b"?"), "UDP"),
    ],
)
def test_a_packet_is_what_its_first_bytes_say(packet: Packet, what: str) -> None:
    assert one([packet]).what == what


# --- order, and the clock


def test_places_that_are_slow_to_tell_come_in_their_order() -> None:
    passing, (came, left, crossed) = Passing(TOPOLOGY), out_of_home(1.0, FLAT)
    passing.hear(crossed, 10.0)
    assert passing.due(10.0 + SETTLE / 2) == []
    for packet in (left, came):
        passing.hear(packet, 10.0 + SETTLE / 2)
    assert [row.place for row in passing.due(10.0 + 2 * SETTLE)] == ["home lan", "core"]


def test_a_place_that_is_slower_than_expected_is_waited_for_from_then_on() -> None:
    passing, found = Passing(TOPOLOGY), list[Row]()
    sent = [(1 + n / 10, out_of_home(1 + n / 10, FLAT, voice(n))) for n in range(60)]
    arrivals = [(at, packet) for at, (*home, _) in sent for packet in home] + [
        (at + 0.6, core) for at, (*_, core) in sent
    ]
    for arrives, packet in sorted(arrivals, key=lambda one: one[0]):
        passing.hear(packet, arrives)
        found += passing.due(arrives)
    later = [row.at for row in found if row.at > 3]
    assert later == sorted(later) and len(later) > 60


def test_no_order_of_arrival_changes_what_is_shown() -> None:
    packets = [packet for n in range(40) for packet in out_of_home(1 + n / 50, FLAT, voice(n))]
    expected = rows(packets)
    for seed in range(20):
        chance, passing, found = random.Random(seed), Passing(TOPOLOGY), []
        late = sorted((packet.time + chance.random() * SETTLE * 0.9, n) for n, packet in enumerate(packets))
        for arrives, number in late:
            passing.hear(packets[number], arrives)
            found += passing.due(arrives)
        assert found + passing.due(100, over=True) == expected


def test_a_packet_counts_as_dropped_once_its_router_has_gone_on() -> None:
    passing = Passing(TOPOLOGY)
    passing.hear(seen(1, "flat-router", IN, HOME, FLAT), 10)
    passing.hear(seen(1.1 + MOMENT, "flat-router", IN, FRANK, RELAY, stun(0x2E0)), 10)
    (row,) = passing.due(10 + SETTLE)
    assert row.fate == "dropped" and SETTLE < PATIENCE


def test_what_is_asked_for_a_moment_later_was_not_asked_for_when_it_was_dropped() -> None:
    before = [seen(1, "flat-router", IN, FRANK, RELAY), seen(1.0001, "flat-router", OUT, FLAT, RELAY)]
    check = stun(1, b"b" * 12)
    after = [seen(1.15, "flat-router", IN, FRANK, HOME, check), seen(1.1501, "flat-router", OUT, FLAT, HOME, check)]
    row = rows([*before, seen(1.1, "flat-router", IN, HOME, FLAT), *after])[1]
    assert row.became == "dropped: not asked for"


def test_a_packet_of_a_silent_router_counts_as_dropped_after_a_while() -> None:
    passing = Passing(TOPOLOGY)
    passing.hear(seen(1, "flat-router", IN, HOME, FLAT), 10)
    assert passing.due(10 + PATIENCE - 0.01) == []
    assert [row.fate for row in passing.due(10 + PATIENCE + 0.01)] == ["dropped"]


def test_what_leaves_much_later_is_another_packet() -> None:
    first, second = rows([seen(1, "flat-router", IN, HOME, FLAT), seen(3, "flat-router", OUT, HOME, FRANK)])
    assert (first.fate, second.fate) == ("dropped", "own")


def test_equal_acknowledgements_of_two_connections_are_not_one() -> None:
    ack = {"payload": b"", "protocol": "tcp", "flags": 0x10}
    bobs = [seen(1, "home-router", IN, BOB, SUPERNODE, **ack), seen(1.002, "home-router", OUT, HOME, SUPERNODE, **ack)]  # type: ignore[arg-type]
    others = [seen(1.001, "home-router", IN, FLAT, HOME, **ack), seen(1.003, "home-router", OUT, FLAT, BOB, **ack)]  # type: ignore[arg-type]
    assert [row.became for row in rows([*bobs, *others])] == ["as home wan:40000", "to bob:40000"]


def test_markers_and_packets_of_others_are_left_out() -> None:
    marker = seen(1, "core", IN, "127.0.0.1:1", "127.0.0.1:9", b"lab-marker-")
    assert rows([marker, seen(1, "home-router", Direction.OTHER, BOB, FLAT)]) == []


def test_a_note_stands_where_it_happened() -> None:
    passing = Passing(TOPOLOGY)
    for packet in out_of_home(1, FLAT):
        passing.hear(packet, 10)
    passing.note(0.5, "bob: dialled", 10.0, "bob: dialled")
    passing.note(2.0, "flat-router was restarted", 10.0)
    assert [row.what for row in passing.due(11)] == [
        "bob: dialled",
        "STUN check",
        "STUN check",
        "flat-router was restarted",
    ]


def test_the_world_may_change_meanwhile() -> None:
    passing = Passing(TOPOLOGY)
    passing.know(with_site("home", firewall="udp-blocked"))
    passing.hear(seen(1, "home-router", IN, BOB, FLAT), 1)
    assert passing.due(9)[0].became == "dropped: firewall udp-blocked"


def test_nothing_is_remembered_of_what_was_told() -> None:
    passing = Passing(TOPOLOGY)
    for number in range(500):
        for packet in [*out_of_home(number, FLAT, voice(number)), seen(number, "flat-router", IN, HOME, FLAT)]:
            passing.hear(packet, number)
        passing.due(number)
    passing.due(1000)
    assert not passing._waiting and not passing._line and not passing._heap


# --- what is neither UDP nor TCP


def icmp(
    at: float, source: str, destination: str, about: tuple[End, End] | None = None, direction: Direction = IN
) -> Other:
    return Other(at, "home-router", direction, source, destination, "ICMP port unreachable", about)


def test_what_is_neither_udp_nor_tcp_is_a_row_at_its_place_with_names_and_no_fate() -> None:
    passing = Passing(TOPOLOGY)
    for packet in (icmp(1, "203.0.113.21", "203.0.113.32"), icmp(2, "203.0.113.21", "192.168.32.10", None, OUT)):
        passing.hear(packet, 1)
    assert passing.due(9) == [
        Row(1, "home wan", "relay-1", "home wan", "ICMP port unreachable"),
        Row(2, "home lan", "relay-1", "bob", "ICMP port unreachable"),
    ]
    assert not passing.dropped and not passing.marked


@pytest.mark.parametrize(
    ("source", "about", "became", "brief"),
    [
        ("203.0.113.21", (("192.168.32.10", 40000), ("203.0.113.21", 33034)), "bob:40000 → relay-1:33034",
         ":40000 → :33034"),
        ("203.0.113.1", (("192.168.32.10", 40000), ("203.0.113.21", 33034)), "bob:40000 → relay-1:33034",
         ":40000 → relay-1:33034"),
        ("203.0.113.21", (("192.168.32.10", None), ("203.0.113.21", None)), "bob → relay-1", "bob → relay-1"),
        ("203.0.113.21", (("10.9.9.9", 1), ("2001:db8::9", 2)), "10.9.9.9:1 → [2001:db8::9]:2",
         "10.9.9.9:1 → [2001:db8::9]:2"),
    ],
)  # fmt: skip
def test_an_error_says_which_packet_it_is_about(source: str, about: tuple[End, End], became: str, brief: str) -> None:
    passing = Passing(TOPOLOGY)
    passing.hear(icmp(1, source, "192.168.32.10", about, OUT), 1)
    (row,) = passing.due(9)
    assert (row.fate, row.became, row.brief) == ("", f"about {became}", brief)


def test_others_stand_among_packets_in_the_order_of_time() -> None:
    passing = Passing(TOPOLOGY)
    passing.hear(icmp(1.05, "203.0.113.21", "203.0.113.32"), 10)
    waits = seen(1, "home-router", IN, BOB, FLAT)
    for packet in (waits, seen(1.1, "core", IN, HOME, FLAT)):
        passing.hear(packet, 10)
    assert passing.due(10 + SETTLE) == [] and passing.pending == 1, "bob's may still leave"
    assert [row.at for row in passing.due(10 + PATIENCE)] == [1, 1.05, 1.1]


def test_what_another_node_is_sent_and_a_node_says_to_itself_is_left_out() -> None:
    passing = Passing(TOPOLOGY)
    passing.hear(icmp(1, "203.0.113.21", "203.0.113.32", None, Direction.OTHER), 1)
    passing.hear(icmp(1, "127.0.0.1", "127.0.0.1"), 1)
    assert passing.due(9) == []


# --- a call's events


def test_between_two_of_one_lan_the_events_are_told_where_they_are_captured() -> None:
    bella = replace(TOPOLOGY.node("bob"), name="bella", attachments=(Attachment("home", IPv4Interface(BELLA)),))
    here = replace(TOPOLOGY, nodes=(*TOPOLOGY.nodes, bella))
    neighbour, nominates = f"{BELLA.partition('/')[0]}:50000", stun(1, b"n" * 12, b"\0\x25\0\0")

    def crossing(at: float, *words: Any) -> list[Packet]:
        return [seen(at, "bob", OUT, *words), seen(at + 0.0001, "bella", IN, *words)]

    packets = [
        *crossing(1.0, BOB, neighbour, stun(1, b"x" * 12)),
        *crossing(1.1, BOB, neighbour, nominates),
        *crossing(1.2, BOB, neighbour, voice(1)),
        *crossing(1.3, BOB, neighbour, voice(2)),
        *out_of_home(1.4, FLAT, stun(1, b"y" * 12)),
    ]
    events = [(row.place, row.event) for row in rows(packets, here) if row.event]
    assert events == [
        ("bob", "first check of bob"),
        ("bella", "first through to bella"),
        ("bob", "nominated by bob"),
        ("bob", "first voice of bob"),
    ]


def test_the_first_of_each_kind_is_an_event_and_the_second_is_none() -> None:
    nominates = stun(1, b"n" * 12, b"\0\x25\0\0")
    packets = [
        *out_of_home(1.0, RELAY, stun(0x2E0)),
        *out_of_home(1.1, FLAT, stun(1, b"x" * 12)),
        *out_of_home(1.2, FLAT, stun(1, b"y" * 12)),
        seen(1.3, "home-router", IN, FLAT, HOME),
        seen(1.3001, "home-router", OUT, FLAT, BOB),
        *out_of_home(1.4, FLAT, nominates),
        *out_of_home(1.5, FLAT, voice(1)),
        *out_of_home(1.52, FLAT, voice(2)),
        *out_of_home(1.54, RELAY, voice(3)),
    ]
    events = [row.event for row in rows(packets) if row.event]
    assert events == [
        "first bind of bob",
        "first check of bob",
        "first through to bob",
        "nominated by bob",
        "first voice of bob",
        "path moved of bob",
    ]


def voices(*sent: tuple[float, str, int], source: bytes = b"bob.") -> list[Packet]:
    """Seconds, where to, and the number of each packet of voice that bob sends."""
    made = [(at, there, voice(number)) for at, there, number in sent]
    return [one for at, there, said in made for one in out_of_home(at, there, said[:8] + source + said[12:])]


def told(packets: Sequence[Packet]) -> list[tuple[float, str]]:
    return [(row.at, row.event) for row in rows(packets) if row.event]


def test_voice_that_goes_back_to_a_former_path_moves_again() -> None:
    sent = (1.0, RELAY, 65534), (1.02, FLAT, 65535), (1.04, FLAT, 0), (1.06, RELAY, 1), (1.08, RELAY, 2)
    assert told(voices(*sent)) == [
        (1.0, "first voice of bob"), (1.02, "path moved of bob"), (1.06, "path moved of bob")
    ]  # fmt: skip


def test_what_is_sent_to_two_at_once_does_not_move_to_and_fro() -> None:
    twice = [
        (1 + number / 50 + later, there, number) for number in range(5) for later, there in ((0, FLAT), (0.001, RELAY))
    ]
    assert told(voices(*twice)) == [(1.0, "first voice of bob")]
    relayed = [
        *voices((1.0, FLAT, 7), (1.02, FLAT, 8), (1.04, FLAT, 9)),
        *voices((1.01, RELAY, 500), (1.03, RELAY, 501), (1.05, RELAY, 502), source=b"him."),
    ]
    assert told(relayed) == [(1.0, "first voice of bob")], "who relays sends the voices of two"


def test_after_a_silence_voice_on_another_path_is_the_first_of_another_call() -> None:
    later = 1.0 + QUIET + 1
    assert [what for _, what in told(voices((1.0, RELAY, 1), (later, FLAT, 2)))] == ["first voice of bob"] * 2


def test_a_call_that_comes_later_has_events_of_its_own() -> None:
    later = 1.0 + QUIET + 1
    packets = [*out_of_home(1.0, FLAT, stun(1, b"x" * 12)), *out_of_home(later, FLAT, stun(1, b"y" * 12))]
    assert [row.event for row in rows(packets) if row.event] == ["first check of bob"] * 2


def test_a_check_that_is_dropped_has_come_through_to_nobody() -> None:
    assert [row.event for row in rows([seen(1, "flat-router", IN, HOME, FLAT)])] == [None]
