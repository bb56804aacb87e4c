"""STUN messages (RFC 8489) with the attributes of ICE (RFC 8445), NAT behaviour discovery (RFC 5780) and two of our own.

Bytes to fields and back, integrity and fingerprint. Who may ask what, retransmission and pacing are the overlay's.
"""

import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any, Self
from zlib import crc32

from lab.errors import ProtocolError
from lab.wire.addresses import (
    MAGIC_COOKIE,
    Address,
    pack_address,
    pack_xor_address,
    unpack_address,
    unpack_xor_address,
)

# RFC 8489, 5: type, length of the attributes, magic cookie, transaction identifier.
_HEADER = struct.Struct("!HHI12s")
# RFC 8489, 14: type and length of an attribute; its value is padded to four bytes.
_ATTRIBUTE = struct.Struct("!HH")
_WORD = struct.Struct("!I")
_LONG = struct.Struct("!Q")

HEADER_SIZE = _HEADER.size
_COOKIE_BYTES = _WORD.pack(MAGIC_COOKIE)
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


class Attribute(IntEnum):
    """Attribute types (RFC 8489, 18.3; RFC 8445, 16.1; RFC 5780, 9.1; the last two are ours, comprehension-optional)."""

    MAPPED_ADDRESS = 0x0001
    CHANGE_REQUEST = 0x0003
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    REALM = 0x0014
    NONCE = 0x0015
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A
    RESPONSE_ORIGIN = 0x802B
    OTHER_ADDRESS = 0x802C
    TOKEN = 0xC0F1
    LEG = 0xC0F2


class Change(IntFlag):
    """What CHANGE-REQUEST asks the server to answer from (RFC 5780, 7.2)."""

    PORT = 0x2
    IP = 0x4


_INTEGRITY, _FINGERPRINT = int(Attribute.MESSAGE_INTEGRITY), int(Attribute.FINGERPRINT)


def is_stun(data: bytes) -> bool:
    """Whether a datagram is STUN among RTP and others: header whole, first two bits 0, magic cookie (RFC 8489, 5)."""
    return len(data) >= HEADER_SIZE and data[0] < 0x40 and data[4:8] == _COOKIE_BYTES


@dataclass(frozen=True, slots=True)
class StunMessage:
    """One STUN message; an attribute that is None, False or empty tuple is absent.

    `transaction_id` is 12 bytes; `priority` is 32 bits, `controlling` and `controlled` (tie-breakers) are 64; `error` is a
    code from 300 to 699 and its reason; `unknown` is what UNKNOWN-ATTRIBUTES lists. `unknown_required` is read only: the
    comprehension-required attributes of a parsed message that this code does not know (answer with 420 and `unknown`).
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
    token: bytes | None = None
    leg: str | None = None
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
        for codec in _CODECS:
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

        Attributes after MESSAGE-INTEGRITY are not covered by it and are ignored, but for FINGERPRINT (RFC 8489, 14.5); of
        an attribute that stands there twice the first counts (RFC 8489, 14).
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
            elif (codec := _BY_TYPE.get(attribute)) is not None:
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

    Holds less than `limit` bytes between two calls of `feed`; what is not STUN, or longer than `limit` with its header, is
    refused as soon as its header shows it. After a refusal each further `feed` is refused with the same sentence.
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
        if not _COOKIE_BYTES.startswith(head[4:8]):
            raise self._refuse(f"stream is not STUN: magic cookie is {head[4:8].hex()}, expected {_COOKIE_BYTES.hex()}")
        if len(head) < 4:
            return None
        size = HEADER_SIZE + int.from_bytes(head[2:4], "big")
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


@dataclass(frozen=True, slots=True)
class _Codec:
    """How one attribute's value is read and written; both may use the transaction identifier, and raise ProtocolError."""

    type: int
    field: str
    read: Callable[[bytes, bytes], Any]
    write: Callable[[Any, bytes], bytes]


def _text(attribute: Attribute, name: str, limit: int) -> _Codec:
    label = attribute.name.replace("_", "-")

    def check(size: int) -> None:
        if size > limit:
            raise ProtocolError(f"STUN {label} has {size} bytes, expected at most {limit}")

    def read(value: bytes, _: bytes) -> str:
        check(len(value))
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ProtocolError(f"STUN {label} is not UTF-8") from None

    def write(text: str, _: bytes) -> bytes:
        value = text.encode()
        check(len(value))
        return value

    return _Codec(int(attribute), name, read, write)


