"""A wider world of packets: both families, carriers, proxies, TLS, and links that take their time and lose packets.

Belongs here: lines from an end outwards, and how each place on them would see a packet. Never: anything of the judge.
"""

import random
import struct
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

from packet_world import ACK, FRAME, HOP, IN, OUT, PSH, START, Address, frame, framed, record, write_pcap

from lab.evidence import Captures
from lab.topology.model import Attachment, Network, Node, Role, Topology

SITES = {  # site: LAN, its IPv6 prefix, the network before its router, the router's addresses there, clients by number
    "open": ("198.51.100.16/28", "2001:db8:10::/64", "internet", ("203.0.113.31", "2001:db8:0:1::31"), {"olga": 18}),
    "farm": ("192.168.32.0/24", "fd00:32::/64", "internet", ("203.0.113.32", "2001:db8:0:1::32"), {"fay": 10}),
    "mill": ("192.168.33.0/24", "fd00:33::/64", "internet", ("203.0.113.33", "2001:db8:0:1::33"), {"mia": 10}),
    "bank": ("192.168.34.0/24", None, "internet", ("203.0.113.34", None), {"ben": 10}),
    "firm": ("192.168.35.0/24", None, "internet", ("203.0.113.35", None), {"fred": 10}),
    "carrier": ("100.64.0.0/24", None, "internet", ("203.0.113.60", None), {}),
    "north": ("192.168.36.0/24", None, "carrier", ("100.64.0.2", None), {"nora": 10}),
    "south": ("192.168.37.0/24", None, "carrier", ("100.64.0.3", None), {"sam": 10}),
}
PROXIES = {"bank": "192.168.34.5", "firm": "192.168.35.5"}
RELAYS = {"relay-1": ("203.0.113.21", "2001:db8:0:1::21"), "relay-2": ("203.0.113.22", "2001:db8:0:1::22")}
Hops = tuple[tuple[str, Address], ...]


@dataclass(frozen=True)
class Line:
    """From an end outwards: its own endpoint, then each place and what the endpoint became there.

    `proxy` is where the end sends to in place of the far side; the first place is that proxy then.
    """

    name: str
    own: Address
    places: Hops = ()
    proxy: Address | None = None

    @property
    def outer(self) -> Address:
        return self.places[-1][1] if self.places else self.own


def topology() -> Topology:
    from ipaddress import IPv4Network, IPv6Network

    def at(network: str, four: str, six: str | None, bits: int = 24) -> Attachment:
        return Attachment(network, IPv4Interface(f"{four}/{bits}"), IPv6Interface(f"{six}/64") if six else None)

    networks = [Network("internet", "internet", None, IPv4Network("203.0.113.0/24"), IPv6Network("2001:db8:0:1::/64"))]
    core = at("internet", "203.0.113.1", "2001:db8:0:1::1")
    nodes = [Node("core", Role.CORE, None, None, None, (core,))]
    nodes += [Node(name, Role.RELAY, None, None, None, (at("internet", *own),)) for name, own in RELAYS.items()]
    for site, (lan, prefix, ahead, wan, clients) in SITES.items():
        subnet, subnet6 = IPv4Network(lan), IPv6Network(prefix) if prefix else None
        networks.append(Network(site, "carrier" if site == "carrier" else "site", site, subnet, subnet6))
        inner = at(site, str(subnet[1]), str(subnet6[1]) if subnet6 else None, subnet.prefixlen)
        nodes.append(Node(f"{site}-router", Role.ROUTER, site, "linux", "none", (at(ahead, *wan), inner)))
        if site in PROXIES:
            nodes.append(Node(f"{site}-proxy", Role.PROXY, site, "linux", "none", (at(site, PROXIES[site], None),)))
        for name, number in clients.items():
            four = f"{str(subnet[0]).rpartition('.')[0]}.{number}"
            own = at(site, four, str(subnet6[number]) if subnet6 else None, subnet.prefixlen)
            nodes.append(Node(name, Role.CLIENT, site, "linux", "none", (own,)))
    return Topology(tuple(nodes), tuple(networks))


TOPOLOGY = topology()


