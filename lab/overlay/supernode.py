"""The supernode: a hub on an open address. Clients sit at it, it carries their envelopes, and it tells them how they
look from outside (STUN). It carries no media and can read, answer or change nothing that two clients say to each other.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lab.errors import ProtocolError
from lab.overlay.actions import Event, LinkInfo, earliest
from lab.overlay.doorkeeper import Doorkeeper
from lab.overlay.host_cache import HostCache
from lab.overlay.hub import Greeting, HubLink
from lab.overlay.identity import check_credential, check_signature, issue_token
from lab.overlay.member import SIGNALLING_PORTS, Member, Membership
from lab.overlay.passage import STUN_PORT
from lab.overlay.receipts import Receipts
from lab.overlay.stunserver import ALTERNATE_PORT, Other, StunConnections, StunService
from lab.wire.addresses import Address, family
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import (
    FRAME_LIMIT,
    Absent,
    Carry,
    Challenge,
    Full,
    Hello,
    HubMessage,
    Message,
    Offers,
    Ping,
    Pong,
    Present,
    Reflect,
    Refused,
    RelayGrant,
    RelayOffer,
    StandBy,
    StandingBy,
    Undeliverable,
    Welcome,
    decode_hub,
    encode,
)

STUN_SOCKET = 0
"""Number of the UDP socket that the shell binds to the STUN port before the machine starts."""
ALTERNATE_SOCKET = -1
"""The same, of the second STUN port."""
GREETING_LIMIT = 5.0
"""Seconds in which a new link has to sign in."""
SILENCE = 5.0
"""Seconds after which a node that stopped pinging has left; nodes ping every second."""
TOKEN_LIFETIME = 60.0
"""Seconds for which a relay token opens a session."""
RELAYS_OFFERED = 2
MOST_NAMED = 8
"""Other supernodes that a client is told of."""
LEGS: tuple[Literal[0, 1], Literal[0, 1]] = (0, 1)
"""The caller's and the callee's, as grants number them."""


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """A node has signed in here."""

    role: str
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Left(Event):
    """A node that was signed in has gone."""

    role: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Carried(Event):
    """An envelope passed through; its content is its sender's and recipient's."""

    call: str
    sender: str
    recipient: str
    toward: str


@dataclass(frozen=True, slots=True)
class Offered(Event):
    """Relays were offered to both ends of a call."""

    call: str
    relays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TurnedAway(Event):
    """A client found no room here and was told of these others."""

    name: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rejected(Event):
    """A link or an envelope was refused, and why."""

    address: str
    reason: str


@dataclass
class Session:
    """One inbound link, from challenge to the end."""

    info: LinkInfo
    nonce: bytes
    last_heard: float
    deframer: LengthPrefixed = field(default_factory=lambda: LengthPrefixed(4, FRAME_LIMIT))
    role: str = ""
    name: str = ""

    @property
    def silent_by(self) -> float:
        """When it will have been silent for too long, if nothing more is heard."""
        return self.last_heard + (SILENCE if self.role else GREETING_LIMIT)


@dataclass
class RelayEntry:
    """A relay that is signed in here, and how many sessions it says that it carries."""

    name: str
    hosts: tuple[str, ...]
    udp_port: int
    tcp_ports: tuple[int, ...]
    load: int = 0


class Supernode(Member):
    """One hub of the mesh. Listeners of its shell: `signalling` (inside TLS) and `stun` (plain)."""

    def __init__(self, membership: Membership) -> None:
        super().__init__(membership)
        self.sessions: dict[int, Session] = {}
        self.clients: dict[str, int] = {}
        self.relays: dict[str, RelayEntry] = {}
        self.elsewhere: dict[str, str] = {}
        self.peers: dict[str, Callable[[Message], object]] = {}
        self.peer_hosts: dict[str, tuple[str, ...]] = {}
        self.door = Doorkeeper(membership.capacity)
        self.joined = False
        self.silent_by: float | None = None
        """Before this nobody can have been silent for too long: looked at then, and not after each word of each."""
        self.stun = StunConnections(self.actions)
        ports = {STUN_SOCKET: STUN_PORT, ALTERNATE_SOCKET: ALTERNATE_PORT}
        self.receipts = Receipts(membership.rng.randbytes(16))
        own = self.membership.own
        self.reflector = StunService(self.actions, ports, lambda: own.addresses, self._other, self.receipts.give)
        self.actions.sockets.update(dict.fromkeys(ports, self))
        self.mesh = [self._toward(hosts) for hosts in self._later()]

    def _later(self) -> Sequence[tuple[str, ...]]:
        """The supernodes that this one dials: those after it in the list that all share, so that two have one link."""
        own, supernodes = set(self.membership.own.addresses), sorted(self.membership.supernodes)
        place = next((at for at, hosts in enumerate(supernodes) if own & set(hosts)), len(supernodes))
        return supernodes[place + 1 :]

    def _toward(self, hosts: tuple[str, ...]) -> HubLink:
        m = self.membership
        greeting = Greeting("supernode")
        return HubLink(
            self.actions,
            self,
            m.identity,
            m.authority,
            greeting,
            HostCache([hosts]),
            m.own,
            SIGNALLING_PORTS,
            m.rng,
            m.wall_offset,
        )

    def hub_links(self) -> Sequence[HubLink]:
        return self.mesh

    def join(self, now: float) -> None:
        self.joined = True
        for hub in self.mesh:
            hub.start(now)
        self._settle(now)

    def _settle(self, now: float) -> None:
        if self.joined:
            self.settle(len(self.peers) >= len(self.membership.supernodes) - 1, now)

    # -- time and inputs -----------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        hubs = (hub.deadline() for hub in self.mesh)
        return earliest(self.enrolment.deadline(), self.stun.deadline(), self.ready_by, *hubs, self.silent_by)

    def poll(self, now: float) -> None:
        self.enrolment.poll(now)
        self.stun.poll(now)
        for hub in self.mesh:
            hub.poll(now)
        self._settle(now)
        if self.silent_by is not None and now >= self.silent_by:
            for link, session in list(self.sessions.items()):
                if now >= session.silent_by:
                    self._drop(link, "silent" if session.role else "did not sign in", now)
            self.silent_by = min((session.silent_by for session in self.sessions.values()), default=None)

    def accepted(self, listener: str, info: LinkInfo, now: float) -> int:
        if listener == "stun":
            return self.stun.accept(info, now)
        link = next(self.actions.numbers)
        self.actions.links[link] = self
        if (reason := self.door.knocks(info.peer[0], now)) is not None:
            self._reject(info.peer[0], reason, now)
            self.actions.close(link)
            return link
        session = self.sessions[link] = Session(info, self.membership.rng.randbytes(32), now)
        self.silent_by = earliest(self.silent_by, session.silent_by)
        credential = self.membership.identity.credential
        if credential is None:
            self._refuse(link, f"{self.name} is not enrolled yet; try again", now)
        else:
            self._send(link, Challenge(credential, session.nonce))
        return link

    def udp_up(self, socket: int, local: Address, now: float) -> None:
        """The STUN sockets are the shell's from the start."""

    def datagram(self, socket: int, data: bytes, source: Address, now: float) -> None:
        self.reflector.datagram(socket, data, source, now)

    def _other(self, kind: int) -> Other | None:
        """A supernode that is linked with this one and can answer in its place, over IPv4 or IPv6."""
        for name, send in self.peers.items():
            if (host := next((host for host in self.peer_hosts[name] if family(host) == kind), None)) is not None:
                return host, send
        return None

    def link_data(self, link: int, data: bytes, now: float) -> None:
        session = self.sessions.get(link)
        if session is None:
            super().link_data(link, data, now)
            return
        session.last_heard = now
        try:
            for body in session.deframer.feed(data):
                message = decode_hub(body)
                if not session.role:
                    self._greeted(link, session, message, now)
                else:
                    self._said(link, session, message, now)
                if link not in self.sessions:
                    return
        except ProtocolError as error:
            self._refuse(link, str(error), now)

    def link_down(self, link: int, reason: str, now: float) -> None:
        if link in self.sessions:
            self._drop(link, reason, now)
        else:
            super().link_down(link, reason, now)

    # -- signing in ----------------------------------------------------------------------------------------------

    def _greeted(self, link: int, session: Session, message: HubMessage, now: float) -> None:
        if not isinstance(message, Hello):
            raise ProtocolError(f"{type(message).__name__} before Hello")
        credential, identity = message.credential, self.membership.identity
        check_credential(credential, self.membership.authority, now + self.membership.wall_offset)
        check_signature(credential.key, message.signature, "lab hello", session.nonce, identity.public)
        host = session.info.peer[0]
        if message.role == "supernode" and not any(host in hosts for hosts in self.membership.supernodes):
            raise ProtocolError(f"{credential.name} at {host} is no supernode that this one knows")
        if message.role == "relay" and (message.udp_port is None or not message.tcp_ports):
            raise ProtocolError(f"relay {credential.name} does not say where it listens")
        if message.role == "client" and credential.name not in self.clients and self.door.full(len(self.clients)):
            self._turn_away(link, credential.name, now)
            return
        self.door.known(host)
        session.role, session.name = message.role, credential.name
        self._send(link, Welcome(session.info.peer, self._others()))
        self.actions.emit(Joined(session.role, session.name, host))
        if session.role == "client":
            self._client_in(link, session.name, now)
        elif session.role == "supernode":
            self._peer_in(session.name, host, lambda m: self._send(link, m))
            self._settle(now)
        else:
            hosts = _one_a_family((host, *message.hosts))
            self.relays[session.name] = RelayEntry(session.name, hosts, message.udp_port or 0, message.tcp_ports)

    def _turn_away(self, link: int, name: str, now: float) -> None:
        self.door.turned["full"] += 1
        self.actions.emit(TurnedAway(name, tuple(self.peers)))
        self._send(link, Full(self._others()))
        self._drop(link, "full", now)

    def _others(self) -> tuple[tuple[str, ...], ...]:
        """Where a client may go instead: the supernodes that are linked with this one, the emptiest first."""
        sitting = Counter(self.elsewhere.values())
        names = sorted(self.peers, key=lambda name: (sitting[name], name))
        return tuple(self.peer_hosts[name] for name in names if self.peer_hosts[name])[:MOST_NAMED]

    def _client_in(self, link: int, name: str, now: float) -> None:
        before = self.clients.get(name)
        self.clients[name] = link
        if before is not None:
            self._drop(before, "signed in again", now)
        self.elsewhere.pop(name, None)
        self._tell_peers(Present((name,)))

    def _peer_in(self, name: str, host: str, send: Callable[[Message], object]) -> None:
        self.peers[name] = send
        self.peer_hosts[name] = next((hosts for hosts in self.membership.supernodes if host in hosts), ())
        names = sorted(self.clients)
        for at in range(0, len(names), 400):
            send(Present(tuple(names[at : at + 400])))

    def _peer_out(self, name: str) -> None:
        self.peers.pop(name, None)
        self.elsewhere = {client: at for client, at in self.elsewhere.items() if at != name}

    def signed_in(self, hub: HubLink, now: float) -> None:
        self._peer_in(hub.hub or "", hub.route.address[0] if hub.route else "", hub.send)
        self._settle(now)
        self.actions.emit(Joined("supernode", hub.hub or "", hub.route.address[0] if hub.route else ""))

    def signed_out(self, hub: HubLink, reason: str, now: float) -> None:
        self._peer_out(hub.last_hub)
        self.actions.emit(Left("supernode", hub.last_hub, reason))

    def hub_message(self, hub: HubLink, message: HubMessage, now: float) -> None:
        self._of_peer(hub.hub or "", message, now)

    # -- what is said --------------------------------------------------------------------------------------------

    def _said(self, link: int, session: Session, message: HubMessage, now: float) -> None:
        if session.role == "client" and not self.door.frame(session.name, now):
            raise ProtocolError("too many messages in a short time")
        if isinstance(message, Ping):
            self._send(link, Pong())
            if session.role == "relay" and session.name in self.relays:
                self.relays[session.name].load = message.load
        elif session.role == "supernode":
            self._of_peer(session.name, message, now)
        elif session.role == "client" and isinstance(message, Carry):
            self._of_client(link, session, message, now)
        elif session.role == "client" and isinstance(message, StandBy):
            self._send(link, StandingBy(tuple(self._offer(relay, session.name, None, now) for relay in self._chosen())))
        else:
            raise ProtocolError(f"{session.role} {session.name} sent {type(message).__name__}")

    def _of_client(self, link: int, session: Session, carry: Carry, now: float) -> None:
        envelope = carry.envelope
        if envelope.sender != session.name:
            raise ProtocolError(f"{session.name} sent an envelope as {envelope.sender}")
        if carry.relays and not self.door.invitation(session.name, now):
            reason = "too many invitations in a short time; wait a little"
            self._send(link, Undeliverable(envelope.call, envelope.sender, envelope.recipient, reason))
            self._reject(session.info.peer[0], "too many invitations in a short time", now)
            return
        mine: tuple[RelayOffer, ...] = ()
        theirs: tuple[RelayOffer, ...] = ()
        if carry.relays:
            mine, theirs = self._offers(envelope.call, now)
        seen = tuple(dict.fromkeys((session.info.peer[0], *self.receipts.proven(carry.receipts))))
        if not self._deliver(Carry(envelope, offers=theirs, seen=seen)):
            reason = f"{envelope.recipient} is not signed in at any supernode"
            self._send(link, Undeliverable(envelope.call, envelope.sender, envelope.recipient, reason))
        elif mine:
            self._send(link, Offers(envelope.call, mine))

    def _deliver(self, carry: Carry) -> bool:
        envelope = carry.envelope
        if (link := self.clients.get(envelope.recipient)) is not None:
            self._send(link, carry)
            toward = envelope.recipient
        elif (peer := self.peers.get(self.elsewhere.get(envelope.recipient, ""))) is not None:
            peer(carry)
            toward = self.elsewhere[envelope.recipient]
        else:
            return False
        self.actions.emit(Carried(envelope.call, envelope.sender, envelope.recipient, toward))
        return True

    def _of_peer(self, name: str, message: HubMessage, now: float) -> None:
        """A word of another supernode; what it carries is delivered here and goes no further."""
        if isinstance(message, Present):
            for client in message.names:
                self.elsewhere[client] = name
                if (link := self.clients.pop(client, None)) is not None:
                    self.sessions.pop(link, None)
                    self.actions.close(link)
        elif isinstance(message, Absent):
            for client in message.names:
                if self.elsewhere.get(client) == name:
                    del self.elsewhere[client]
        elif isinstance(message, Carry):
            envelope = message.envelope
            if envelope.recipient in self.clients:
                self._deliver(message)
            elif (back := self.peers.get(name)) is not None:
                reason = f"{envelope.recipient} is not signed in at any supernode"
                back(Undeliverable(envelope.call, envelope.sender, envelope.recipient, reason))
        elif isinstance(message, Reflect):
            self.reflector.reflect(message, now)
        elif isinstance(message, Undeliverable):
            if (link := self.clients.get(message.sender)) is not None:
                self._send(link, message)
        else:
            raise ProtocolError(f"supernode {name} sent {type(message).__name__}")

    def _offers(self, call: str, now: float) -> tuple[tuple[RelayOffer, ...], tuple[RelayOffer, ...]]:
        """Legs for caller and callee at the least loaded relays."""
        chosen = self._chosen()
        if chosen:
            self.actions.emit(Offered(call, tuple(relay.name for relay in chosen)))
        mine, theirs = (tuple(self._offer(relay, call, leg, now) for relay in chosen) for leg in LEGS)
        return mine, theirs

    def _chosen(self) -> list[RelayEntry]:
        return sorted(self.relays.values(), key=lambda relay: (relay.load, relay.name))[:RELAYS_OFFERED]

    def _offer(self, relay: RelayEntry, call: str, leg: Literal[0, 1] | None, now: float) -> RelayOffer:
        """A relay with a token for one leg of a call, or for a client of that name to wait there for one."""
        grant = RelayGrant(call, relay.name, leg, now + self.membership.wall_offset + TOKEN_LIFETIME)
        token = issue_token(self.membership.identity, grant)
        return RelayOffer(relay.name, relay.hosts, relay.udp_port, relay.tcp_ports, token)

    # -- inside --------------------------------------------------------------------------------------------------

    def _send(self, link: int, message: Message) -> None:
        self.actions.write(link, frame(encode(message), 4))

    def _tell_peers(self, message: Message) -> None:
        for send in self.peers.values():
            send(message)

    def _reject(self, host: str, reason: str, now: float) -> None:
        if self.door.count(host, reason, now):
            self.actions.emit(Rejected(host, reason))

    def _refuse(self, link: int, reason: str, now: float) -> None:
        self._reject(self.sessions[link].info.peer[0], reason, now)
        self._send(link, Refused(reason[:300]))
        self._drop(link, reason, now)

    def _drop(self, link: int, reason: str, now: float) -> None:
        session = self.sessions.pop(link)
        self.actions.close(link)
        if not session.role:
            self.door.known(session.info.peer[0])
            return
        self.actions.emit(Left(session.role, session.name, reason))
        if any((other.role, other.name) == (session.role, session.name) for other in self.sessions.values()):
            return  # it has come back on another link before this one was found dead: its place is that one's
        if session.role == "supernode":
            self._peer_out(session.name)
        elif session.role == "relay":
            self.relays.pop(session.name, None)
        elif self.clients.get(session.name) == link:
            del self.clients[session.name]
            self._tell_peers(Absent((session.name,)))


def _one_a_family(hosts: Sequence[str]) -> tuple[str, ...]:
    """The first address of each family."""
    return tuple({family(host): host for host in reversed(hosts)}.values())
