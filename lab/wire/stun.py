"""STUN messages (RFC 8489), with the attributes of ICE (RFC 8445) and of NAT behaviour discovery (RFC 5780).

Bytes to fields and back, integrity and fingerprint. Who may ask what, retransmission and pacing are the overlay's.
"""

import hmac
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Self
from zlib import crc32

from lab.errors import ProtocolError
from lab.wire.addresses import MAGIC_COOKIE, Address
from lab.wire.attributes import CODEC_BY_TYPE, CODECS, Attribute, Change

__all__ = [
    "COOKIE",
    "HEADER_SIZE",
    "Attribute",
    "Change",
    "Kind",
    "Method",
    "StunMessage",
    "StunStream",
    "is_stun",
    "peek_method",
    "verify",
]

# RFC 8489, 5: type, length of the attributes, magic cookie, transaction identifier.
_HEADER = struct.Struct("!HHI12s")
# RFC 8489, 14: type and length of an attribute; its value is padded to four bytes.
_ATTRIBUTE = struct.Struct("!HH")
_WORD = struct.Struct("!I")

HEADER_SIZE = _HEADER.size
COOKIE = _WORD.pack(MAGIC_COOKIE)
"""The fifth to eighth byte of every message."""
_INTEGRITY_SIZE = 20  # RFC 8489, 14.5: HMAC-SHA1
_FINGERPRINT_MASK = 0x5354554E  # RFC 8489, 14.7: "STUN"
_COMPREHENSION_OPTIONAL = 0x8000  # RFC 8489, 18.3


class Method(IntEnum):
    """What is asked for (RFC 8489, 18.2)."""

    BINDING = 0x001
    BIND = 0x0F0  # ours: binds a leg of a call at a relay


class Kind(IntEnum):
    """The class of a message, as its two bits stand in the type (RFC 8489, 5)."""

    REQUEST = 0x000
    INDICATION = 0x010
    SUCCESS = 0x100
    ERROR = 0x110


_INTEGRITY, _FINGERPRINT = int(Attribute.MESSAGE_INTEGRITY), int(Attribute.FINGERPRINT)


def is_stun(data: bytes) -> bool:
    """Whether a datagram is STUN among RTP and others: header whole, first two bits 0, magic cookie (RFC 8489, 5)."""
    return len(data) >= HEADER_SIZE and data[0] < 0x40 and data[4:8] == COOKIE


def peek_method(data: bytes) -> int:
    """The method of bytes that are STUN, without parsing the rest; what it says of other bytes means nothing."""
    return _method_and_kind(data[0] << 8 | data[1])[0]


