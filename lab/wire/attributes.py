"""The attributes of STUN: their types, and how the value of each is read and written.

One table for both directions. Messages, integrity and fingerprint are not here: see stun.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

from lab.errors import ProtocolError
from lab.wire.addresses import pack_address, pack_xor_address, unpack_address, unpack_xor_address

_WORD = struct.Struct("!I")
_LONG = struct.Struct("!Q")


class Attribute(IntEnum):
    """Types (RFC 8489, 18.3; RFC 8445, 16.1; RFC 5780, 9.1); from TOKEN on they are ours, comprehension-optional."""

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
    PADDING = 0x0026
    RESPONSE_PORT = 0x0027
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A
    RESPONSE_ORIGIN = 0x802B
    OTHER_ADDRESS = 0x802C
    NOMINATION = 0xC001
    TOKEN = 0xC0F1
    LEG = 0xC0F2
    LOSS = 0xC0F3
    COUNTS = 0xC0F4
    GUESSING = 0xC0F5
    FINISHED = 0xC0F6
    HOLDS = 0xC0F7
    LEAVING = 0xC0F8
    ORDER = 0xC0F9


class Change(IntFlag):
    """What CHANGE-REQUEST asks the server to answer from (RFC 5780, 7.2)."""

    PORT = 0x2
    IP = 0x4


@dataclass(frozen=True, slots=True)
class Codec:
    """How one attribute's value is read and written; both get the transaction identifier and raise ProtocolError."""

    type: int
    field: str
    read: Callable[[bytes, bytes], Any]
    write: Callable[[Any, bytes], bytes]


