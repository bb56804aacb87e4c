"""A network in memory for the overlay's machines: delay, routers that translate, firewalls; a clock that jumps.

What the machines ask for happens as it would on sockets, in order of time. Nothing of the product lives here.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.overlay.actions import (
    Close,
    CloseTcp,
    CloseUdp,
    Connect,
    Event,
    LinkInfo,
    Machine,
    MapPort,
    OpenTcp,
    OpenUdp,
    SendTo,
    UnmapPort,
    Write,
)
from lab.overlay.authority import Authority
from lab.overlay.binds import is_bind
from lab.overlay.call_events import Heard
from lab.overlay.candidacy import AskedForSpare, AskedToBe, DemotedFrom, PromotedTo
from lab.overlay.client import Client
from lab.overlay.identity import Identity
from lab.overlay.member import RELAY_UDP_PORT, Membership
from lab.overlay.passage import STUN_PORT
from lab.overlay.relay import RELAY_SOCKET, HandedOver, Relay
from lab.overlay.seat import Empty, Unneeded, Unreachable
from lab.overlay.stunserver import ALTERNATE_PORT
from lab.overlay.supernode import ALTERNATE_SOCKET, STUN_SOCKET, Supernode
from lab.overlay.wallclock import SetClock
from lab.overlay.whereabouts import Whereabouts
from lab.wire.addresses import Address, family

BEGAN, WALL = 100.0, 1_800_000_000.0
"""When a network begins: on the monotonic clock, and on everybody's wall clock, however late they come, epoch s."""
SYN_AGAIN = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Seconds until a SYN that nobody has answered is sent again, as Linux does (RFC 6298, 5.5: doubled each time)."""
FIRST_RETRANSMISSION, LONGEST_RETRANSMISSION = 0.2, 120.0
"""Seconds until bytes that nobody has acknowledged are sent again, doubled each time: Linux's own least and most."""
STALE_BYTES = 64 * 1024
"""Bytes waiting beyond which a shell drops media."""


@dataclass
class Router:
    """A site's router. `mapping`: None (nothing is translated), "endpoint-independent" or "address-and-port-dependent".

    Filtering is by address and port, where something is translated or the router is `stateful`; `udp` and `tcp_ports`
    (None: all) are what the firewall lets out, of which `tls_only` swallows what does not begin like TLS; through
    `proxy` goes TLS to port 443.
    `sequential` gives ports one after the other, else they are far apart. UDP above `udp_rate` bytes a second is
    dropped, each way.
    """

    outer: str
    mapping: str | None = "endpoint-independent"
    udp: bool = True
    tcp_ports: set[int] | None = None
    stateful: bool = False
    tls_only: bool = False
    proxy: bool = False
    udp_rate: float | None = None
    sequential: bool = False
    ports_drawn_from: range | None = None
    """Outer ports are drawn from these; without, they lie far apart, in an order that repeats."""
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    buckets: dict[str, tuple[float, float]] = field(default_factory=dict)
    out: dict[tuple[Address, Address | None], Address] = field(default_factory=dict)
    back: dict[Address, Address] = field(default_factory=dict)
    contacted: set[tuple[Address, Address]] = field(default_factory=set)
    ports: "itertools.count[int]" = field(default_factory=lambda: itertools.count(50_000))

    @property
    def inbound_tcp(self) -> bool:
        return self.mapping is None and not self.stateful

    def map(self, host: str, wanted: MapPort) -> Address | None:
        """The outer address that it gives to a host's port when asked; None: it gives none."""
        return None

    def unmap(self, port: int) -> None:
        """A port is given back."""

    def throttled(self, way: str, size: int, now: float) -> bool:
        """Whether a datagram that goes `way` is over the rate; a quarter of a second's worth may come at once."""
        if self.udp_rate is None:
            return False
        level, since = self.buckets.get(way, (self.udp_rate / 4, now))
        level = min(self.udp_rate / 4, level + (now - since) * self.udp_rate)
        self.buckets[way] = (level - size if level >= size else level, now)
        return level < size

    def translate(self, source: Address, destination: Address) -> Address:
        if self.mapping is None:
            self.contacted.add((source, destination))
            return source
        key = (source, destination if self.mapping == "address-and-port-dependent" else None)
        if key not in self.out:
            outer = (self.outer, source[1] if key[1] is None else self._next_port())
            self.out[key], self.back[outer] = outer, source
        self.contacted.add((self.out[key], destination))
        return self.out[key]

    def _next_port(self) -> int:
        if self.sequential:
            return next(self.ports)
        if self.ports_drawn_from is None:
            return 50_000 + next(self.ports) * 7919 % 15_000
        drawn = iter(lambda: self.rng.choice(self.ports_drawn_from or ()), None)
        return next(port for port in drawn if port is not None and (self.outer, port) not in self.back)

    def admit(self, source: Address, destination: Address) -> Address | None:
        if self.mapping is None:
            return destination if not self.stateful or (destination, source) in self.contacted else None
        if (destination, source) not in self.contacted:
            return None
        return self.back.get(destination)


