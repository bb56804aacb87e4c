"""The RFCs' requirements that packets can show, each met or not, or not to be seen, and what was seen.

Pure. Belongs here: the RFCs' numbers. Never: claims: a network may claim, and be, what an RFC forbids.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from lab.certify import behaviour
from lab.certify.behaviour import Behaviour, Tcp
from lab.certify.deducing import icmp_errors, refreshed_by
from lab.certify.findings import Fate, Findings, Reported, Transport

LEAST_TIMEOUT_S = 120.0  # RFC 4787, REQ-5; RFC 6092, REC-14
LEAST_TCP_S, LEAST_TRANSITORY_S = 7440.0, 240.0  # RFC 5382, REQ-5; RFC 6092, REC-35
NEAR = 0.95  # of a timer: what is measured is this blunt
SILENCE_S = 6.0  # RFC 5382, REQ-4
ASKED = {
    "RFC4787-REQ-1": "one mapping for every destination",
    "RFC4787-REQ-2": "one outer address a host",
    "RFC4787-REQ-3": "no outer port for two",
    "RFC4787-REQ-5": "UDP mappings live 2 min",
    "RFC4787-REQ-6": "outbound packets refresh",
    "RFC4787-REQ-8": "no filtering by port",
    "RFC4787-REQ-9": "hairpinning",
    "RFC4787-REQ-9a": "hairpinning from outside",
    "RFC4787-REQ-11": "the same for every socket",
    "RFC4787-REQ-12": "ICMP ends no mapping",
    "RFC4787-REQ-13": "too long is reported",
    "RFC4787-REQ-14": "fragments in any order",
    "RFC5382-REQ-1": "one TCP mapping for all",
    "RFC5382-REQ-2": "TCP simultaneous open",
    "RFC5382-REQ-3": "no TCP filtering by port",
    "RFC5382-REQ-4": "silence to a SYN for 6 s",
    "RFC5382-REQ-5": "idle 2 h 4 min, opening 4 min",
    "RFC5382-REQ-7": "no outer TCP port for two",
    "RFC5382-REQ-8": "TCP hairpinning",
    "RFC5382-REQ-9": "ICMP about TCP delivered",
    "RFC5382-REQ-10": "ICMP ends no connection",
    "RFC5508-REQ-1": "echo and reply pass",
    "RFC5508-REQ-4": "ICMP errors translated",
    "RFC6888-REQ-2": "paired pooling",
    "RFC6888-REQ-4": "ports per host limited",
    "RFC6092-REC-14": "UDP states live 2 min",
    "RFC6092-REC-16": "outbound packets refresh",
    "RFC6092-REC-17": "no filtering by port",
    "RFC6092-REC-18": "ICMPv6 errors delivered",
    "RFC6092-REC-19": "ICMPv6 ends no state",
    "RFC6092-REC-31": "TCP simultaneous open",
    "RFC6092-REC-33": "no TCP filtering by port",
    "RFC6092-REC-34": "a SYN answered after 6 s",
    "RFC6092-REC-35": "idle 2 h 4 min, opening 4 min",
    "RFC6092-REC-36": "ICMPv6 about TCP delivered",
    "RFC6092-REC-37": "ICMPv6 ends no connection",
}
"""What each asks for, in a few words."""
RECOMMENDED = (behaviour.ENDPOINT_INDEPENDENT, behaviour.ADDRESS_DEPENDENT)  # RFC 4787, REQ-8


@dataclass(frozen=True)
class Requirement:
    """`met` None: not to be seen here; `seen` says why, or what was."""

    id: str
    met: bool | None
    seen: str

    def to_json(self) -> dict[str, Any]:
        """The document's keys."""
        return asdict(self)


def requirements(found: Findings, measured: Behaviour, family: int) -> tuple[Requirement, ...]:
    """RFC 4787, 5382, 5508 and 6888 where addresses are translated; RFC 6092 on IPv6.

    Of a stateful firewall that translates nothing RFC 6092 alone says how long it remembers: so on IPv4 as well.
    """
    if family == 6:
        return tuple(_ipv6(found, measured))
    alone = measured.mapping is None and found.timed is not None
    return (*_ipv4(found, measured), *(_states(found, measured, "") if alone else ()))