@dataclass(frozen=True, slots=True)
class StunMessage:
    """One STUN message; an attribute that is None, False or empty tuple is absent.

    `method` is 12 bits, `transaction_id` 12 bytes; `priority` is 32 bits, `controlling` and `controlled` (tie-breakers)
    are 64; `error` is a code from 300 to 699 and its reason; `unknown` is what UNKNOWN-ATTRIBUTES lists. `loss`
    is how much of the receiver's voice the sender has missed of late, per mille; `counts` is what a relay has had from
    a leg and sent to it, datagrams modulo 2^32 each, the former in the upper half; `guessing` says that the sender
    guesses ports of the peer, which may therefore guess its own, `finished` that it looks for no better path any more;
    `holds` counts how often the sender has put the call on hold or taken it off, 32 bits: odd while it holds it;
    `nomination` numbers what USE-CANDIDATE nominates, 32 bits: what came first may arrive last
    (draft-thatcher-ice-renomination-01, 4); `leaving` says that a relay is about to end, and of a client that it has
    heard so; `order` counts a sender's messages of one call, 32 bits, so that a word that was overtaken is told by it.
    What follows is set by `parse` and never written: `unknown_required` are the comprehension-required attributes that
    this code does not know (a request with any is answered by 420 and `unknown`).
    """

    method: int
    kind: Kind
    transaction_id: bytes
    username: str | None = None
    priority: int | None = None
    use_candidate: bool = False
    controlling: int | None = None
    controlled: int | None = None
    xor_mapped: Address | None = None
    mapped: Address | None = None
    error: tuple[int, str] | None = None
    unknown: tuple[int, ...] = ()
    software: str | None = None
    realm: str | None = None
    nonce: bytes | None = None
    response_origin: Address | None = None
    other_address: Address | None = None
    change_request: Change | None = None
    response_port: int | None = None
    padding: bytes | None = None
    token: bytes | None = None
    leg: str | None = None
    loss: int | None = None
    counts: int | None = None
    guessing: bool = False
    finished: bool = False
    holds: int | None = None
    nomination: int | None = None
    leaving: bool = False
    order: int | None = None
    unknown_required: tuple[int, ...] = ()
    has_integrity: bool = field(default=False, compare=False)
    """Whether the parsed message carried MESSAGE-INTEGRITY; only `verify` says whether it is right."""
    has_fingerprint: bool = field(default=False, compare=False)
    """Whether the parsed message carried FINGERPRINT, which is then right."""

    def __post_init__(self) -> None:
        if len(self.transaction_id) != 12:
            raise ProtocolError(f"STUN transaction identifier has {len(self.transaction_id)} bytes, expected 12")

    def encode(self, key: bytes | None = None, fingerprint: bool = True) -> bytes:
        """The message's bytes, with MESSAGE-INTEGRITY under `key` if one is given. Raises ProtocolError."""
        if not 0 <= self.method <= 0xFFF:
            raise ProtocolError(f"STUN method is {self.method}, expected 12 bits")
        body = bytearray()
        for codec in CODECS:
            value = getattr(self, codec.field)
            if value is None or value is False or value == ():
                continue
            _append(body, codec.type, codec.write(value, self.transaction_id))
        size = len(body) + (4 + _INTEGRITY_SIZE if key is not None else 0) + (8 if fingerprint else 0)
        if size > 0xFFFF:
            raise ProtocolError(f"STUN message has {size} bytes of attributes, expected at most 65535")
        if key is not None:
            # RFC 8489, 14.5: the length counts the integrity attribute and nothing after it.
            covered = self._header(len(body) + 4 + _INTEGRITY_SIZE) + body
            _append(body, _INTEGRITY, hmac.digest(key, covered, "sha1"))
        if fingerprint:
            covered = self._header(len(body) + 8) + body
            _append(body, _FINGERPRINT, _WORD.pack(crc32(covered) ^ _FINGERPRINT_MASK))
        return self._header(len(body)) + bytes(body)

    def _header(self, length: int) -> bytes:
        return _HEADER.pack(_type(self.method, self.kind), length, MAGIC_COOKIE, self.transaction_id)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The message that is all of `data`. Raises ProtocolError.

        Attributes after MESSAGE-INTEGRITY are not covered by it and are ignored, but for FINGERPRINT (RFC 8489, 14.5);
        of an attribute that stands there twice the first counts (RFC 8489, 14).
        """
        transaction_id = _check_header(data)
        method, kind = _method_and_kind(data[0] << 8 | data[1])
        fields: dict[str, Any] = {}
        unknown_required: list[int] = []
        for at, attribute, size in _attributes(data):
            if attribute == _FINGERPRINT:
                _check_fingerprint(data, at, size)
                fields["has_fingerprint"] = True
            elif "has_integrity" in fields:
                continue
            elif attribute == _INTEGRITY:
                if size != _INTEGRITY_SIZE:
                    raise ProtocolError(f"STUN MESSAGE-INTEGRITY has {size} bytes, expected {_INTEGRITY_SIZE}")
                fields["has_integrity"] = True
            elif (codec := CODEC_BY_TYPE.get(attribute)) is not None:
                if codec.field not in fields:
                    fields[codec.field] = codec.read(data[at + 4 : at + 4 + size], transaction_id)
            elif attribute < _COMPREHENSION_OPTIONAL:
                unknown_required.append(attribute)
        return cls(method, kind, transaction_id, unknown_required=tuple(unknown_required), **fields)


def verify(data: bytes, key: bytes) -> bool:
    """Whether `data` is a STUN message whose MESSAGE-INTEGRITY (HMAC-SHA1) is right under `key`; in constant time.

    False, not an error, if it is malformed or carries none. `parse` reads only what is covered here.
    """
    try:
        _check_header(data)
        for at, attribute, size in _attributes(data):
            if attribute == _INTEGRITY:
                if size != _INTEGRITY_SIZE:
                    return False
                # RFC 8489, 14.5: computed as if the message ended with this attribute.
                length = at + 4 + _INTEGRITY_SIZE - HEADER_SIZE
                covered = data[:2] + length.to_bytes(2, "big") + data[4:at]
                return hmac.compare_digest(hmac.digest(key, covered, "sha1"), data[at + 4 : at + 4 + size])
    except ProtocolError:
        return False
    return False


class StunStream:
    """Cuts a byte stream into STUN messages, which carry their own length (RFC 8489, 6.2.2).

    Holds less than `limit` bytes (at least 20) between two calls of `feed`; what is not STUN, or longer than `limit`
    with its header, is refused as soon as its header shows it. After a refusal nothing is held, and each further `feed`
    is refused with the same sentence.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._refusal: str | None = None

    @property
    def pending(self) -> int:
        """Bytes held of a message that is not complete; not 0 at the end of a stream means that it was cut."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes, in order, unparsed. Raises ProtocolError."""
        if self._refusal is not None:
            raise ProtocolError(self._refusal)
        buffer = self._buffer
        buffer += data
        messages: list[bytes] = []
        start = 0
        while start < len(buffer):
            size = self._size(bytes(buffer[start : start + 8]))
            if size is None or len(buffer) < start + size:
                break
            messages.append(bytes(buffer[start : start + size]))
            start += size
        del buffer[:start]
        return messages

    def _size(self, head: bytes) -> int | None:
        """Bytes of the message that begins with `head`, None while that cannot be told."""
        if head[0] >= 0x40:
            raise self._refuse(f"stream is not STUN: a message begins with byte {head[0]}, expected less than 64")
        if not COOKIE.startswith(head[4:8]):
            raise self._refuse(f"stream is not STUN: magic cookie is {head[4:8].hex()}, expected {COOKIE.hex()}")
        if len(head) < 4:
            return None
        size = HEADER_SIZE + int.from_bytes(head[2:4], "big")
        if size % 4:
            raise self._refuse(f"STUN message has length {size - HEADER_SIZE}, expected a multiple of 4")
        if size > self._limit:
            raise self._refuse(f"STUN message of {size} bytes is over the limit of {self._limit}")
        return size

    def _refuse(self, sentence: str) -> ProtocolError:
        self._refusal = sentence
        self._buffer.clear()
        return ProtocolError(sentence)