def _decode(value: bytes, label: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ProtocolError(f"STUN {label} is not UTF-8") from None


def _encode(text: str, label: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ProtocolError(f"STUN {label} is not text that UTF-8 can carry: {text!r}") from None


def _text(attribute: Attribute, name: str, limit: int) -> Codec:
    label = attribute.name.replace("_", "-")

    def check(size: int) -> None:
        if size > limit:
            raise ProtocolError(f"STUN {label} has {size} bytes, expected at most {limit}")

    def read(value: bytes, _: bytes) -> str:
        check(len(value))
        return _decode(value, label)

    def write(text: str, _: bytes) -> bytes:
        value = _encode(text, label)
        check(len(value))
        return value

    return Codec(int(attribute), name, read, write)


def _number(attribute: Attribute, name: str, form: struct.Struct) -> Codec:
    label = attribute.name.replace("_", "-")

    def read(value: bytes, _: bytes) -> int:
        if len(value) != form.size:
            raise ProtocolError(f"STUN {label} has {len(value)} bytes, expected {form.size}")
        return int.from_bytes(value, "big")

    def write(number: int, _: bytes) -> bytes:
        if number >> 8 * form.size:
            raise ProtocolError(f"STUN {label} is {number}, expected {8 * form.size} bits")
        return form.pack(number)

    return Codec(int(attribute), name, read, write)


def _address(attribute: Attribute, name: str) -> Codec:
    return Codec(int(attribute), name, lambda value, _: unpack_address(value), lambda value, _: pack_address(value))


def _flag(attribute: Attribute, name: str) -> Codec:
    label = attribute.name.replace("_", "-")

    def read(value: bytes, _: bytes) -> bool:
        if value:
            raise ProtocolError(f"STUN {label} has {len(value)} bytes, expected none")
        return True

    return Codec(int(attribute), name, read, lambda value, _: b"")


def _read_error(value: bytes, _: bytes) -> tuple[int, str]:
    # RFC 8489, 14.8: 21 reserved bits, the hundreds in 3 bits, the rest in 8, the reason.
    if len(value) < 4:
        raise ProtocolError(f"STUN ERROR-CODE has {len(value)} bytes, expected at least 4")
    hundreds, rest = value[2] & 0x07, value[3]
    if not 3 <= hundreds <= 6 or rest > 99:
        raise ProtocolError(f"STUN ERROR-CODE has class {hundreds} and number {rest}, expected 3 to 6 and 0 to 99")
    return 100 * hundreds + rest, _decode(value[4:], "ERROR-CODE")


def _write_error(error: tuple[int, str], _: bytes) -> bytes:
    code, reason = error
    if not 300 <= code <= 699:
        raise ProtocolError(f"STUN ERROR-CODE is {code}, expected 300 to 699")
    return bytes((0, 0, code // 100, code % 100)) + _encode(reason, "ERROR-CODE")


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


def _read_response_port(value: bytes, _: bytes) -> int:
    # RFC 5780, 7.5: a port and two bytes of padding, which some count as the value's and some do not.
    if len(value) not in (2, 4) or not any(value[:2]):
        raise ProtocolError(f"STUN RESPONSE-PORT is {value.hex()}, expected a port")
    return int.from_bytes(value[:2], "big")


def _write_response_port(port: int, _: bytes) -> bytes:
    if not 1 <= port <= 0xFFFF:
        raise ProtocolError(f"STUN RESPONSE-PORT is {port}, expected 1 to 65535")
    return port.to_bytes(2, "big") + bytes(2)


# The attributes that this code knows, in the order in which it writes them. MESSAGE-INTEGRITY and FINGERPRINT cover
# what stands before them, so they are not values like these.
CODECS = (
    Codec(Attribute.ERROR_CODE, "error", _read_error, _write_error),
    Codec(Attribute.UNKNOWN_ATTRIBUTES, "unknown", _read_unknown, _write_unknown),
    _text(Attribute.SOFTWARE, "software", 763),  # RFC 8489, 14.14: under 128 characters, up to 763 bytes
    Codec(Attribute.CHANGE_REQUEST, "change_request", _read_change, lambda value, _: _WORD.pack(value)),
    Codec(Attribute.RESPONSE_PORT, "response_port", _read_response_port, _write_response_port),
    Codec(Attribute.PADDING, "padding", lambda value, _: value, lambda value, _: value),  # RFC 5780, 7.6
    _text(Attribute.USERNAME, "username", 508),  # RFC 8489, 14.3: under 509 bytes
    _text(Attribute.REALM, "realm", 763),  # RFC 8489, 14.9
    Codec(Attribute.NONCE, "nonce", lambda value, _: value, lambda value, _: value),  # RFC 8489, 14.10
    _number(Attribute.PRIORITY, "priority", _WORD),  # RFC 8445, 7.1.1
    _flag(Attribute.USE_CANDIDATE, "use_candidate"),  # RFC 8445, 7.1.2
    _number(Attribute.ICE_CONTROLLING, "controlling", _LONG),  # RFC 8445, 7.1.3
    _number(Attribute.ICE_CONTROLLED, "controlled", _LONG),
    Codec(Attribute.XOR_MAPPED_ADDRESS, "xor_mapped", unpack_xor_address, pack_xor_address),
    _address(Attribute.MAPPED_ADDRESS, "mapped"),
    _address(Attribute.RESPONSE_ORIGIN, "response_origin"),  # RFC 5780, 7.3
    _address(Attribute.OTHER_ADDRESS, "other_address"),  # RFC 5780, 7.4
    Codec(Attribute.TOKEN, "token", lambda value, _: value, lambda value, _: value),
    _text(Attribute.LEG, "leg", 255),
    _number(Attribute.LOSS, "loss", _WORD),
    _number(Attribute.COUNTS, "counts", _LONG),
    _flag(Attribute.GUESSING, "guessing"),
    _flag(Attribute.FINISHED, "finished"),
    _number(Attribute.HOLDS, "holds", _WORD),
    _number(Attribute.NOMINATION, "nomination", _WORD),
    _flag(Attribute.LEAVING, "leaving"),
    _number(Attribute.ORDER, "order", _WORD),
)
CODEC_BY_TYPE = {int(codec.type): codec for codec in CODECS}
