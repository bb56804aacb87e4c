"""Packets to flows: who sent what to whom at each place, indexed by address, read once and judged often.

Belongs here: five-tuples, directions, rates, TCP's retransmissions. Never: what is media, who is translated, verdicts.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from pathlib import Path

from lab.errors import EvidenceError
from lab.evidence.pcap import SYN, Capture, Direction, Endpoint, Packet, Protocol, read
from lab.evidence.turn import forwarded

_HALF, _MASK = 1 << 31, (1 << 32) - 1  # TCP sequence numbers: RFC 9293, 3.4


class _Fresh:
    """How many bytes of each segment of one direction of TCP are new: not seen before at this place."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._holes: list[tuple[int, int]] = []

    def add(self, packet: Packet) -> int:
        if packet.flags & SYN:
            self._next, self._holes = packet.sequence + 1, []
        if not packet.length:
            return 0
        if self._next is None:
            self._next = packet.sequence
        begin = self._next + ((packet.sequence - self._next + _HALF) & _MASK) - _HALF
        end = begin + packet.length
        fresh = self._fill(begin, end) if self._holes else 0
        if end > self._next:
            if begin > self._next:  # lost before this place, or out of order: it may still come
                self._holes.append((self._next, begin))
            fresh += end - max(begin, self._next)
            self._next = end
        return fresh

    def _fill(self, begin: int, end: int) -> int:
        fresh, holes = 0, []
        for low, high in self._holes:
            inside = min(end, high) - max(begin, low)
            if inside <= 0:
                holes.append((low, high))
                continue
            fresh += inside
            holes += [(a, b) for a, b in ((low, max(begin, low)), (min(end, high), high)) if a < b]
        self._holes = holes
        return fresh


@dataclass(eq=False)
class Stream:
    """One direction of one five-tuple, as one place saw it go in or out.

    `packets` carry payload and are counted once each: of TCP only segments with bytes that were not there before, and
    `sizes` are the new bytes of each. `retransmissions` counts the segments left out.
    """

    place: str
    protocol: Protocol
    source: Endpoint
    destination: Endpoint
    direction: Direction
    packets: list[Packet] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    retransmissions: int = 0
    _fresh: _Fresh = field(default_factory=_Fresh, repr=False)

    def add(self, packet: Packet) -> None:
        """Take the next packet by time."""
        size = self._fresh.add(packet) if packet.protocol == "tcp" else packet.length
        if size:
            self.packets.append(packet)
            self.times.append(packet.time)
            self.sizes.append(size)
        elif packet.length:
            self.retransmissions += 1

    def between(self, start: float, end: float) -> slice:
        """Which of `packets`, `times` and `sizes` lie in a window of epoch seconds, both ends included."""
        return slice(bisect_left(self.times, start), bisect_right(self.times, end))

    def figures(self, start: float, end: float) -> "Figures":
        """Counts and rates over a window of epoch seconds."""
        window = self.between(start, end)
        times = self.times[window]
        seconds = max(end - start, 1e-9)
        size = sum(self.sizes[window])
        if not times:
            return Figures(0, 0, None, None, 0.0, 0.0)
        return Figures(len(times), size, times[0], times[-1], len(times) / seconds, size / seconds)


@dataclass(frozen=True)
class Figures:
    """Of a window: packets and payload bytes, first and last (epoch s, None if there are none), and both a second."""

    packets: int
    bytes: int
    first: float | None
    last: float | None
    packets_per_second: float
    bytes_per_second: float


@dataclass(frozen=True, eq=False)
class Flow:
    """Both directions of a five-tuple seen from one of its ends: `forward` leaves the local endpoint."""

    protocol: Protocol
    local: Endpoint
    remote: Endpoint
    forward: Stream | None
    backward: Stream | None