def _ipv4(found: Findings, measured: Behaviour) -> Iterator[Requirement]:
    udp, tcp = found.udp, found.tcp
    hidden = "the firewall lets no UDP out" if udp is None else "nothing is translated"
    translated = measured.mapping is not None
    yield _axis("RFC4787-REQ-1", measured.mapping == behaviour.ENDPOINT_INDEPENDENT and measured.same_port != "split",
                _mapping_words(measured), translated, hidden)  # fmt: skip
    yield _axis("RFC4787-REQ-2", measured.pooling == behaviour.PAIRED, f"{measured.pooling} pooling",
                measured.pooling is not None, "there is one outer address" if translated else hidden)  # fmt: skip
    yield _overloading("RFC4787-REQ-3", udp, hidden)
    mapped = found if translated else replace(found, timed=None)
    yield _timeout("RFC4787-REQ-5", measured, mapped, hidden)
    yield _refresh("RFC4787-REQ-6", mapped, hidden)
    yield _axis("RFC4787-REQ-8", measured.filtering in RECOMMENDED, f"{measured.filtering} filtering",
                measured.filtering is not None and translated, hidden)  # fmt: skip
    yield _axis("RFC4787-REQ-9", bool(measured.hairpinning), _hairpinning(measured.hairpinning),
                measured.hairpinning is not None, hidden)  # fmt: skip
    yield _axis("RFC4787-REQ-9a", measured.hairpinning_source == behaviour.EXTERNAL,
                f"a hairpinned packet bears an {measured.hairpinning_source} source",
                measured.hairpinning_source is not None, "no packet is hairpinned")  # fmt: skip
    yield _axis("RFC4787-REQ-11", behaviour.IRREGULAR not in (measured.mapping, measured.filtering),
                "every socket met the same behaviour"
                if behaviour.IRREGULAR not in (measured.mapping, measured.filtering)
                else "sockets met different behaviours", translated, hidden)  # fmt: skip
    yield _survival("RFC4787-REQ-12", udp.reported if udp else None, hidden)
    yield _too_long(found)
    yield _fragments(found)
    yield from _tcp(found, measured)
    yield _errors("RFC5508-REQ-4", udp.reported if udp else (tcp.reported if tcp else None))
    yield _axis("RFC5508-REQ-1", measured.outbound.icmp, "an echo and its reply pass"
                if measured.outbound.icmp else "no echo comes back", True, "")  # fmt: skip
    pooling = _of_each(measured.pooling, measured.tcp.pooling)
    yield _axis("RFC6888-REQ-2", {measured.pooling, measured.tcp.pooling} <= {behaviour.PAIRED, None},
                f"{pooling} pooling", bool(pooling), "there is one outer address")  # fmt: skip
    limits = _of_each(measured.ports_per_host, measured.tcp.ports_per_host)
    yield _axis("RFC6888-REQ-4", bool(limits), f"one host got {limits} outer ports and no more",
                bool(limits), "no limit is claimed, or these hosts share one")  # fmt: skip


def _of_each(udp: object, tcp: object) -> str:
    """What was seen of each transport, in one word where it is the same; empty where nothing was."""
    if udp == tcp:
        return "" if udp is None else str(udp)
    return ", ".join(f"{value} {name}" for name, value in (("UDP", udp), ("TCP", tcp)) if value is not None)


def _tcp(found: Findings, measured: Behaviour) -> Iterator[Requirement]:
    tcp, axes = found.tcp, measured.tcp
    hidden = "the firewall lets no TCP out, or to one port alone" if axes.mapping is None else ""
    hidden = "nothing is translated" if tcp and not _translates(tcp) else hidden
    yield _axis("RFC5382-REQ-1", axes.mapping == behaviour.ENDPOINT_INDEPENDENT and axes.same_port != behaviour.SPLIT,
                f"{axes.mapping} mapping" + (_split(axes.same_port)), axes.mapping is not None, hidden)  # fmt: skip
    yield _opening("RFC5382-REQ-2", measured)
    yield _axis("RFC5382-REQ-3", axes.filtering in RECOMMENDED, f"{axes.filtering} filtering",
                axes.filtering is not None and axes.mapping is not None, hidden)  # fmt: skip
    yield _silence("RFC5382-REQ-4", tcp)
    yield _tcp_timers("RFC5382-REQ-5", axes, tcp is not None and _translates(tcp), hidden)
    yield _overloading("RFC5382-REQ-7", tcp if axes.mapping else None, hidden)
    yield _axis("RFC5382-REQ-8", bool(axes.hairpinning), _hairpinning(axes.hairpinning), axes.hairpinning is not None,
                hidden)  # fmt: skip
    yield _errors("RFC5382-REQ-9", tcp.reported if tcp else None)
    yield _survival("RFC5382-REQ-10", tcp.reported if tcp else None, hidden or "the firewall lets no TCP out")


