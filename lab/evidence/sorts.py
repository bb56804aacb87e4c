"""What one packet is, as far as it says so itself: a check, a bind, a SYN, voice. For the eye, never for a verdict.

Belongs here: the first bytes of STUN (RFC 8489), RTP (RFC 3550), their framing over TCP (RFC 4571), TLS records. Never:
who sent it, and what came of it.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum

from lab.evidence.media import SIZES
from lab.evidence.pcap import SYN, Packet

FIN, RST, ACK = 0x01, 0x04, 0x10
"""TCP flags, in `Packet.flags`."""
_COOKIE = b"\x21\x12\xa4\x42"
_BINDING = 0x001
_USERNAME, _PRIORITY, _USE_CANDIDATE = 0x0006, 0x0024, 0x0025  # RFC 8489, 14; RFC 8445, 16.1
_SHORT = 36
"""Bytes of a binding request that names nobody: a question for one's own address."""
_SUCCESS, _ERROR = 0x100, 0x110  # the two bits of a STUN message's class: RFC 8489, 5
_HANDSHAKE, _RECORDS = 22, range(20, 24)
_REPORTS = range(200, 208)  # RTCP beside RTP: RFC 5761, 4


class Sort(StrEnum):
    """What a packet is. The words are those that are shown."""

    QUESTION = "question"
    CHECK = "check"
    ANSWER = "answer to a check"
    REFUSAL = "refusal of a check"
    BIND = "bind"
    BOUND = "answer to a bind"
    SYN = "SYN"
    SYN_ACK = "SYN ACK"
    RESET = "RST"
    END = "FIN"
    HANDSHAKE = "TLS handshake"
    SEALED = "TLS"
    VOICE = "voice"
    REPORT = "report of voice"
    DATA = "data"


@dataclass(frozen=True)
class Told:
    """`nominates`: a check with USE-CANDIDATE. `transaction`: that of STUN, 12 bytes. `sequence`: that of RTP."""

    sort: Sort
    nominates: bool = False
    transaction: bytes = b""
    sequence: int | None = None


def tell(packet: Packet) -> Told | None:
    """What a packet is; None for one of TCP that brings nothing but an acknowledgement."""
    payload = packet.payload
    if packet.protocol == "tcp":
        if packet.flags & SYN:
            return Told(Sort.SYN_ACK if packet.flags & ACK else Sort.SYN)
        if packet.flags & RST:
            return Told(Sort.RESET)
        if not packet.length:
            return Told(Sort.END) if packet.flags & FIN else None
        if len(payload) >= 3 and payload[0] in _RECORDS and payload[1] == 3:
            return Told(Sort.HANDSHAKE if payload[0] == _HANDSHAKE else Sort.SEALED)
        payload = payload[2:]  # RFC 4571, 2: the length of a frame
    if len(payload) >= 20 and payload[0] < 0x40 and payload[4:8] == _COOKIE:
        return _stun(payload)
    if len(payload) >= 8 and payload[0] >> 6 == 2 and payload[1] in _REPORTS:
        return Told(Sort.REPORT)
    if len(payload) >= 12 and payload[0] >> 6 == 2 and len(payload) in SIZES:
        return Told(Sort.VOICE, sequence=int.from_bytes(payload[2:4]))
    return Told(Sort.DATA)


def _stun(message: bytes) -> Told:
    (kind,) = struct.unpack_from("!H", message)
    method, answered = (kind & 0xF) | (kind & 0xE0) >> 1 | (kind & 0x3E00) >> 2, kind & 0x110
    if method != _BINDING:  # a method of the calling system's own, which is a relay's
        return Told(Sort.BOUND if answered & _SUCCESS else Sort.BIND, transaction=message[8:20])
    if answered == _ERROR:
        return Told(Sort.REFUSAL, transaction=message[8:20])
    if answered == _SUCCESS:
        return Told(Sort.ANSWER, transaction=message[8:20])
    if len(message) <= _SHORT and not any(_holds(message, one) for one in (_USERNAME, _PRIORITY, _USE_CANDIDATE)):
        return Told(Sort.QUESTION, transaction=message[8:20])
    return Told(Sort.CHECK, _holds(message, _USE_CANDIDATE), message[8:20])


def _holds(message: bytes, wanted: int) -> bool:
    at = 20
    while at + 4 <= len(message):
        kind, length = struct.unpack_from("!HH", message, at)
        if kind == wanted:
            return True
        at += 4 + length + -length % 4
    return False
