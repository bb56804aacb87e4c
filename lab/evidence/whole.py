"""One pcapng for the whole lab: an interface a place, one clock, names, and what a verdict needs; and back.

The first comment of the section header is for people. The second is one JSON document, without which packets are
nobody's call:

    {"lab": 1, "call": "c1", "caller": "bob", "callee": "frank", "from": epoch s, "to": epoch s, "packets": 902,
     "places": {"home lan": "home-router", "home wan": "home-router", "core": "core"}, "topology": {...}}

`from` and `to` enclose the call, `packets` is how many the file holds when it is whole, `places` says which node saw
the packets of an interface, and `topology` has the nodes and networks that the call concerns, as
lab/topology/document.py writes them. None of it says which path the call took: that is for the packets.

Of captures that are of no call, `lab`, `places` and `topology` stand there alone, and `packets` where their number was
known when the file was begun; without any of it where the topology is too large for a comment.

Where captures end in mid-packet, as those that were killed, the document has their nodes as `"torn": ["core"]`: what
came after is not there.

Where a filter was given, of a call or of none, the document has it as `"filter": "udp port 33034"`, in the words of who
gave it: the file holds the packets of that filter alone, and so no whole call.

Belongs here: captures to a file and back. Never: which packets matter (moments.py), verdicts.
"""

import heapq
import json
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from lab.errors import ConfigError, EvidenceError
from lab.evidence import pcapng
from lab.evidence.cutting import ORDERS, OUT_OF_ORDER, records
from lab.evidence.flows import Captures
from lab.evidence.naming import holders
from lab.evidence.pcap import LINUX_SLL2, Capture, Decoder, Packet
from lab.topology.document import from_json, part_of, to_json
from lab.topology.model import Node, Role, Topology

VERSION = 1
PROGRAM = "supernode-lab"
WATCHED = "packets of a lab, each as every place that was watched saw it"
"""What a file says of itself that is of no call."""
CHUNK = 1 << 20
"""Bytes that are written at a time."""
_FILE_HEADER, _RECORD_HEADER, _SLL2_HEADER = 24, 16, 20
OUTGOING = 4  # SLL2 packet type
_MOST_TOPOLOGY = 60_000  # bytes of JSON that a comment has room for
_Record = tuple[int, int, int]
"""Of a packet in a pcap: microseconds since 1970, its offset in the file, and how many of its bytes were kept."""
LOOPBACK = {ip_address("127.0.0.1").packed, ip_address("::1").packed}

Comments = Mapping[tuple[str, int], Sequence[str]]
"""What is said of packets, by the place and offset that each has as a `Packet`."""


