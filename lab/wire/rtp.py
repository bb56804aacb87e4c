"""RTP packets (RFC 3550) with one-byte header extensions (RFC 8285).

Bytes to fields and back; order, loss, timing and encryption are the media's affair, never this file's.
"""

import struct
from dataclasses import dataclass
from typing import Self

from lab.errors import ProtocolError

_HEADER = struct.Struct("!BBHII")
_EXTENSION_HEADER = struct.Struct("!HH")

HEADER_SIZE = _HEADER.size
"""Bytes of the fixed header (RFC 3550, 5.1)."""

# RFC 3550, 5.1: the bits of the first byte.
_VERSION = 2
_PADDING = 0x20
_EXTENSION = 0x10
_CSRC_COUNT = 0x0F

_ONE_BYTE_PROFILE = 0xBEDE  # RFC 8285, 4.2


def is_rtp(data: bytes) -> bool:
    """Whether a datagram is RTP, or RTCP, and not STUN or DTLS: first byte 128 to 191 (RFC 7983, 7), header whole."""
    return len(data) >= HEADER_SIZE and 128 <= data[0] <= 191


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One RTP packet. `sequence` is 16 bits, `timestamp` (in samples of the payload's clock) and `ssrc` are 32.

    `extensions` are pairs of an identifier, 1 to 14, and 1 to 16 bytes, in the order of the wire.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False
    extensions: tuple[tuple[int, bytes], ...] = ()

    def encode(self) -> bytes:
        """The packet's bytes, without padding or contributing sources. Raises ProtocolError on a field out of range."""
        if not 0 <= self.payload_type <= 127:
            raise ProtocolError(f"RTP payload type is {self.payload_type}, expected 0 to 127")
        first = _VERSION << 6 | (_EXTENSION if self.extensions else 0)
        second = self.marker << 7 | self.payload_type
        try:
            header = _HEADER.pack(first, second, self.sequence, self.timestamp, self.ssrc)
        except struct.error:
            raise ProtocolError(
                f"RTP sequence {self.sequence}, timestamp {self.timestamp} or SSRC {self.ssrc} is out of range"
            ) from None
        return header + (_encode_extensions(self.extensions) if self.extensions else b"") + self.payload

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The packet in `data`; padding and contributing sources are taken off. Raises ProtocolError."""
        if len(data) < HEADER_SIZE:
            raise ProtocolError(f"RTP packet has {len(data)} bytes, expected at least {HEADER_SIZE}")
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        if first >> 6 != _VERSION:
            raise ProtocolError(f"RTP version is {first >> 6}, expected {_VERSION}")
        start = HEADER_SIZE + 4 * (first & _CSRC_COUNT)
        if start > len(data):
            raise ProtocolError(f"RTP packet of {len(data)} bytes ends within its contributing sources")
        extensions: tuple[tuple[int, bytes], ...] = ()
        if first & _EXTENSION:
            extensions, start = _parse_extensions(data, start)
        end = len(data)
        if first & _PADDING:
            end -= _padding(data, start)
        return cls(second & 0x7F, sequence, timestamp, ssrc, data[start:end], second >= 0x80, extensions)


def _padding(data: bytes, start: int) -> int:
    # RFC 3550, 5.1: the last byte counts the padding, itself included.
    room = len(data) - start
    if not room:
        raise ProtocolError("RTP packet announces padding and ends before it")
    count = data[-1]
    if not 1 <= count <= room:
        raise ProtocolError(f"RTP padding is {count} bytes, expected 1 to {room}")
    return count


def _encode_extensions(extensions: tuple[tuple[int, bytes], ...]) -> bytes:
    body = bytearray()
    for identifier, value in extensions:
        # RFC 8285, 4.2: 0 is padding, 15 is reserved; the length field holds the length less one.
        if not 1 <= identifier <= 14:
            raise ProtocolError(f"RTP header extension has identifier {identifier}, expected 1 to 14")
        if not 1 <= len(value) <= 16:
            raise ProtocolError(f"RTP header extension {identifier} has {len(value)} bytes, expected 1 to 16")
        body.append(identifier << 4 | len(value) - 1)
        body += value
    body += bytes(-len(body) % 4)
    if len(body) > 4 * 0xFFFF:
        raise ProtocolError(f"RTP header extensions have {len(body)} bytes, expected at most {4 * 0xFFFF}")
    return _EXTENSION_HEADER.pack(_ONE_BYTE_PROFILE, len(body) // 4) + body


def _parse_extensions(data: bytes, start: int) -> tuple[tuple[tuple[int, bytes], ...], int]:
    """The extensions at `start`, and where the payload begins (RFC 3550, 5.3.1)."""
    body = start + _EXTENSION_HEADER.size
    if body > len(data):
        raise ProtocolError(f"RTP packet of {len(data)} bytes ends within its header extension")
    profile, words = _EXTENSION_HEADER.unpack_from(data, start)
    end = body + 4 * words
    if end > len(data):
        raise ProtocolError(f"RTP packet of {len(data)} bytes ends within its header extension")
    # RFC 3550, 5.3.1: an extension that one does not know is ignored.
    return (_elements(data[body:end]) if profile == _ONE_BYTE_PROFILE else ()), end


def _elements(body: bytes) -> tuple[tuple[int, bytes], ...]:
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(body):
        head = body[at]
        at += 1
        if head == 0:  # RFC 8285, 4.1: padding
            continue
        identifier, size = head >> 4, (head & 0x0F) + 1
        # RFC 8285, 4.2: 15, and 0 with a length, end the processing; what came before counts.
        if identifier in (0, 15):
            break
        if at + size > len(body):
            raise ProtocolError(f"RTP header extension {identifier} has {len(body) - at} bytes, its length says {size}")
        found.append((identifier, body[at : at + size]))
        at += size
    return tuple(found)
