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


def test_refreshing_is_not_known_where_nothing_dies() -> None:
    assert of(replace(FOUND, timed=Timed({90.0: True}, 72.0, 144.0, True, True)))["RFC4787-REQ-6"].met is None


def test_what_a_firewall_hides_is_not_judged() -> None:
    seen = of(Findings(replace(OUT, udp=False)))
    assert {one.met for one in seen.values() if one.id.startswith("RFC4787")} == {None}
    assert seen["RFC4787-REQ-1"].seen == "the firewall lets no UDP out"


def test_ipv6_is_held_against_rfc_6092() -> None:
    seen = of(FOUND, family=6)
    assert all(number.startswith("RFC6092-REC-") for number in seen)
    assert seen["RFC6092-REC-31"].met is True
