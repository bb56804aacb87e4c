"""The RFCs' numbers: met, not met, or not to be seen; with the words for it."""

from dataclasses import replace

import pytest

from lab.certify.deducing import deduce
from lab.certify.ends import Endpoint
from lab.certify.findings import Fate, Findings, Hairpinned, Mapped, Reach, Reported, Shared, Timed, Transport
from lab.certify.requirements import ASKED, Requirement, requirements

OUT = Reach(True, True, True, True, True, plain_443=True, tls_443=True)
INNER, OTHER = Endpoint("192.168.1.253", 5000), Endpoint("192.168.1.252", 5000)
OUTER = Endpoint("203.0.113.32", 5000)
REMOTE = [Endpoint("203.0.113.253", 1), Endpoint("203.0.113.252", 1)]
KINDS = frozenset({"port unreachable"})


def mapped(inner: Endpoint, *ports: int) -> Mapped:
    ends = [frozenset({Endpoint(OUTER.address, port)}) for port in ports]
    return Mapped(inner, dict(zip(REMOTE, ends, strict=True)))


GOOD = Transport(
    mapped=(mapped(INNER, 5000, 5000),),
    allocated=((INNER, OUTER),),
    shared=Shared((mapped(INNER, 5001, 5001), mapped(OTHER, 5002, 5002)), True),
    hairpinned=Hairpinned(OUTER, OUTER, INNER),
    reported=Reported(KINDS, KINDS, True, True),
    unsolicited=Fate.DROPPED,
)
FOUND = Findings(
    OUT, udp=GOOD, tcp=GOOD, tcp_ports=(1, 2), simultaneous_open=True,
    timed=Timed({90.0: True, 115.0: True, 125.0: False}, 72.0, 144.0, True, True),
)  # fmt: skip


def of(found: Findings, family: int = 4) -> dict[str, Requirement]:
    return {one.id: one for one in requirements(found, deduce(found, 1), family)}


def test_a_router_as_the_rfcs_want_it() -> None:
    seen = of(FOUND)
    wanted = ["RFC4787-REQ-1", "RFC4787-REQ-3", "RFC4787-REQ-5", "RFC4787-REQ-6", "RFC4787-REQ-9", "RFC4787-REQ-9a"]
    wanted += ["RFC4787-REQ-12", "RFC5382-REQ-2", "RFC5382-REQ-4", "RFC5382-REQ-10", "RFC5508-REQ-4"]
    assert {number: seen[number].met for number in wanted} == dict.fromkeys(wanted, True)
    assert all(one.seen for one in seen.values())


@pytest.mark.parametrize(
    ("number", "udp"),
    [
        ("RFC4787-REQ-1", replace(GOOD, mapped=(mapped(INNER, 5000, 5007),))),
        ("RFC4787-REQ-3", replace(GOOD, shared=Shared((mapped(INNER, 5001, 5001), mapped(OTHER, 5001, 5001)), True))),
        ("RFC4787-REQ-9", replace(GOOD, hairpinned=Hairpinned(None, OUTER, INNER))),
        ("RFC4787-REQ-9a", replace(GOOD, hairpinned=Hairpinned(INNER, OUTER, INNER))),
        ("RFC4787-REQ-12", replace(GOOD, reported=Reported(KINDS, KINDS, True, False))),
        ("RFC5508-REQ-4", replace(GOOD, reported=Reported(KINDS, frozenset(), False, True))),
        ("RFC5508-REQ-4", replace(GOOD, reported=Reported(KINDS, KINDS, False, True))),
    ],
)
def test_what_is_broken_is_not_met(number: str, udp: Transport) -> None:
    assert of(replace(FOUND, udp=udp))[number].met is False


def test_every_number_says_what_it_asks_for() -> None:
    assert set(ASKED) == set(of(FOUND)) | set(of(FOUND, family=6))


def test_an_answer_to_an_unsolicited_syn_is_not_silence() -> None:
    seen = of(replace(FOUND, tcp=replace(GOOD, unsolicited=Fate.REJECTED)))["RFC5382-REQ-4"]
    assert (seen.met, seen.seen) == (False, "an unsolicited SYN is answered")


def test_a_timer_that_is_too_short_is_not_met() -> None:
    timed = Timed({14.4: True, 15.6: False}, 9.0, 18.0, True, False)
    seen = of(replace(FOUND, timed=timed))
    assert (seen["RFC4787-REQ-5"].met, seen["RFC4787-REQ-5"].seen) == (
        False,
        "a mapping dies 15 s after its last packet",
    )
    assert seen["RFC4787-REQ-6"].seen == "outbound packets keep a mapping alive"


