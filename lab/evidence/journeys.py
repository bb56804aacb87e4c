"""One packet followed from place to place: who sent it, how far it came, where it was last seen.

Belongs here: sightings of one packet put together, by content and by the address that a router leaves as it is. Never:
verdicts, which rest on streams (paths.py), and what anybody claims.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from lab.evidence.flows import Captures
from lab.evidence.naming import holders
from lab.evidence.pcap import SYN, Direction, Endpoint, Packet
from lab.evidence.sorts import Told, tell
from lab.topology.model import Node, Role, Topology

LONGEST = 2.0
"""Seconds between two sightings of one packet: the longest queue of a link."""
HAIRPIN = 0.01
"""Seconds in which a router turns a packet back into its LAN, with both its addresses changed; one that holds packets
back for a line may take as long as that."""


@dataclass(frozen=True, eq=False)
class Journey:
    """One packet's way: its sightings by time, what it is, who sent it and who had it.

    `receiver` is where it arrived or, where `dropped` names the place that saw it last and passed it on to nobody, the
    node that has the address it was sent to, as it stood there; None where nobody has.
    """

    sightings: tuple[Packet, ...]
    told: Told
    sender: str
    receiver: str | None
    dropped: str | None

    @property
    def first(self) -> Packet:
        """How it left: where its sender's packets are seen first."""
        return self.sightings[0]

    @property
    def last(self) -> Packet:
        return self.sightings[-1]

    @property
    def at(self) -> float:
        """Epoch seconds of its first sighting."""
        return self.first.time


def follow(topology: Topology, captures: Captures) -> list[Journey]:
    """Every packet that says something, in the order in which they were sent."""
    world = _World(topology, captures)
    open_ones: defaultdict[tuple[object, ...], list[list[Packet]]] = defaultdict(list)
    ways: list[tuple[list[Packet], Told]] = []
    for packet in captures.everything():
        told = tell(packet)
        overheard = packet.direction is Direction.OTHER  # a bridge floods what is for nobody that it knows
        if told is None or overheard or packet.source.address in ("127.0.0.1", "::1"):
            continue
        key = (packet.protocol, packet.payload, packet.sequence, packet.flags & SYN)
        waiting = open_ones[key] = [way for way in open_ones[key] if packet.time - way[-1].time <= LONGEST]
        way = max(waiting, key=lambda way: (_alike(way, packet, world), way[0].time), default=None)
        if way is None or not _alike(way, packet, world):
            way = []
            waiting.append(way)
            ways.append((way, told))
        way.append(packet)
    return [world.journey(tuple(way), told) for way, told in _rejoined(ways, world)]


def _rejoined(ways: list[tuple[list[Packet], Told]], world: "_World") -> list[tuple[list[Packet], Told]]:
    """A segment of TCP that a kernel has cut or joined on its way goes on in the first that has its bytes."""
    parts: defaultdict[Endpoint, list[list[Packet]]] = defaultdict(list)
    for way, _ in ways:
        if way[0].protocol == "tcp" and way[0].length and not world.at_home(way[0]):
            parts[way[0].destination].append(way)
    gone: set[int] = set()
    for way, _ in ways if parts else ():
        if way[0].protocol == "udp" or not way[0].length or id(way) in gone or world.ended(way[-1]):
            continue
        end = way[-1]
        for part in parts[end.destination]:
            if part is not way and id(part) not in gone and _overlap(end, part[0]):
                gone.add(id(part))
                if way[-1] is end:
                    way.extend(part)
    return [one for one in ways if id(one[0]) not in gone]


def _overlap(one: Packet, two: Packet) -> bool:
    begins = (two.sequence - one.sequence) & 0xFFFFFFFF
    return 0 <= two.time - one.time <= LONGEST and begins < one.length


def _alike(way: list[Packet], packet: Packet, world: "_World") -> int:
    """How surely a sighting goes on with a way: 0 where it cannot."""
    last = way[-1]
    if any(before.place == packet.place and before.direction is packet.direction for before in way):
        return 0
    if packet.source == last.source and packet.destination == last.destination:
        return 4
    if packet.destination == last.destination:
        return 3
    if packet.source == last.source:
        return 2
    turned = packet.place == last.place and packet.direction is Direction.OUT and world.routes(packet.place)
    return 1 if turned and packet.time - last.time <= (LONGEST if world.holds_back(packet.place) else HAIRPIN) else 0


class _World:
    """Who holds which address, who is captured, and who forwards."""

    def __init__(self, topology: Topology, captures: Captures) -> None:
        self._topology, self._captures = topology, captures
        self._owners = holders(topology)
        self._nodes = {node.name: node for node in topology.nodes}

    def holds_back(self, place: str) -> bool:
        """Whether a carrier's line to a site ends there, in the router itself."""
        site = self._nodes[place].site
        topology = self._topology
        return site is not None and (
            topology.behind(site) is not None or site in {topology.behind(each) for each in topology.sites()}
        )

    def routes(self, place: str) -> bool:
        return self._nodes[place].role is Role.ROUTER

    def at_home(self, first: Packet) -> bool:
        """Whether a packet is where its sender's packets are seen first."""
        sender = self._owners.get(first.source.address)
        if sender is None or sender.name in self._captures:
            return sender is None or sender.name == first.place
        routers = self._topology.routers_outward(sender)
        if not routers:
            return self._nodes[first.place].role is Role.CORE
        return routers[0].name not in self._captures or routers[0].name == first.place

    def ended(self, last: Packet) -> bool:
        """Whether a packet has come to where it was to go."""
        return self._arrived(last, self._nodes[last.place], self._owners.get(last.destination.address))

    def journey(self, way: tuple[Packet, ...], told: Told) -> Journey:
        first, last = way[0], way[-1]
        place, target = self._nodes[last.place], self._owners.get(last.destination.address)
        ended = self._arrived(last, place, target)
        sender = self._owners.get(first.source.address)
        if sender is None and first.direction is Direction.OUT:
            sender = self._nodes[first.place]
        dropped = None if ended else place.name
        receiver = place if not dropped and last.direction is Direction.IN and place.role is not Role.CORE else target
        name = sender.name if sender else first.source.address
        return Journey(way, told, name, receiver.name if receiver else None, dropped)

    def _arrived(self, last: Packet, place: Node, target: Node | None) -> bool:
        """Whether the place that saw a packet last is where it was to go, or the last that is watched before that."""
        if target is None:
            return False
        if place.role not in (Role.ROUTER, Role.CORE):
            beside = place.role is Role.PROXY and target.name not in self._captures  # on one LAN
            return last.direction is Direction.IN or (beside and target.site == place.site)
        if target == place:
            return inside(self._topology, place, ip_address(last.source.address))
        if place.role is Role.ROUTER:
            near = last.direction is Direction.OUT and inside(
                self._topology, place, ip_address(last.destination.address)
            )
            return near and target.name not in self._captures
        if target.role is Role.ROUTER or target.site is None:
            return target.name not in self._captures
        return not any(router.name in self._captures for router in self._topology.routers_outward(target))


def inside(topology: Topology, router: Node, address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is of the LAN behind a router."""
    if router.role is not Role.ROUTER or not router.site:
        return False
    lan = topology.lan_of(router.site)
    return address in lan.subnet if address.version == 4 else bool(lan.subnet6 and address in lan.subnet6)


def sent_by(journeys: Iterable[Journey], name: str) -> list[Journey]:
    """Those of one sender."""
    return [journey for journey in journeys if journey.sender == name]
