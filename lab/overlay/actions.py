"""What a state machine asks of its shell, and how the shell's inputs find the part that they are for.

A machine never performs I/O: it appends actions here, and the shell drains them after each input. Nothing in this file
decides anything about calls.
"""

import itertools
from dataclasses import dataclass, field
from typing import Protocol

from lab.errors import ProtocolError
from lab.overlay.refusals import Refusals, TooMuch
from lab.wire.addresses import Address


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a TCP connection, inside TLS where `secure`, by CONNECT through the site's proxy where `proxied`, plain and
    from a port that OpenTcp has opened where `local_port` is given; `hub`: asks for a hub, whose port may be
    another's as well; report it with link_up or link_down."""

    link: int
    address: Address
    secure: bool
    proxied: bool = False
    local_port: int | None = None
    hub: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """Send bytes on a link; `media` may be dropped while much of it waits, for late voice is no voice."""

    link: int
    data: bytes
    media: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """Flush and close a link; no link_down follows."""

    link: int


@dataclass(frozen=True, slots=True)
class OpenUdp:
    """Open a UDP socket for both families on any free port; report it with udp_up."""

    socket: int


@dataclass(frozen=True, slots=True)
class CloseUdp:
    """Close a UDP socket."""

    socket: int


@dataclass(frozen=True, slots=True)
class OpenTcp:
    """Accept TCP connections on any free port, which connections may be opened from as well; report it with tcp_up.
    What it accepts is reported as of the listener `media`."""

    port: int


@dataclass(frozen=True, slots=True)
class CloseTcp:
    """Accept no more connections on a port; those that are up stay."""

    port: int


@dataclass(frozen=True, slots=True)
class SendTo:
    """Send one datagram, over `hops` routers and no more where that is given (RFC 791: time to live)."""

    socket: int
    address: Address
    data: bytes
    hops: int | None = None


@dataclass(frozen=True, slots=True)
class MapPort:
    """Ask the router for an outer UDP port that leads to `port` of this host, for `lifetime` seconds, or for as long
    again; report it with port_mapped or port_not_mapped."""

    mapping: int
    port: int
    lifetime: int


@dataclass(frozen=True, slots=True)
class UnmapPort:
    """Give back what was mapped to a port of this host."""

    port: int


@dataclass(frozen=True, slots=True)
class Offload:
    """Have the kernel forward UDP between two addresses, `rate` bytes a second both ways together; or, where it does so
    for the session, between these instead. Binds go on to the machine. Refusals are told."""

    session: int
    legs: tuple[Address, Address]
    rate: int


@dataclass(frozen=True, slots=True)
class Onload:
    """Have the kernel forward no longer for a session; report what it counted, as final."""

    session: int


@dataclass(frozen=True, slots=True)
class CountOffloaded:
    """Report what the kernel has counted for a session."""

    session: int