def test_timers_of_tcp_are_missed_or_not_to_be_seen() -> None:
    idle = Timed({19.2: True, 20.8: False}, 12.0, 24.0, True, True)
    seen = of(replace(FOUND, tcp_timed=idle, half_open={4.8: True, 5.2: False}))["RFC5382-REQ-5"]
    assert (seen.met, seen.seen) == (False, "an idle connection dies after 20 s, one half open dies after 5 s")
    assert of(replace(FOUND, half_open={130.0: True, 250.0: True}))["RFC5382-REQ-5"].met is None
    seen = of(FOUND)["RFC5382-REQ-5"]
    assert (seen.met, seen.seen) == (None, "no timer of TCP is claimed that is short enough to be waited for")


@pytest.mark.parametrize(("seconds", "met"), [(120.0, True), (20.0, False)])
def test_a_firewall_that_translates_nothing_is_held_against_rfc_6092_for_what_it_remembers(
    seconds: float, met: bool
) -> None:
    """On IPv4 too, where no other RFC says how long; the requirements for a NAT's mappings are none of its own."""
    flat = Transport(allocated=((OUTER, OUTER),), unsolicited=Fate.DROPPED)
    timed = Timed({seconds * 0.96: True, seconds * 1.04: False}, seconds * 0.6, seconds * 1.2, True, False)
    for family in (4, 6):
        seen = of(Findings(OUT, udp=flat, tcp=flat, timed=timed), family)
        assert (seen["RFC6092-REC-14"].met, seen["RFC6092-REC-16"].met) == (met, True)
        assert seen["RFC6092-REC-14"].seen == f"a state dies {seconds:g} s after its last packet"
        assert seen["RFC6092-REC-16"].seen == "outbound packets keep a state alive"
        assert seen["RFC6092-REC-35"].seen == "no timer of TCP is claimed that is short enough to be waited for"
    seen = of(Findings(OUT, udp=flat, tcp=flat, timed=timed))
    assert {seen[number].met for number in ("RFC4787-REQ-5", "RFC4787-REQ-6")} == {None}


def test_refreshing_is_not_known_where_nothing_dies() -> None:
    assert of(replace(FOUND, timed=Timed({90.0: True}, 72.0, 144.0, True, True)))["RFC4787-REQ-6"].met is None


TWICE = replace(GOOD, allocated=(*GOOD.allocated, (INNER, Endpoint("203.0.113.33", 5001))))


@pytest.mark.parametrize(
    ("udp", "tcp", "req2", "met", "words"),
    [
        (GOOD, GOOD, True, True, "paired pooling"),
        (GOOD, TWICE, True, False, "paired UDP, arbitrary TCP pooling"),
        (TWICE, GOOD, False, False, "arbitrary UDP, paired TCP pooling"),
        (TWICE, TWICE, False, False, "arbitrary pooling"),
        (None, GOOD, None, True, "paired TCP pooling"),
    ],
)
def test_a_carrier_pairs_addresses_of_both_transports(
    udp: Transport | None, tcp: Transport, req2: bool | None, met: bool, words: str
) -> None:
    """RFC 4787 is of UDP alone."""
    found = replace(FOUND, reach=replace(OUT, udp=udp is not None), udp=udp, tcp=tcp)
    seen = {one.id: one for one in requirements(found, deduce(found, 2), 4)}
    assert seen["RFC4787-REQ-2"].met is req2
    assert (seen["RFC6888-REQ-2"].met, seen["RFC6888-REQ-2"].seen) == (met, words)


@pytest.mark.parametrize(
    ("udp", "tcp", "met", "words"),
    [
        (1000, 1000, True, "one host got 1000 outer ports and no more"),
        (1000, 64, True, "one host got 1000 UDP, 64 TCP outer ports and no more"),
        (None, 64, True, "one host got 64 TCP outer ports and no more"),
        (None, None, None, "no limit is claimed, or these hosts share one"),
    ],
)
def test_ports_of_a_host_are_limited_in_each_transport(
    udp: int | None, tcp: int | None, met: bool | None, words: str
) -> None:
    seen = of(replace(FOUND, ports_of_one_host=udp, tcp_ports_of_one_host=tcp))["RFC6888-REQ-4"]
    assert (seen.met, seen.seen) == (met, words)


def test_what_a_firewall_hides_is_not_judged() -> None:
    seen = of(Findings(replace(OUT, udp=False)))
    assert {one.met for one in seen.values() if one.id.startswith("RFC4787")} == {None}
    assert seen["RFC4787-REQ-1"].seen == "the firewall lets no UDP out"


def test_ipv6_is_held_against_rfc_6092() -> None:
    seen = of(FOUND, family=6)
    assert all(number.startswith("RFC6092-REC-") for number in seen)
    assert seen["RFC6092-REC-31"].met is True
