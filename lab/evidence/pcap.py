"""Capture files to compact records: one pcap of one place in, its UDP and TCP packets out.

Belongs here: reading, the headers of SLL2, IPv4, IPv6, UDP and TCP. Never: what a packet means, flows, verdicts.
"""

import logging
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lab.errors import EvidenceError

if TYPE_CHECKING:
    from scapy.packet import Packet as Dissection

LINUX_SLL2 = 276
"""Link type of `tcpdump -i any -y LINUX_SLL2` (https://www.tcpdump.org/linktypes.html)."""

_MAGICS = {b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1"}
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_FILE_HEADER, _RECORD_HEADER = 24, 16
SLL2_HEADER = 20
"""Bytes before a frame's IP packet."""
IPV4, IPV6 = 0x0800, 0x86DD
"""Ethernet's numbers of the two."""
TCP, UDP = 6, 17
"""IP's numbers of the two."""
_IPV6_OPTIONS = {0, 43, 60}  # hop-by-hop, routing, destination options: RFC 8200, 4.1
_IPV6_FRAGMENT = 44  # RFC 8200, 4.5: eight bytes, the offset in the upper 13 bits of the third and fourth

SYN = 0x02
"""The TCP flag that opens a connection, in `Packet.flags`."""
FIN, RST = 0x01, 0x04
"""Those that end one."""

Protocol = Literal["udp", "tcp"]


class Direction(StrEnum):
    """Which way a packet went at its place, as the kernel of that place says."""

    IN = "in"
    OUT = "out"
    OTHER = "other"


_DIRECTIONS = (Direction.IN, Direction.IN, Direction.IN, Direction.OTHER, Direction.OUT)  # by SLL2 packet type


def direction_of(kind: int) -> Direction:
    """By SLL2's packet type."""
    return _DIRECTIONS[kind] if kind < len(_DIRECTIONS) else Direction.OTHER


class Endpoint(NamedTuple):
    """An address in its usual text form and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Packet(NamedTuple):
    """One UDP or TCP packet as one place saw it.

    `time` is epoch seconds, `interface` the place's own index, `length` the payload's bytes on the wire (`payload` is
    shorter where the capture cut it), `sequence` and `flags` are TCP's (0 for UDP), `offset` is where the packet's
    record begins in its file.
    """

    time: float
    place: str
    interface: int
    direction: Direction
    protocol: Protocol
    source: Endpoint
    destination: Endpoint
    length: int
    payload: bytes
    sequence: int
    flags: int
    offset: int


@dataclass(frozen=True, eq=False)
class Capture:
    """What one place saw. `frames` counts every whole frame of the file, `packets` are the UDP and TCP ones, by time.

    `dropped` is what the capture itself says it lost; `truncated` is a sentence where the file ends in mid-packet.
    """

    place: str
    packets: Sequence[Packet]
    frames: int
    dropped: int = 0
    truncated: str | None = None
    path: Path | None = None


def read(path: Path, place: str, dropped: int = 0) -> Capture:
    """Read the capture of a place.

    A file that ends in mid-packet, as that of a killed capture, keeps what was whole and says so in `truncated`.
    Raises EvidenceError where there is nothing to read: missing, empty, not a pcap, another link type.
    """
    size = _check(path, place)
    decoder = Decoder(place)
    packets: list[Packet] = []
    frames = consumed = 0
    for time, frame, offset, whole in _frames(path, place):
        consumed = offset + _RECORD_HEADER + whole
        if consumed > size:
            break
        frames += 1
        packet = decoder.decode(time, frame, offset)
        if packet is not None:
            packets.append(packet)
    truncated = None
    if max(consumed, _FILE_HEADER) != size:
        truncated = f"the capture of {place} ends in mid-packet after {frames} whole frames"
    packets.sort(key=lambda packet: packet.time)  # the two directions of a place are queued apart
    return Capture(place, packets, frames, dropped, truncated, path)


def packets(path: Path, place: str) -> Iterator[Packet]:
    """Those of a capture one by one, as they lie in its file, for whoever has no use for all of them at once.

    Raises EvidenceError as `read` does.
    """
    size, decoder = _check(path, place), Decoder(place)
    for time, frame, offset, whole in _frames(path, place):
        if offset + _RECORD_HEADER + whole > size:
            return
        if (packet := decoder.decode(time, frame, offset)) is not None:
            yield packet


def dissect(capture: Capture, packet: Packet) -> "Dissection":
    """One packet of a capture dissected by scapy, link layer and all: for what is shown, not for what is counted."""
    from scapy.layers import inet, inet6  # noqa: F401  the layers register themselves
    from scapy.layers.l2 import CookedLinuxV2

    if capture.path is None:
        raise EvidenceError(f"the capture of {capture.place} has no file to show packets from")
    with capture.path.open("rb") as file:
        magic = file.read(4)
        file.seek(packet.offset)
        order = "<" if magic[0] in (0xD4, 0x4D) else ">"
        header = file.read(_RECORD_HEADER)
        if len(header) < _RECORD_HEADER:
            raise EvidenceError(
                f"the capture of {capture.place} has no packet at {packet.offset}: the file has changed"
            )
        return CookedLinuxV2(file.read(struct.unpack(f"{order}IIII", header)[2]))


def _check(path: Path, place: str) -> int:
    """Size of the file in bytes; refuses what is not a pcap before scapy sees it."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise EvidenceError(f"the capture of {place} cannot be read: {error.strerror or error}") from error
    if size == 0:
        raise EvidenceError(f"the capture of {place} is empty: {path} has no bytes, so its capture never began")
    if magic == _PCAPNG:
        raise EvidenceError(f"the capture of {place} is pcapng; expected pcap, as tcpdump -w writes it")
    if size < _FILE_HEADER:
        raise EvidenceError(f"the capture of {place} ends within its file header: {size} of {_FILE_HEADER} bytes")
    if magic not in _MAGICS:
        raise EvidenceError(f"the capture of {place} is not a pcap file: it begins with {magic.hex()}")
    return size


def _frames(path: Path, place: str) -> Iterator[tuple[float, bytes, int, int]]:
    """Time, bytes, offset in the file and captured length of each frame."""
    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)  # it prints a warning where we give a sentence
    from scapy.error import Scapy_Exception
    from scapy.utils import RawPcapReader

    try:
        reader: Any = RawPcapReader(str(path))
    except (Scapy_Exception, OSError) as error:
        raise EvidenceError(f"the capture of {place} cannot be read: {error}") from error
    with reader:
        if reader.linktype != LINUX_SLL2:
            raise EvidenceError(
                f"the capture of {place} has link type {reader.linktype}; expected {LINUX_SLL2}, LINUX_SLL2"
            )
        unit = 1e-9 if reader.nano else 1e-6
        offset = _FILE_HEADER
        for frame, about in reader:
            yield about.sec + about.usec * unit, frame, offset, about.caplen
            offset += _RECORD_HEADER + about.caplen


