"""A capture that is no lab's, for which somebody names the two ends, and the relay if there was one: as if each had
been captured where it sends.

One place shows nobody's inside: whether a router has translated an end cannot be told there.

Belongs here: the link layers of other captures, and packets put where a verdict looks for them. Never: the verdict.
"""

import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface

from lab.errors import ConfigError, EvidenceError
from lab.evidence import pcapng
from lab.evidence.cutting import ORDERS, records
from lab.evidence.flows import Captures
from lab.evidence.pcap import LINUX_SLL2, Capture, Decoder, Direction, Packet
from lab.topology.model import Attachment, Network, Node, Role, Topology

CALLER, CALLEE, RELAY, BETWEEN = "caller", "callee", "relay", "capture"
_FILE_HEADER, _RECORD_HEADER = 24, 16
_IPV4, _IPV6, _VLANS = 0x0800, 0x86DD, (0x8100, 0x88A8)
# https://www.tcpdump.org/linktypes.html
_NULL, _ETHERNET, _RAW, _SLL, _RAW4, _RAW6 = 0, 1, (101, 12, 14), 113, 228, 229
_INTERNET = "internet"
Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Foreign:
    """The packets of such a capture by time, each with where in it they were seen, and how it ends if it is torn."""

    seen: tuple[tuple[object, Packet], ...]
    torn: str | None


def read(data: bytes) -> Foreign:
    """A pcap or pcapng of Ethernet, Linux cooked or raw IP; raises ConfigError where it is anything else."""
    decoder, seen, torn = Decoder(BETWEEN), [], None
    try:
        for interface, time, frame, at in _frames(data):
            if (packet := decoder.decode(time, frame, at)) is not None:
                seen.append(((interface, packet.interface, packet.direction), packet))
    except pcapng.Torn as error:
        torn = str(error)
    seen.sort(key=lambda one: one[1].time)
    return Foreign(tuple(seen), torn)


def staged(found: Foreign, caller: Address, callee: Address, relay: Address | None) -> tuple[Topology, Captures]:
    """A world of two ends, perhaps a relay, and one place between them that saw what the capture holds.

    Raises EvidenceError where it holds nothing of an end.
    """
    ends = {CALLER: str(caller), CALLEE: str(callee)} | ({RELAY: str(relay)} if relay else {})
    packets = _once(found.seen, set(ends.values()))
    known = {address for _, one in found.seen for address in (one.source.address, one.destination.address)}
    for name, address in ends.items():
        if address not in known:
            raise EvidenceError(f"it holds no packet of UDP or TCP from or to {address}, the {name}")
    if not packets:
        raise EvidenceError(f"it holds no packet between {' and '.join(ends.values())}; was there a relay (--relay)?")
    captures = [
        Capture(name, [moved for one in packets if (moved := _at(one, name, address))], len(packets))
        for name, address in ends.items()
    ]
    between = [one._replace(place=BETWEEN, direction=Direction.IN) for one in packets]
    world = [Node(BETWEEN, Role.CORE, None, None, None, ()), _node(CALLER, Role.CLIENT, caller, 1)]
    world += [_node(CALLEE, Role.CLIENT, callee, 2)] + ([_node(RELAY, Role.RELAY, relay, 3)] if relay else [])
    internet = Network(_INTERNET, "internet", None, IPv4Network("0.0.0.0/0"))
    return Topology(tuple(world), (internet,)), Captures([*captures, Capture(BETWEEN, between, len(between))])


def _node(name: str, role: Role, address: Address, number: int) -> Node:
    if isinstance(address, IPv4Address):
        return Node(name, role, None, None, None, (Attachment(_INTERNET, IPv4Interface(address)),))
    nobody = IPv4Interface(f"0.0.0.{number}/32")  # RFC 6890: no packet on any wire comes from there
    return Node(name, role, None, None, None, (Attachment(_INTERNET, nobody, IPv6Interface(address)),))


def _at(packet: Packet, place: str, address: str) -> Packet | None:
    """A packet as an end sees it, or None where it is not that end's."""
    if packet.source.address == address:
        return packet._replace(place=place, direction=Direction.OUT)
    return packet._replace(place=place, direction=Direction.IN) if packet.destination.address == address else None


def _once(seen: Iterable[tuple[object, Packet]], addresses: set[str]) -> list[Packet]:
    """The packets between these, each once: of every stream, those of the place that saw the most of it."""
    streams: defaultdict[object, list[tuple[object, Packet]]] = defaultdict(list)
    for where, packet in seen:
        if {packet.source.address, packet.destination.address} <= addresses:
            streams[packet.protocol, packet.source, packet.destination].append((where, packet))
    kept: list[Packet] = []
    for stream in streams.values():
        best = Counter(where for where, _ in stream).most_common(1)[0][0]
        kept += [packet for where, packet in stream if where == best]
    return sorted(kept, key=lambda packet: packet.time)


# -- frames of any link layer, as those of SLL2 ---------------------------------------------------------------------


def _frames(data: bytes) -> Iterator[tuple[int, float, bytes, int]]:
    """Interface, epoch seconds, the frame as SLL2 has it, and where its record begins. Raises Torn after the last."""
    if data[:4] == pcapng.MAGIC:
        interfaces: list[pcapng.Interface] = []
        for at, block in pcapng.blocks(data):
            if isinstance(block, pcapng.Section):
                interfaces = []
            elif isinstance(block, pcapng.Interface):
                _known(block.link)
                interfaces.append(block)
            elif isinstance(block, pcapng.PacketRecord):
                one = interfaces[block.interface]
                yield block.interface, block.ticks * one.unit + one.offset, _cooked(one.link, block.data), at
        return
    if len(data) < _FILE_HEADER:
        raise ConfigError(f"it ends within its file header: {len(data)} of {_FILE_HEADER} bytes")
    order, unit = ORDERS[data[:4]]
    link = struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF
    _known(link)
    done = _FILE_HEADER
    for at, size, time in records(data[_FILE_HEADER:], order, unit):
        begin = at + _FILE_HEADER + _RECORD_HEADER
        done = begin + size
        yield 0, time, _cooked(link, data[begin:done]), at + _FILE_HEADER
    if done < len(data):
        raise pcapng.Torn(done, "it ends within a packet")


def _known(link: int) -> None:
    if link not in (_NULL, _ETHERNET, *_RAW, _SLL, _RAW4, _RAW6, LINUX_SLL2):
        raise ConfigError(f"it has link type {link}; expected Ethernet (1), Linux cooked (113, 276) or raw IP (101)")


def _cooked(link: int, frame: bytes) -> bytes:
    """The frame with a header of SLL2 in place of its own; nothing where it is too short."""
    if link == LINUX_SLL2:
        return frame
    at, ether, way = 0, _IPV6 if frame[:1] and frame[0] >> 4 == 6 else _IPV4, 0
    if link == _ETHERNET and len(frame) >= 14:
        at, ether = 14, int.from_bytes(frame[12:14])
        while ether in _VLANS and len(frame) >= at + 4:
            at, ether = at + 4, int.from_bytes(frame[at + 2 : at + 4])
    elif link == _SLL and len(frame) >= 16:
        at, ether, way = 16, int.from_bytes(frame[14:16]), frame[1]
    elif link == _NULL and len(frame) >= 5:
        at, ether = 4, _IPV6 if frame[4] >> 4 == 6 else _IPV4
    elif link in (_ETHERNET, _SLL, _NULL):
        return b""
    return struct.pack("!HHIHBB8x", ether, 0, 0, 1, way, 0) + frame[at:]
