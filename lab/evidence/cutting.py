"""A long capture that many calls share, cut into one small capture a call: by time, and by whose packets they are not.

Belongs here: pcap records as bytes. Never: what a packet means. What is cut is read by the judge like any capture.
"""

import struct
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO

from lab.errors import EvidenceError

_FILE_HEADER, _RECORD_HEADER, _SLL2_HEADER = 24, 16, 20
_MARK = 64
"""Records between two entries of the index."""
OUT_OF_ORDER = 0.25
"""Seconds by which a record may be older than the one before: the two directions of a place are queued apart."""
ORDERS = {
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
}
"""Byte order and unit of the fraction of a second, by the magic number."""


class Recording:
    """The capture of one place while it grows. Threads may cut it at the same time."""

    def __init__(self, file: Path, place: str) -> None:
        self.file, self.place = file, place
        self._lock = threading.Lock()
        self._scanned = _FILE_HEADER
        self._times: list[float] = []
        self._offsets: list[int] = []

    def cut(self, start: float, end: float, foreign: Iterable[str], target: Path) -> int:
        """Copy what was captured from `start` to `end`, epoch seconds, to `target`; returns how many packets that is.

        Left out is what comes from or goes to one of the `foreign` addresses. A record that is not yet whole is not
        there. Raises EvidenceError where the file is no capture.
        """
        left_out = {ip_address(address).packed for address in foreign}
        with self._lock, self.file.open("rb") as source:
            header, order, unit = self._header(source.read(_FILE_HEADER))
            self._index(source, order, unit)
            first = max(0, bisect_left(self._times, start - OUT_OF_ORDER) - 1)
            begin = self._offsets[first] if self._offsets else _FILE_HEADER
            source.seek(begin)
            data = source.read(self._scanned - begin)
        kept = [header]
        for at, size, time in records(data, order, unit):
            if time > end + OUT_OF_ORDER:
                break
            if start <= time <= end and not _between(data, at + _RECORD_HEADER, left_out):
                kept.append(data[at : at + _RECORD_HEADER + size])
        target.write_bytes(b"".join(kept))
        return len(kept) - 1

    def _header(self, header: bytes) -> tuple[bytes, str, float]:
        found = ORDERS.get(header[:4]) if len(header) == _FILE_HEADER else None
        if found is None:
            raise EvidenceError(
                f"the capture of {self.place} is no pcap file: it begins with {header[:4].hex() or '-'}"
            )
        return header, *found

    def _index(self, source: BinaryIO, order: str, unit: float) -> None:
        """Takes note of where records begin among those that have come since the last time."""
        source.seek(self._scanned)
        data, done = source.read(), 0
        for number, (at, size, time) in enumerate(records(data, order, unit)):
            if number % _MARK == 0:
                latest = self._times[-1] if self._times else 0.0
                self._times.append(max(latest, time))  # so that it can be searched
                self._offsets.append(self._scanned + at)
            done = at + _RECORD_HEADER + size
        self._scanned += done


def records(data: bytes | memoryview, order: str, unit: float) -> Iterator[tuple[int, int, float]]:
    """Offset, captured length and time of each whole record."""
    unpack, at, last = struct.Struct(f"{order}III").unpack_from, 0, len(data)
    while at + _RECORD_HEADER <= last:
        seconds, fraction, size = unpack(data, at)
        if at + _RECORD_HEADER + size > last:
            return
        yield at, size, seconds + fraction * unit
        at += _RECORD_HEADER + size


def _between(data: bytes, frame: int, addresses: set[bytes]) -> bool:
    """Whether a frame's IP packet comes from or goes to one of these addresses, as the bytes that they are."""
    at = frame + _SLL2_HEADER
    version = data[at] >> 4 if at < len(data) else 0
    first, length = (at + 12, 4) if version == 4 else (at + 8, 16)
    return data[first : first + length] in addresses or data[first + length : first + 2 * length] in addresses