@dataclass(frozen=True, slots=True)
class Offloaded:
    """A kernel's counts by leg of a session: datagrams had from it, those that passed the cap, their bytes in all."""

    had: tuple[int, int] = (0, 0)
    passed: tuple[int, int] = (0, 0)
    bytes: tuple[int, int] = (0, 0)
    final: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Base of what a machine tells the program around it; the subclasses stand beside the machine that emits them."""


@dataclass(frozen=True, slots=True)
class Rejected(Event):
    """A link or a word was refused, and why."""

    address: str
    reason: str


Udp = OpenUdp | CloseUdp | SendTo
Tcp = OpenTcp | CloseTcp | Connect | Write | Close
Ports = MapPort | UnmapPort
Action = Tcp | Udp | Ports | Offload | Onload | CountOffloaded | Event


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """A link that is up: its two ends, and the Ed25519 key of the peer's certificate where it is inside TLS.

    Through a proxy, `peer` is whom the proxy was asked for. A peer inside TLS that shows no such key has an empty one.
    """

    local: Address
    peer: Address
    peer_key: bytes | None = None

    @property
    def secure(self) -> bool:
        return self.peer_key is not None


class LinkOwner(Protocol):
    """A part of a machine that owns TCP links."""

    def link_up(self, link: int, info: LinkInfo, now: float) -> None: ...
    def link_data(self, link: int, data: bytes, now: float) -> None: ...
    def link_down(self, link: int, reason: str, now: float) -> None: ...


class SocketOwner(Protocol):
    """A part of a machine that owns UDP sockets."""

    def udp_up(self, socket: int, local: Address, now: float) -> None: ...
    def datagram(self, socket: int, data: bytes, source: Address, now: float) -> None: ...


class MappingOwner(Protocol):
    """A part of a machine that asks the router for ports."""

    def port_mapped(self, mapping: int, outer: Address, lifetime: int, now: float) -> None: ...
    def port_not_mapped(self, mapping: int, reason: str, now: float) -> None: ...


class PortOwner(LinkOwner, Protocol):
    """A part of a machine that owns TCP ports."""

    def tcp_up(self, number: int, local: Address, now: float) -> None: ...


@dataclass
class Actions:
    """The one outbox of a machine, shared by its parts; also knows which part owns which link and socket, and who was
    turned away."""

    pending: list[Action] = field(default_factory=list)
    links: dict[int, LinkOwner] = field(default_factory=dict)
    sockets: dict[int, SocketOwner] = field(default_factory=dict)
    ports: dict[int, PortOwner] = field(default_factory=dict)
    mappings: dict[int, MappingOwner] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    refusals: Refusals = field(default_factory=Refusals)

    def take(self) -> list[Action]:
        """What has been asked since the last call, in order."""
        taken, self.pending = self.pending, []
        return taken

    def connect(
        self,
        owner: LinkOwner,
        address: Address,
        secure: bool,
        proxied: bool = False,
        local_port: int | None = None,
        hub: bool = False,
    ) -> int:
        link = next(self.numbers)
        self.links[link] = owner
        self.pending.append(Connect(link, address, secure, proxied, local_port, hub))
        return link

    def write(self, link: int, data: bytes, media: bool = False) -> None:
        if link in self.links:
            self.pending.append(Write(link, data, media))

    def close(self, link: int) -> None:
        if self.links.pop(link, None) is not None:
            self.pending.append(Close(link))

    def open_udp(self, owner: SocketOwner) -> int:
        socket = next(self.numbers)
        self.sockets[socket] = owner
        self.pending.append(OpenUdp(socket))
        return socket

    def close_udp(self, socket: int) -> None:
        if self.sockets.pop(socket, None) is not None:
            self.pending.append(CloseUdp(socket))

    def open_tcp(self, owner: PortOwner) -> int:
        port = next(self.numbers)
        self.ports[port] = owner
        self.pending.append(OpenTcp(port))
        return port

    def close_tcp(self, port: int) -> None:
        if self.ports.pop(port, None) is not None:
            self.pending.append(CloseTcp(port))

    def map_port(self, owner: MappingOwner, port: int, lifetime: int) -> int:
        """One question, answered once at the most; `forget_mapping` leaves the answer unheard."""
        mapping = next(self.numbers)
        self.mappings[mapping] = owner
        self.pending.append(MapPort(mapping, port, lifetime))
        return mapping

    def forget_mapping(self, mapping: int) -> None:
        self.mappings.pop(mapping, None)

    def unmap_port(self, port: int) -> None:
        self.pending.append(UnmapPort(port))

    def send_to(self, socket: int, address: Address, data: bytes, hops: int | None = None) -> None:
        if socket in self.sockets:
            self.pending.append(SendTo(socket, address, data, hops))

    def emit(self, event: Event) -> None:
        self.pending.append(event)

    def reject(self, host: str, reason: str, now: float, worded: bool = False) -> None:
        """Somebody is turned away: that is counted, and told unless it has just been. `worded`: a stranger's words
        stand in the reason."""
        if self.refusals.count(host, reason, now, worded):
            self.emit(Rejected(host, reason))

    def cut_off(self, link: int, host: str, error: ProtocolError, now: float) -> None:
        """Closes a link to whom this node has connected, and who has broken the protocol: counted as where it is the
        other that has."""
        self.reject(host, str(error), now, worded=not isinstance(error, TooMuch))
        self.close(link)


class Machine:
    """Base of the four programs' machines: dispatches inputs to the owners of links and sockets.

    Times are monotonic seconds. A subclass adds `poll(now)` for what is due and `deadline()` for when it wants that.
    """

    def __init__(self) -> None:
        self.actions = Actions()

    def start(self, now: float) -> None:
        """Called once, before any other input."""
        raise NotImplementedError

    def poll(self, now: float) -> None:
        """Does what is due."""
        raise NotImplementedError

    def deadline(self) -> float | None:
        """When poll wants to be called next, or None."""
        raise NotImplementedError

    def accepted(self, listener: str, info: LinkInfo, now: float) -> int:
        """A peer connected to one of the shell's listeners, called by its name; returns the new link's number."""
        raise NotImplementedError

    def turned_away(self, host: str, reason: str, now: float) -> None:
        """The shell has cut a peer off that never became a link."""
        self.actions.reject(host, reason, now)

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        if (owner := self.actions.links.get(link)) is not None:
            owner.link_up(link, info, now)

    def link_data(self, link: int, data: bytes, now: float) -> None:
        if (owner := self.actions.links.get(link)) is not None:
            owner.link_data(link, data, now)

    def link_down(self, link: int, reason: str, now: float) -> None:
        if (owner := self.actions.links.pop(link, None)) is not None:
            owner.link_down(link, reason, now)

    def relocated(self, addresses: tuple[str, ...], now: float) -> None:
        """The host's own addresses or routes have changed; `addresses` are all that it has now, perhaps none."""

    def udp_up(self, socket: int, local: Address, now: float) -> None:
        if (owner := self.actions.sockets.get(socket)) is not None:
            owner.udp_up(socket, local, now)

    def tcp_up(self, port: int, local: Address, now: float) -> None:
        if (owner := self.actions.ports.get(port)) is not None:
            owner.tcp_up(port, local, now)

    def port_mapped(self, mapping: int, outer: Address, lifetime: int, now: float) -> None:
        """The router leads `outer` to the port that was asked for, for `lifetime` seconds."""
        if (owner := self.actions.mappings.pop(mapping, None)) is not None:
            owner.port_mapped(mapping, outer, lifetime, now)

    def port_not_mapped(self, mapping: int, reason: str, now: float) -> None:
        """No router offers that, or it refuses."""
        if (owner := self.actions.mappings.pop(mapping, None)) is not None:
            owner.port_not_mapped(mapping, reason, now)

    def datagram(self, socket: int, data: bytes, source: Address, now: float) -> None:
        if (owner := self.actions.sockets.get(socket)) is not None:
            owner.datagram(socket, data, source, now)


def earliest(*times: float | None) -> float | None:
    """The first of several deadlines, any of which may be absent."""
    first: float | None = None
    for time in times:  # asked for after every step of every machine: a loop costs half of a generator
        if time is not None and (first is None or time < first):
            first = time
    return first
