"""What a client and its supernode said inside TLS, by name, where the keys of their connection are at hand.

TLS 1.3 (RFC 8446, 5.2 and 7.3) with the traffic secrets of a key log (NSS key log format), and the calling system's
frames: four bytes of length, then a MessagePack map that begins with what it is. Read for the eye, never for a verdict.
Belongs here: opening records, and the names of messages. Never: what a message means, or its contents.
"""

import re
import struct
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from lab.evidence.flows import Captures, Stream
from lab.evidence.pcap import Direction, Packet
from lab.evidence.secrets import hello

Where = tuple[str, int]
"""A packet: the place that saw it, and its offset in the capture."""
Names = Mapping[Where, tuple[str, ...]]

_SECRET = re.compile(r"^(CLIENT|SERVER)_TRAFFIC_SECRET_0 ([0-9a-f]{64}) ((?:[0-9a-f]{32}){2,3})$", re.MULTILINE)
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_HEADER, _LENGTH = 5, 4
_APPLICATION, _SERVER_HELLO = 23, 2
_SUITES: dict[int, tuple[type[AESGCM | ChaCha20Poly1305], int, type[hashes.SHA256 | hashes.SHA384]]] = {
    0x1301: (AESGCM, 16, hashes.SHA256),
    0x1302: (AESGCM, 32, hashes.SHA384),
    0x1303: (ChaCha20Poly1305, 32, hashes.SHA256),
}  # RFC 8446, B.4
_MESSAGE = re.compile(rb"[\x80-\x8f]\xa4type[\xa0-\xbf]([A-Z][A-Za-z0-9]*)")
_HALF, _MASK = 1 << 31, (1 << 32) - 1


def names(captures: Captures, log: str) -> Names:
    """The messages that end in each packet, in words (`standing by`), of connections whose beginning was captured.

    Each is told of one packet at one place; what cannot be opened is left out.
    """
    secrets = {(side, random): bytes.fromhex(secret) for side, random, secret in _SECRET.findall(log)}
    found: dict[Where, tuple[str, ...]] = {}
    opened: set[str] = set()
    for packet in captures.everything() if secrets else ():
        random = hello(packet)
        if random is None or random in opened or ("CLIENT", random) not in secrets:
            continue
        opened.add(random)
        table, near, far = captures.need(packet.place), packet.source, packet.destination
        there = _Half.of(table.stream("tcp", near, far, packet.direction), packet.time)
        ways = (table.stream("tcp", far, near, way) for way in (Direction.OUT, Direction.IN))
        back = _Half.of(next((one for one in ways if one), None), packet.time)
        suite = back.suite() if back else None
        for side, half in (("CLIENT", there), ("SERVER", back)) if suite else ():
            if half is not None and suite is not None and (side, random) in secrets:
                found |= half.names(_Opener(suite, secrets[side, random]))
    return found


class _Opener:
    """Opens the records of one direction, which come in their order. Raises InvalidTag for what is of another key."""

    def __init__(self, suite: int, secret: bytes) -> None:
        cipher, size, hash = _SUITES[suite]

        def derived(label: bytes, size: int) -> bytes:
            """HKDF-Expand-Label of no context (7.1)."""
            info = struct.pack("!HB", size, len(label)) + label + b"\0"
            return HKDFExpand(hash(), size, info).derive(secret)

        self._key, self._salt = cipher(derived(b"tls13 key", size)), derived(b"tls13 iv", 12)
        self.number = 0

    def opened(self, record: bytes) -> bytes:
        """What a record says to its program: nothing where it is for TLS itself."""
        nonce = int.from_bytes(self._salt) ^ self.number
        clear = self._key.decrypt(nonce.to_bytes(12), record[_HEADER:], record[:_HEADER]).rstrip(b"\0")
        self.number += 1
        return clear[:-1] if clear[-1:] == bytes([_APPLICATION]) else b""


@dataclass(frozen=True)
class _Half:
    """One direction of a connection of TLS: its bytes from the first record on, and where those of each packet end."""

    data: bytes
    ends: list[int]
    packets: list[Packet]

    @classmethod
    def of(cls, stream: Stream | None, since: float) -> "_Half | None":
        """None where there is no such direction; what is lost, or cut short, ends it."""
        later = [one for one in stream.packets if one.time >= since] if stream else []
        begin = next((one.sequence for one in later if one.payload[:2] == b"\x16\x03"), None)
        if begin is None:
            return None
        data, ends, packets = bytearray(), list[int](), list[Packet]()
        placed = [(((one.sequence - begin + _HALF) & _MASK) - _HALF, one) for one in later]
        for at, one in sorted((one for one in placed if one[0] >= 0), key=lambda one: one[0]):
            if at > len(data) or one.length != len(one.payload):
                break
            data += one.payload[len(data) - at :]
            ends.append(len(data))
            packets.append(one)
        return cls(bytes(data), ends, packets)

    def suite(self) -> int | None:
        """The cipher suite that a server's first record names, where it is one of ours (4.1.3)."""
        hello = next((record[_HEADER:] for _, record in self._records()), b"")
        if len(hello) < 39 or hello[0] != _SERVER_HELLO or len(hello) < 41 + hello[38]:
            return None
        suite = int.from_bytes(hello[39 + hello[38] : 41 + hello[38]])
        return suite if suite in _SUITES else None

    def names(self, opener: "_Opener") -> dict[Where, tuple[str, ...]]:
        """The messages by the packet in which each ends; none, where it is no signalling."""
        found: defaultdict[Where, tuple[str, ...]] = defaultdict(tuple)
        clear = b""
        for end, record in self._records():
            if record[0] != _APPLICATION:
                continue
            try:
                clear += opener.opened(record)
            except InvalidTag:
                if opener.number:
                    break
                continue  # of the handshake, which has keys of its own
            while len(clear) >= _LENGTH and len(clear) >= (whole := _LENGTH + int.from_bytes(clear[:_LENGTH])):
                told = _MESSAGE.match(clear, _LENGTH, whole)
                if told is None:
                    return {}
                packet = self.packets[bisect_left(self.ends, end)]
                found[packet.place, packet.offset] += (_CAPITAL.sub(" ", told[1].decode()).lower(),)
                clear = clear[whole:]
        return dict(found)

    def _records(self) -> Iterator[tuple[int, bytes]]:
        """Where each ends, and its bytes with their header."""
        at = 0
        while at + _HEADER <= len(self.data):
            end = at + _HEADER + int.from_bytes(self.data[at + 3 : at + _HEADER])
            if end > len(self.data):
                return
            yield end, self.data[at:end]
            at = end
