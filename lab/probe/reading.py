"""Bytes from the network to what was seen of them, as it goes over the control channel; scapy does the dissecting.

Belongs here: one packet, one description; fragments are put together first. Never: what it means.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import Packet

from lab.probe.crafting import MARK

Seen = dict[str, Any]
_KEPT = 64  # datagrams whose fragments are awaited; older ones never come whole
_ERRORS = {4: (3, 11, 12), 6: (1, 2, 3, 4)}  # RFC 792, RFC 4443: the types that report another packet
_ECHOES = {4: (8, 0), 6: (128, 129)}  # request, reply


@dataclass
class Reader:
    """Reads packets of one host, in the order they come."""

    _parts: dict[tuple[Any, ...], list[tuple[int, bool, bytes]]] = field(default_factory=dict)

    def read(self, data: bytes) -> Seen | None:
        """What a packet is: proto, src, dst and what its protocol has; None for one that is incomplete or not known."""
        version = data[0] >> 4 if data else 0
        if version == 4:
            return self._ipv4(IP(data), data)
        if version == 6:
            return self._ipv6(IPv6(data), data)
        return None

    def _ipv4(self, packet: Packet, data: bytes) -> Seen | None:
        if packet.flags.MF or packet.frag:
            key = (4, packet.src, packet.dst, packet.id, packet.proto)
            body = data[packet.ihl * 4 : packet.len]
            whole = self._whole(key, packet.frag * 8, bool(packet.flags.MF), body)
            if whole is None:
                return None
            count, joined = whole
            header = IP(src=packet.src, dst=packet.dst, proto=packet.proto, id=packet.id, ttl=packet.ttl)
            said = _said(IP(bytes(header / joined)), 4)
            return {**said, "fragments": count} if said else None
        return _said(packet, 4)

    def _ipv6(self, packet: Packet, data: bytes) -> Seen | None:
        if IPv6ExtHdrFragment not in packet:
            return _said(packet, 6)
        part = packet[IPv6ExtHdrFragment]
        whole = self._whole((6, packet.src, packet.dst, part.id), part.offset * 8, bool(part.m), bytes(part.payload))
        if whole is None:
            return None
        count, joined = whole
        header = IPv6(src=packet.src, dst=packet.dst, nh=part.nh, hlim=packet.hlim)
        said = _said(IPv6(bytes(header / joined)), 6)
        return {**said, "fragments": count} if said else None

    def _whole(self, key: tuple[Any, ...], offset: int, more: bool, body: bytes) -> tuple[int, bytes] | None:
        parts = self._parts.setdefault(key, [])
        parts.append((offset, more, body))
        while len(self._parts) > _KEPT:
            self._parts.pop(next(iter(self._parts)))
        joined = b""
        for start, follows, piece in sorted(parts):
            if start != len(joined):
                return None
            joined += piece
            if not follows:
                return len(self._parts.pop(key)), joined
        return None


def _said(packet: Packet, version: int) -> Seen | None:
    hops, number = (packet.ttl, packet.proto) if version == 4 else (packet.hlim, packet.nh)
    name, read = _PROTOCOLS.get(number, ("", None))
    said = read(packet.payload, version) if read else None
    ends = {"src": packet.src, "dst": packet.dst, "ttl": hops, "size": len(packet)}
    return None if said is None else {"proto": name, **ends, **said}


def _udp(head: Packet, version: int) -> Seen:
    return {"sport": head.sport, "dport": head.dport, **_token(bytes(head.payload))}


def _tcp(head: Packet, version: int) -> Seen:
    flags = {"flags": str(head.flags), "seq": head.seq, "ack": head.ack}
    return {"sport": head.sport, "dport": head.dport, **flags, **_token(bytes(head.payload))}


def _icmp(head: Packet, version: int) -> Seen | None:
    data = bytes(head)
    kind, code = data[0], data[1]
    if kind in _ECHOES[version]:
        reply = kind == _ECHOES[version][1]
        number = int.from_bytes(data[4:6], "big")
        return {"echo": "reply" if reply else "request", "number": number, **_token(data[8:])}
    if kind not in _ERRORS[version]:
        return None
    mtu = int.from_bytes(data[6:8] if version == 4 else data[4:8], "big")
    return {"type": kind, "code": code, "mtu": mtu, "about": _quoted(data[8:])}


def _quoted(data: bytes) -> Seen | None:
    """The packet that an ICMP error reports: its ends, as they stand in the quotation."""
    version = data[0] >> 4 if data else 0
    packet = IP(data) if version == 4 else IPv6(data) if version == 6 else None
    if packet is None:
        return None
    offset = packet.ihl * 4 if version == 4 else 40
    number = packet.proto if version == 4 else packet.nh
    ports = data[offset : offset + 4]
    return {
        "proto": _PROTOCOLS.get(number, (str(number), None))[0],
        "src": packet.src,
        "dst": packet.dst,
        "sport": int.from_bytes(ports[:2], "big"),
        "dport": int.from_bytes(ports[2:], "big"),
    }


def _token(payload: bytes) -> Seen:
    start = payload.find(MARK, 0, 64)
    if start < 0:
        return {}
    end = payload.find(b"\0", start)
    return {"token": payload[start + len(MARK) : end].decode("ascii", "replace")}


_PROTOCOLS: dict[int, tuple[str, Callable[[Packet, int], Seen | None]]] = {
    1: ("icmp", _icmp),
    6: ("tcp", _tcp),
    17: ("udp", _udp),
    58: ("icmp", _icmp),
}
