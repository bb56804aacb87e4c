"""What a frame of IP is that is neither UDP nor TCP, or no more than a later fragment of one: for the eye, and never
for a verdict.

Belongs here: the names of ICMP's messages (RFC 792, RFC 4443), which packet an error is about, and what a link says to
itself, which is left out. Never: UDP and TCP (pcap.py), what a router made of it.
"""

import struct
from ipaddress import ip_address
from typing import NamedTuple

from lab.evidence.pcap import IPV4, SLL2_HEADER, TCP, UDP, Direction, direction_of, located

_ICMP, _IGMP, _ICMP6 = 1, 2, 58
_PROTOCOLS = {_ICMP: "ICMP", 4: "IPv4 in IP", TCP: "TCP", UDP: "UDP", 33: "DCCP", 41: "IPv6 in IP", 47: "GRE",
              50: "ESP", 51: "AH", _ICMP6: "ICMPv6", 89: "OSPF", 132: "SCTP", 136: "UDP-Lite"}  # fmt: skip
_ERRORS = {3: "unreachable", 4: "source quench", 5: "redirect", 11: "time exceeded", 12: "parameter problem"}
_ERRORS6 = {1: "unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem"}
"""These hold the beginning of the packet that they are about, eight bytes in: RFC 792; RFC 4443, 3."""
_SAYINGS = {0: "echo reply", 8: "echo request", 13: "timestamp request", 14: "timestamp reply"}
_SAYINGS6 = {128: "echo request", 129: "echo reply"}
_CODES = {
    (3, 0): "network unreachable", (3, 1): "host unreachable", (3, 2): "protocol unreachable",
    (3, 3): "port unreachable", (3, 4): "fragmentation needed", (3, 5): "source route failed",
    (3, 6): "network unknown", (3, 7): "host unknown", (3, 9): "network prohibited", (3, 10): "host prohibited",
    (3, 13): "prohibited", (11, 0): "TTL exceeded", (11, 1): "reassembly time exceeded",
}  # fmt: skip
"""Errors of which the code says more than the type: RFC 792, RFC 1122, 3.2.2.1, RFC 1812, 5.2.7.1."""
_CODES6 = {
    (1, 0): "no route", (1, 1): "prohibited", (1, 2): "beyond scope", (1, 3): "address unreachable",
    (1, 4): "port unreachable", (1, 5): "source address failed policy", (1, 6): "reject route",
    (3, 0): "hop limit exceeded", (3, 1): "reassembly time exceeded",
}  # fmt: skip
_OF_A_LINK = {9, 10}
"""Router discovery: RFC 1256."""
_OF_A_LINK6 = {*range(130, 138), 143, 148, 149, 151, 152, 153}
"""Who listens to what, which routers and neighbours there are: RFC 2710, 4861, 3810, 3971, 4286."""

End = tuple[str, int | None]
"""An address, and a port where there is one."""


class Other(NamedTuple):
    """One packet that is none for the judge, as one place saw it. `time` is epoch seconds, `source` and `destination`
    are addresses, `what` words, `about` who an error's packet was from and for, if it says so."""

    time: float
    place: str
    direction: Direction
    source: str
    destination: str
    what: str
    about: tuple[End, End] | None = None


def other(place: str, time: float, frame: bytes) -> Other | None:
    """Of a frame that is no `Packet`; None for what is not IP, and for what a link or a node says to itself."""
    if len(frame) < SLL2_HEADER:
        return None
    ether, kind = int.from_bytes(frame[:2]), frame[10]
    found = located(frame, ether)
    if found is None:
        return None
    number, at, end, addresses, later = found
    source, destination = _texts(addresses)
    if number == _IGMP or ip_address(source).is_loopback or ip_address(destination).is_loopback:
        return None
    name, about = _PROTOCOLS.get(number, f"IP protocol {number}"), None
    if later:
        what = f"IP fragment of {name}"
    elif number == (_ICMP if ether == IPV4 else _ICMP6) and min(end, len(frame)) >= at + 4:
        type_, code = frame[at], frame[at + 1]
        if type_ in (_OF_A_LINK if ether == IPV4 else _OF_A_LINK6):
            return None
        what = f"{name} {_message(ether, type_, code)}"
        if type_ in (_ERRORS if ether == IPV4 else _ERRORS6):
            about = _quoted(frame[: max(end, at)], ether, at + 8)
    else:
        what = f"{name}, cut short" if number in (TCP, UDP) else name
    return Other(time, place, direction_of(kind), source, destination, what, about)


def _message(ether: int, type_: int, code: int) -> str:
    codes, errors, sayings = (_CODES, _ERRORS, _SAYINGS) if ether == IPV4 else (_CODES6, _ERRORS6, _SAYINGS6)
    return codes.get((type_, code)) or errors.get(type_) or sayings.get(type_) or f"type {type_}"


def _quoted(frame: bytes, ether: int, at: int) -> tuple[End, End] | None:
    """From whom and for whom the packet was that an error holds the beginning of."""
    found = located(frame, ether, at)
    if found is None:
        return None
    number, transport, _, addresses, later = found
    source, destination = _texts(addresses)
    if later or number not in (TCP, UDP) or len(frame) < transport + 4:
        return (source, None), (destination, None)
    ports = struct.unpack_from("!HH", frame, transport)
    return (source, ports[0]), (destination, ports[1])


def _texts(addresses: bytes) -> tuple[str, str]:
    half = len(addresses) // 2
    return str(ip_address(addresses[:half])), str(ip_address(addresses[half:]))
