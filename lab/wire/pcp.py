"""Asking a router for an outer UDP port, as bytes: PCP's MAP (RFC 6887, 7 and 11) and its ancestor NAT-PMP (RFC 6886).

Both are one datagram each way on one port, told apart by their first byte. Belongs here: what stands where. Never: when
it is asked, and again.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from lab.errors import ProtocolError
from lab.wire.addresses import Address

PORT = 5351
"""Where routers listen, for both (RFC 6887, 19.1; RFC 6886, 1)."""
NONCE_SIZE = 12
LONGEST = 1100
"""Bytes of a PCP message at the most (RFC 6887, 7)."""

_PCP, _NATPMP = 2, 0  # versions
_ANSWER = 0x80  # RFC 6887, 7.1: R; RFC 6886, 3.2: 128 + opcode
_MAP = 1  # RFC 6887, 19.2; of NAT-PMP the same number maps UDP (RFC 6886, 3.3)
_EXTERNAL = 0  # RFC 6886, 3.2: asks for the outer address alone
_UDP = 17
_REQUEST = struct.Struct("!BBHI16s")  # RFC 6887, 7.1: version, R and opcode, reserved, lifetime, client's address
_HEADER = struct.Struct(
    "!BBBBII12s"
)  # RFC 6887, 7.2: version, R and opcode, reserved, result, lifetime, epoch, reserved
_MAPPING = struct.Struct(
    "!12sB3sHH16s"
)  # RFC 6887, 11.1: nonce, protocol, reserved, inner port, outer port and address
_PMP_REQUEST = struct.Struct("!BBHHHI")  # RFC 6886, 3.3: version, opcode, reserved, inner and outer port, lifetime
_PMP_HEADER = struct.Struct("!BBHI")  # RFC 6886, 3.2: version, opcode, result, epoch
_PMP_MAPPED = struct.Struct("!HHI")  # RFC 6886, 3.3: inner and outer port, lifetime
_REASONS = {  # RFC 6887, 7.4
    1: "unsupported version",
    2: "not authorized",
    3: "malformed request",
    4: "unsupported opcode",
    5: "unsupported option",
    6: "malformed option",
    7: "network failure",
    8: "no resources",
    9: "unsupported protocol",
    10: "user exceeded its quota",
    11: "cannot provide that outer port",
    12: "address mismatch",
    13: "excessive remote peers",
}
_PMP_REASONS = {  # RFC 6886, 3.5
    1: "unsupported version",
    2: "not authorized",
    3: "network failure",
    4: "out of resources",
    5: "unsupported opcode",
}


class Kind(IntEnum):
    """What an answer is about."""

    OTHER_VERSION = 0
    REFUSED = 1
    ADDRESS = 2
    MAPPED = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """A router's. MAPPED: `inner` port, `outer` address (of NAT-PMP the port alone, host ""), `lifetime` in seconds;
    ADDRESS: `outer` is the host alone, port 0; REFUSED: `reason`; OTHER_VERSION: it speaks NAT-PMP and no PCP.
    """

    kind: Kind
    inner: int = 0
    outer: Address = ("", 0)
    lifetime: int = 0
    reason: str = ""
    nonce: bytes = b""


def pcp_map(nonce: bytes, source: str, inner: int, outer: int, lifetime: int) -> bytes:
    """PCP's request, 60 bytes: map UDP port `inner` of `source` (IPv4) to `outer` if it is free; 0 s takes it back."""
    header = _REQUEST.pack(_PCP, _MAP, 0, lifetime, _mapped(source))
    return header + _MAPPING.pack(nonce, _UDP, b"", inner, outer, _mapped("0.0.0.0"))


def natpmp_map(inner: int, outer: int, lifetime: int) -> bytes:
    """NAT-PMP's request, 12 bytes: the same of the host that sends it."""
    return _PMP_REQUEST.pack(_NATPMP, _MAP, 0, inner, outer, lifetime)


def natpmp_external() -> bytes:
    """NAT-PMP's other question, 2 bytes: what the outer address is."""
    return bytes((_NATPMP, _EXTERNAL))


def parse(data: bytes) -> Answer:
    """A router's answer, of either protocol. Raises ProtocolError."""
    if len(data) < 4 or len(data) > LONGEST or not data[1] & _ANSWER:
        raise ProtocolError(f"PCP answer has {len(data)} bytes and begins with {data[:4].hex()}")
    return _natpmp(data) if data[0] == _NATPMP else _pcp(data)


def _pcp(data: bytes) -> Answer:
    if data[0] != _PCP or len(data) < _HEADER.size:
        raise ProtocolError(
            f"PCP answer has version {data[0]} and {len(data)} bytes, expected version 2 and 24 or more"
        )
    _, opcode, _, result, lifetime, _, _ = _HEADER.unpack_from(data)
    if opcode != _ANSWER | _MAP:
        raise ProtocolError(f"PCP answer is to opcode {opcode & 0x7F}, expected {_MAP}")
    if len(data) < _HEADER.size + _MAPPING.size:
        raise ProtocolError(f"PCP answer to MAP has {len(data)} bytes, expected {_HEADER.size + _MAPPING.size}")
    nonce, protocol, _, inner, outer, host = _MAPPING.unpack_from(data, _HEADER.size)
    if protocol != _UDP:
        raise ProtocolError(f"PCP answer is about protocol {protocol}, expected {_UDP}")
    if result:
        return Answer(Kind.REFUSED, inner, reason=_REASONS.get(result, f"result {result}"), nonce=nonce)
    address = IPv6Address(host)
    return Answer(Kind.MAPPED, inner, (str(address.ipv4_mapped or address), outer), lifetime, nonce=nonce)


def _natpmp(data: bytes) -> Answer:
    _, opcode, result, _ = _PMP_HEADER.unpack_from(data.ljust(_PMP_HEADER.size, b"\0"))
    if result == 1:  # RFC 6886, 3.5; the opcode is that of the request, whatever its version
        return Answer(Kind.OTHER_VERSION)
    if result:
        return Answer(Kind.REFUSED, reason=_PMP_REASONS.get(result, f"result {result}"))
    body = data[_PMP_HEADER.size :]
    if opcode == _ANSWER | _EXTERNAL and len(body) >= 4:
        return Answer(Kind.ADDRESS, outer=(str(IPv4Address(body[:4])), 0))
    if opcode == _ANSWER | _MAP and len(body) >= _PMP_MAPPED.size:
        inner, outer, lifetime = _PMP_MAPPED.unpack_from(body)
        return Answer(Kind.MAPPED, inner, ("", outer), lifetime)
    raise ProtocolError(f"NAT-PMP answer to opcode {opcode & 0x7F} has {len(data)} bytes")


def _mapped(host: str) -> bytes:
    """An IPv4 address in the form of IPv6 (RFC 6887, 5)."""
    return IPv6Address(f"::ffff:{host}").packed
