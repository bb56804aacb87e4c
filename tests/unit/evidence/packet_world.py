"""A world of packets without packets: clients, routers that translate, core and a relay, written to SLL2 pcaps.

Belongs here: how each place would see a packet. Never: anything of the judge, whose verdicts these files are made for.
"""

import random
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_address
from pathlib import Path

from lab.evidence import Captures
from lab.topology.model import Attachment, Network, Node, Role, Topology

START = 1_700_000_000.0
FRAME = 0.02
HOP = 0.0001  # seconds from place to place
IN, OUT = 0, 4  # SLL2 packet types
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
RELAY = ("203.0.113.21", 33034)
SUPERNODE = ("203.0.113.11", 33033)

SITES = {  # site: profile, LAN, WAN of its router, clients
    "park": ("open", "198.51.100.16/28", "203.0.113.31", ("alice", "adam")),
    "home": ("linux", "192.168.32.0/24", "203.0.113.32", ("bob", "bella")),
    "flat": ("linux", "192.168.33.0/24", "203.0.113.33", ("frank",)),
    "office": ("symmetric", "192.168.34.0/24", "203.0.113.34", ("carol",)),
    "hotel": ("symmetric", "192.168.35.0/24", "203.0.113.35", ("dave",)),
    "bank": ("symmetric", "192.168.36.0/24", "203.0.113.36", ("erin",)),
}
PLACES = ("core", "relay-1", *(f"{site}-router" for site in SITES))
Address = tuple[str, int]


def _topology() -> Topology:
    internet = IPv4Network("203.0.113.0/24")

    def public(name: str, role: Role, last: int) -> Node:
        return Node(name, role, None, None, None, (Attachment("internet", IPv4Interface(f"203.0.113.{last}/24")),))

    nodes = [
        public("core", Role.CORE, 1),
        public("authority", Role.AUTHORITY, 5),
        public("supernode-1", Role.SUPERNODE, 11),
        public("relay-1", Role.RELAY, 21),
        public("relay-2", Role.RELAY, 22),
    ]
    networks = [Network("internet", "internet", None, internet)]
    for site, (profile, lan, wan, clients) in SITES.items():
        subnet = IPv4Network(lan)
        networks.append(Network(site, "site", site, subnet))
        inner = Attachment(site, IPv4Interface(f"{subnet[1]}/{subnet.prefixlen}"))
        outer = Attachment("internet", IPv4Interface(f"{wan}/24"))
        nodes.append(Node(f"{site}-router", Role.ROUTER, site, profile, "none", (outer, inner)))
        for number, client in enumerate(clients):
            own = Attachment(site, IPv4Interface(f"{subnet[2 + number]}/{subnet.prefixlen}"))
            nodes.append(Node(client, Role.CLIENT, site, profile, "none", (own,)))
    return Topology(tuple(nodes), tuple(networks))


TOPOLOGY = _topology()


def address(name: str) -> str:
    return str(TOPOLOGY.node(name).attachments[0].address.ip)


@cache
def packed(host: str) -> bytes:
    return ip_address(host).packed


def frame(
    protocol: str, source: Address, destination: Address, payload: bytes, kind: int = IN, seq: int = 0, flags: int = ACK
) -> bytes:
    """An SLL2 frame of IPv4 or IPv6 and UDP or TCP; checksums are zero, as a capture before offloading shows them."""
    if protocol == "udp":
        transport = struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0)
    else:
        transport = struct.pack(
            "!HHIIBBHHH", source[1], destination[1], seq & 0xFFFFFFFF, 1, 5 << 4, flags, 65535, 0, 0
        )
    number = 17 if protocol == "udp" else 6
    ends = packed(source[0]) + packed(destination[0])
    if ":" in source[0]:
        ether, ip = 0x86DD, struct.pack("!IHBB", 6 << 28, len(transport) + len(payload), number, 64)
    else:
        total = 20 + len(transport) + len(payload)
        ether, ip = 0x0800, struct.pack("!BBHHHBBH", 0x45, 0, total, 1, 0x4000, 64, number, 0)
    link = struct.pack("!HHIHBB8x", ether, 0, 2 if kind == IN else 3, 1, kind, 6)
    return link + ip + ends + transport + payload


