"""The relay: forwards what comes in on one leg of a call out of the other, for holders of a fresh token alone.

It reads no media and holds no key of it; it answers binds, and who asks whether it is there, and amplifies nothing.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lab.errors import ProtocolError
from lab.overlay.accusations import Accusations
from lab.overlay.actions import Event, LinkInfo, Offloaded, earliest
from lab.overlay.host_cache import HostCache, Machine
from lab.overlay.hub import Greeting, HostsLearnt, HubLink
from lab.overlay.identity import CLOCK_TOLERANCE, check_token
from lab.overlay.leg import MEDIA_FRAME_LIMIT
from lab.overlay.lobby import Lobby
from lab.overlay.member import (
    RELAY_TCP_PORTS,
    RELAY_UDP_PORT,
    SIGNALLING_PORTS,
    Member,
    Membership,
    SignedIn,
    SignedOut,
)
from lab.overlay.offloading import Offloading
from lab.overlay.parting import Parting
from lab.overlay.reach import PRESENCE
from lab.overlay.relay_hubs import RelayHubs
from lab.overlay.roster import TOKEN_LIFETIME
from lab.overlay.seat import Unneeded, Unreachable
from lab.overlay.session import IDLE_LIMIT, Leg, Session
from lab.wire.addresses import Address
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import Demoted, HubMessage, Supernodes, decode_token
from lab.wire.stun import COOKIE, Kind, Method, StunMessage, is_stun, peek_method

RELAY_SOCKET = 0
"""Number of the UDP socket that the shell binds to the relay's port before the machine starts."""
TOKEN_LONGEST = TOKEN_LIFETIME + CLOCK_TOLERANCE
"""Seconds for which a token may still be good: one that lasts for years would open sessions for whoever has seen it."""
BIND_LIMIT = 5.0
"""Seconds in which a new connection has to bind."""
MOST_SESSIONS = 2_000
"""Calls that it carries unless it is told otherwise."""
SHARE = 0.5
"""Of its room for calls, and for connections that wait, what one issuer may take that is no built-in supernode that it
sits at: whoever has a name can issue tokens, as any client may become a supernode."""
MOST_TOKENS = 8
"""Tokens of one call that are known again without checking their signature anew; two are enough for two legs."""
STANDBY_LIMIT = 30.0
"""Seconds without a refresh after which a connection that waits for a call is closed; clients refresh every ten."""
MOST_STANDBY, MOST_STANDBY_EACH = 2_000, 2
"""Connections that may wait for a call, of all clients and of one."""
UNBOUND_EACH, UNBOUND = 128, 1_024
"""Connections that have not bound, of one address and of all: each client behind a carrier's address opens one or two
as a call begins, and has bound a round trip later."""
MOST_ASKED = 4
"""Binds that are refused, and questions whether the relay is there, of one connection before it is closed: each costs a
signature, and honest ones ask once."""


@dataclass(frozen=True, slots=True)
class Bound(Event):
    """A leg of a call is bound: 0 is the caller's, 1 the callee's."""

    call: str
    leg: int
    transport: str
    address: Address


@dataclass(frozen=True, slots=True)
class Unbound(Event):
    """A session ended; what it carried, in packets and bytes."""

    call: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class BindRefused(Event):
    """Somebody asked without a good token."""

    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class HandedOver(Event):
    """The relay has left: its calls are elsewhere, or have had time enough; so many were still here."""

    calls: int


@dataclass
class _Stream:
    info: LinkInfo
    waits_for: str = ""
    asked: int = 0
    issuer: str = ""
    """Whose token lets it wait."""
    deframer: LengthPrefixed = field(default_factory=lambda: LengthPrefixed(2, MEDIA_FRAME_LIMIT))