def _ipv6(found: Findings, measured: Behaviour) -> Iterator[Requirement]:
    """RFC 6092's recommendations for a router that filters; without a filter there is nothing to recommend."""
    udp, tcp = found.udp, found.tcp
    stateful = measured.unsolicited != Fate.ADMITTED and udp is not None
    hidden = "the firewall lets no UDP out" if udp is None else "nothing is filtered"
    yield from _states(found, measured, hidden)
    yield _axis(
        "RFC6092-REC-17", measured.filtering in RECOMMENDED, f"{measured.filtering} filtering", stateful, hidden
    )
    yield _errors("RFC6092-REC-18", udp.reported if udp else None)
    yield _survival("RFC6092-REC-19", udp.reported if udp else None, hidden)
    yield _opening("RFC6092-REC-31", measured)
    yield _axis("RFC6092-REC-33", measured.tcp.filtering in RECOMMENDED, f"{measured.tcp.filtering} filtering",
                measured.tcp.filtering is not None, "nothing is filtered")  # fmt: skip
    yield _late_answer("RFC6092-REC-34", _silence("RFC5382-REQ-4", tcp))
    yield _errors("RFC6092-REC-36", tcp.reported if tcp else None)
    yield _survival("RFC6092-REC-37", tcp.reported if tcp else None, "the firewall lets no TCP out")


def _states(found: Findings, measured: Behaviour, hidden: str) -> Iterator[Requirement]:
    """How long a stateful firewall remembers, and what reminds it."""
    yield _timeout("RFC6092-REC-14", measured, found, hidden, "state")
    yield _refresh("RFC6092-REC-16", found, hidden, "state")
    yield _tcp_timers("RFC6092-REC-35", measured.tcp, found.tcp is not None, "")


def _axis(number: str, met: bool, seen: str, known: bool, otherwise: str) -> Requirement:
    return Requirement(number, met if known else None, seen if known else otherwise or "nothing was seen of it")


def _mapping_words(measured: Behaviour) -> str:
    return f"{measured.mapping} mapping" + _split(measured.same_port)


def _split(same_port: str | None) -> str:
    words = {
        behaviour.SPLIT: ", but one a destination where another host uses the port",
        behaviour.LOST: ", but out of reach where another host uses the port",
    }
    return words.get(same_port or "", "")


def _translates(seen: Transport) -> bool:
    return any(inner != outer for inner, outer in seen.allocated)


def _overloading(number: str, seen: Transport | None, hidden: str) -> Requirement:
    """RFC 4787, 4.2.1: one outer endpoint for two inner ones."""
    if seen is None or not _translates(seen):
        return Requirement(number, None, hidden)
    both = seen.shared.mapped if seen.shared else ()
    users: dict[object, set[object]] = {}
    for row in (*seen.mapped, *both):
        for outer in row.outer.values():
            for one in outer:
                users.setdefault(one, set()).add(row.inner)
    crowded = [str(outer) for outer, inner in users.items() if len(inner) > 1]
    words = f"{crowded[0]} serves two inner endpoints" if crowded else "every inner endpoint has outer ones of its own"
    return Requirement(number, not crowded, words)


def _timeout(number: str, measured: Behaviour, found: Findings, hidden: str, what: str = "mapping") -> Requirement:
    if found.timed is None:
        return Requirement(number, None, hidden if found.udp is None else "no timeout is claimed")
    seconds = measured.udp_timeout_s
    if seconds is None:
        return Requirement(number, False, f"{what}s of the same age died and lived")
    return Requirement(number, seconds >= LEAST_TIMEOUT_S * NEAR, f"a {what} dies {seconds:g} s after its last packet")


