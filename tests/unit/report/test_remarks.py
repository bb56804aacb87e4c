"""What the tour says of packets while they pass: which say something, once each, in a line of 80 columns."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from lab.evidence.pcap import Packet
from lab.harness.passing import Row, all_rows
from lab.harness.touring import SITES
from lab.report.remarks import WIDTH, Ends, Remarks, line, remark
from tests.unit.router_packets import BOB, FLAT, FRANK, HOME, IN, OUT, TOPOLOGY, out_of_home, seen, stun

SUPERNODE, RELAY = "203.0.113.11:33033", "203.0.113.21:33034"
ENDS = Ends(TOPOLOGY, "bob", "frank")
VOICE = b"\x80\x6f\x00\x01" + bytes(range(88))
TLS = b"\x17\x03\x03\0\x05hello"
OUTWARD: dict[str, Any] = {"fate": "translated", "became": "as home wan:40000"}
INWARD: dict[str, Any] = {"fate": "translated", "became": "to bob:40000"}


def row(place: str, source: str, destination: str, what: str, at: float = 1.0, **more: Any) -> Row:
    return Row(at, place, f"{source}:40000", f"{destination}:50000", what, **more)


def dialled(at: float = 0.5, caller: str = "bob") -> Row:
    return Row(at, "", "", "", f"{caller}: dialled", "note", event=f"{caller}: dialled")


def said(rows: Sequence[Row], caller: str = "bob", callee: str = "frank") -> list[str]:
    return [text.plain for text in Remarks(TOPOLOGY, caller, callee).hear(rows)]


def into_flat(at: float, source: str = HOME, payload: bytes = VOICE) -> list[Packet]:
    arrives = seen(at, "flat-router", IN, source, FLAT, payload)
    return [arrives, seen(at + 0.0001, "flat-router", OUT, source, FRANK, payload)]


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (row("home lan", "bob", "supernode-1", "signalling", **OUTWARD),
         "announces the call over TCP: as home wan:40000"),
        (row("flat wan", "supernode-2", "flat wan", "signalling", fate="translated", became="to frank:1"),
         "brings the call over TCP: to frank:1"),
        (row("home lan", "bob", "supernode-1", "STUN question", **OUTWARD),
         "asks how it looks outside: as home wan:40000"),
        (row("home lan", "bob", "supernode-1", "STUN question", fate="dropped", became="dropped: firewall udp-blocked"),
         "STUN question: home-router drops it, udp-blocked"),
        (row("home wan", "supernode-1", "home wan", "STUN answer", **INWARD), "says what it has seen: to bob:40000"),
        (row("home lan", "bob", "flat wan", "STUN check", **OUTWARD), "checks this way: as home wan:40000"),
        (row("home lan", "bob", "flat wan", "STUN nominates", **OUTWARD), "nominates this way: as home wan:40000"),
        (row("home wan", "flat wan", "home wan", "STUN check", fate="dropped", became="dropped: not asked for"),
         "check: home-router drops it, not asked for"),
        (row("home wan", "flat wan", "home wan", "STUN check", fate="dropped", became="dropped"),
         "check: home-router drops it"),
        (row("home wan", "flat wan", "home wan", "STUN check", fate="lost", became="lost on the line"),
         "check: lost on the line"),
        (row("home wan", "flat wan", "home wan", "STUN check", **INWARD), "a check gets through: to bob:40000"),
        (row("home wan", "flat wan", "home wan", "STUN answer", **INWARD),
         "an answer, so this way works: to bob:40000"),
        (row("home lan", "bob", "relay-1", "relay bind", **OUTWARD), "asks the relay for a leg: as home wan:40000"),
        (row("home wan", "relay-1", "home wan", "relay bound", **INWARD), "the relay grants a leg: to bob:40000"),
        (row("home lan", "bob", "relay-1", "TCP SYN", **OUTWARD), "opens TCP to the relay: as home wan:40000"),
        (row("home lan", "bob", "flat wan", "TCP SYN", fate="passed", became="passed on"), "opens TCP: unchanged"),
        (row("home wan", "flat wan", "bob", "TCP SYN", fate="passed", became="passed on"), "opens TCP: let in"),
        (row("home lan", "bob", "flat wan", "RTP 7", event="first voice of bob", **OUTWARD),
         "first voice: as home wan:40000"),
        (row("home lan", "bob", "flat wan", "RTP 7", event="path moved of bob", **OUTWARD),
         "voice moves to this way: as home wan:40000"),
        (row("home wan", "relay-1", "home wan", "RTP 7", **INWARD), "first voice arrives: to bob:40000"),
        (row("core", "home wan", "frank", "STUN check", fate="lost"), "tries frank's inner address: nobody's out here"),
    ],
)  # fmt: skip
def test_a_packet_has_the_words_that_fit_what_it_is_and_what_became_of_it(packet: Row, words: str) -> None:
    found = remark(packet, ENDS)
    assert found is not None and found.words == words
    assert found.refused is (packet.fate in ("dropped", "lost"))


@pytest.mark.parametrize(
    "packet",
    [
        row("home lan", "bob", "supernode-1", "TCP ACK", **OUTWARD),
        row("home lan", "bob", "frank", "STUN check", **OUTWARD),  # the internet shows where that leads
        row("home lan", "bob", "alice", "STUN check", **OUTWARD),
        row("home wan", "office wan", "home wan", "STUN check", **INWARD),
        row("park lan", "alice", "flat wan", "STUN check", fate="passed", became="passed on"),
        row("core", "home wan", "flat wan", "STUN check"),
        row("core", "office wan", "frank", "STUN check", fate="lost"),
        row("relay-1", "home wan", "relay-1", "relay bind"),
        row("home wan", "home wan", "relay-1", "relay bind", fate="own", became="the router's own"),
        row("home wan", "supernode-2", "home wan", "STUN answer", fate="dropped", became="dropped: no mapping"),
        row("home wan", "supernode-2", "home wan", "signalling", **INWARD),
        dialled(),
    ],
)
def test_of_what_is_not_the_call_s_or_says_nothing_nothing_is_said(packet: Row) -> None:
    assert remark(packet, ENDS) is None


def test_a_punched_call_is_told_as_it_passes_each_thing_once() -> None:
    nominates = stun(1, b"n" * 12, b"\0\x25\0\0")
    packets = [
        *out_of_home(1.010, SUPERNODE.replace("33033", "3478")),
        *out_of_home(1.020, FLAT), *out_of_home(1.030, FLAT, stun(1, b"again!!!!!!!")),
        seen(1.040, "flat-router", IN, HOME, FLAT),
        seen(1.045, "flat-router", IN, FRANK, HOME, stun(1, b"f" * 12)),
        seen(1.046, "flat-router", OUT, FLAT, HOME, stun(1, b"f" * 12)),
        *into_flat(1.050, payload=stun(1, b"x" * 12)), *into_flat(1.055, payload=stun(1, b"y" * 12)),
        *out_of_home(1.060, FLAT, nominates),
        *out_of_home(1.100, FLAT, VOICE), *into_flat(1.120), *out_of_home(1.140, FLAT, VOICE + b"!"),
        seen(1.2, "home-router", IN, BOB, FLAT, b"", "tcp", 2),
        seen(1.201, "home-router", OUT, HOME, FLAT, b"", "tcp", 2),
    ]  # fmt: skip
    assert said([dialled(1.0), *all_rows(TOPOLOGY, packets)]) == [
        "   10 ms  bob → supernode-1  asks how it looks outside: as home wan:40000",
        "   20 ms  bob → flat wan  checks this way: as home wan:40000",
        "   40 ms  home wan → flat wan  check: flat-router drops it, no mapping",
        "   45 ms  frank → home wan  checks this way: as flat wan:50000",
        "   50 ms  home wan → flat wan  a check gets through: to frank:50000",
        "   60 ms  bob → flat wan  nominates this way: as home wan:40000",
        "  100 ms  bob → flat wan  first voice: as home wan:40000",
        "  120 ms  home wan → flat wan  first voice arrives: to frank:50000",
    ]


def test_nothing_is_said_before_it_is_known_when_the_call_was_dialled_and_nothing_of_what_was_before() -> None:
    remarks = Remarks(TOPOLOGY, "bob", "frank")
    before = row("home lan", "bob", "supernode-1", "signalling", at=0.9, **OUTWARD)
    check = row("home lan", "bob", "flat wan", "STUN check", at=1.1, **OUTWARD)
    assert remarks.hear([before, check]) == []
    assert [text.plain[:10] for text in remarks.hear([dialled(1.0)])] == ["  100 ms  "]
    assert remarks.hear([check]) == []


def test_what_goes_over_an_open_connection_before_the_call_could_be_there_is_none_of_it() -> None:
    heartbeat = row("flat lan", "frank", "supernode-2", "signalling", fate="translated", became="as flat wan:1")
    brought = row("flat wan", "supernode-2", "flat wan", "signalling", fate="translated", became="to frank:1")
    announced = row("home lan", "bob", "supernode-1", "signalling", **OUTWARD)
    told = said([dialled(), heartbeat, brought, heartbeat, announced, heartbeat, brought, heartbeat])
    assert [text.partition("  ")[2].rpartition("  ")[2].partition(":")[0] for text in (one[10:] for one in told)] == [
        "announces the call over TCP", "brings the call over TCP", "answers over TCP",
    ]  # fmt: skip


def test_voice_that_moves_is_told_where_it_moves_to_and_not_as_first_again() -> None:
    ways = [("relay-1", "first voice of bob"), ("relay-1", None), ("flat wan", "path moved of bob"), ("flat wan", None)]
    told = said([dialled(), *(row("home lan", "bob", to, "RTP 7", event=event, **OUTWARD) for to, event in ways)])
    assert [one[10:] for one in told] == [
        "bob → relay-1  first voice: as home wan:40000",
        "bob → flat wan  voice moves to this way: as home wan:40000",
    ]


def test_that_voice_was_seen_is_known() -> None:
    remarks = Remarks(TOPOLOGY, "bob", "frank")
    remarks.hear([dialled(), row("home lan", "bob", "flat wan", "STUN check", **OUTWARD)])
    assert not remarks.talking
    remarks.hear([row("home lan", "bob", "flat wan", "RTP 7", **OUTWARD)])
    assert remarks.talking


@pytest.mark.parametrize(
    ("caller", "callee"), list(itertools.permutations([client for client, *_ in SITES.values()], 2))
)
def test_every_line_of_the_reference_lab_is_whole_in_eighty_columns(caller: str, callee: str) -> None:
    ends = Ends(TOPOLOGY, caller, callee)
    firewalls = {client: firewall for client, _, firewall in SITES.values()}
    here, there = (str(TOPOLOGY.node(name).site) for name in (caller, callee))
    reasons = [
        "not asked for",
        "no mapping",
        *([f"firewall {firewalls[callee]}"] if firewalls[callee] != "none" else []),
    ]
    sorts = ("signalling", "STUN question", "STUN answer", "STUN check", "STUN nominates", "relay bind", "relay bound",
             "TCP SYN", "TCP SYN ACK", "RTP 65535")  # fmt: skip
    fates = [("passed", "passed on"), *(("dropped", f"dropped: {reason}") for reason in reasons)]
    rows = [row("core", f"{here} wan", callee, "STUN check", fate="lost")]
    for what, far in itertools.product(sorts, ("supernode-1", "relay-1", f"{here} wan", caller)):
        for fate, became in [*fates, ("translated", f"to {callee}:65535")]:
            rows.append(row(f"{there} wan", far, f"{there} wan", what, fate=fate, became=became))  # type: ignore[arg-type]
        for fate, became in [*fates[:1], *fates[3:], ("translated", f"as {there} wan:65535")]:
            rows.append(row(f"{there} lan", callee, far, what, fate=fate, became=became))  # type: ignore[arg-type]
    told = [line(found, -98.0).plain for one in rows if (found := remark(one, ends))]
    assert len(told) > 20 and max(map(len, told)) <= WIDTH
    assert not any("…" in text for text in told), max(told, key=len)