def _number(attribute: Attribute, name: str, form: struct.Struct) -> _Codec:
    label = attribute.name.replace("_", "-")

    def read(value: bytes, _: bytes) -> int:
        if len(value) != form.size:
            raise ProtocolError(f"STUN {label} has {len(value)} bytes, expected {form.size}")
        return int.from_bytes(value, "big")

    def write(number: int, _: bytes) -> bytes:
        if number >> 8 * form.size:
            raise ProtocolError(f"STUN {label} is {number}, expected {8 * form.size} bits")
        return form.pack(number)

    return _Codec(int(attribute), name, read, write)


def _address(attribute: Attribute, name: str) -> _Codec:
    return _Codec(int(attribute), name, lambda value, _: unpack_address(value), lambda value, _: pack_address(value))


def _read_flag(value: bytes, _: bytes) -> bool:
    if value:
        raise ProtocolError(f"STUN USE-CANDIDATE has {len(value)} bytes, expected none")
    return True


def _read_error(value: bytes, _: bytes) -> tuple[int, str]:
    # RFC 8489, 14.8: 21 reserved bits, the hundreds in 3 bits, the rest in 8, the reason.
    if len(value) < 4:
        raise ProtocolError(f"STUN ERROR-CODE has {len(value)} bytes, expected at least 4")
    hundreds, rest = value[2] & 0x07, value[3]
    if not 3 <= hundreds <= 6 or rest > 99:
        raise ProtocolError(f"STUN ERROR-CODE has class {hundreds} and number {rest}, expected 3 to 6 and 0 to 99")
    try:
        return 100 * hundreds + rest, value[4:].decode()
    except UnicodeDecodeError:
        raise ProtocolError("STUN ERROR-CODE has a reason that is not UTF-8") from None


def _write_error(error: tuple[int, str], _: bytes) -> bytes:
    code, reason = error
    if not 300 <= code <= 699:
        raise ProtocolError(f"STUN ERROR-CODE is {code}, expected 300 to 699")
    return bytes((0, 0, code // 100, code % 100)) + reason.encode()


def _read_unknown(value: bytes, _: bytes) -> tuple[int, ...]:
    if len(value) % 2:
        raise ProtocolError(f"STUN UNKNOWN-ATTRIBUTES has {len(value)} bytes, expected a multiple of 2")
    return struct.unpack(f"!{len(value) // 2}H", value)


def _write_unknown(types: tuple[int, ...], _: bytes) -> bytes:
    if any(not 0 <= each <= 0xFFFF for each in types):
        raise ProtocolError(f"STUN UNKNOWN-ATTRIBUTES lists {types}, expected 16 bits each")
    return struct.pack(f"!{len(types)}H", *types)


def _read_change(value: bytes, _: bytes) -> Change:
    if len(value) != 4:
        raise ProtocolError(f"STUN CHANGE-REQUEST has {len(value)} bytes, expected 4")
    return Change(value[3] & (Change.IP | Change.PORT))


# The attributes that this code knows, in the order in which it writes them. MESSAGE-INTEGRITY and FINGERPRINT cover what
# stands before them, so they are not values like these.
_CODECS = (
    _Codec(Attribute.ERROR_CODE, "error", _read_error, _write_error),
    _Codec(Attribute.UNKNOWN_ATTRIBUTES, "unknown", _read_unknown, _write_unknown),
    _text(Attribute.SOFTWARE, "software", 763),  # RFC 8489, 14.14: under 128 characters, up to 763 bytes
    _Codec(Attribute.CHANGE_REQUEST, "change_request", _read_change, lambda value, _: _WORD.pack(value)),
    _text(Attribute.USERNAME, "username", 508),  # RFC 8489, 14.3: under 509 bytes
    _text(Attribute.REALM, "realm", 763),  # RFC 8489, 14.9
    _Codec(Attribute.NONCE, "nonce", lambda value, _: value, lambda value, _: value),  # RFC 8489, 14.10
    _number(Attribute.PRIORITY, "priority", _WORD),  # RFC 8445, 7.1.1
    _Codec(Attribute.USE_CANDIDATE, "use_candidate", _read_flag, lambda value, _: b""),  # RFC 8445, 7.1.2
    _number(Attribute.ICE_CONTROLLING, "controlling", _LONG),  # RFC 8445, 7.1.3
    _number(Attribute.ICE_CONTROLLED, "controlled", _LONG),
    _Codec(Attribute.XOR_MAPPED_ADDRESS, "xor_mapped", unpack_xor_address, pack_xor_address),
    _address(Attribute.MAPPED_ADDRESS, "mapped"),
    _address(Attribute.RESPONSE_ORIGIN, "response_origin"),  # RFC 5780, 7.3
    _address(Attribute.OTHER_ADDRESS, "other_address"),  # RFC 5780, 7.4
    _Codec(Attribute.TOKEN, "token", lambda value, _: value, lambda value, _: value),
    _text(Attribute.LEG, "leg", 255),
)
_BY_TYPE = {int(codec.type): codec for codec in _CODECS}