def _tcp_timers(number: str, axes: Tcp, known: bool, hidden: str) -> Requirement:
    """Hours are not waited for, so it is missed or not to be seen."""
    seen = (
        ("an idle connection", axes.timeout_s, LEAST_TCP_S),
        ("one half open", axes.transitory_timeout_s, LEAST_TRANSITORY_S),
    )
    words = [f"{what} dies after {seconds:g} s" for what, seconds, _ in seen if seconds is not None]
    if not known or not words:
        return Requirement(number, None, hidden or "no timer of TCP is claimed that is short enough to be waited for")
    missed = any(seconds is not None and seconds < least * NEAR for _, seconds, least in seen)
    return Requirement(number, False if missed else None, ", ".join(words))


def _refresh(number: str, found: Findings, hidden: str, what: str = "mapping") -> Requirement:
    by = refreshed_by(found.timed)
    kept = by in (behaviour.BOTH, behaviour.OUTBOUND)
    return _axis(number, kept, _refreshed(by, what) if by else "", by is not None, hidden)


def _refreshed(by: str, what: str) -> str:
    words = {behaviour.BOTH: "outbound and inbound packets keep", behaviour.NOTHING: "no packet keeps"}
    return f"{words.get(by, f'{by} packets keep')} a {what} alive"


def _hairpinning(seen: bool | None) -> str:
    return (
        "two hosts inside reach each other's outer endpoint"
        if seen
        else "an inner host's outer endpoint is out of reach"
    )


def _survival(number: str, seen: Reported | None, hidden: str) -> Requirement:
    if seen is None:
        return Requirement(number, None, hidden)
    words = "a mapping outlives ICMP errors about it" if seen.survived else "an ICMP error ends a mapping"
    return Requirement(number, seen.survived, words)


def _errors(number: str, seen: Reported | None) -> Requirement:
    if seen is None:
        return Requirement(number, None, "nothing gets out that could be reported")
    outcome = icmp_errors(seen)
    words = {
        behaviour.DELIVERED: "delivered, the packet quoted as its sender knows it",
        behaviour.OUTER_QUOTED: "quotes an outer endpoint",
    }
    said = f"{', '.join(sorted(seen.arrived))}: {words[outcome]}" if outcome in words else str(outcome)
    return Requirement(number, outcome == behaviour.DELIVERED, said)


def _too_long(found: Findings) -> Requirement:
    seen = found.mtu_up
    if seen is None or seen.told is None:
        return Requirement("RFC4787-REQ-13", None, "what fits the LAN fits the way out")
    words = f"a packet longer than {seen.mtu} bytes " + ("is reported to its sender" if seen.told else "vanishes")
    return Requirement("RFC4787-REQ-13", seen.told, words)


def _fragments(found: Findings) -> Requirement:
    seen = found.fragmented
    if seen is None:
        return Requirement("RFC4787-REQ-14", None, "no long UDP datagram gets out, or the link's queue takes none")
    ways = {
        "out in order": seen.up_in_order, "out of order": seen.up_reversed,
        "in in order": seen.down_in_order, "in out of order": seen.down_reversed,
    }  # fmt: skip
    failed = [name for name, passes in ways.items() if not passes]
    return Requirement(
        "RFC4787-REQ-14", not failed,
        f"fragments fail {', '.join(failed)}" if failed else "fragments pass both ways, in order and out of order",
    )  # fmt: skip


def _opening(number: str, measured: Behaviour) -> Requirement:
    opened = measured.tcp.simultaneous_open
    if opened is None:
        return Requirement(number, None, "the firewall lets no TCP out")
    return Requirement(number, opened, "two SYNs that cross make a connection" if opened else "crossing SYNs fail")


def _late_answer(number: str, silence: Requirement) -> Requirement:
    """RFC 6092 wants silence for six seconds and then an error; no longer than that is waited here."""
    if silence.met:
        return Requirement(number, None, f"{silence.seen}; whether one comes later was not waited for")
    return Requirement(number, silence.met, silence.seen)


def _silence(number: str, seen: Transport | None) -> Requirement:
    if seen is None or seen.unsolicited is None:
        return Requirement(number, None, "the firewall lets no TCP out, so nothing is known of what would come in")
    if seen.unsolicited is Fate.ADMITTED:
        return Requirement(number, None, "an unsolicited SYN is let in")
    dropped = seen.unsolicited is Fate.DROPPED
    words = f"no answer to an unsolicited SYN for {SILENCE_S:g} s" if dropped else "an unsolicited SYN is answered"
    return Requirement(number, dropped, words)