def _beside(name: str, family: int) -> Line:
    """A client on the open internet that is a relay as well, from its end outwards."""
    own = TOPOLOGY.node(name).attachments[0]
    host = str(own.address6.ip if family and own.address6 else own.address.ip)
    return Line(name, (host, 33034), ((f"{TOPOLOGY.node(name).site}-router", (host, 33034)),))


PLACES = ("core", *RELAYS, *(f"{site}-router" for site in SITES), *(f"{site}-proxy" for site in PROXIES))

# Lines that tests begin from; ports are the tests' own where they matter.
OLGA = Line("olga", ("198.51.100.18", 4000), (("open-router", ("198.51.100.18", 4000)),))
OLGA6 = Line("olga", ("2001:db8:10::12", 4000), (("open-router", ("2001:db8:10::12", 4000)),))
FAY6 = Line("fay", ("fd00:32::a", 4000), (("farm-router", ("2001:db8:32::a", 4000)),))
MIA6 = Line("mia", ("fd00:33::a", 5000), (("mill-router", ("2001:db8:33::a", 5000)),))
FAY = Line("fay", ("192.168.32.10", 4000), (("farm-router", ("203.0.113.32", 4000)),))
MIA = Line("mia", ("192.168.33.10", 5000), (("mill-router", ("203.0.113.33", 5000)),))
NORA = Line(
    "nora",
    ("192.168.36.10", 4000),
    (("north-router", ("100.64.0.2", 4000)), ("carrier-router", ("203.0.113.60", 2048))),
)
SAM = Line(
    "sam", ("192.168.37.10", 5000), (("south-router", ("100.64.0.3", 5000)), ("carrier-router", ("203.0.113.60", 3072)))
)


def through_proxy(name: str, site: str, port: int = 4000) -> Line:
    """A client's line through its site's proxy: the proxy has a connection of its own, which the router translates."""
    proxy, wan = PROXIES[site], SITES[site][3][0]
    own = (f"{proxy.rpartition('.')[0]}.10", port)
    places = ((f"{site}-proxy", (proxy, port + 30000)), (f"{site}-router", (wan, port + 30000)))
    return Line(name, own, places, (proxy, 3128))