@dataclass(frozen=True)
class Setting:
    """What a verdict needs beside the packets: who called whom, the epoch seconds that enclose it, and who is where.

    `topology` is as much of the world as the call concerns.
    """

    call: str
    caller: str
    callee: str
    start: float
    end: float
    topology: Topology

    def to_json(self) -> dict[str, Any]:
        """The document that `parse` reads."""
        return {
            "lab": VERSION,
            "call": self.call,
            "caller": self.caller,
            "callee": self.callee,
            "from": self.start,
            "to": self.end,
            "topology": to_json(self.topology),
        }

    @classmethod
    def parse(cls, document: Any) -> "Setting":
        """Raises ConfigError where that is no such document, or one of another version."""
        try:
            if document["lab"] != VERSION:
                raise ConfigError(f"expected a setting of version {VERSION}, got {document['lab']!r}")
            names = str(document["call"]), str(document["caller"]), str(document["callee"])
            setting = cls(*names, float(document["from"]), float(document["to"]), from_json(document["topology"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"expected who called whom, when and where, got {error!r}") from None
        for name in names[1:]:
            setting.topology.node(name)
        return setting


# -- writing --------------------------------------------------------------------------------------------------------


def write(
    setting: Setting,
    files: Mapping[str, Path],
    target: Path,
    comments: Comments,
    dropped: Mapping[str, int],
    keys: str = "",
    expression: str = "",
    growing: bool = False,
) -> int:
    """Write a call's captures, a pcap a place, as one file, and return how many packets it holds.

    `keys`: a log of TLS keys that goes with them. `expression`: the filter by which they were captured. `growing`: they
    still go on, so that a packet which is not yet whole is none that is missing.

    Packets of loopback, the lab's own markers, are left out. Raises EvidenceError where a capture is none, OSError
    where the disk is full: what was written by then ends with a whole block.
    """
    seen = f"by the filter {expression!r}" if expression else "as every place saw it: `lab verdict` judges it"
    comment = f"call {setting.call} of {setting.caller} to {setting.callee}, {seen}"
    about = setting.to_json() | _filtered(expression)
    places = [_Place(node, setting.topology, files[node]) for node in _in_order(setting, files)]

    def texts(packets: int, torn: Sequence[str]) -> tuple[str, ...]:
        named = {name: place.node.name for place in places for name in place.names}
        said = "; ".join((comment, *([_cut_short(torn)] if torn else [])))
        return said, _document(about | {"packets": packets, "places": named} | _torn(torn))

    return _write(places, setting.topology, texts, target, comments, dropped, keys, growing)


def collect(
    topology: Topology,
    files: Mapping[str, Path],
    target: Path,
    comments: Comments,
    dropped: Mapping[str, int],
    expression: str = "",
    growing: bool = False,
) -> int:
    """The same of captures that are of no call: a file that names its places and addresses, and nobody's call."""
    places = [_Place(node, topology, file) for node, file in files.items()]
    named = {name: place.node.name for place in places for name in place.names}

    def texts(packets: int, torn: Sequence[str]) -> tuple[str, ...]:
        return watched(topology, named, packets, expression, torn)

    return _write(places, topology, texts, target, comments, dropped, growing=growing)


def watched(
    topology: Topology,
    places: Mapping[str, str],
    packets: int | None = None,
    expression: str = "",
    torn: Sequence[str] = (),
) -> tuple[str, ...]:
    """The comments of a file that is of no call, of these places; `packets` where their number is known, `torn` where
    their captures end in mid-packet."""
    about = {"lab": VERSION, "places": dict(places)} | ({} if packets is None else {"packets": packets})
    about |= _filtered(expression) | _torn(torn)
    comment = f"{WATCHED}, by the filter {expression!r}" if expression else WATCHED
    for world in (topology, part_of(topology, set(places.values()))):
        with suppress(EvidenceError):
            return comment, _document(about | {"topology": to_json(world)})
    return (comment,)


def _write(
    places: "Sequence[_Place]",
    topology: Topology,
    texts: Callable[[int, Sequence[str]], tuple[str, ...]],
    target: Path,
    comments: Comments,
    dropped: Mapping[str, int],
    keys: str = "",
    growing: bool = False,
) -> int:
    interfaces: dict[str, int] = {}
    described: list[pcapng.Interface] = []
    for place in places:
        for name in place.names:
            interfaces[name] = len(described)
            described.append(pcapng.Interface(LINUX_SLL2, name, f"seen at {place.node.name}"))
    counted = [place.counted() for place in places]
    packets = sum(number for number, _ in counted)
    torn = [place.node.name for place, (_, whole) in zip(places, counted, strict=True) if not (whole or growing)]
    head = [pcapng.section(texts(packets, torn), PROGRAM)]
    head += [pcapng.interface(one) for one in described]
    head.append(pcapng.names(_names(topology, places)))
    head += [pcapng.tls_keys(keys)] if keys else []
    with target.open("wb", buffering=0) as file:
        writer = Writer(file)
        for block in head:
            writer.add(block)
        for (ticks, at, size), place in heapq.merge(*map(_in_time, places), key=lambda one: one[0][0]):
            said = tuple(comments.get((place.node.name, at), ()))
            writer.add(pcapng.packet(place.record(ticks, at, size, interfaces[place.side(at)], said)))
        for place in places:
            if place.node.name in dropped:
                writer.add(pcapng.lost(pcapng.Lost(interfaces[place.names[0]], dropped[place.node.name])))
        writer.flush()
    return packets


def _in_time(place: "_Place") -> Iterator[tuple[_Record, "_Place"]]:
    """The packets of a place in the order of time: its two directions are queued apart."""
    waiting: list[_Record] = []
    latest = 0
    for record in place.packets():
        latest = max(latest, record[0])
        heapq.heappush(waiting, record)
        while waiting[0][0] < latest - OUT_OF_ORDER * 1_000_000:
            yield heapq.heappop(waiting), place
    while waiting:
        yield heapq.heappop(waiting), place


def _filtered(expression: str) -> dict[str, Any]:
    return {"filter": expression} if expression else {}


def _torn(places: Sequence[str]) -> dict[str, Any]:
    return {"torn": list(places)} if places else {}


def _cut_short(places: Sequence[str]) -> str:
    """That the captures of these places lack their ends, in words."""
    one = len(places) == 1
    return f"the {'capture' if one else 'captures'} of {', '.join(places)} {'ends' if one else 'end'} in mid-packet"


def _document(around: dict[str, Any]) -> str:
    text = json.dumps(around, separators=(",", ":"))
    if len(text.encode()) > _MOST_TOPOLOGY:
        raise EvidenceError(
            f"what is known of the topology takes {len(text)} bytes, and a comment has room for {_MOST_TOPOLOGY}"
        )
    return text


def _in_order(setting: Setting, files: Mapping[str, Path]) -> list[str]:
    """The places from the caller to the callee, for whoever lists the interfaces."""
    topology = setting.topology
    ends = [topology.node(name) for name in (setting.caller, setting.callee)]
    sides = [[end.name, *(node.name for node in _outward(topology, end))] for end in ends]
    known = [*sides[0], *(node.name for node in topology.by_role(Role.CORE)), *reversed(sides[1])]
    return list(dict.fromkeys([*(name for name in known if name in files), *files]))


def _outward(topology: Topology, end: Node) -> Iterable[Node]:
    proxy = topology.proxy_of(end.site) if end.site else None
    return [*([proxy] if proxy else []), *topology.routers_outward(end)]


class _Place:
    """One capture: its records, and which of a router's two sides each belongs to. It is looked at where it lies, for
    one of an hour has no room in memory beside the others."""

    def __init__(self, name: str, topology: Topology, file: Path) -> None:
        self.node = topology.node(name)
        try:
            with file.open("rb") as opened:
                known = file.stat().st_size >= _FILE_HEADER
                self.data = memoryview(mmap(opened.fileno(), 0, access=ACCESS_READ) if known else b"")
        except OSError as error:
            raise EvidenceError(f"the capture of {name} cannot be read: {error.strerror or error}") from error
        found = ORDERS.get(bytes(self.data[:4]))
        if found is None:
            raise EvidenceError(f"the capture of {name} is no pcap file: {file}")
        self._order, self._unit = found
        if (link := struct.unpack_from(f"{self._order}I", self.data, 20)[0] & 0xFFFF) != LINUX_SLL2:
            raise EvidenceError(f"the capture of {name} has link type {link}; expected {LINUX_SLL2}, LINUX_SLL2")
        self.names: tuple[str, ...] = (name,)
        self._inside: set[int] = set()
        if self.node.role is Role.ROUTER and self.node.site:
            self.names = (f"{self.node.site} lan", f"{self.node.site} wan")
            self._inside = _inner_interfaces(topology, self.node, (self._frame(at) for _, at, _ in self._records()))

    def packets(self) -> Iterator[_Record]:
        """All but those of loopback, as they lie in the file."""
        return (record for record in self._records() if not self._loopback(record[1]))

    def counted(self) -> tuple[int, bool]:
        """How many those are, and whether the file ends with a whole one."""
        number, end = 0, _FILE_HEADER
        for _, at, size in self._records():
            number += not self._loopback(at)
            end = at + _RECORD_HEADER + size
        return number, end == len(self.data)

    def _records(self) -> Iterator[_Record]:
        scale, unpack = round(1e-6 / self._unit), struct.Struct(f"{self._order}II").unpack_from
        for begin, size, _ in records(self.data[_FILE_HEADER:], self._order, self._unit):
            at = begin + _FILE_HEADER
            seconds, fraction = unpack(self.data, at)
            yield seconds * 1_000_000 + fraction // scale, at, size

    def side(self, at: int) -> str:
        if len(self.names) == 1:
            return self.names[0]
        return self.names[0 if self._index(at) in self._inside else 1]

    def _loopback(self, at: int) -> bool:
        source, destination = addresses(self._frame(at))
        return source in LOOPBACK or destination in LOOPBACK

    def record(self, ticks: int, at: int, size: int, interface: int, said: tuple[str, ...]) -> pcapng.PacketRecord:
        begin = at + _RECORD_HEADER
        (length,) = struct.unpack_from(f"{self._order}I", self.data, at + 12)
        data = bytes(self.data[begin : begin + size])
        inbound = data[10] != OUTGOING if size > 10 else None
        return pcapng.PacketRecord(interface, ticks, length, data, said, inbound)

    def addresses(self) -> set[bytes]:
        """Every address that its packets name."""
        return {address for _, at, _ in self._records() for address in addresses(self._frame(at))}

    def _index(self, at: int) -> int:
        return int.from_bytes(self.data[at + _RECORD_HEADER + 4 : at + _RECORD_HEADER + 8])

    def _frame(self, at: int) -> bytes:
        """As much of a packet as holds its addresses."""
        begin = at + _RECORD_HEADER
        return bytes(self.data[begin : begin + _SLL2_HEADER + 40])


def _inner_interfaces(topology: Topology, router: Node, frames: Iterable[bytes]) -> set[int]:
    """The indices of a router's interfaces on its LAN: what comes in there is from the LAN, what goes out is for it."""
    lan = topology.lan_of(str(router.site))
    says: defaultdict[int, Counter[bool]] = defaultdict(Counter)
    for frame in frames:
        source, destination = addresses(frame)
        near = destination if frame[10:11] == bytes([OUTGOING]) else source
        if not near:
            continue
        address = ip_address(near)
        subnet = lan.subnet if address.version == 4 else lan.subnet6
        inside = (subnet is not None and address in subnet) or (address.version == 6 and address.is_link_local)
        if not (address.version == 6 and (address.is_link_local or address.is_multicast)):
            says[int.from_bytes(frame[4:8])][inside] += 1
    return {index for index, told in says.items() if told[True] > told[False]}


def addresses(frame: bytes) -> tuple[bytes, bytes]:
    """Source and destination of an SLL2 frame as the bytes that they are; empty for what is not IP."""
    ether, at = frame[:2], _SLL2_HEADER
    if ether == b"\x08\x00" and len(frame) >= at + 20:
        return frame[at + 12 : at + 16], frame[at + 16 : at + 20]
    if ether == b"\x86\xdd" and len(frame) >= at + 40:
        return frame[at + 8 : at + 24], frame[at + 24 : at + 40]
    return b"", b""


def _names(topology: Topology, places: Iterable[_Place]) -> dict[bytes, str]:
    """What the addresses that packets name are called."""
    seen = {address for place in places for address in place.addresses()}
    held = {ip_address(address).packed: node.name for address, node in holders(topology).items()}
    return {address: name for address, name in held.items() if address in seen}


class Writer:
    """Whole blocks, some at a time; what does not fit any more is taken back to the last block that did."""

    def __init__(self, file: Any) -> None:
        self._file, self._size, self._done = file, 0, 0
        self._waiting: list[bytes] = []

    def add(self, block: bytes) -> None:
        """One block, or several that belong together; written with others, or at the next flush."""
        self._waiting.append(block)
        self._size += len(block)
        if self._size >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Raises OSError where the disk is full: the file then ends with a whole block."""
        blocks, self._waiting, self._size = self._waiting, [], 0
        data, written = memoryview(b"".join(blocks)), 0
        try:
            while written < len(data):
                written += self._file.write(data[written:]) or 0
        except OSError:
            fits = 0
            for block in blocks:
                if fits + len(block) > written:
                    break
                fits += len(block)
            with suppress(OSError):  # a pipe or a device keeps what it was given
                self._file.truncate(self._done + fits)
            raise
        self._done += written


# -- reading --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Whole:
    """Such a file, read: its topology and captures, how many packets it holds of how many, and whether it is torn.

    `setting`: None where it is of no call. `filter`: by which it was captured, empty where all was. `cut`: the places
    whose captures ended in mid-packet before the file was made of them.
    """

    setting: Setting | None
    topology: Topology
    captures: Captures
    packets: int
    expected: int
    torn: str | None
    filter: str = ""
    cut: tuple[str, ...] = ()

    @property
    def window(self) -> tuple[float, float]:
        """Epoch seconds that enclose the call, or else all that was captured."""
        if self.setting is not None:
            return self.setting.start, self.setting.end
        times = [packet.time for packet in self.captures.everything()]
        return min(times, default=0.0), max(times, default=0.0)

    @property
    def incomplete(self) -> str | None:
        """What is missing, in words that follow one another; None where all that passed is there."""
        cut = self.torn or f"it holds {self.packets} of {self.expected} packets"
        missing = [cut] if self.torn is not None or self.packets < self.expected else []
        missing += [_cut_short(self.cut)] if self.cut else []
        missing += [f"it holds the packets of the filter {self.filter!r} alone"] if self.filter else []
        return " and ".join(missing) or None


def read(data: bytes) -> Whole | None:
    """What a pcapng file of a lab holds; None where it is no lab's. Raises ConfigError where nothing can be read."""
    about: Any = None
    interfaces: list[pcapng.Interface] = []
    packets: defaultdict[str, list[Packet]] = defaultdict(list)
    frames, dropped, torn = Counter[str](), Counter[str](), None
    decoders: dict[str, Decoder] = {}
    places: Mapping[str, str] = {}
    try:
        for at, block in pcapng.blocks(data):
            match block:
                case pcapng.Section() if about is not None:
                    raise ConfigError("it holds several sections, as files put together do; expected those of one call")
                case pcapng.Section():
                    about = next((found for text in block.comments if (found := _about(text))), None)
                    if about is None:
                        return None
                    places = about["places"]
                case pcapng.Interface():
                    if block.link != LINUX_SLL2:
                        raise ConfigError(
                            f"its interface {block.name!r} has link type {block.link}; expected {LINUX_SLL2}, a lab's"
                        )
                    if block.name not in places:
                        raise ConfigError(f"its interface {block.name!r} is at no place that it names")
                    interfaces.append(block)
                case pcapng.PacketRecord():
                    where = interfaces[block.interface]
                    place = places[where.name]
                    frames[place] += 1
                    decoder = decoders.setdefault(place, Decoder(place))
                    seconds, fraction = divmod(pcapng.micros(where, block.ticks), 1_000_000)
                    if (packet := decoder.decode(seconds + fraction * 1e-6, block.data, at)) is not None:
                        packets[place].append(packet)
                case pcapng.Lost() if block.interface < len(interfaces):
                    dropped[places[interfaces[block.interface].name]] += block.packets
    except pcapng.Torn as error:
        if about is None:
            raise ConfigError(f"it is no pcapng file, or torn: {error}") from None
        torn = str(error)
    if about is None:
        raise ConfigError("it has no section header")
    setting = Setting.parse(about) if "call" in about else None
    topology = setting.topology if setting else _topology(about)
    cut = tuple(str(place) for place in about.get("torn", ()))
    ends = dict.fromkeys(places.values(), torn) | ({} if torn else {place: _cut_short([place]) for place in cut})
    captures = [
        Capture(place, sorted(packets[place], key=lambda one: one.time), frames[place], dropped[place], ends[place])
        for place in dict.fromkeys(places.values())
    ]
    held = frames.total()
    expected, expression = int(about.get("packets", held)), str(about.get("filter") or "")
    return Whole(setting, topology, Captures(captures), held, expected, torn, expression, cut)


def _topology(about: Any) -> Topology:
    """That of a document of no call; raises ConfigError where it is none, or one of another version."""
    if about["lab"] != VERSION:
        raise ConfigError(f"expected a topology of version {VERSION}, got {about['lab']!r}")
    return from_json(about.get("topology"))


def _about(text: str) -> Any:
    """The document of a comment that is one."""
    try:
        found = json.loads(text)
        if isinstance(found, dict) and "lab" in found:
            counted = isinstance(found["packets"] if "call" in found else found.get("packets", 0), int)
            named = isinstance(found["places"], dict) and counted and isinstance(found.get("torn", []), list)
            return found if named and all(isinstance(one, str) for one in found["places"].values()) else None
    except (ValueError, KeyError, RecursionError):
        pass
    return None