class Relay(Member):
    """One relay, signed in at the built-in supernodes and at some others. Its shell's listener is `relay`.

    `promoted`: it is a client beside, and signs in when `admit` is called.
    """

    def __init__(self, membership: Membership, promoted: bool = False) -> None:
        super().__init__(membership, beside=promoted)
        self.promoted = promoted
        self.calls = membership.calls or MOST_SESSIONS
        self.accusations, self.dispensed = Accusations(), Accusations()
        """What its supernodes say: that they do not reach it; that they do not need it."""
        self.parting: Parting | None = None
        self.left = False
        self.sessions: dict[str, Session] = {}
        self.by_address: dict[Address, Leg] = {}
        self.by_link: dict[int, Leg] = {}
        self.by_token: dict[bytes, tuple[str, int, str]] = {}
        self.offloading = Offloading(self.actions, self.by_address)
        self.streams: dict[int, _Stream] = {}
        self.unbound: Lobby[int] = Lobby("connections that have not bound", UNBOUND, UNBOUND_EACH, BIND_LIMIT)
        self.standby: Lobby[int] = Lobby("connections that wait", MOST_STANDBY, MOST_STANDBY_EACH, STANDBY_LIMIT)
        """Those that wait for a call, held by their clients' names."""
        self.next_sweep = 0.0
        self.past_packets = self.past_bytes = 0
        self.actions.sockets[RELAY_SOCKET] = self
        self.greeting = Greeting("relay", RELAY_UDP_PORT, RELAY_TCP_PORTS, promoted)
        self.hubs = RelayHubs(membership, self._toward)

    def _toward(self, machine: Machine) -> HubLink:
        m, cache = self.membership, HostCache([machine])
        return HubLink(
            self.actions, self, m.identity, m.authority, self.greeting, cache, m.own, SIGNALLING_PORTS, m.rng, m.wall
        )

    def hub_links(self) -> Sequence[HubLink]:
        return list(self.hubs)

    def join(self, now: float) -> None:
        if not self.promoted:
            self.admit((), now)

    def admit(self, machines: Sequence[Machine], now: float) -> None:
        """Signs in at these supernodes, or some of them, beside the built-in ones: from now on calls may come."""
        self.hubs.begin(machines, now)
        self._weigh()

    def leave(self, now: float) -> None:
        """Takes no call any more, hands over those that it has, then says HandedOver."""
        if self.parting is None:
            self.parting = Parting(self.sessions, self._say, self.offloading.count, now)
            self._weigh()
            for hub in self.hubs:
                hub.tell(now)
            for link in [link for link, stream in self.streams.items() if stream.waits_for]:
                if link not in self.by_link:
                    self.actions.close(link)
                    self.link_down(link, "the relay is about to end", now)
        self._part(now)

    def _part(self, now: float) -> None:
        if self.parting is None or self.left:
            return
        self.parting.poll(now)
        if self.parting.over(now):
            self.left = True
            self.actions.emit(HandedOver(len(self.parting.waits_for)))

    def _weigh(self) -> None:
        """What the next heartbeat says of load and room."""
        room = 0 if self.parting is not None else max(0, self.calls - len(self.sessions))
        for hub in self.hubs:
            hub.load, hub.room = len(self.sessions), room

    def _settle(self, now: float) -> None:
        """Ready where it sits at every supernode; with some of them down, at those that are up."""
        if any(hub.hub is not None for hub in self.hubs):
            self.settle(self.hubs.complete, now)

    # -- signalling ----------------------------------------------------------------------------------------------

    def signed_in(self, hub: HubLink, now: float) -> None:
        self.actions.emit(SignedIn(hub.hub or "", hub.route.address[1] if hub.route else 0))
        self.hubs.signed_in(hub)
        self._weigh()
        hub.tell(now)
        self._learn(hub.named, now)
        self._settle(now)

    def signed_out(self, hub: HubLink, reason: str, now: float) -> None:
        self.hubs.signed_out(hub, now)
        self.actions.emit(SignedOut(hub.last_hub, reason))

    def _learn(self, machines: Sequence[Machine], now: float) -> None:
        if self.hubs.learn(machines, now) and not self.promoted:  # a client keeps those that it knows itself
            self.actions.emit(HostsLearnt(tuple(self.hubs.cache.learnt)))

    def hub_message(self, hub: HubLink, message: HubMessage, now: float) -> None:
        """One of its supernodes cannot reach it any more, or does not need it: then it is idle, or it stays. It ends on
        no single one's word. Or it tells of others."""
        if isinstance(message, Supernodes):
            self._learn(message.machines, now)
            return
        if not isinstance(message, Demoted) or message.role != "relay" or not self.promoted:
            return
        linked = [other.hub for other in self.hubs if other.hub is not None]
        if message.needed and self.accusations.heeds(hub.hub or "", linked, now):
            self.actions.emit(Unreachable(self.name, message.reason))
        if message.needed or self.sessions:
            return
        if len(linked) == 1 or self.dispensed.heeds(
            hub.hub or "", linked, now
        ):  # the only one sends nobody as it likes
            self.actions.emit(Unneeded(self.name, message.reason))

    def asked_waiting(self, hub: HubLink, link: int, message: HubMessage, now: float) -> None:
        """Relays do not wait."""

    # -- time and inputs -----------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        sweep = self.next_sweep if self.sessions else None
        parting = self.parting.deadline() if self.parting is not None and not self.left else None
        own = (self.enrolment.deadline(), self.ready_by, sweep, parting)
        lobbies = (self.unbound.deadline(), self.standby.deadline())
        return earliest(*own, *lobbies, self.hubs.deadline())

    def poll(self, now: float) -> None:
        self.keep_enrolled(now)
        self._weigh()
        self.hubs.poll(now)
        self._settle(now)
        for link, _ in self.unbound.late(now):
            self._turn_away(link, "did not bind", now)
        for link, _ in self.standby.late(now):
            self._cut(link, "waited without a refresh", now)
        if now >= self.next_sweep:
            self.next_sweep = now + 1.0
            for session in [s for s in self.sessions.values() if now - s.last > IDLE_LIMIT]:
                self._end(session, now)
            self.offloading.sweep(now)
        self._part(now)

    def accepted(self, listener: str, info: LinkInfo, now: float) -> int:
        link = next(self.actions.numbers)
        self.actions.links[link] = self
        self.streams[link] = _Stream(info)
        if (displaced := self.unbound.enter(link, info.peer[0], now)) is not None:
            self._turn_away(displaced.key, displaced.reason, now)
        return link

    def _turn_away(self, link: int, reason: str, now: float) -> None:
        self.actions.reject(self.streams[link].info.peer[0], reason, now)
        self._cut(link, reason, now)

    def _asked_in_vain(self, link: int | None, now: float) -> None:
        """A connection has asked for what makes it none of a call."""
        if link is not None and link not in self.by_link:
            self.streams[link].asked += 1
            if self.streams[link].asked >= MOST_ASKED:
                self._turn_away(link, "too many questions of a connection that has not bound", now)

    def _cut(self, link: int, reason: str, now: float) -> None:
        self.actions.close(link)
        self.link_down(link, reason, now)

    def udp_up(self, socket: int, local: Address, now: float) -> None:
        """The relay's socket is the shell's from the start."""

    def datagram(self, socket: int, data: bytes, source: Address, now: float) -> None:
        if is_stun(data) and peek_method(data) == Method.BIND:
            self._bind(data, source, None, now)
        elif is_stun(data) and peek_method(data) == Method.BINDING and source not in self.by_address:
            self._greet(data, source, None)
        elif (leg := self.by_address.get(source)) is not None:
            self._forward(leg, data, now)

    def link_data(self, link: int, data: bytes, now: float) -> None:
        stream = self.streams.get(link)
        if stream is None:
            super().link_data(link, data, now)
            return
        try:
            for body in stream.deframer.feed(data):
                if is_stun(body) and peek_method(body) == Method.BIND:
                    self._bind(body, stream.info.peer, link, now)
                elif is_stun(body) and peek_method(body) == Method.BINDING and link not in self.by_link:
                    self._greet(body, stream.info.peer, link)
                    self._asked_in_vain(link, now)
                elif (leg := self.by_link.get(link)) is not None:
                    self._forward(leg, body, now)
                if link not in self.streams:
                    return
        except ProtocolError as error:
            self._refuse(stream.info.peer[0], str(error), now)
            self.actions.close(link)
            self.link_down(link, str(error), now)

    def link_down(self, link: int, reason: str, now: float) -> None:
        if self.streams.pop(link, None) is None:
            super().link_down(link, reason, now)
            return
        self.actions.links.pop(link, None)
        self._leave(link)
        if (leg := self.by_link.pop(link, None)) is not None and leg.session.legs[leg.index] is leg:
            leg.session.legs[leg.index] = None

    def _leave(self, link: int) -> None:
        """A connection has bound, or is gone."""
        self.unbound.leave(link)
        self.standby.leave(link)

    def relocated(self, addresses: tuple[str, ...], now: float) -> None:
        super().relocated(addresses, now)
        self.offloading.relocated()

    # -- the kernel ----------------------------------------------------------------------------------------------

    def kernel_up(self, now: float) -> None:
        """From now on the shell has a kernel that forwards."""
        self.offloading.up(list(self.sessions.values()), now)

    def kernel_down(self, reason: str, now: float) -> None:
        """The kernel does not forward, or no longer."""
        self.offloading.down(reason, now)

    def kernel_refused(self, session: int, reason: str, now: float) -> None:
        """The kernel does not forward for one session."""
        self.offloading.refused(session, reason, now)

    def kernel_counted(self, session: int, counts: Offloaded, now: float) -> None:
        """What it has counted for a session since it was asked to forward."""
        self.offloading.counted(session, counts, now)

    def straight(self, data: bytes, source: Address, now: float) -> Address | None:
        """Where one datagram goes unchanged, already counted; None where `datagram` has to see it.

        What is not a leg's voice for another leg of UDP within its cap is left to that.
        """
        leg = self.by_address.get(source)
        if leg is None or (is_stun(data) and peek_method(data) == Method.BIND):
            return None
        session, index = leg.session, leg.index
        other = session.legs[1 - index]
        if other is None or other.link is not None or not session.may_send(len(data), now):
            return None
        session.had[index] += 1
        session.sent[1 - index] += 1
        return other.address

    def straight_link(self, link: int, data: bytes, now: float) -> int | None:
        """The link on which bytes of a link go on unchanged, already counted; None where `link_data` has to see them.

        That is where they are whole frames of voice, and the other leg is on TCP as well.
        """
        leg = self.by_link.get(link)
        if leg is None or self.streams[link].deframer.pending:
            return None
        other = leg.session.legs[1 - leg.index]
        if other is None or other.link is None or other.link not in self.actions.links:
            return None
        at, end, frames = 0, len(data), 0
        while at + 2 < end:
            size = data[at] << 8 | data[at + 1]
            if not 0 < size <= MEDIA_FRAME_LIMIT or _begins_bind(data, at + 2):
                return None
            at += 2 + size
            frames += 1
        if at != end or not leg.session.may_send(end - 2 * frames, now, frames):
            return None
        leg.session.had[leg.index] += frames
        return other.link

    # -- binding and forwarding ----------------------------------------------------------------------------------

    def _answer(self, asked: bytes, message: StunMessage, source: Address, link: int | None) -> None:
        encoded = message.encode()
        if link is not None:
            self.actions.write(link, frame(encoded, 2))
        elif len(encoded) <= len(asked):  # a source may be forged: nobody is sent more than it seems to have sent
            self.actions.send_to(RELAY_SOCKET, source, encoded)

    def _say(self, leg: Leg, data: bytes) -> None:
        """A word of the relay's own to whoever is bound there."""
        if leg.link is None:
            self.actions.send_to(RELAY_SOCKET, leg.address, data)
        else:
            self.actions.write(leg.link, frame(data, 2))

    def _greet(self, data: bytes, source: Address, link: int | None) -> None:
        """Somebody who has no leg here asks whether this relay is where it says: shows that it holds its key."""
        try:
            request = StunMessage.parse(data)
        except ProtocolError:
            return
        if request.kind is Kind.REQUEST:
            shown = self.membership.identity.sign(PRESENCE, request.transaction_id)
            answer = StunMessage(Method.BINDING, Kind.SUCCESS, request.transaction_id, xor_mapped=source, token=shown)
            self._answer(data, answer, source, link)

    def _bind(self, data: bytes, source: Address, link: int | None, now: float) -> None:
        """Answers a bind; raises nothing."""
        leaving = self.parting is not None

        def answer(message: StunMessage) -> None:
            self._answer(data, message, source, link)

        try:
            request = StunMessage.parse(data)
        except ProtocolError as error:
            answer(StunMessage(Method.BIND, Kind.ERROR, data[8:20], error=(400, str(error)[:40])))
            return
        identifier = request.transaction_id
        try:
            call, index, issuer = self._granted(request.token or b"", link, now)
        except ProtocolError as error:
            self._refuse(source[0], str(error), now)
            answer(StunMessage(Method.BIND, Kind.ERROR, identifier, error=(401, str(error)[:100])))
            self._asked_in_vain(link, now)
            return
        if index is None or link is not None:
            answer(StunMessage(Method.BIND, Kind.SUCCESS, identifier, xor_mapped=source, leaving=leaving))
            if index is not None:
                leg = self._place(call, index, issuer, source, link, now, request.token or b"")
                leg.asked, leg.heard = identifier, request.leaving
                self.offloading.review(leg.session, now)
            return
        leg = self._place(call, index, issuer, source, link, now, request.token or b"")
        leg.asked, leg.heard = identifier, request.leaving

        def counted() -> None:
            counts = leg.session.counts(leg.index)
            said = StunMessage(Method.BIND, Kind.SUCCESS, identifier, xor_mapped=source, counts=counts, leaving=leaving)
            answer(said)

        self.offloading.with_counts(leg.session, counted)
        self.offloading.review(leg.session, now)

    def _refuse(self, host: str, reason: str, now: float) -> None:
        if self.actions.refusals.count(host, reason, now, worded=True):
            self.actions.emit(BindRefused(host, reason))

    def _granted(self, token_bytes: bytes, link: int | None, now: float) -> tuple[str, int | None, str]:
        """The call and leg that a token is good for, and nothing is kept of one that is not; raises ProtocolError."""
        if (known := self.by_token.get(token_bytes)) is not None:  # checked before, and its session goes on
            return known
        token, grant = decode_token(token_bytes)
        wall = now + self.membership.wall.offset
        if grant.relay != self.name:
            raise ProtocolError(f"the token is for {grant.relay}")
        check_token(token, self.membership.authority, wall)
        late = wall - grant.expires
        if not math.isfinite(late):
            raise ProtocolError("the token names no time at which it expires")
        if -late > TOKEN_LONGEST:
            said = f"the token lives longer than {TOKEN_LONGEST:.0f} s, as none does that a supernode gives"
            raise ProtocolError(f"{said}; one of the two clocks is wrong")
        if self.parting is not None and grant.call not in self.sessions:
            raise ProtocolError("the relay is about to end")
        if grant.leg is None:
            self._stand_by(grant.call, token.issuer, late, link, now)
        elif grant.call not in self.sessions:
            if late > 0:
                raise ProtocolError(f"the token expired {late:.0f} s ago")
            if len(self.sessions) >= self.calls:
                raise ProtocolError("the relay is full")
            held = (session.issuer for session in self.sessions.values())
            if self._takes_too_much(token.issuer, held, self.calls):
                raise ProtocolError(f"calls that {token.issuer} sent fill their share of the relay")
        return grant.call, grant.leg, token.issuer

    def _takes_too_much(self, issuer: str, held: Iterable[str], room: int) -> bool:
        """Whether an issuer holds its share already; the built-in supernodes that the relay sits at may take all."""
        own = any(hub.hub == issuer for hub in self.hubs.built_in)
        return not own and sum(each == issuer for each in held) >= max(1, int(SHARE * room))

    def _stand_by(self, client: str, issuer: str, late: float, link: int | None, now: float) -> None:
        """A connection waits for a call of `client`; its oldest goes where there are too many. Raises ProtocolError."""
        if link is None or link in self.by_link:
            raise ProtocolError("only a connection without a call may wait for one")
        stream = self.streams[link]
        if stream.waits_for != client:
            if late > 0:
                raise ProtocolError(f"the token expired {late:.0f} s ago")
            if len(self.standby) >= MOST_STANDBY and self.standby.count(client) < MOST_STANDBY_EACH:
                raise ProtocolError("too many wait here")
            waiting = (other.issuer for other in self.streams.values() if other.waits_for)
            if self._takes_too_much(issuer, waiting, MOST_STANDBY):
                raise ProtocolError(f"too many wait here that {issuer} sent")
            self._leave(link)
            if (displaced := self.standby.enter(link, client, now)) is not None:
                self._cut(displaced.key, "a newer connection of the same client waits", now)
        self.standby.again(link, now)
        stream.waits_for, stream.issuer = client, issuer

    def _place(
        self, call: str, index: int, issuer: str, source: Address, link: int | None, now: float, token: bytes
    ) -> Leg:
        session = self.sessions.get(call)
        if session is None:
            session = self.sessions[call] = Session(call, next(self.actions.numbers), now, issuer, paid=now)
            self.next_sweep = now + 1.0
        if token not in self.by_token and len(session.tokens) < MOST_TOKENS:
            self.by_token[token] = (call, index, issuer)
            session.tokens.append(token)
        session.last = now
        before = session.legs[index]
        if before is not None and (before.address, before.link) == (source, link):
            return before
        if before is not None:
            self._forget(before)
        leg = session.legs[index] = Leg(session, index, source, link)
        if link is None:
            displaced, self.by_address[source] = self.by_address.get(source), leg
            if displaced is not None and displaced.session is not session:
                self.offloading.review(displaced.session, now)
        else:
            self.by_link[link] = leg
            self._leave(link)
        self.actions.emit(Bound(call, index, "udp" if link is None else "tcp", source))
        return leg

    def _forward(self, leg: Leg, data: bytes, now: float) -> None:
        session = leg.session
        session.had[leg.index] += 1
        other = session.legs[1 - leg.index]
        if other is None or not session.may_send(len(data), now):
            return
        if other.link is None:
            session.sent[other.index] += 1
            self.actions.send_to(RELAY_SOCKET, other.address, data)
        else:
            self.actions.write(other.link, frame(data, 2), media=True)

    def _forget(self, leg: Leg) -> None:
        if leg.link is None:
            if self.by_address.get(leg.address) is leg:
                del self.by_address[leg.address]
        elif self.by_link.pop(leg.link, None) is not None:
            self.streams.pop(leg.link, None)
            self.actions.close(leg.link)

    def _end(self, session: Session, now: float) -> None:
        del self.sessions[session.call]
        for token in session.tokens:
            del self.by_token[token]
        for leg in session.legs:
            if leg is not None:
                self._forget(leg)

        def over() -> None:
            self.past_packets += session.packets
            self.past_bytes += session.bytes
            self.actions.emit(Unbound(session.call, session.packets, session.bytes))

        self.offloading.end(session, over, now)

    @property
    def packets(self) -> int:
        """Carried since the start; of the kernel's sessions, as last counted."""
        return self.past_packets + sum(session.packets for session in self.sessions.values())

    @property
    def bytes(self) -> int:
        """Of the same packets."""
        return self.past_bytes + sum(session.bytes for session in self.sessions.values())


def _begins_bind(data: bytes, at: int) -> bool:
    """Whether what stands there may be a bind: as is_stun and peek_method, without a copy of it."""
    return data[at] < 0x40 and data[at + 4 : at + 8] == COOKIE