@dataclass
class Host:
    """One machine: at most one address a family, each behind a router of its own or on the open internet."""

    name: str
    addresses: dict[int, str]
    machine: Machine
    key: bytes
    routers: dict[int, Router] = field(default_factory=dict)
    listeners: dict[int, dict[bool, str]] = field(default_factory=dict)
    """By port, and by whether TLS or plain words begin."""
    sockets: dict[int, int] = field(default_factory=dict)
    ports: dict[int, int] = field(default_factory=dict)
    """TCP ports that were opened, by number."""
    bound: dict[int, int] = field(default_factory=dict)
    """The UDP port of each socket, by number."""
    events: list[tuple[float, Event]] = field(default_factory=list)
    alive: bool = True
    alarm: float | None = None


@dataclass(eq=False)
class Syn:
    """A SYN under way from `source`, seen as `outer`; its sender waits until it closes the link."""

    host: Host
    link: int
    source: Address
    outer: Address
    destination: Address


@dataclass
class Pipe:
    """One end of a TCP connection, which the other sees as `seen`; nothing passes once its host has another address
    than `local`. `unsent` waits for a network that is cut, `waited` seconds so far; a `closing` end says so after it.
    `gone`: its process has died, and whoever writes to it is told so."""

    host: Host
    link: int
    local: str
    seen: Address
    other: "Pipe | None" = None
    first: LinkInfo | None = None
    """Of the end that accepted, until something has come: a bind may be for the relay beside a client."""
    swallowed: bool = False
    unsent: list[bytes] = field(default_factory=list)
    waited: float = 0.0
    closing: bool = False
    gone: bool = False


def by_family(*addresses: str) -> dict[int, str]:
    return {family(address): address for address in addresses}


def _stands(pipe: Pipe) -> bool:
    """Whether both ends of a connection still have the addresses that it joins."""
    return all(end is None or end.local in end.host.addresses.values() for end in (pipe, pipe.other))


