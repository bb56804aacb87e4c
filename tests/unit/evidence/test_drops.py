"""Why a packet went no further: by which rule as counted, or lost on the line; nothing where nobody knows."""

from collections.abc import Mapping
from math import inf
from pathlib import Path

import pytest
from lab_calls import files, stun
from packet_world import START, TOPOLOGY, World, talk
from wide_world import NORA, SITES
from wide_world import TOPOLOGY as WIDE

from lab.evidence import Captures
from lab.evidence.drops import Cause, causes, unseen
from lab.evidence.gaps import Gaps
from lab.evidence.journeys import Journey, follow
from lab.evidence.passages import passages
from lab.evidence.pcap import Direction, Endpoint, Packet
from lab.evidence.sorts import Told, tell
from lab.topology.model import Role, Topology

INPUT, FORWARD = "INPUT's policy", "FORWARD's policy"
INNER = "PREROUTING -d 192.168.32.0/24 -i eth0 -j DROP"
NO_TLS = "FORWARD -i eth1 -o eth0 -p tcp -m tcp --dport 443 -m u32 -j REJECT --reject-with tcp-reset"
THROTTLED = "FORWARD -i eth0 -o eth1 -p udp -m hashlimit --hashlimit-above 2000b/s -j DROP"


def packet(
    place: str, direction: Direction, source: str, destination: str, protocol: str = "udp", port: int = 5000
) -> Packet:
    ends = Endpoint(source, 4000), Endpoint(destination, port)
    return Packet(START, place, 1, direction, protocol, *ends, 28, stun(1), 1, 0, 0)  # type: ignore[arg-type]


def cause(
    last: Packet, counts: Mapping[str, Mapping[str, int]], topology: Topology = TOPOLOGY, late: str | None = None
) -> str | None:
    """Of a packet that was seen there last, long after all captures but the `late` one began, and before they ended."""
    told = tell(last)
    assert told is not None
    ran = [one.name for one in topology.nodes if one.role in (Role.CORE, Role.ROUTER, Role.RELAY) and one.name != late]
    before = Journey(tuple(last._replace(place=name, time=START - 1) for name in ran), told, "frank", "bob", None)
    lost, later = _journey(last, told, last.place), _journey(last._replace(time=START + 9), told, None)
    found = causes(topology, [before, lost, later], counts)
    assert id(later) not in found
    return str(found[id(lost)]) if id(lost) in found else None


def _journey(last: Packet, told: Told, dropped: str | None) -> Journey:
    return Journey((last,), told, "frank", "bob", dropped)


IN, OUT = Direction.IN, Direction.OUT
TO_HOME = packet("home-router", IN, "203.0.113.33", "203.0.113.32")
TO_INSIDE = packet("home-router", IN, "203.0.113.33", "192.168.32.2")
TO_OUTSIDE = packet("home-router", IN, "192.168.32.2", "203.0.113.33")
WEB = packet("home-router", IN, "192.168.32.2", "203.0.113.33", "tcp", 443)


@pytest.mark.parametrize(
    ("last", "counted", "said"),
    [
        (TO_HOME, {INPUT: 3}, INPUT),
        (TO_HOME, {INPUT: 3, FORWARD: 9, INNER: 2}, INPUT),
        (TO_HOME, {FORWARD: 1}, FORWARD),
        (TO_HOME, {INPUT: 3, THROTTLED: 4}, f"{INPUT} or {THROTTLED}"),
        (TO_INSIDE, {INPUT: 3, INNER: 2}, INNER),
        (TO_OUTSIDE, {INPUT: 3, FORWARD: 9, NO_TLS: 1, INNER: 2}, FORWARD),
        (WEB, {NO_TLS: 1, THROTTLED: 5}, NO_TLS),
        (WEB._replace(destination=Endpoint("203.0.113.33", 80)), {NO_TLS: 1}, "no rule counted it"),
        (TO_OUTSIDE, {f"IPv6 {FORWARD}": 9}, "no rule counted it"),
        (TO_HOME, {INPUT: 0}, "no rule counted it"),
        (TO_HOME, {}, "no rule counted it"),
    ],
)
def test_it_is_the_rule_that_counted_and_that_can_be_the_one(
    last: Packet, counted: Mapping[str, int], said: str
) -> None:
    assert cause(last, {"home-router": counted}) == said