@dataclass
class WideWorld:
    """Sends packets along lines. `delay` is seconds from core to the far side; `before` those from an end to core."""

    seed: int = 1
    delay: float = 0.0
    loss: float = 0.0
    sizes: range = range(60, 140)
    mute: set[str] = field(default_factory=set)
    frames: dict[str, list[tuple[float, bytes]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._sequences: dict[tuple[Address, Address], int] = {}

    def see(
        self, place: str, time: float, protocol: str, ends: tuple[Address, Address], payload: bytes, kind: int
    ) -> None:
        if place in self.mute:
            return
        # As each place has connections of its own, its sequence numbers are its own; retransmissions are not modelled.
        key = (place, kind, *ends)
        seq = self._sequences.get(key, 1000)  # type: ignore[call-overload]
        self._sequences[key] = seq + len(payload)  # type: ignore[index]
        self.frames[place].append((time, frame(protocol, *ends, payload, kind, seq, ACK | PSH)))

    def send(
        self, time: float, protocol: str, one: Line, two: Line, payload: bytes, turn: str | None = None
    ) -> float | None:
        """One packet from an end to another; `turn` is the router before both that turns it back.

        Returns when it arrives; None where it is lost, behind core.
        """
        far = one.proxy or two.outer
        if turn is not None and (turn, two.outer) not in two.places:
            far = next(outer for place, outer in reversed(two.places))
        source = one.own
        self.see(one.name, time, protocol, (source, far), payload, OUT)
        for place, outer in one.places:
            time += HOP
            self.see(place, time, protocol, (source, far), payload, IN)
            if place == turn:
                source = outer
                break
            source, far = outer, two.outer
            self.see(place, time + HOP / 2, protocol, (source, far), payload, OUT)
        if turn is None:
            time += HOP
            self.see("core", time, protocol, (source, far), payload, IN)
            if protocol == "udp" and self.random.random() < self.loss:
                return None
            time += self.delay
        arriving = list(two.places)
        insides = [two.own, *(outer for _, outer in two.places)]
        for index in reversed(range(len(arriving))):
            place, outer = arriving[index]
            time += HOP
            if place != turn:
                self.see(place, time, protocol, (source, outer), payload, IN)
            if two.proxy and index == 0:
                source = two.proxy
            self.see(place, time + HOP / 2, protocol, (source, insides[index]), payload, OUT)
        time += HOP
        self.see(two.name, time, protocol, (source, two.own), payload, IN)
        return time

    def voice(self, number: int) -> bytes:
        header = struct.pack("!BBHII", 0x80, 111, number & 0xFFFF, number * 960, 0x1234)
        return header + self.random.randbytes(self.random.choice(self.sizes))

    def dress(self, payload: bytes, how: str) -> bytes:
        """A voice packet as a leg carries it: "udp", "tcp", or "tls", which encrypts it anew."""
        if how == "tls":
            return record(self.random, framed(payload))
        return framed(payload) if how == "tcp" else payload

    def set_up(self, line: Line, at: str, start: float, seconds: float) -> None:
        """A TLS connection to a relay: the handshake, then checks inside it, at the very rate of voice."""
        end = Line(at, (RELAYS[at][1 if ":" in line.outer[0] else 0], 34000 + int(at[-1])))
        for sender, receiver in ((line, end), (end, line)):
            handshake = b"\x16\x03\x03" + self.random.randbytes(1445)
            self.send(START + start, "tcp", sender, receiver, handshake)
            for number, size in zip(range(round(seconds / FRAME)), (96, 60, 60, 96, 100, 60) * 9, strict=False):
                time = START + start + 0.02 + number * FRAME
                self.send(time, "tcp", sender, receiver, self.dress(self.random.randbytes(size), "tls"))

    def talk(
        self, one: Line, two: Line, start: float, seconds: float, how: str = "udp", *, turn: str | None = None,
        back: bool = True, lag: float = 0.0,
    ) -> None:  # fmt: skip
        """Voice both ways; the far end begins and ends `lag` seconds later, as it hears of a move."""
        protocol = "udp" if how == "udp" else "tcp"
        for number in range(round(seconds / FRAME)):
            time = START + start + number * FRAME + self.random.uniform(0, 0.002)
            self.send(time, protocol, one, two, self.dress(self.voice(number), how), turn)
            if back:
                self.send(time + lag, protocol, two, one, self.dress(self.voice(number), how), turn)

    def relay(
        self, one: Line, two: Line, start: float, seconds: float, hows: Sequence[str] = ("udp", "udp"), *,
        at: str = "relay-1", lag: float = 0.0, deliver: bool = True, say: Callable[[int], bytes] | None = None,
    ) -> None:  # fmt: skip
        """Voice through a relay, each leg dressed its own way, to the relay's address of the leg's family."""
        families = [1 if ":" in line.outer[0] else 0 for line in (one, two)]
        ends = [
            Line(at, (RELAYS[at][family], 34000 + int(at[-1]))) if at in RELAYS else _beside(at, family)
            for family in families
        ]
        protocols = ["udp" if how == "udp" else "tcp" for how in hows]
        events: list[tuple[float, int, bytes]] = []
        for number in range(round(seconds / FRAME)):
            time = START + start + number * FRAME + self.random.uniform(0, 0.002)
            for side, line in enumerate((one, two)):
                payload = (say or self.voice)(number + side * 100_000)
                wrapped = self.dress(payload, hows[side])
                came = self.send(time + side * lag, protocols[side], line, ends[side], wrapped)
                if came is not None and deliver:
                    events.append((came + 0.0003, 1 - side, payload))
        for time, side, payload in sorted(events):
            self.send(time, protocols[side], ends[side], (one, two)[side], self.dress(payload, hows[side]))

    def captures(self, folder: Path, extra: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> Captures:
        """Every place's capture, but for those of `without`; each has seen its marker, which is no call's packet."""
        marker = frame("udp", ("127.0.0.1", 9), ("127.0.0.1", 9), b"marker", IN)
        places = [place for place in (*PLACES, *extra) if place not in without]
        frames = {place: [(START - 1, marker), *self.frames[place]] for place in places}
        return Captures.read({place: write_pcap(folder / f"{place}.pcap", frames[place]) for place in places})
