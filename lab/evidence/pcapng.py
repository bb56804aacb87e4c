"""The pcapng file format (draft-ietf-opsawg-pcapng): the few blocks of it that a lab's file is made of, and back.

A file is a row of blocks. Each begins and ends with its length, so that what is not known can be passed over, and so
that a file that ends early can be read up to there. What is written is little-endian; the other order is read
too.

Belongs here: blocks as bytes. Never: files, and what a packet or a comment means.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

SECTION, INTERFACE, SIMPLE, NAMES, STATISTICS, PACKET, SECRETS = 0x0A0D0D0A, 1, 3, 4, 5, 6, 10
"""Block types (section 4); any other is passed over."""
MAGIC = struct.pack("<I", SECTION)
"""What every file begins with, in either byte order."""
MOST_TEXT = 0xFFFF
"""Bytes of one option's value: its length has 16 bits."""
_ORDER_MAGIC = 0x1A2B3C4D
_MOST_BLOCK = 1 << 24
"""Bytes; a longer block is no block: packets are cut at 4,096."""
# Options, by block (3.5, 4.1 to 4.6)
_END, _COMMENT = 0, 1
_SHB_APPLICATION = 4
_IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL, _IF_TSOFFSET = 2, 3, 9, 14
_EPB_FLAGS = 2
_ISB_IFDROP = 5
_NRB_END, _NRB_IPV4, _NRB_IPV6 = 0, 1, 2
_TLS_KEY_LOG = 0x544C534B  # 4.7


class Torn(Exception):
    """The bytes are no pcapng, or end within a block; `at` is where that block begins."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(why)
        self.at = at


@dataclass(frozen=True)
class Section:
    """The header that a file begins with, and its comments."""

    comments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Interface:
    """A place where packets were seen: link type, name, description. `unit`: seconds of one tick of its clock."""

    link: int
    name: str = ""
    description: str = ""
    unit: float = 1e-6
    offset: int = 0


@dataclass(frozen=True)
class PacketRecord:
    """One packet at the interface of that number. `ticks` since 1970, `length` is its bytes, `data` those kept.

    `inbound`: True for one that came in, False for one that went out, None where nobody said.
    """

    interface: int
    ticks: int
    length: int
    data: bytes
    comments: tuple[str, ...] = ()
    inbound: bool | None = None


def micros(place: Interface, ticks: int) -> int:
    """Microseconds since 1970, which a lab's own files count in; one that was saved anew may have another unit."""
    if place.unit == 1e-6 and not place.offset:
        return ticks
    return round((ticks * place.unit + place.offset) * 1e6)


@dataclass(frozen=True)
class Lost:
    """What an interface's capture says that it missed."""

    interface: int
    packets: int


@dataclass(frozen=True)
class Keys:
    """A log of TLS keys that goes with the packets (NSS key log format); its comments may hold others."""

    log: str = field(repr=False)


Block = Section | Interface | PacketRecord | Lost | Keys

# -- writing --------------------------------------------------------------------------------------------------------


def section(comments: Iterable[str], application: str) -> bytes:
    """The section header block (4.1); its length is left open, so that a file cut short is a file."""
    body = struct.pack("<IHHq", _ORDER_MAGIC, 1, 0, -1)
    options = [(_COMMENT, text.encode()) for text in comments] + [(_SHB_APPLICATION, application.encode())]
    return _block(SECTION, body + _options(options))


def interface(one: Interface) -> bytes:
    """The interface description block (4.2), with microseconds."""
    options = [(_IF_NAME, one.name.encode()), (_IF_TSRESOL, b"\x06")]
    if one.description:
        options.insert(1, (_IF_DESCRIPTION, one.description.encode()))
    return _block(INTERFACE, struct.pack("<HHI", one.link, 0, 0) + _options(options))


def names(hosts: Mapping[bytes, str]) -> bytes:
    """The name resolution block (4.5): addresses as their 4 or 16 bytes, and what they are called."""
    records = b""
    for address, name in hosts.items():
        value = address + name.encode() + b"\0"
        records += _option(_NRB_IPV4 if len(address) == 4 else _NRB_IPV6, value)
    return _block(NAMES, records + struct.pack("<HH", _NRB_END, 0))


def tls_keys(log: str) -> bytes:
    """The decryption secrets block (4.7) with a TLS key log; it stands before the packets that it opens."""
    data = log.encode()
    return _block(SECRETS, struct.pack("<II", _TLS_KEY_LOG, len(data)) + _padded(data))


def packet(one: PacketRecord) -> bytes:
    """The enhanced packet block (4.3)."""
    body = struct.pack("<IIIII", one.interface, one.ticks >> 32, one.ticks & 0xFFFFFFFF, len(one.data), one.length)
    options = [(_COMMENT, text.encode()) for text in one.comments]
    if one.inbound is not None:
        options.append((_EPB_FLAGS, struct.pack("<I", 1 if one.inbound else 2)))
    return _block(PACKET, body + _padded(one.data) + (_options(options) if options else b""))