class FakeNet:
    """All hosts and what is under way between them; one way takes `delay` seconds."""

    def __init__(self, delay: float = 0.02, seed: int = 1, dual: bool = False) -> None:
        """`dual`: authority, supernodes and relays have IPv6 as well."""
        self.dual = dual
        self.delay, self.rng = delay, random.Random(seed)
        self.now = BEGAN
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.hosts: dict[str, Host] = {}
        self.pipes: dict[tuple[str, int], Pipe] = {}
        self.udp_ports = itertools.count(40_000)
        self.syns: dict[tuple[str, int], Syn] = {}
        self.authority_key = Ed25519PrivateKey.generate()
        self.met = 0
        """Pairs of SYNs that have become one connection."""
        self.lose: Callable[[Address, Address], bool] | None = None
        """Which datagrams are lost, by where they come from and go to on the internet; TCP does not notice."""
        self.cut: Callable[[Address, Address], bool] | None = None
        """Where nothing at all passes: TCP holds its bytes back and sends them again, ever more seldom."""
        self.is_voice: Callable[[bytes], bool] = lambda data: True
        """What a client's telephone would say of a packet: whether it is the peer's, under the keys of the call."""
        self.detour: dict[str, float] = {}
        """Seconds more that a datagram takes, by a host on the internet that it comes from or goes to."""
        self.voice_trials = False  # sixty packets of each client, that few tests are about
        self.built_in = 2
        self.capacity: int | None = None
        """Clients that each supernode has room for, and each client would have."""
        self.calls: int | None = None
        """Calls that each relay carries, and each client would."""
        self.busy: dict[str, str] = {}
        """Why a client's machine has nothing to spare, once it is asked."""
        self.mapping_delay = 0.05
        """Seconds until a router answers who asks it for a port."""

    # -- building ------------------------------------------------------------------------------------------------

    def open_addresses(self, number: int) -> tuple[str, ...]:
        """Those of a machine on the open internet."""
        return (f"203.0.113.{number}", f"2001:db8:0:1::{number}") if self.dual else (f"203.0.113.{number}",)

    def membership(self, name: str, *addresses: str) -> Membership:
        anchor = self.authority_key.public_key().public_bytes_raw()
        supernodes = tuple(self.open_addresses(11 + number) for number in range(self.built_in))
        own = Whereabouts(addresses)
        return Membership(
            Identity(name), anchor, self.open_addresses(5), supernodes, own, self.rng, SetClock(WALL - BEGAN)
        )

    def authority(self) -> Host:
        machine = Authority(self.authority_key, {}, SetClock(WALL - BEGAN))
        key = self.authority_key.public_key().public_bytes_raw()
        host = Host("authority", by_family(*self.open_addresses(5)), machine, key)
        host.listeners = {port: {True: "enrolment"} for port in (33032, 443, 80)}
        return self._add(host)

    def supernode(self, number: int, machine: type[Supernode] = Supernode) -> Host:
        membership = replace(
            self.membership(f"supernode-{number}", *self.open_addresses(10 + number)), capacity=self.capacity
        )
        addresses = by_family(*membership.own.addresses)
        host = Host(f"supernode-{number}", addresses, machine(membership), membership.identity.public)
        return self._add(self._listening(host))

    def relay(self, number: int = 1) -> Host:
        membership = replace(self.membership(f"relay-{number}", *self.open_addresses(20 + number)), calls=self.calls)
        addresses = by_family(*membership.own.addresses)
        host = Host(f"relay-{number}", addresses, Relay(membership), membership.identity.public)
        host.listeners, host.sockets = (
            {key: {True: "relay", False: "relay"} for key in (33034, 443, 80)},
            {RELAY_UDP_PORT: RELAY_SOCKET},
        )
        return self._add(host)

    def client(self, name: str, address: str, router: Router | None = None, *more: tuple[str, Router | None]) -> Host:
        """At `address` behind `router`; `more` are addresses of another family, each with its router."""
        places = ((address, router), *more)
        membership = replace(
            self.membership(name, *(each for each, _ in places)), capacity=self.capacity, calls=self.calls
        )
        host = Host(name, {}, Client(membership, (7000, 443)), membership.identity.public)
        self._place(host, *places)
        membership.own.proxied = lambda _: any(each is not None and each.proxy for _, each in places)
        host.listeners = {key: {True: "media", False: "media"} for key in (7000, 443)}
        if not self.voice_trials:
            host.machine.discovery.trial.busy = lambda: True
        return self._add(host)

    def move(self, name: str, *places: tuple[str, Router | None]) -> None:
        """Plugs a host in elsewhere, or nowhere; its shell notices at once."""
        host = self.hosts[name]
        self._place(host, *places)
        host.machine.relocated(tuple(host.addresses.values()), self.now)
        self.settle(host)
        if (beside := self.hosts.get(f"{name}+")) is not None:
            beside.addresses, beside.routers = host.addresses, host.routers

    def _place(self, host: Host, *places: tuple[str, Router | None]) -> None:
        host.addresses = by_family(*(address for address, _ in places))
        host.routers = {family(address): router for address, router in places if router is not None}

    def _add(self, host: Host) -> Host:
        self.hosts[host.name] = host
        host.bound = {number: port for port, number in host.sockets.items()}
        host.machine.start(self.now)
        self.settle(host)
        return host

    # -- time ----------------------------------------------------------------------------------------------------

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (self.now + seconds, next(self.order), what))

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Lets time pass, `seconds` at the most; True as soon as `until` holds."""
        end = self.now + seconds
        while self.queue and self.queue[0][0] <= end:
            if until is not None and until():
                return True
            self.now, _, what = heapq.heappop(self.queue)
            what()
        if until is not None and until():
            return True
        self.now = end
        return False

    def settle(self, host: Host) -> None:
        while actions := host.machine.actions.take():
            for action in actions:
                self._do(host, action)
        deadline = host.machine.deadline()
        if deadline is not None and deadline != host.alarm:
            host.alarm = deadline
            self.after(max(0.0, deadline - self.now), lambda: self._wake(host, deadline))

    def _wake(self, host: Host, deadline: float) -> None:
        if host.alive and host.alarm == deadline:
            host.alarm = None
            host.machine.poll(self.now)
            self.settle(host)

    def _gateway_of(self, host: Host) -> Router:
        return host.routers.get(4) or Router("")

    def _map_port(self, host: Host, wanted: MapPort) -> None:
        outer = self._gateway_of(host).map(host.addresses.get(4, ""), wanted)
        if outer is None:
            host.machine.port_not_mapped(wanted.mapping, "no router gives ports when asked", self.now)
        else:
            host.machine.port_mapped(wanted.mapping, outer, wanted.lifetime, self.now)
        self.settle(host)

    # -- what machines ask for -----------------------------------------------------------------------------------

    def _do(self, host: Host, action: object) -> None:
        match action:
            case Event():
                host.events.append((self.now, action))
                if isinstance(host.machine, Client):
                    self._host(host, action)
                elif host.name.endswith("+"):
                    self._hosted(host, action)
                elif isinstance(action, HandedOver):
                    self.after(0.0, lambda: self.stop(host.name))
            case SendTo(socket, address, data):
                port = host.bound[socket]
                if (own := host.addresses.get(family(address[0]))) is not None:
                    self._datagram(host, (own, port), address, data)
            case OpenUdp(socket):
                port = next(self.udp_ports)
                host.sockets[port] = socket
                host.bound[socket] = port
                self.after(0.0, lambda: self._udp_up(host, socket, port))
            case CloseUdp(socket):
                host.sockets.pop(host.bound.pop(socket), None)
            case MapPort():
                self.after(self.mapping_delay, lambda: self._map_port(host, action))
            case UnmapPort(port):
                self.after(self.mapping_delay, lambda: self._gateway_of(host).unmap(port))
            case OpenTcp(number):
                self.after(0.0, lambda: self._tcp_up(host, number))
            case CloseTcp(number):
                host.ports.pop(number, None)
            case Connect(link, address, _, _, local_port):
                own = host.addresses.get(family(address[0]), "")
                if local_port is not None and self._send_syn(host, link, (own, local_port), address):
                    return
                self._connect(host, action)
            case Write(link, data, media):
                if (pipe := self.pipes.get((host.name, link))) and pipe.other and _stands(pipe):
                    if pipe.swallowed or (media and sum(map(len, pipe.unsent)) > STALE_BYTES):
                        return
                    pipe.unsent.append(data)
                    self._transmit(pipe)
            case Close(link):
                self.syns.pop((host.name, link), None)
                if (pipe := self.pipes.pop((host.name, link), None)) and pipe.other:
                    pipe.closing = True
                    self._transmit(pipe)

    # -- promotion -----------------------------------------------------------------------------------------------

    def _host(self, host: Host, event: Event) -> None:
        """What the client's program does with a packet of voice, and when it is to be a supernode or relay beside:
        `NAME+` is that one's host."""
        match event:
            case Heard(_, data):
                if self.is_voice(data):
                    host.machine.voice(event, self.now)
            case AskedToBe("relay"):
                membership = replace(host.machine.membership, calls=host.machine.candidacy.calls)
                beside = Host(f"{host.name}+", host.addresses, Relay(membership, True), host.key, host.routers)
                beside.listeners = {port: {True: "relay", False: "relay"} for port in (33034, 80)}
                beside.sockets = {RELAY_UDP_PORT: RELAY_SOCKET}
                self._add(beside)
                host.machine.candidacy.listening(None, self.now)
            case AskedToBe("supernode"):
                membership = replace(host.machine.membership, capacity=host.machine.candidacy.capacity)
                beside = self._listening(Host(f"{host.name}+", {}, Supernode(membership, True), host.key))
                beside.addresses, beside.routers = host.addresses, host.routers
                host.machine.hub.more = beside.machine.for_its_own_client
                self._add(beside)
                host.machine.candidacy.listening(None, self.now)
            case PromotedTo(_, supernodes):
                beside = self.hosts[f"{host.name}+"]
                beside.machine.admit(supernodes, self.now)
                self.settle(beside)
            case AskedForSpare(role):
                refusal = self.busy.get(host.name)
                host.machine.candidacy.spares(refusal)
                if role == "supernode":
                    beside = self.hosts[f"{host.name}+"]
                    beside.machine.spares(0 if refusal else host.machine.candidacy.capacity)
                    self.settle(beside)
            case DemotedFrom():
                if (beside := self.hosts.get(f"{host.name}+")) is not None:
                    beside.machine.leave(self.now)
                    self.settle(beside)

    def _hosted(self, host: Host, event: Event) -> None:
        """What it does when that one's machine says something."""
        client = self.hosts.get(host.name[:-1])
        if client is not None and isinstance(event, Unreachable | Unneeded) and event.name == client.name:
            client.machine.candidacy.cease(event.reason)
            self.settle(client)
        elif client is not None and isinstance(event, Empty | HandedOver):
            self.after(0.0, lambda: self.stop(host.name))

    def _listening(self, host: Host) -> Host:
        """With a supernode's listeners and sockets."""
        both = {True: "signalling", False: "stun"}
        host.listeners = {33033: {True: "signalling"}, 443: both, 80: both}
        host.listeners |= {3478: {False: "stun"}, 3479: {False: "stun"}}
        host.sockets = {STUN_PORT: STUN_SOCKET, ALTERNATE_PORT: ALTERNATE_SOCKET}
        return host

    def _udp_up(self, host: Host, socket: int, port: int) -> None:
        host.machine.udp_up(socket, ("0.0.0.0", port), self.now)
        self.settle(host)

    def _datagram(self, host: Host, source: Address, destination: Address, data: bytes) -> None:
        if (router := host.routers.get(family(destination[0]))) is not None:
            if not router.udp or router.throttled("out", len(data), self.now):
                return
            source = router.translate(source, destination)
        if self._is_cut(source, destination) or (self.lose is not None and self.lose(source, destination)):
            return
        more = self.detour.get(source[0], 0.0) + self.detour.get(destination[0], 0.0)
        self.after(2 * self.delay + more, lambda: self._datagram_in(source, destination, data))

    def _datagram_in(self, source: Address, destination: Address, data: bytes) -> None:
        for host in self.hosts.values():
            target: Address | None = destination
            if (router := host.routers.get(family(destination[0]))) is not None:
                if not router.udp or (router.mapping and destination[0] != router.outer):
                    continue
                if router.throttled("in", len(data), self.now):
                    return
                target = router.admit(source, destination)
            if target and host.alive and target[0] in host.addresses.values() and target[1] in host.sockets:
                host.machine.datagram(host.sockets[target[1]], data, source, self.now)
                self.settle(host)
                return

    def _is_cut(self, source: Address, destination: Address) -> bool:
        return self.cut is not None and self.cut(source, destination)

    def _tcp_up(self, host: Host, number: int) -> None:
        host.ports[number] = next(self.udp_ports)
        host.machine.tcp_up(number, ("0.0.0.0", host.ports[number]), self.now)
        self.settle(host)

    def _send_syn(self, host: Host, link: int, source: Address, destination: Address) -> bool:
        """A SYN between two clients, who may have sent one each; False to whom everybody may connect."""
        if any(destination[0] in h.addresses.values() and h.listeners for h in self.hosts.values() if not h.routers):
            return False
        router = host.routers[4]
        if router.tcp_ports is not None and destination[1] not in router.tcp_ports:
            return True
        outer = router.translate(source, destination)
        if self._is_cut(outer, destination) or self._is_cut(destination, outer):
            return True
        syn = self.syns[host.name, link] = Syn(host, link, source, outer, destination)
        self.after(2 * self.delay, lambda: self._syn_in(syn))
        return True

    def _syn_in(self, syn: "Syn") -> None:
        """At the other router: dropped there, or met by a SYN the other way, or accepted by who listens."""
        if self.syns.get((syn.host.name, syn.link)) is not syn:
            return
        for host in self.hosts.values():
            router = host.routers.get(4)
            if router is None or (router.outer if router.mapping else host.addresses.get(4)) != syn.destination[0]:
                continue
            target = router.admit(syn.outer, syn.destination)
            if target is None or target[0] != host.addresses.get(4):
                continue
            crossing = next((s for s in self.syns.values() if (s.source, s.destination) == (target, syn.outer)), None)
            if crossing is not None:
                self.after(2 * self.delay, lambda crossing=crossing: self._joined(syn, crossing))
            elif target[1] in host.ports.values():
                self.after(2 * self.delay, lambda host=host: self._taken(syn, host))

    def _joined(self, syn: "Syn", other: "Syn") -> None:
        ends = [self.syns.pop((each.host.name, each.link), None) for each in (syn, other)]
        if None in ends:
            return
        self.met += 1
        pipes = [Pipe(each.host, each.link, each.source[0], each.outer) for each in (syn, other)]
        for each, pipe, far in zip((syn, other), pipes, reversed(pipes), strict=True):
            pipe.other = far
            self.pipes[each.host.name, each.link] = pipe
        for each in (syn, other):
            each.host.machine.link_up(each.link, LinkInfo(each.source, each.destination), self.now)
        for each in (syn, other):
            self.settle(each.host)

    def _taken(self, syn: "Syn", host: Host) -> None:
        if self.syns.pop((syn.host.name, syn.link), None) is None:
            return
        near = self.pipes[syn.host.name, syn.link] = Pipe(syn.host, syn.link, syn.source[0], syn.outer)
        syn.host.machine.link_up(syn.link, LinkInfo(syn.source, syn.destination), self.now)
        far_link = host.machine.accepted("media", LinkInfo(syn.destination, syn.outer), self.now)
        far = near.other = self.pipes[host.name, far_link] = Pipe(host, far_link, host.addresses[4], syn.destination)
        far.other = near
        self.settle(syn.host)
        self.settle(host)

    def _connect(self, host: Host, wanted: Connect, tries: int = 0) -> None:
        """A SYN to who listens; one that nobody answers is sent again, ever more seldom, until the link is closed."""
        link, address, secure, proxied = wanted.link, wanted.address, wanted.secure, wanted.proxied
        kind = family(address[0])
        if link not in host.machine.actions.links or not host.alive:
            return
        if kind not in host.addresses:
            self.after(0.0, lambda: self._down(host, link, "network is unreachable"))
            return
        source: Address = (host.addresses[kind], wanted.local_port or next(self.udp_ports))
        swallowed = dropped = False
        if (router := host.routers.get(kind)) is not None:
            if proxied and (not router.proxy or not secure or address[1] != 443):
                self.after(0.0, lambda: self._down(host, link, "403 Forbidden"))
                return
            dropped = not proxied and router.tcp_ports is not None and address[1] not in router.tcp_ports
            swallowed = router.tls_only and not secure
            if router.mapping is not None:
                source = router.translate(source, address) if wanted.local_port else (router.outer, source[1])
        reachable = [
            h
            for h in self.hosts.values()
            if h.addresses.get(kind) == address[0] and (kind not in h.routers or h.routers[kind].inbound_tcp)
        ]
        reachable = [h for h in reachable if h.alive]
        dropped = dropped or self._is_cut(source, address) or self._is_cut(address, source)
        if dropped or not reachable:
            if tries < len(SYN_AGAIN):
                self.after(SYN_AGAIN[tries], lambda: self._connect(host, wanted, tries + 1))
            return
        target = next((h for h in reversed(reachable) if secure in h.listeners.get(address[1], {})), reachable[0])
        if secure not in target.listeners.get(address[1], {}):
            self.after(4 * self.delay, lambda: self._down(host, link, "connection refused"))
            return
        turns = 8 if secure else 4  # TLS takes another round trip
        self.after(turns * self.delay, lambda: self._connected(host, link, source, target, address, secure, swallowed))

    def _connected(
        self, host: Host, link: int, source: Address, target: Host, address: Address, secure: bool, swallowed: bool
    ) -> None:
        kind = family(address[0])
        if link not in host.machine.actions.links or not host.alive or not target.alive or kind not in host.addresses:
            return
        local = (host.addresses[kind], source[1])
        host.machine.link_up(link, LinkInfo(local, address, target.key if secure else None), self.now)
        near = self.pipes[host.name, link] = Pipe(host, link, local[0], source, swallowed=swallowed)
        info = LinkInfo(address, source, b"" if secure else None)
        far_link = target.machine.accepted(target.listeners[address[1]][secure], info, self.now)
        near.other = self.pipes[target.name, far_link] = Pipe(target, far_link, address[0], address, near, info)
        self.settle(host)
        self.settle(target)

    def _transmit(self, pipe: Pipe, again: bool = False) -> None:
        """What an end has written, in order; held back while nothing passes, or comes back, between the two."""
        other = pipe.other
        assert other is not None
        if not pipe.host.alive or pipe.gone or (pipe.waited and not again):
            return
        if self._is_cut(pipe.seen, other.seen) or self._is_cut(other.seen, pipe.seen) or not other.host.alive:
            pipe.waited = min(2 * pipe.waited or FIRST_RETRANSMISSION, LONGEST_RETRANSMISSION)
            self.after(pipe.waited, lambda: self._transmit(pipe, again=True))
            return
        pipe.waited = 0.0
        written, pipe.unsent = pipe.unsent, []
        for data in written:
            self.after(2 * self.delay, partial(self._arrive, other, data))
        if pipe.closing:
            self.after(2 * self.delay, lambda: self._hang_up(other))

    def _arrive(self, pipe: Pipe, data: bytes) -> None:
        if pipe.gone and pipe.host.alive and pipe.other is not None:  # RFC 9293, 3.5.2: nobody knows this connection
            near = pipe.other
            self.after(2 * self.delay, lambda: self._hang_up(near))
        elif pipe.host.alive and self.pipes.get((pipe.host.name, pipe.link)) is pipe and _stands(pipe):
            info, pipe.first = pipe.first, None
            beside = self.hosts.get(f"{pipe.host.name}+")
            if info is not None and beside is not None and isinstance(beside.machine, Relay) and is_bind(data[2:]):
                del self.pipes[pipe.host.name, pipe.link]
                self._down(pipe.host, pipe.link, "it is the relay's")
                pipe.host, pipe.link = beside, beside.machine.accepted("relay", info, self.now)
                self.pipes[beside.name, pipe.link] = pipe
            pipe.host.machine.link_data(pipe.link, data, self.now)
            self.settle(pipe.host)

    def _hang_up(self, pipe: Pipe) -> None:
        key = (pipe.host.name, pipe.link)
        if (
            not _stands(pipe) or self.pipes.get(key) is not pipe
        ):  # one who was started anew gives the same numbers again
            return
        del self.pipes[key]
        if pipe.host.alive:
            self._down(pipe.host, pipe.link, "closed by the other end")

    def _down(self, host: Host, link: int, reason: str) -> None:
        host.machine.link_down(link, reason, self.now)
        self.settle(host)

    # -- what a test does ----------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """At once and without a word: nobody gets a FIN."""
        self.hosts[name].alive = False

    def start(self, name: str) -> None:
        """What was killed is there again, on its old addresses; it knows its name and its key and nothing else."""
        host = self.hosts[name]
        assert isinstance(host.machine, Relay | Supernode)
        for key, pipe in list(self.pipes.items()):
            if pipe.host is host:
                pipe.gone = True
                del self.pipes[key]
        own = Whereabouts(tuple(host.addresses.values()))
        host.machine = type(host.machine)(replace(host.machine.membership, own=own))
        host.alive, host.alarm = True, None
        host.machine.start(self.now)
        self.settle(host)

    def terminate(self, name: str) -> None:
        """SIGTERM to a relay: it hands its calls over and ends."""
        host = self.hosts[name]
        assert isinstance(host.machine, Relay)
        host.machine.leave(self.now)
        self.settle(host)

    def stop(self, name: str) -> None:
        """A program ends: its host closes what it had open, and is no more."""
        host = self.hosts.pop(name)
        host.alive = False
        for (owner, link), pipe in list(self.pipes.items()):
            if owner == name:
                del self.pipes[owner, link]
                if pipe.other is not None:
                    self.after(2 * self.delay, lambda other=pipe.other: self._hang_up(other))

    def told(self, name: str, kind: type[Event]) -> list[tuple[float, Event]]:
        return [(at, event) for at, event in self.hosts[name].events if isinstance(event, kind)]