class Table:
    """Every stream of one capture, by address; of what a TURN server forwards, what it carries."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        streams: dict[tuple[Protocol, Endpoint, Endpoint, Direction], Stream] = {}
        for packet in map(forwarded, capture.packets):
            key = (packet.protocol, packet.source, packet.destination, packet.direction)
            stream = streams.get(key)
            if stream is None:
                stream = streams[key] = Stream(capture.place, *key)
            stream.add(packet)
        self._streams = streams
        self._from: defaultdict[str, list[Stream]] = defaultdict(list)
        self._to: defaultdict[str, list[Stream]] = defaultdict(list)
        for stream in streams.values():
            self._from[stream.source.address].append(stream)
            self._to[stream.destination.address].append(stream)

    def stream(
        self, protocol: Protocol, source: Endpoint, destination: Endpoint, direction: Direction
    ) -> Stream | None:
        """The stream of exactly these endpoints, or None."""
        return self._streams.get((protocol, source, destination, direction))

    def streams(self, protocol: Protocol, direction: Direction) -> list[Stream]:
        """Every stream of a protocol that went this way."""
        return [stream for key, stream in self._streams.items() if key[0] == protocol and key[3] is direction]

    def leaving(self, address: str, direction: Direction) -> list[Stream]:
        """Streams whose source is an address."""
        return [stream for stream in self._from.get(address, ()) if stream.direction is direction]

    def reaching(self, address: str, direction: Direction) -> list[Stream]:
        """Streams whose destination is an address."""
        return [stream for stream in self._to.get(address, ()) if stream.direction is direction]

    def flows(self, address: str, forward: Direction, backward: Direction) -> list[Flow]:
        """The flows of an address, where its packets pass this place `forward` and those to it `backward`."""
        streams: dict[tuple[Protocol, Endpoint, Endpoint], list[Stream | None]] = {}
        for stream in self.leaving(address, forward):
            streams.setdefault((stream.protocol, stream.source, stream.destination), [None, None])[0] = stream
        for stream in self.reaching(address, backward):
            streams.setdefault((stream.protocol, stream.destination, stream.source), [None, None])[1] = stream
        return [Flow(*key, *pair) for key, pair in streams.items()]


class Captures:
    """The captures of a lab, by place. Built once; each place is indexed when it is first asked for."""

    def __init__(self, captures: Iterable[Capture]) -> None:
        self._captures = {capture.place: capture for capture in captures}
        self._tables: dict[str, Table] = {}

    @classmethod
    def read(cls, files: Mapping[str, Path], dropped: Mapping[str, int] | None = None) -> "Captures":
        """Read one pcap per place; `dropped` is what each place's tcpdump said it lost. Raises EvidenceError."""
        lost = dropped or {}
        return cls(read(path, place, lost.get(place, 0)) for place, path in files.items())

    def __contains__(self, place: str) -> bool:
        return place in self._captures

    def changed(self, change: Callable[[Packet], Packet]) -> "Captures":
        """The same, with something else in place of each packet."""
        captures = self._captures.values()
        return Captures(replace(one, packets=[change(packet) for packet in one.packets]) for one in captures)

    def everything(self) -> list[Packet]:
        """The packets of all places on the one clock."""
        return sorted(
            (packet for capture in self._captures.values() for packet in capture.packets), key=lambda one: one.time
        )

    def saw_anything(self, place: str) -> bool:
        """Whether a place was captured and its capture holds a packet."""
        return place in self._captures and bool(self._captures[place].packets)

    def last(self, place: str) -> float:
        """The epoch second of the last packet of a place that was captured; -inf where it saw none."""
        packets = self._captures[place].packets
        return packets[-1].time if packets else -inf

    def need(self, place: str) -> Table:
        """The table of a place that must have seen the call. Raises EvidenceError where it is missing or empty."""
        capture = self._captures.get(place)
        if capture is None:
            raise EvidenceError(f"{place} was not captured, and the call must have passed it")
        if not capture.frames:
            raise EvidenceError(f"the capture of {place} is empty, and the call must have passed it")
        table = self._tables.get(place)
        if table is None:
            table = self._tables[place] = Table(capture)
        return table

    @cached_property
    def dropped(self) -> dict[str, int]:
        """Packets that captures lost, by place; places that lost none are left out."""
        return {place: capture.dropped for place, capture in self._captures.items() if capture.dropped}

    @cached_property
    def truncated(self) -> dict[str, str]:
        """What is cut short, by place."""
        return {place: capture.truncated for place, capture in self._captures.items() if capture.truncated}