def lost(one: Lost) -> bytes:
    """The interface statistics block (4.6), of what its capture missed."""
    drops = (_ISB_IFDROP, struct.pack("<Q", one.packets))
    return _block(STATISTICS, struct.pack("<III", one.interface, 0, 0) + _options([drops]))


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _options(options: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(_option(code, value[:MOST_TEXT]) for code, value in options) + struct.pack("<HH", _END, 0)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)


# -- reading --------------------------------------------------------------------------------------------------------


@dataclass
class _Reading:
    """The byte order, and the interfaces, of the section that is being read."""

    order: str = "<"
    interfaces: list[Interface] = field(default_factory=list)


def blocks(data: bytes) -> Iterator[tuple[int, Block]]:
    """Where each block begins, and what it says; what is not known is left out.

    Raises Torn where a block is not whole, after every block before it.
    """
    now = _Reading()
    at = 0
    if data[:4] != MAGIC:
        raise Torn(0, f"it begins with {data[:4].hex() or 'nothing'}")
    while at < len(data):
        if len(data) - at < 12:
            raise Torn(at, "it ends within the header of a block")
        if data[at : at + 4] == MAGIC:
            now = _Reading(_order(data, at))
        kind, length = struct.unpack_from(f"{now.order}II", data, at)
        if not 12 <= length <= _MOST_BLOCK or length % 4:
            raise Torn(at, f"a block says that it has {length} bytes")
        if at + length > len(data):
            raise Torn(at, "it ends within a block")
        if struct.unpack_from(f"{now.order}I", data, at + length - 4)[0] != length:
            raise Torn(at, "a block ends with another length than it begins with")
        try:
            found = _understood(kind, data[at + 8 : at + length - 4], now)
        except (struct.error, IndexError, OverflowError):
            raise Torn(at, f"a block of type {kind} is too short for what it says") from None
        if isinstance(found, Interface):
            now.interfaces.append(found)
        if found is not None:
            yield at, found
        at += length


def _order(data: bytes, at: int) -> str:
    for order in ("<", ">"):
        if struct.unpack_from(f"{order}I", data, at + 8)[0] == _ORDER_MAGIC:
            return order
    raise Torn(at, "its section header names no byte order")


def _understood(kind: int, body: bytes, now: _Reading) -> Block | None:
    order = now.order
    match kind:
        case _ if kind == SECTION:
            return Section(tuple(_texts(body[16:], order, _COMMENT)))
        case _ if kind == INTERFACE:
            return _interface(body, order)
        case _ if kind == PACKET:
            return _packet(body, now)
        case _ if kind == SIMPLE and now.interfaces:
            (length,) = struct.unpack_from(f"{order}I", body)
            return PacketRecord(0, 0, length, body[4 : 4 + length])
        case _ if kind == STATISTICS:
            (number,) = struct.unpack_from(f"{order}I", body)
            drops = [value for code, value in _split(body[12:], order) if code == _ISB_IFDROP and len(value) == 8]
            return Lost(number, struct.unpack(f"{order}Q", drops[0])[0]) if drops else None
        case _ if kind == SECRETS:
            secrets, length = struct.unpack_from(f"{order}II", body)
            return Keys(body[8 : 8 + length].decode(errors="replace")) if secrets == _TLS_KEY_LOG else None
    return None


def _interface(body: bytes, order: str) -> Interface:
    (link,) = struct.unpack_from(f"{order}H", body)
    options = dict(_split(body[8:], order))
    resolution = options.get(_IF_TSRESOL, b"\x06")[0]  # 4.2: a power of ten or, with the highest bit, of two
    unit = 2.0 ** -(resolution & 0x7F) if resolution & 0x80 else 10.0**-resolution
    offset = options.get(_IF_TSOFFSET, b"")
    return Interface(
        link,
        options.get(_IF_NAME, b"").decode(errors="replace"),
        options.get(_IF_DESCRIPTION, b"").decode(errors="replace"),
        unit,
        struct.unpack(f"{order}q", offset)[0] if offset else 0,
    )


def _packet(body: bytes, now: _Reading) -> PacketRecord:
    number, high, low, kept, length = struct.unpack_from(f"{now.order}IIIII", body)
    if number >= len(now.interfaces) or 20 + kept > len(body):
        raise IndexError
    options = list(_split(body[20 + kept + -kept % 4 :], now.order))
    comments = tuple(value.decode(errors="replace") for code, value in options if code == _COMMENT)
    flags = next((value for code, value in options if code == _EPB_FLAGS and len(value) == 4), bytes(4))
    way = struct.unpack(f"{now.order}I", flags)[0] & 3
    return PacketRecord(number, high << 32 | low, length, body[20 : 20 + kept], comments, {1: True, 2: False}.get(way))


def _texts(options: bytes, order: str, wanted: int) -> Iterator[str]:
    return (value.decode(errors="replace") for code, value in _split(options, order) if code == wanted)


def _split(options: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from(f"{order}HH", options, at)
        if code == _END:
            return
        yield code, options[at + 4 : at + 4 + length]
        at += 4 + length + -length % 4
