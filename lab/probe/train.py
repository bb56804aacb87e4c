"""Many small packets at an even pace, each with its number and the time it left: what delay and loss are measured with.

Belongs here: stamping and counting. Never: sockets; scapy crafts the first packet, the others differ in a few bytes.
"""

import struct
from dataclasses import dataclass, field
from typing import Any

from scapy.utils import checksum

from lab.probe.crafting import Spec, craft

MARK = b"\xa7train"
_STAMP = struct.Struct("!IIQ")  # train, number in it, nanoseconds of the one clock at which it left
_PLACE = "0123456789abcdef"  # as long as a stamp
_CHECKSUM = {"udp": 6, "tcp": 16}  # where a header has it, RFC 768 and RFC 9293
_NUMBER = {"udp": 17, "tcp": 6}


class Template:
    """One train's packets: `stamped(number, now)` gives the next."""

    def __init__(self, spec: Spec, train: int) -> None:
        (data,) = craft({**spec, "token": f"{'t' * len(MARK)}{_PLACE}"})
        self._data = bytearray(data)
        self._at = data.index(_PLACE.encode())
        self._data[self._at - len(MARK) : self._at] = MARK
        self._train = train
        self._head = 40 if data[0] >> 4 == 6 else 20
        self._sum = self._head + _CHECKSUM[spec["proto"]]
        ends = data[8:40] if self._head == 40 else data[12:20]
        self._pseudo = ends + struct.pack("!II", len(data) - self._head, _NUMBER[spec["proto"]])

    @property
    def size(self) -> int:
        """Bytes of each IP packet."""
        return len(self._data)

    def stamped(self, number: int, now_ns: int) -> bytes:
        """A packet that says when it left."""
        data = self._data
        _STAMP.pack_into(data, self._at, self._train, number, now_ns)
        struct.pack_into("!H", data, self._sum, 0)
        total = checksum(self._pseudo + bytes(data[self._head :]))
        struct.pack_into("!H", data, self._sum, total or 0xFFFF)
        return bytes(data)


@dataclass
class Arrivals:
    """What came of trains: for each, number -> microseconds on the way; the first copy counts, others are counted."""

    _trains: dict[int, dict[int, int]] = field(default_factory=dict)
    _copies: dict[int, int] = field(default_factory=dict)

    def take(self, data: bytes, at_ns: int) -> bool:
        """Count a packet if it belongs to a train."""
        start = data.find(MARK, 20, 160)
        if start < 0 or len(data) < start + len(MARK) + _STAMP.size:
            return False
        train, number, left_ns = _STAMP.unpack_from(data, start + len(MARK))
        arrived = self._trains.setdefault(train, {})
        if number in arrived:
            self._copies[train] = self._copies.get(train, 0) + 1
        arrived.setdefault(number, (at_ns - left_ns) // 1000)
        return True

    def result(self, train: int) -> dict[str, Any]:
        """The train's `arrived`, [[number, microseconds], ...] as they came, and `copies`; then forget it."""
        arrived = self._trains.pop(train, {})
        return {"arrived": [list(one) for one in arrived.items()], "copies": self._copies.pop(train, 0)}
