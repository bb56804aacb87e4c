"""The client: always connected to a supernode, reachable for calls, placing calls. Voice itself is the node's.

Signalling goes over the one link to the hub; calls are kept in `calls` and do the rest.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from lab.errors import ConfigError, ProtocolError
from lab.overlay.actions import Actions, Event, LinkInfo, earliest
from lab.overlay.call import Call, State
from lab.overlay.call_events import Heard
from lab.overlay.candidacy import Answer, Candidacy
from lab.overlay.contacts import Contacts
from lab.overlay.courtesy import Courtesy
from lab.overlay.discovery import Discovery
from lab.overlay.host_cache import HostCache
from lab.overlay.hub import Greeting, HubLink
from lab.overlay.identity import CLOCK_TOLERANCE, check_credential, check_envelope, open_seen
from lab.overlay.ladder import Route
from lab.overlay.leg import MEDIA_FRAME_LIMIT
from lab.overlay.lobby import Lobby
from lab.overlay.mapped_port import Gateway
from lab.overlay.member import SIGNALLING_PORTS, Member, Membership, SignedIn, SignedOut, Trouble
from lab.overlay.passage import ANY, STUN_PORT, Passage
from lab.overlay.reflexive import MediaSocket
from lab.overlay.sealing import SealingKeys, check_usable
from lab.overlay.standby import Standby
from lab.overlay.surroundings import Surroundings
from lab.overlay.tcp_port import TcpPort
from lab.wire.addresses import Address, family
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import (
    Bye,
    Carry,
    Envelope,
    Found,
    HubMessage,
    Invite,
    Name,
    Offers,
    StandBy,
    StandingBy,
    Undeliverable,
    decode_body,
    encode,
)
from lab.wire.stun import StunMessage, is_stun, verify

MOST_CALLS = 16
STRANGERS_EACH, MOST_STRANGERS = 16, 64
"""Inbound connections that have not yet shown which call they belong to, of one address and of all."""
MOST_HELD = 64
"""Frames that are kept of one that names a call whose keys are not known yet."""
STRANGER_LIMIT = 5.0
"""Seconds in which an inbound connection has to show a check of a call."""
REMEMBERED_INVITES = 1024
"""Invites that are kept for as long as each could be shown again; beyond that many no other rings."""
MIRRORS = 2
"""Supernodes that are asked how this client is seen, at the least: one alone could err, or tell lies."""
OUTBOX = 64
"""Envelopes kept while the client is away from its hub."""


@dataclass(frozen=True, slots=True)
class InviteTaken(Event):
    """One more is in `invites`; the node keeps them, for a supernode may show it again after a restart."""


@dataclass
class _Stranger:
    info: LinkInfo
    deframer: LengthPrefixed = field(default_factory=lambda: LengthPrefixed(2, MEDIA_FRAME_LIMIT))
    held: list[bytes] = field(default_factory=list)


class Strangers:
    """Inbound TCP connections until their first frame says, by a check with the right key, which call they are for."""

    def __init__(self, actions: Actions, calls: dict[str, Call]) -> None:
        self.actions, self.calls = actions, calls
        self.waiting: dict[int, _Stranger] = {}
        self.lobby: Lobby[int] = Lobby(
            "connections that are of no call", MOST_STRANGERS, STRANGERS_EACH, STRANGER_LIMIT
        )

    def accept(self, info: LinkInfo, now: float) -> int:
        link = next(self.actions.numbers)
        self.actions.links[link] = self
        self.waiting[link] = _Stranger(info)
        if (displaced := self.lobby.enter(link, info.peer[0], now)) is not None:
            self._turn_away(displaced.key, displaced.reason, now)
        return link

    def deadline(self) -> float | None:
        return self.lobby.deadline()

    def poll(self, now: float) -> None:
        for link, _ in self.lobby.late(now):
            self._turn_away(link, "a connection that is of no call", now)

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        """Inbound links are up from the start."""

    def link_data(self, link: int, data: bytes, now: float) -> None:
        if (stranger := self.waiting.get(link)) is None:
            return
        try:
            stranger.held += stranger.deframer.feed(data)
            self._admit(link, stranger, now)
        except ProtocolError:
            self._turn_away(link, "no frames of media", now)

    def revisit(self, now: float) -> None:
        """A call has learnt its keys: a connection for it may have come first, being faster than the signalling."""
        for link, stranger in list(self.waiting.items()):
            self._admit(link, stranger, now)

    def _admit(self, link: int, stranger: _Stranger, now: float) -> None:
        """Hands the connection to the call that its first frame names, once that call can tell whether to trust it."""
        if not stranger.held:
            return
        call = self._call_of(stranger.held[0])
        if call is None:
            self._turn_away(link, "a connection for a call that is not here", now)
        elif call.checklist.key is None:
            if len(stranger.held) > MOST_HELD:
                self._turn_away(link, "too many frames before the keys of a call", now)
        elif not verify(stranger.held[0], call.checklist.key):
            self._turn_away(link, "a connection without the key of its call", now)
        else:
            self._leave(link)
            call.checklist.adopt(link, stranger.info, stranger.held, stranger.deframer, now)

    def _turn_away(self, link: int, reason: str, now: float) -> None:
        if (stranger := self._leave(link)) is not None:
            self.actions.reject(stranger.info.peer[0], reason, now)
            self.actions.close(link)

    def _leave(self, link: int) -> _Stranger | None:
        self.lobby.leave(link)
        return self.waiting.pop(link, None)

    def link_down(self, link: int, reason: str, now: float) -> None:
        self._leave(link)

    def _call_of(self, data: bytes) -> Call | None:
        if not is_stun(data):
            return None
        try:
            return self.calls.get(StunMessage.parse(data).username or "")
        except ProtocolError:
            return None


class Client(Member):
    """One user's client. `tcp_ports` are those that its shell listens on for media."""

    def __init__(self, membership: Membership, tcp_ports: tuple[int, ...]) -> None:
        super().__init__(membership)
        self.tcp_ports = tcp_ports
        self.calls: dict[str, Call] = {}
        self.strangers = Strangers(self.actions, self.calls)
        self.outbox: list[Envelope] = []
        self.dropped: Counter[str] = Counter()
        """What others have sent that was refused: messages, locations, hosts, promotions, datagrams; why, is logged."""
        self.contacts = Contacts(self.actions, membership.pins)
        self.invites: dict[tuple[str, str], float] = dict(membership.invites)
        """Those that were taken, by sender and call, and until when by the wall clock each could be shown again."""
        self.spare: MediaSocket | None = None
        self.spare_port: TcpPort | None = None
        self.hubs = HostCache(self._by_preference(), membership.learnt)
        self.discovery = Discovery(self.actions, membership.own, membership.rng, self._mirrors)
        self.passage = Passage(self.actions, membership.own, membership.rng)
        self.courtesy = Courtesy()
        self.gateway = Gateway(self.actions, membership.own)
        self.discovery.trial.busy = lambda: bool(self.calls)
        self.discovery.trial.told = self.passage.tried
        self.standby = Standby(
            self.actions, membership.own, self.passage, membership.rng, lambda: self.hub.send(StandBy())
        )
        self.candidacy = Candidacy(
            self.actions,
            membership.own,
            membership.authority,
            membership.rng,
            membership.wall,
            membership.capacity,
            membership.calls,
            self._blocked,
            self._narrow,
        )
        self.sealing = SealingKeys()
        self.hub = HubLink(
            self.actions,
            self,
            membership.identity,
            membership.authority,
            Greeting("client", sealing=self.sealing),
            self.hubs,
            membership.own,
            SIGNALLING_PORTS,
            membership.rng,
            membership.wall,
        )

    def _by_preference(self) -> list[tuple[str, ...]]:
        """The supernodes in this client's own order: rendezvous hashing spreads clients and keeps their choice."""
        return sorted(
            self.membership.supernodes,
            key=lambda hosts: hashlib.sha256(f"{self.name} {'|'.join(hosts)}".encode()).digest(),
        )

    def hub_links(self) -> Sequence[HubLink]:
        return (self.hub,)

    def join(self, now: float) -> None:
        self._prepare(now)
        self.hub.start(now)

    # -- orders --------------------------------------------------------------------------------------------------

    def dial(self, id: str, callee: str, now: float) -> Call:
        """Invites `callee`; raises ConfigError when that makes no sense or the client is away."""
        if callee == self.name:
            raise ConfigError(f"{self.name} cannot call itself; name another client")
        try:
            msgspec.convert(callee, Name)
        except msgspec.ValidationError:
            shown = callee if len(callee) <= 64 else f"{callee[:60]}..."
            raise ConfigError(f"{shown!r} is no name: a to z, digits, dots and dashes, 64 at the most") from None
        if id in self.calls:
            raise ConfigError(f"call {id} is already under way at {self.name}")
        if self.hub.hub is None:
            why = f": {self.hub.last_refusal}" if self.hub.last_refusal else "; none answers it"
            raise ConfigError(f"{self.name} is not signed in at any supernode{why}")
        call = self._new_call(id, callee, True, now)
        call.invite(now)
        return call

    def sign_in_anew(self, now: float) -> None:
        """Leaves the supernode and comes back at once over a new connection, and lets go of those to relays that wait
        for a call; calls go on."""
        self.standby.drop()
        self.hub.renew(now)

    def answer(self, id: str, now: float) -> None:
        """Picks up a call that rings; nothing happens if it has gone meanwhile."""
        if (call := self.calls.get(id)) is not None:
            call.answer(now)
            self._clean(now)

    def hang_up(self, id: str, now: float, frames: int | None = None) -> None:
        """Ends a call, or takes leave of one that the peer has ended, having sent `frames` frames of voice."""
        if (call := self.calls.get(id)) is not None:
            call.hang_up(now, frames=frames)
            self._clean(now)

    def hold(self, id: str, on: bool, now: float) -> None:
        """Puts a call on hold or takes it off; nothing happens if it has gone meanwhile."""
        if (call := self.calls.get(id)) is not None:
            call.hold(on, now)

    def send(self, id: str, data: bytes) -> bool:
        """A protected voice packet on the call's path; False when there is none right now."""
        call = self.calls.get(id)
        return call is not None and call.send(data)

    def voice(self, packet: Heard, now: float) -> None:
        """A packet was the peer's voice, by its protection and for the first time: only now does it say anything of the
        path that it came by. Nothing happens if the call has gone meanwhile."""
        if (call := self.calls.get(packet.call)) is not None:
            call.checklist.voice(packet.path, packet.data, now)

    def found(self, now: float) -> dict[str, object]:
        """What the client's network lets out, as far as is known by now."""
        return self.passage.to_json(self.passage.lets_udp_out(self.spare, now) if self.spare else None)

    # -- time and inputs -----------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        spare = earliest(*(part.deadline() for part in (self.spare, self.spare_port) if part is not None))
        calls = (call.deadline() for call in self.calls.values())
        parts = (
            self.enrolment,
            self.hub,
            self.passage,
            self.discovery,
            self.strangers,
            self.standby,
            self.candidacy,
        )
        return earliest(spare, *(part.deadline() for part in parts), *calls)

    def poll(self, now: float) -> None:
        self.keep_enrolled(now)
        self.sealing.poll(now)
        self.hub.poll(now)
        self.passage.poll(now)
        self.discovery.poll(now)
        self.strangers.poll(now)
        self.candidacy.poll(now)
        if self.spare is not None:
            self.spare.poll(now)
            tcp_alone = self.passage.lets_udp_out(self.spare, now) is False
            self.standby.want(tcp_alone, now)
            self._prepare_port(tcp_alone, now)
        for call in list(self.calls.values()):
            call.poll(now)
        self.hub.hurry(any(call.legs.pressed_since is not None for call in self.calls.values()), now)
        self._clean(now)

    def relocated(self, addresses: tuple[str, ...], now: float) -> None:
        """Signs in from where the client stands now, learns its outer addresses there, and moves its calls along."""
        before = self.membership.own.addresses
        self.passage.forget()
        self.discovery.forget()
        self.gateway.forget()
        self.standby.drop()
        self._prepare_port(False, now)
        super().relocated(addresses, now)
        self.candidacy.relocated()
        if self.hub.route is not None:
            self._learn_network(self.hub.route, now)
        if self.spare is not None:
            self.spare.relocated(now)
        for call in list(self.calls.values()):
            if self.membership.own.addresses == before:
                call.rerouted(now)
            else:
                call.relocated(now)

    def accepted(self, listener: str, info: LinkInfo, now: float) -> int:
        return self.strangers.accept(info, now)

    def datagram(self, socket: int, data: bytes, source: Address, now: float) -> None:
        try:
            super().datagram(socket, data, source, now)
        except ProtocolError as error:
            self._drop("datagram", f"datagram of {source[0]}", error)

    # -- the hub -------------------------------------------------------------------------------------------------

    def signed_in(self, hub: HubLink, now: float) -> None:
        assert hub.route is not None, "who is signed in came by some way"
        self.actions.emit(SignedIn(hub.hub or "", hub.route.address[1], hub.route.proxied))
        self.settle(True, now)
        self._learn_network(hub.route, now)
        self._ask(now)
        self._ask_gateway()
        for envelope in self.outbox:
            hub.send(self._carry(envelope))
        self.outbox.clear()
        for call in self.calls.values():
            call.rejoin(now)

    def _learn_network(self, route: Route, now: float) -> None:
        """What the network lets out, and how its router maps, by way of the supernode that this route leads to."""
        built_in = self.hubs.built_in_at(route.address[0])
        self.passage.measure(route if built_in else self._route_like(route), now)
        self.discovery.begin(route.address[0], now)

    def _route_like(self, route: Route) -> Route:
        """To a built-in supernode the way that led to another: that one's ports may not all be a supernode's."""
        hosts = [host for machine in self.hubs.built_in for host in self.membership.own.reachable(machine)]
        alike = [host for host in hosts if family(host) == family(route.address[0])] or hosts
        return replace(route, address=(alike[0], route.address[1])) if alike else route

    def _mirrors(self) -> Sequence[tuple[str, ...]]:
        """The supernodes that tell it how it is seen: the built-in ones, and where those are few, others as well."""
        return self.hubs.machines()[: max(MIRRORS, len(self.hubs.built_in))]

    def _ask_gateway(self) -> None:
        """Once for each time that the client signs in: what broke a link may have been the router, which has lost what
        it gave, or is another."""
        self.gateway.offers = None
        for media in (self.spare, *(call.media for call in self.calls.values())):
            if media is not None:
                media.mapping.ask()

    def signed_out(self, hub: HubLink, reason: str, now: float) -> None:
        self.actions.emit(SignedOut(hub.last_hub, reason))
        self._ask(now)

    def _ask(self, now: float) -> None:
        """What breaks a link to a hub, such as a router's new outer address, changes what the socket is seen as too."""
        if self.spare is not None and self.spare.port:
            self.spare.ask(now)

    def hub_message(self, hub: HubLink, message: HubMessage, now: float) -> None:
        if isinstance(message, Carry):
            try:
                self._carried(message, now)
            except ProtocolError as error:
                self._drop("message", f"message of {message.envelope.sender}", error)
        elif isinstance(message, Found):
            try:
                self._located(message, now)
            except ProtocolError as error:
                self._drop("location", f"{hub.last_hub}'s word of where {message.name} sits", error)
        elif isinstance(message, Offers) and (call := self.calls.get(message.call)) is not None:
            call.offered(message.offers, now)
        elif isinstance(message, StandingBy):
            self.standby.offered(message.offers, now)
        elif isinstance(message, Undeliverable) and (call := self.calls.get(message.call)) is not None:
            call.undeliverable(f"{hub.last_hub} says: {message.reason}", now)  # its word, which nobody else vouches for
        else:
            self._about_candidacy(hub.hub or "", message, hub.send, now)
        self._clean(now)

    def asked_waiting(self, hub: HubLink, link: int, message: HubMessage, now: float) -> None:
        name = hub.attempts[link].hub_name
        self._about_candidacy(name, message, lambda answer: self.actions.write(link, frame(encode(answer), 4)), now)

    def _about_candidacy(self, hub: str, message: HubMessage, answer: Answer, now: float) -> None:
        try:
            self.candidacy.says(hub, message, answer, now)
        except ProtocolError as error:
            self._drop("promotion", f"{hub}'s word", error)

    def _blocked(self, now: float) -> str | None:
        """Why this client reaches few others, as far as it knows: whom it does not reach may be reached by anybody."""
        known = self.spare.udp_lets_out(now) if self.spare is not None else None
        if (self.passage.udp if known is None else known) is False:
            return "its network lets no UDP out"
        return "its network lets TCP out to few ports" if self.passage.passes(ANY) is False else None

    def _narrow(self, now: float) -> str | None:
        """Why it has no line for others' calls: one voice is the least that a relay carries, and has been tried."""
        return "its network carries no voice over UDP" if self.passage.voice is False else None

    def _drop(self, kind: str, what: str, error: ProtocolError) -> None:
        """Something that is not as it should be; it is counted, and nobody notices otherwise."""
        self.dropped[kind] += 1
        self.actions.emit(Trouble(f"{what} dropped: {error}"))

    def _located(self, found: Found, now: float) -> None:
        """Where somebody sits who has just been invited."""
        for call in list(self.calls.values()):
            if call.peer == found.name and found.location is not None:
                call.located(found.location, now)

    def _carried(self, carry: Carry, now: float) -> None:
        envelope = carry.envelope
        if envelope.recipient != self.name:
            raise ProtocolError(f"it is for {envelope.recipient}")
        body = decode_body(envelope.body)
        call = self.calls.get(envelope.call)
        if isinstance(body, Invite) and call is None:
            self._invited(carry, body, now)
        elif call is None:
            return  # a word of a call that is over
        elif call.peer != envelope.sender:
            raise ProtocolError(f"call {call.id} is with {call.peer}")
        elif isinstance(body, Invite) and envelope.body == call.invite_body:
            call.repeat()  # it has not heard that this side rings
        else:
            call.envelope(envelope, body, now)
            call.offered(carry.offers, now)
            call.vouched(self._seen(carry, now), now)
            self.strangers.revisit(now)

    def _seen(self, carry: Carry, now: float) -> tuple[str, ...]:
        """The hosts that the sender's supernode has seen it under; none where that cannot be read."""
        if carry.seen is None:
            return ()
        try:
            return open_seen(carry.envelope, carry.seen, self.sealing.private(carry.seen.to, now))
        except ProtocolError as error:
            self._drop("hosts", f"where {carry.envelope.sender} was seen", error)
            return ()

    def _invited(self, carry: Carry, invite: Invite, now: float) -> None:
        envelope = carry.envelope
        wall = now + self.membership.wall.offset
        check_credential(invite.credential, self.membership.authority, wall)
        if invite.credential.name != envelope.sender:
            raise ProtocolError(f"it shows the credential of {invite.credential.name}")
        check_envelope(envelope, invite.credential.key)
        check_usable(invite.ephemeral)
        if not abs(wall - invite.sent_at) <= CLOCK_TOLERANCE:  # nor is one fresh that was sent at no time
            raise ProtocolError(f"its invite is {wall - invite.sent_at:.0f} s old, {CLOCK_TOLERANCE:.0f} s are allowed")
        if (envelope.sender, envelope.call) in self.invites:
            raise ProtocolError("its invite was seen before")
        self.invites = {key: until for key, until in self.invites.items() if until >= wall}
        if len(self.invites) >= REMEMBERED_INVITES:  # one that is forgotten while it is fresh could be replayed
            raise ProtocolError(f"more than {REMEMBERED_INVITES:,} invites came within a minute")
        self.invites[envelope.sender, envelope.call] = invite.sent_at + CLOCK_TOLERANCE
        self.actions.emit(InviteTaken())
        if len(self.calls) >= MOST_CALLS:
            busy = Bye(1, "busy")
            self.post(self.membership.identity.seal(envelope.sender, envelope.call, busy, invite.ephemeral))
            return
        call = self._new_call(envelope.call, envelope.sender, False, now)
        call.vouched(self._seen(carry, now), now)
        call.ring(envelope, invite, carry.offers, now)

    # -- inside --------------------------------------------------------------------------------------------------

    def post(self, envelope: Envelope, invites: bool = False) -> None:
        """Sends an envelope through the hub, or keeps it until there is one again."""
        if not self.hub.send(self._carry(envelope, invites)) and len(self.outbox) < OUTBOX:
            self.outbox.append(envelope)

    def _carry(self, envelope: Envelope, relays: bool = False) -> Carry:
        """An envelope with what shows this client's hub where the call's socket stands."""
        call, route = self.calls.get(envelope.call), self.hub.route
        if call is None or route is None:
            return Carry(envelope, relays)
        hub = self.hub.hubs.machine_at(route.address[0])
        receipts = tuple(receipt for (host, _), receipt in call.media.receipts.items() if host in hub)
        return Carry(envelope, relays, receipts=receipts)

    def _new_call(self, id: str, peer: str, caller: bool, now: float) -> Call:
        media = self.spare
        assert media is not None, "a socket is prepared before the client joins"
        self.passage.remember_udp(media, now)
        self._ask(now)  # a mapping that nothing has used since the last keepalive may be another by now
        self._prepare(now)
        around = Surroundings(
            self.actions,
            self.membership.identity,
            self.membership.authority,
            self.membership.rng,
            self.membership.wall,
            self.membership.own,
            self.tcp_ports,
            passage=self.passage,
            discovery=self.discovery,
            courtesy=self.courtesy,
            post=self.post,
            renew=lambda envelope: self.hub.send(self._carry(envelope, relays=True)),
            take_waiting=self.standby.take,
            contacts=self.contacts,
            open_port=self._open_port,
            sealing=self.sealing,
        )
        call = Call(id, peer, caller, around, media, now, self._take_port(now))
        self.calls[id] = call
        return call

    def _prepare(self, now: float) -> None:
        """A socket for the next call, whose outer address is known by the time it is wanted."""
        membership = self.membership
        servers = [(host, STUN_PORT) for hosts in self._mirrors() for host in hosts]
        self.spare = MediaSocket(
            self.actions,
            servers,
            membership.rng,
            membership.own,
            self.gateway,
            keepalive=self.discovery.lifetime.keepalive,
        )
        self.spare.open(now)

    def _open_port(self, now: float) -> TcpPort:
        membership = self.membership
        servers = [(host, STUN_PORT) for hosts in self._mirrors() for host in hosts]
        port = TcpPort(self.actions, servers, membership.rng, membership.own, self.passage.tcp_lifetime)
        port.open(now)
        return port

    def _prepare_port(self, wanted: bool, now: float) -> None:
        """A TCP port for the next call, of a client whose network lets TCP alone out, and to any port."""
        wanted = wanted and self.passage.passes(ANY) is not False
        if self.spare_port is not None and (self.spare_port.forgotten or not wanted):
            self.spare_port.close()
            self.spare_port = self._open_port(now) if wanted else None
        elif self.spare_port is None and wanted:
            self.spare_port = self._open_port(now)
        elif self.spare_port is not None:
            self.spare_port.poll(now)

    def _take_port(self, now: float) -> TcpPort | None:
        """The spare one, unless it has to be seen anew: its router counts its connections, or nobody sees it."""
        port, self.spare_port = self.spare_port, None
        if port is not None and not (port.endpoint_independent and port.questions):
            port.close()
            return self._open_port(now)
        return port

    def _clean(self, now: float) -> None:
        for call in [call for call in self.calls.values() if call.state is State.ENDED]:
            del self.calls[call.id]
            self.discovery.trial.call_over(self.passage.throttled(now), now)
