"""A packet's description, as it comes over the control channel, to bytes; scapy does the crafting.

Belongs here: one description, one datagram (or its fragments). Never: sockets, clocks.
"""

import random
from collections.abc import Mapping
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrFragment,
    fragment6,
)
from scapy.packet import Packet, Raw

from lab.errors import ProtocolError

MARK = b"\xa7lab:"
"""Before a token in a payload, and a zero after it: how a packet is known again, whatever a router made of its ends."""
TLS_RECORD = b"\x16\x03\x01"  # RFC 8446, 5.1: handshake, and the version that a first record claims
CLIENT_HELLO = b"\x01"  # RFC 8446, 4: the first byte of a handshake's first message
FRAGMENT_BYTES = 1000
"""Payload of a fragment where fragments are asked for; the kernel wants multiples of eight in all but the last."""

Spec = Mapping[str, Any]


def craft(spec: Spec) -> list[bytes]:
    """The datagrams of one description, in the order in which they are to leave. Raises ProtocolError.

    `proto`: udp, tcp, echo, echo-reply or error. `src`, `dst`: addresses of one family; `sport`, `dport`: ports.
    `token`: text that comes back in what is heard; or `raw`: bytes. `size`: bytes of the whole IP packet, padded to
    that. `df`: don't fragment. `fragments`: "in-order" or "reversed". tcp: `flags`, `seq`, `ack`, and `tls`: the
    payload is a record.
    error: `type`, `code`, `mtu`, and `about`: a udp or tcp description of the packet that is reported.
    """
    try:
        packet = _ip(spec) / _PROTOCOLS[str(spec["proto"])](spec)
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"a packet cannot be crafted from {dict(spec)} ({error!r})") from error
    order = spec.get("fragments")
    pieces = _fragments(packet) if order else [packet]
    return [bytes(piece) for piece in (reversed(pieces) if order == "reversed" else pieces)]


def payload(spec: Spec) -> bytes:
    """What a udp or tcp packet carries: its token, padded to the size that was asked for."""
    if "raw" in spec:
        return bytes(spec["raw"])
    token = spec.get("token")
    if token is None:
        return b""
    data = MARK + str(token).encode() + b"\0"
    if spec.get("tls"):
        data = TLS_RECORD + (len(data) + 4).to_bytes(2, "big") + CLIENT_HELLO + len(data).to_bytes(3, "big") + data
    headers = (40 if ":" in str(spec["src"]) else 20) + (20 if spec["proto"] == "tcp" else 8)
    return data + bytes(max(0, int(spec.get("size") or 0) - headers - len(data)))


def _ip(spec: Spec) -> Packet:
    ends = {"src": spec["src"], "dst": spec["dst"]}
    if ":" in str(spec["src"]):
        return IPv6(**ends, hlim=64)
    return IP(**ends, flags="DF" if spec.get("df") else 0, id=random.randrange(1, 1 << 16), ttl=64)


def _udp(spec: Spec) -> Packet:
    return UDP(sport=spec["sport"], dport=spec["dport"]) / Raw(payload(spec))


def _tcp(spec: Spec) -> Packet:
    flags = str(spec["flags"])
    options = [("MSS", 1220), ("WScale", 7)] if "S" in flags else []  # 1220 fits IPv6's least MTU of 1280
    head = TCP(
        sport=spec["sport"],
        dport=spec["dport"],
        flags=flags,
        seq=int(spec.get("seq", 0)),
        ack=int(spec.get("ack", 0)),
        window=65535,
        options=options,
    )
    data = payload(spec)
    return head / Raw(data) if data else head


def _echo(spec: Spec) -> Packet:
    reply = spec["proto"] == "echo-reply"
    number, data = int(spec["number"]), payload({**spec, "proto": "udp"})
    if ":" in str(spec["src"]):
        kind = ICMPv6EchoReply if reply else ICMPv6EchoRequest
        return kind(id=number, seq=1, data=data)
    return ICMP(type=0 if reply else 8, id=number, seq=1) / Raw(data)


def _error(spec: Spec) -> Packet:
    """An ICMP error about a packet: RFC 792 quotes its header and 8 bytes, RFC 4443 as much as fits."""
    about = craft(spec["about"])[0]
    kind, code, mtu = int(spec["type"]), int(spec["code"]), int(spec.get("mtu", 0))
    if ":" in str(spec["src"]):
        head = ICMPv6PacketTooBig(mtu=mtu) if kind == 2 else ICMPv6DestUnreach(code=code)
        return head / Raw(about[:512])
    return ICMP(type=kind, code=code, nexthopmtu=mtu) / Raw(about[:28])


def _fragments(packet: Packet) -> list[Packet]:
    if IPv6 in packet:
        head, body = packet.copy(), packet.payload
        head.remove_payload()
        return list(
            fragment6(  # type: ignore[no-untyped-call]
                head / IPv6ExtHdrFragment(id=random.getrandbits(32)) / body, 1280
            )
        )
    return list(fragment(packet, fragsize=FRAGMENT_BYTES))  # type: ignore[no-untyped-call]


_PROTOCOLS = {"udp": _udp, "tcp": _tcp, "echo": _echo, "echo-reply": _echo, "error": _error}
