"""RFC 5780: a STUN server's answers that let anybody's client find out what its network does.

Pure: a datagram and where it came in, to a datagram and where it leaves. Never: sockets.
It shares no parser with the calling system, whose STUN is another matter.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar

COOKIE = 0x2112A442  # RFC 8489, 5
_REQUEST, _SUCCESS = 0x0001, 0x0101  # Binding
_MAPPED, _CHANGE_REQUEST, _XOR_MAPPED = 0x0001, 0x0003, 0x0020  # RFC 8489, 14; RFC 5780, 7.2
_PADDING, _RESPONSE_PORT, _ORIGIN, _OTHER = 0x0026, 0x0027, 0x802B, 0x802C  # RFC 5780, 7.6, 7.5, 7.3, 7.4
_CHANGE_ADDRESS, _CHANGE_PORT = 0x04, 0x02
_HEADER = struct.Struct("!HHI12s")

Endpoint = tuple[str, int]
T = TypeVar("T", str, int)


@dataclass(frozen=True)
class Answer:
    """A datagram to send, from one of the server's endpoints to the client's."""

    data: bytes
    source: Endpoint
    to: Endpoint


def answer(
    data: bytes, source: Endpoint, at: Endpoint, addresses: Sequence[str], ports: Sequence[int], fixed: bool = False
) -> Answer | None:
    """The answer to a Binding request of `source` that came in `at`; None for anything else.

    `addresses` and `ports`: the server's two of each. RFC 5780, 6.1: the answer leaves from where CHANGE-REQUEST says,
    says where that is, and names the endpoint that differs in both. With `fixed` it names the second of each, wherever
    it was asked: coturn's client compares with what it was told last, not first.
    """
    if len(data) < _HEADER.size or at[0] not in addresses or at[1] not in ports:
        return None
    kind, length, cookie, transaction = _HEADER.unpack_from(data)
    if kind != _REQUEST or cookie != COOKIE or length != len(data) - _HEADER.size:
        return None
    asked = dict(_attributes(data[_HEADER.size :]))
    change = int.from_bytes(asked.get(_CHANGE_REQUEST, b""))
    other = _other(at[0], addresses), _other(at[1], ports)
    leaves = (other[0] if change & _CHANGE_ADDRESS else at[0], other[1] if change & _CHANGE_PORT else at[1])
    to_port = int.from_bytes(asked[_RESPONSE_PORT][:2], "big") if _RESPONSE_PORT in asked else source[1]
    said = [
        (_XOR_MAPPED, _address(source, transaction)),
        (_MAPPED, _address(source)),
        (_ORIGIN, _address(leaves)),
        (_OTHER, _address((addresses[1], ports[1]) if fixed else (str(other[0]), int(other[1])))),
    ]
    if _PADDING in asked:
        said.append((_PADDING, asked[_PADDING]))
    body = b"".join(struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4) for name, value in said)
    return Answer(_HEADER.pack(_SUCCESS, len(body), COOKIE, transaction) + body, leaves, (source[0], to_port))


def _other(one: T, two: Sequence[T]) -> T:
    return two[1] if one == two[0] else two[0]


def _attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(body):
        name, length = struct.unpack_from("!HH", body, offset)
        yield name, body[offset + 4 : offset + 4 + length]
        offset += 4 + length + (-length % 4)


def _address(endpoint: Endpoint, transaction: bytes | None = None) -> bytes:
    """MAPPED-ADDRESS's value, or with the transaction XOR-MAPPED-ADDRESS's (RFC 8489, 14.1 and 14.2)."""
    packed, port = ip_address(endpoint[0]).packed, endpoint[1]
    if transaction is not None:
        mask = COOKIE.to_bytes(4, "big") + transaction
        packed = bytes(byte ^ other for byte, other in zip(packed, mask, strict=False))
        port ^= COOKIE >> 16
    return struct.pack("!xBH", 1 if len(packed) == 4 else 2, port) + packed
