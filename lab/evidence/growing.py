"""A pcap that is read while it comes, some bytes at a time: whole frames out, as soon as they are there.

Pure. Belongs here: where a record begins and ends. Never: files, and what a frame holds.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from lab.errors import EvidenceError
from lab.evidence.cutting import ORDERS

_FILE_HEADER, _RECORD_HEADER = 24, 16


class Frame(NamedTuple):
    """A frame: microseconds since 1970, its bytes on the wire, and those that were kept."""

    ticks: int
    length: int
    data: bytes


class Growing:
    """The bytes of one capture. What it begins with says in which order the rest is."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._rest = b""
        self._order: str | None = None
        self._scale = 1

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole now. Raises EvidenceError where it is no pcap."""
        self._rest += data
        if self._order is None:
            if len(self._rest) < _FILE_HEADER:
                return
            found = ORDERS.get(self._rest[:4])
            if found is None:
                raise EvidenceError(f"the capture of {self._place} is no pcap: it begins with {self._rest[:4].hex()}")
            self._order, unit = found
            self._scale = round(1e-6 / unit)
            self._rest = self._rest[_FILE_HEADER:]
        unpack, at = struct.Struct(f"{self._order}IIII").unpack_from, 0
        while at + _RECORD_HEADER <= len(self._rest):
            seconds, fraction, kept, length = unpack(self._rest, at)
            end = at + _RECORD_HEADER + kept
            if end > len(self._rest):
                break
            yield Frame(seconds * 1_000_000 + fraction // self._scale, length, self._rest[at + _RECORD_HEADER : end])
            at = end
        self._rest = self._rest[at:]

    def again(self) -> None:
        """It goes on with a whole record, or with a header where it had none: what was begun will not be ended."""
        self._rest = b""