def write_pcap(path: Path, frames: list[tuple[float, bytes]], linktype: int = 276) -> Path:
    with path.open("wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, linktype))
        for time, data in sorted(frames, key=lambda item: item[0]):
            micros = round(time * 1e6)
            file.write(struct.pack("<IIII", micros // 1_000_000, micros % 1_000_000, len(data), len(data)) + data)
    return path


@dataclass
class World:
    """Sends packets and remembers what each place saw of them."""

    seed: int = 1
    mute: set[str] = field(default_factory=set)
    """Places whose capture sees nothing."""
    sizes: range = range(60, 140)
    """Bytes of one voice packet behind its header."""
    frames: dict[str, list[tuple[float, bytes]]] = field(default_factory=lambda: defaultdict(list))
    profiles: dict[str, str] = field(default_factory=lambda: {site: about[0] for site, about in SITES.items()})

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._mappings: dict[tuple[object, ...], Address] = {}
        self._insides: dict[tuple[str, Address], Address] = {}
        self._sequences: dict[tuple[Address, Address], int] = {}

    # --- addresses

    def outer(self, name: str, protocol: str, port: int, to: Address) -> Address:
        """What a client's address and port become on the internet, towards a destination."""
        inside = (address(name), port)
        site = TOPOLOGY.node(name).site
        if site is None or self.profiles[site] == "open":
            return inside
        key: tuple[object, ...] = (protocol, inside)
        if self.profiles[site] == "symmetric":
            key = (*key, to)
        if key not in self._mappings:
            wan = SITES[site][2]
            wanted = port if self.profiles[site] == "linux" else self.random.randrange(20000, 60000)
            while (protocol, (wan, wanted)) in self._insides:
                wanted += 1
            self._mappings[key] = (wan, wanted)
            self._insides[protocol, (wan, wanted)] = inside
        return self._mappings[key]

    # --- sending

    def see(self, place: str, time: float, data: bytes) -> None:
        if place not in self.mute:
            self.frames[place].append((time, data))

    def send(
        self,
        time: float,
        protocol: str,
        sender: str,
        port: int,
        to: Address,
        payload: bytes,
        *,
        lost: str | None = None,
        seq: int | None = None,
        flags: int = ACK | PSH,
    ) -> int:
        """One packet from a node to where it is addressed; `lost` names the last place to see it. Returns its seq."""
        node = TOPOLOGY.node(sender)
        source: Address = (address(sender), port)
        if seq is None:
            seq = self._sequences.get((source, to), 1000) if protocol == "tcp" else 0
            self._sequences[source, to] = seq + len(payload) + (1 if flags & SYN else 0)

        def seen(place: str, kind: int) -> bool:
            nonlocal time
            time += HOP
            self.see(place, time, frame(protocol, source, to, payload, kind, seq, flags))
            return place == lost

        if seen(sender, OUT):
            return seq
        neighbour = TOPOLOGY.owner_of(IPv4Address(to[0]))
        if node.site and neighbour and neighbour.site == node.site and neighbour.role is Role.CLIENT:
            seen(neighbour.name, IN)
            return seq
        if node.site:
            if seen(f"{node.site}-router", IN):
                return seq
            source = self.outer(sender, protocol, port, to)
            hairpin = (protocol, to) in self._insides and to[0] == SITES[node.site][2]
            if not hairpin and (seen(f"{node.site}-router", OUT) or seen("core", IN)):
                return seq
            if hairpin:
                to = self._insides[protocol, to]
                seen(f"{node.site}-router", OUT)
                seen(self._name(to), IN)
                return seq
        elif seen("core", IN):
            return seq
        return self._deliver(protocol, to, time, source, payload, seq, flags, lost)

    def _deliver(
        self,
        protocol: str,
        to: Address,
        time: float,
        source: Address,
        payload: bytes,
        seq: int,
        flags: int,
        lost: str | None,
    ) -> int:
        owner = TOPOLOGY.owner_of(IPv4Address(to[0]))
        site = owner.site if owner else None
        if site:
            self.see(f"{site}-router", time + HOP, frame(protocol, source, to, payload, IN, seq, flags))
            if lost == f"{site}-router":
                return seq
            if self.profiles[site] != "open":
                inside = self._insides.get((protocol, to))
                if inside is None:
                    return seq  # new inbound: dropped
                to = inside
            self.see(f"{site}-router", time + 2 * HOP, frame(protocol, source, to, payload, OUT, seq, flags))
        self.see(self._name(to), time + 3 * HOP, frame(protocol, source, to, payload, IN, seq, flags))
        return seq

    @staticmethod
    def _name(to: Address) -> str:
        owner = TOPOLOGY.owner_of(IPv4Address(to[0]))
        return owner.name if owner else "nobody"

    # --- voice

    def voice(self, number: int) -> bytes:
        """A voice packet as ciphertext: a header that counts, random bytes."""
        header = struct.pack("!BBHII", 0x80, 111, number & 0xFFFF, number * 960, 0x1234)
        return header + self.random.randbytes(self.random.choice(self.sizes))

    def stun(self) -> bytes:
        return struct.pack("!HHI", 1, 60, 0x2112A442) + self.random.randbytes(12 + 60)

    def captures(self, folder: Path, extra: tuple[str, ...] = (), dropped: dict[str, int] | None = None) -> Captures:
        """Every place's capture, and of `extra` (clients that share a site)."""
        places = (*PLACES, *extra)
        files = {place: write_pcap(folder / f"{place}.pcap", self.frames[place]) for place in places}
        return Captures.read(files, dropped)


def framed(payload: bytes) -> bytes:
    """RFC 4571: two bytes of length before each packet."""
    return struct.pack("!H", len(payload)) + payload


def record(chance: random.Random, payload: bytes) -> bytes:
    """A TLS record that holds a payload: RFC 8446, 5.2, with the type byte and AES-GCM's tag inside."""
    size = len(payload) + 17
    return struct.pack("!BHH", 23, 0x0303, size) + chance.randbytes(size)


def ticks(world: World, start: float, seconds: float) -> list[float]:
    """The times of 20 ms voice, with a little jitter."""
    return [start + number * FRAME + world.random.uniform(0, 0.002) for number in range(round(seconds / FRAME))]


def talk(
    world: World,
    caller: tuple[str, int],
    callee: tuple[str, int],
    start: float,
    seconds: float,
    protocol: str = "udp",
    *,
    loss: float = 0.0,
    back: bool = True,
    there: bool = True,
) -> None:
    """Voice between two clients, each to where the other appears on the internet (or in the LAN)."""
    one, two = _aims(world, protocol, caller, callee)
    wrap = framed if protocol == "tcp" else bytes
    for number, time in enumerate(ticks(world, start, seconds)):
        for going, sender, to in ((there, caller, two), (back, callee, one)):
            if going:
                lost = "core" if world.random.random() < loss else None
                world.send(time, protocol, *sender, to, wrap(world.voice(number)), lost=lost)


def _aims(world: World, protocol: str, caller: tuple[str, int], callee: tuple[str, int]) -> tuple[Address, Address]:
    """Where each of two clients appears to the other."""
    if TOPOLOGY.node(caller[0]).site == TOPOLOGY.node(callee[0]).site:
        return (address(caller[0]), caller[1]), (address(callee[0]), callee[1])
    two = world.outer(callee[0], protocol, callee[1], ("0.0.0.0", 0))
    one = world.outer(caller[0], protocol, caller[1], two)
    if world.profiles[str(TOPOLOGY.node(callee[0]).site)] == "symmetric":
        two = world.outer(callee[0], protocol, callee[1], one)
        one = world.outer(caller[0], protocol, caller[1], two)
    return one, two


def relay(
    world: World,
    caller: tuple[str, int],
    callee: tuple[str, int],
    start: float,
    seconds: float,
    legs: tuple[str, str] = ("udp", "udp"),
    *,
    loss: float = 0.0,
    wrapped: bool = False,
    deliver: bool = True,
    at: Address = RELAY,
    senders: tuple[int, ...] = (0, 1),
) -> None:
    """Voice through a relay, each leg by its own protocol; `wrapped` encrypts TCP legs anew, as TLS does. `senders` are
    the caller (0), the callee (1), or both.
    """
    outers = [world.outer(end[0], leg, end[1], at) for end, leg in zip((caller, callee), legs, strict=True)]

    def dress(payload: bytes, leg: str) -> bytes:
        if leg == "udp":
            return payload
        return record(world.random, framed(payload)) if wrapped else framed(payload)

    name = World._name(at)
    for number, time in enumerate(ticks(world, start, seconds)):
        for side in senders:
            sender = (caller, callee)[side]
            payload = world.voice(number)
            lost = "core" if legs[side] == "udp" and world.random.random() < loss else None
            world.send(time, legs[side], *sender, at, dress(payload, legs[side]), lost=lost)
            if lost is None and deliver:
                lost = "core" if legs[1 - side] == "udp" and world.random.random() < loss else None
                out = dress(payload, legs[1 - side])
                world.send(time + 0.002, legs[1 - side], name, at[1], outers[1 - side], out, lost=lost)


def signalling(world: World, client: str, start: float, seconds: float, port: int = 50000) -> None:
    """A TLS connection to a supernode: a handshake, a burst of a call's set-up, then a heartbeat every five seconds."""
    out = world.outer(client, "tcp", port, SUPERNODE)
    sizes = [517, 90, 300, 400, 250, 700, 350, 120, 90, 60, 400, 250, 120]
    times = [start + 0.012 * number for number in range(len(sizes))]
    times += [start + 0.3 + 5 * number for number in range(int(seconds / 5) + 1)]
    for time, size in zip(times, sizes + [40] * len(times), strict=False):
        world.send(time, "tcp", client, port, SUPERNODE, b"\x17\x03\x03" + world.random.randbytes(size))
        world.send(
            time + 0.001, "tcp", "supernode-1", SUPERNODE[1], out, b"\x17\x03\x03" + world.random.randbytes(size)
        )


def checks(
    world: World, one: tuple[str, int], two: tuple[str, int], start: float, seconds: float, every: float = 0.02
) -> None:
    """STUN both ways, at the very rate of voice."""
    first, second = _aims(world, "udp", one, two)
    for number in range(round(seconds / every)):
        world.send(start + number * every, "udp", *one, second, world.stun())
        world.send(start + number * every, "udp", *two, first, world.stun())