class Decoder:
    """Headers from raw bytes. Remembers the few endpoints of a capture: making their text is most of the work."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._endpoints: dict[bytes, Endpoint] = {}

    def decode(self, time: float, frame: bytes, offset: int) -> Packet | None:
        """The packet of a frame; None for what is neither UDP nor TCP, or too short to say."""
        if len(frame) < SLL2_HEADER + 20:
            return None
        ether, _, interface, _, kind = struct.unpack_from("!HHIHB", frame)
        found = located(frame, ether)
        if found is None:
            return None
        number, transport, end, addresses, later = found
        if later or number not in (TCP, UDP):
            return None
        if len(frame) < transport + (20 if number == TCP else 8):
            return None
        half = len(addresses) // 2
        source = self._endpoint(addresses[:half] + frame[transport : transport + 2])
        destination = self._endpoint(addresses[half:] + frame[transport + 2 : transport + 4])
        sequence = flags = 0
        protocol: Protocol = "udp"
        begin = transport + 8
        if number == TCP:
            protocol = "tcp"
            sequence = int.from_bytes(frame[transport + 4 : transport + 8])
            flags = frame[transport + 13]
            begin = transport + (frame[transport + 12] >> 4) * 4
        length = max(0, end - begin)
        payload = frame[begin:end]
        return Packet(
            time,
            self._place,
            interface,
            direction_of(kind),
            protocol,
            source,
            destination,
            length,
            payload,
            sequence,
            flags,
            offset,
        )

    def _endpoint(self, raw: bytes) -> Endpoint:
        known = self._endpoints.get(raw)
        if known is None:
            known = self._endpoints[raw] = Endpoint(str(ip_address(raw[:-2])), int.from_bytes(raw[-2:]))
        return known


def located(frame: bytes, ether: int, at: int = SLL2_HEADER) -> tuple[int, int, int, bytes, int] | None:
    """Of the IP packet at `at`: protocol number, where that one's header begins, where the packet ends, both addresses,
    and which byte of a whole it goes on from, 0 for a whole one and a first fragment. None for anything else."""
    if ether == IPV4:
        if len(frame) < at + 20 or frame[at] >> 4 != 4:
            return None
        number, size = frame[at + 9], (frame[at] & 0x0F) * 4
        if size < 20:
            return None
        total = int.from_bytes(frame[at + 2 : at + 4])
        end = at + total if total else len(frame)  # 0: handed over before segmentation, larger than the field holds
        later = (int.from_bytes(frame[at + 6 : at + 8]) & 0x1FFF) * 8
        return number, at + size, end, frame[at + 12 : at + 20], later
    if ether != IPV6 or len(frame) < at + 40 or frame[at] >> 4 != 6:
        return None
    number, transport, later = frame[at + 6], at + 40, 0
    total = int.from_bytes(frame[at + 4 : at + 6])
    while (number in _IPV6_OPTIONS or number == _IPV6_FRAGMENT) and len(frame) >= transport + 8 and not later:
        size = 8
        if number in _IPV6_OPTIONS:
            size = (frame[transport + 1] + 1) * 8
        else:
            later = int.from_bytes(frame[transport + 2 : transport + 4]) & 0xFFF8
        number, transport = frame[transport], transport + size
    return number, transport, at + 40 + total if total else len(frame), frame[at + 8 : at + 40], later