# RFC 8489, 5: the class's two bits split the method's twelve into 5, 3 and 4.
def _type(method: int, kind: Kind) -> int:
    return (method & 0xF80) << 2 | (method & 0x070) << 1 | method & 0x00F | kind


_KINDS = {int(kind): kind for kind in Kind}


def _method_and_kind(value: int) -> tuple[int, Kind]:
    return value >> 2 & 0xF80 | value >> 1 & 0x070 | value & 0x00F, _KINDS[value & 0x110]


def _check_header(data: bytes) -> bytes:
    """The transaction identifier, if the header fits the rest (RFC 8489, 6.3)."""
    if len(data) < HEADER_SIZE:
        raise ProtocolError(f"STUN message has {len(data)} bytes, expected at least {HEADER_SIZE}")
    kind, length, cookie, transaction_id = _HEADER.unpack_from(data)
    if kind >> 14:
        raise ProtocolError("STUN message does not begin with two zero bits")
    if cookie != MAGIC_COOKIE:
        raise ProtocolError(f"STUN magic cookie is {cookie:08x}, expected {MAGIC_COOKIE:08x}")
    if length % 4:
        raise ProtocolError(f"STUN message has length {length}, expected a multiple of 4")
    if length != len(data) - HEADER_SIZE:
        raise ProtocolError(
            f"STUN message has {len(data) - HEADER_SIZE} bytes after its header, its length says {length}"
        )
    identifier: bytes = transaction_id
    return identifier


def _attributes(data: bytes) -> list[tuple[int, int, int]]:
    """Offset, type and size of value of each attribute of a message whose header is right."""
    found = []
    at, end = HEADER_SIZE, len(data)
    while at < end:
        # The length is a multiple of 4 and so is every step: four bytes are always there.
        attribute, size = _ATTRIBUTE.unpack_from(data, at)
        if at + 4 + size > end:
            raise ProtocolError(f"STUN attribute {attribute:#06x} of {size} bytes reaches beyond the message")
        found.append((at, attribute, size))
        at += 4 + size + (-size & 3)
    return found


def _check_fingerprint(data: bytes, at: int, size: int) -> None:
    # RFC 8489, 14.7: the last attribute; everything before it is covered, with the length as it stands.
    if size != 4:
        raise ProtocolError(f"STUN FINGERPRINT has {size} bytes, expected 4")
    if at + 8 != len(data):
        raise ProtocolError("STUN FINGERPRINT is not the last attribute")
    if crc32(data[:at]) ^ _FINGERPRINT_MASK != int.from_bytes(data[at + 4 :], "big"):
        raise ProtocolError("STUN FINGERPRINT does not match the message")


def _append(body: bytearray, attribute: int, value: bytes) -> None:
    if len(value) > 0xFFFF:
        raise ProtocolError(f"STUN attribute {attribute:#06x} has {len(value)} bytes, expected at most 65535")
    body += _ATTRIBUTE.pack(attribute, len(value)) + value + bytes(-len(value) & 3)