def test_of_a_router_whose_counters_nobody_read_nothing_is_said() -> None:
    assert cause(TO_HOME, {"flat-router": {INPUT: 1}}) is None


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (packet("core", IN, "203.0.113.33", "203.0.113.32"), "lost on the line"),
        (packet("home-router", OUT, "203.0.113.32", "203.0.113.33"), "lost on the line"),
        (packet("relay-1", OUT, "203.0.113.21", "203.0.113.33"), "lost on the line"),
        (packet("core", IN, "203.0.113.33", "192.168.32.2"), "nobody's address"),
        (packet("core", IN, "203.0.113.33", "203.0.113.99"), None),
        (packet("core", IN, "203.0.113.33", "239.255.255.250"), None),
    ],
)
def test_what_is_not_seen_on_the_other_side_of_a_line_was_lost_on_it(last: Packet, said: str | None) -> None:
    assert cause(last, {"home-router": {INPUT: 4}}) == said


@pytest.mark.parametrize(
    ("last", "late"),
    [
        (packet("core", IN, "203.0.113.33", "203.0.113.32"), "home-router"),
        (packet("core", IN, "203.0.113.33", "198.51.100.18"), "park-router"),
        (packet("core", IN, "203.0.113.33", "203.0.113.11"), None),  # no supernode is captured
        (packet("home-router", OUT, "203.0.113.32", "203.0.113.33"), "core"),
    ],
)
def test_where_the_next_place_was_not_captured_then_nothing_is_said(last: Packet, late: str | None) -> None:
    assert cause(last, {}, late=late) is None


def test_what_a_place_that_lost_packets_or_had_ended_has_not_seen_says_nothing() -> None:
    to_home, inside = packet("core", IN, "203.0.113.33", "203.0.113.32"), TO_HOME
    told = tell(to_home)
    assert told is not None
    begun = Journey(tuple(to_home._replace(place=name, time=START - 1) for name in ("core", "home-router")), told,
                    "frank", "bob", None)  # fmt: skip
    lost = [_journey(to_home, told, "core"), _journey(inside, told, "home-router")]
    journeys = [begun, *lost, _journey(to_home._replace(time=START + 9), told, None)]
    counts = {"home-router": {INPUT: 1}}
    for gaps, known in (
        (Gaps(), 2),
        (Gaps({"home-router": 1}), 0),
        (Gaps({"core": 9}), 2),
        (Gaps({}, {"home-router": START + 0.2}), 0),
        (Gaps({}, {"home-router": START + 1}), 2),
        (Gaps({}, {"home-router": -inf}), 0),
    ):
        assert len(causes(TOPOLOGY, journeys, counts, gaps=gaps)) == known, gaps
        ended = bool(gaps.ends) and not known
        assert unseen(TOPOLOGY, journeys, gaps) == ({id(one) for one in lost} if ended else set())
    assert Gaps({"core": 1_200}, {"core": -inf}).sentences(START) == (
        "the capture of core ends in mid-packet before its first one and lacks 1,200 packets that the kernel dropped: "
        "what it does not show may have been there",
    )


def test_what_is_for_an_address_that_a_router_has_no_more_came_to_itself() -> None:
    former = packet("home-router", IN, "203.0.113.33", "203.0.113.98")
    assert cause(former, {"home-router": {INPUT: 1, FORWARD: 5}}) == INPUT


NORTH, CARRIER = SITES["north"][3][0], SITES["carrier"][3][0]


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (packet("carrier-router", IN, NORTH, "203.0.113.32"), "lost on the line"),  # up, held back as it comes in
        (packet("north-router", IN, "203.0.113.32", NORTH), "lost on the line"),  # and down
        (packet("carrier-router", OUT, "203.0.113.32", NORTH), "lost on the line"),
        (packet("north-router", IN, NORA.own[0], "203.0.113.32"), "no rule counted it"),
        (packet("carrier-router", IN, "203.0.113.32", CARRIER), "no rule counted it"),
    ],
)
def test_a_carrier_s_line_ends_inside_the_two_routers(last: Packet, said: str) -> None:
    assert cause(last, {"carrier-router": {}, "north-router": {}}, WIDE) == said
    if last.direction is IN:
        rules = {name: {INPUT: 1, FORWARD: 1} for name in ("carrier-router", "north-router")}
        assert "policy" in str(cause(last, rules, WIDE)), "where a rule's counter has moved it is the rule"


def test_what_is_on_its_way_when_the_captures_end_was_not_dropped(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 1.0)
    flat = world.outer("frank", "udp", 5000, ("0.0.0.0", 0))
    for at in (0.3, 1.05):
        world.send(START + at, "udp", "bob", 4000, flat, stun(1), lost="core")
    journeys = follow(TOPOLOGY, Captures.read(files(world, tmp_path)))
    assert [one.dropped for one in journeys if one.dropped] == ["core", "core"]
    found = causes(TOPOLOGY, journeys, {})
    assert [cause.kind for cause in found.values()] == ["line"]
    assert [one.cause for one in passages(TOPOLOGY, journeys, found) if one.cause] == [Cause("line")]
    assert causes(TOPOLOGY, journeys, {}, since=START + 0.4) == {}, "nor what was before all of them ran"
