"""The supernode: a hub on an open address. Clients sit at it, it carries their envelopes, and it tells them how they
look from outside (STUN). It carries no media and can read, answer or change nothing that two clients say to each other.

Belongs here: its sessions and which part each of their words is for. Never: what those parts decide.
"""

import heapq
from collections.abc import Callable, Sequence

from lab.errors import CredentialExpired, ProtocolError
from lab.overlay.accusations import Accusations
from lab.overlay.actions import LinkInfo, earliest
from lab.overlay.admission import Admission
from lab.overlay.carrying import Carrying
from lab.overlay.directory import Directory
from lab.overlay.doorkeeper import Doorkeeper
from lab.overlay.gate import Gate
from lab.overlay.hub import HubLink
from lab.overlay.member import Member, Membership
from lab.overlay.mesh import Mesh, Peer, patience
from lab.overlay.nearness import Nearness
from lab.overlay.passage import STUN_PORT
from lab.overlay.promoting import FAILURES
from lab.overlay.receipts import Receipts
from lab.overlay.refusals import TooMuch
from lab.overlay.relief import Relief
from lab.overlay.roster import Roster
from lab.overlay.seat import Empty, Joined, Left, Seat, Unreachable
from lab.overlay.stunserver import ALTERNATE_PORT, Other, StunConnections, StunService
from lab.overlay.vacancies import MANY
from lab.wire.addresses import Address, family
from lab.wire.framing import frame
from lab.wire.messages import (
    Absent,
    Carry,
    Challenge,
    Demoted,
    Dial,
    Dialled,
    Found,
    HubMessage,
    Located,
    Lookup,
    Message,
    Move,
    Moved,
    Near,
    Ping,
    Pong,
    Reflect,
    Refused,
    Relays,
    Renewed,
    Room,
    StandBy,
    StandingBy,
    Supernodes,
    Undeliverable,
    Unwilling,
    Willing,
    decode_hub,
    encode,
    is_invite,
)

STUN_SOCKET = 0
"""Number of the UDP socket that the shell binds to the STUN port before the machine starts."""
ALTERNATE_SOCKET = -1
"""The same, of the second STUN port."""
SILENCE = 5.0
"""Seconds after which a node that stopped pinging has left; nodes ping every second."""
MOST_NAMED = 8
"""Other supernodes that a client is told of."""
TOLD_EVERY = 1.0
"""Seconds between two words to the mesh about room and relays, where there is anything new."""
WORDS_A_SECOND = 50.0
"""Others that are told of it a second, at the most, unless much has changed: in a large mesh, each hears it less often,
or all would hear of little else."""
MUCH = 0.1
"""The share of its room by which what is free has changed when the others are told of it as soon as may be."""
LEAVING_LIMIT = 3.0
"""Seconds for which a supernode that leaves waits for its clients to be elsewhere."""
MOVED_LIMIT = 2.0
"""Seconds for which the link of a client that has signed in elsewhere is kept, for the client to close: one that gave
up a line just when its turn came has been let in there and does not know, and still has only this link.
"""


class Supernode(Member):
    """One hub of the mesh. Listeners of its shell: `signalling` (inside TLS) and `stun` (plain).

    `promoted`: it is a client beside, and joins the mesh when `admit` is called.
    """

    def __init__(self, membership: Membership, promoted: bool = False) -> None:
        super().__init__(membership, beside=promoted)
        m = membership
        self.promoted = promoted
        self.accusations = Accusations()
        self.sessions: dict[int, Seat] = {}
        self.clients: dict[str, int] = {}
        self.door = Doorkeeper()
        self.admission = Admission(m.capacity, m.login_rate)
        self.joined = False
        self.leaving: float | None = None
        self.told: tuple[Room, Relays] | None = None
        self.told_at = float("-inf")
        self.kept_out_times = 0
        """In a row, since another supernode was linked with this one."""
        self._silences: list[tuple[float, int]] = []
        self.mesh = Mesh(self.actions, m, self)
        self.directory = Directory(self.name, m.authority, self._to_peer, self._moved_away)
        self.nearness = Nearness(
            m.rng,
            lambda: self.roster.all(),
            m.own.reachable,
            lambda to, data: self.actions.send_to(STUN_SOCKET, to, data),
            self._tell_all,
            lambda: self.roster.weigh_anew(),
        )
        nearness = self.nearness
        self.roster = Roster(m.identity, m.wall, nearness.both, nearness.has_measured, nearness.look)
        self.carrying = Carrying(self.name, self.directory, self.roster, self._client, self._peer, self.actions.emit)
        self.relief = Relief(self)
        self.gate = Gate(self)
        self.stun = StunConnections(self.actions)
        ports = {STUN_SOCKET: STUN_PORT, ALTERNATE_SOCKET: ALTERNATE_PORT}
        self.receipts = Receipts(m.rng.randbytes(16))
        self.reflector = StunService(self.actions, ports, lambda: m.own.addresses, self._other, self.receipts.give)
        self.actions.sockets.update(dict.fromkeys(ports, self))

    @property
    def peers(self) -> dict[str, Peer]:
        """The supernodes that are linked with this one, by name."""
        return self.mesh.peers

    def hub_links(self) -> Sequence[HubLink]:
        return self.mesh.links()

    def relocated(self, addresses: tuple[str, ...], now: float) -> None:
        super().relocated(addresses, now)
        for link in self.hub_links():
            self._touched(link)

    def join(self, now: float) -> None:
        if not self.promoted:
            self.admit((), now)

    def admit(self, machines: Sequence[tuple[str, ...]], now: float) -> None:
        """Joins the others: these, beside the built-in ones."""
        self.joined, self.relief.promoting.here_since = True, now
        self.mesh.join(machines, now)
        self._settle(now)

    def leave(self, now: float) -> None:
        """Hands its clients over to others, then is `Empty`; takes in nobody any more."""
        if self.leaving is None:
            self.leaving = now + LEAVING_LIMIT
            for link, session in self.sessions.items():
                if session.role == "client" and not session.waiting:
                    self.send(link, Move(self.somewhere()))
            for link in [*self.admission.line, *self.admission.back]:
                self.gate.turn_away(link, now)
        self._left_empty(now)

    @property
    def left(self) -> bool:
        """Whether it has left, and those that sat at it are elsewhere or have had time enough."""
        return self.leaving == float("inf")

    @property
    def taking(self) -> bool:
        """Whether it takes part: it is ready, and not about to leave."""
        return self.ready and self.leaving is None

    def _settle(self, now: float) -> None:
        if self.joined and not self.ready:
            self.settle(self.mesh.complete, now)

    # -- time and inputs -----------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        return earliest(
            self.enrolment.deadline(),
            self.stun.deadline(),
            self.ready_by,
            self.leaving if not self.left else None,
            self.mesh.deadline(),
            self.directory.deadline(),
            self.admission.deadline(len(self.clients)),
            self.door.strangers.deadline(),
            self.relief.deadline(),
            self.nearness.deadline() if self.joined else None,
            self._silences[0][0] if self._silences else None,
            self._next_words(),
        )

    def poll(self, now: float) -> None:
        self.keep_enrolled(now)
        self.stun.poll(now)
        self.mesh.poll(now)
        self.directory.poll(now)
        self._settle(now)
        self._drop_the_silent(now)
        self.gate.let_in(now)
        self.relief.poll(now)
        if self.joined:
            self.nearness.poll(now)
        if (due := self._next_words()) is not None and now >= due:
            self._tell_words(now)
        self._left_empty(now)

    def listens_for(self, link: int) -> None:
        """When that link is next looked at, for it may be silent by then."""
        session = self.sessions[link]
        heapq.heappush(self._silences, (session.last_heard + self._patience(session), link))

    def _drop_the_silent(self, now: float) -> None:
        """Who is signed in stands once in the heap, at a time before which it cannot be found silent; who is not has so
        long to sign in, whatever it says meanwhile."""
        for link, host in self.door.strangers.late(now):
            self.actions.reject(host, "did not sign in", now)
            self.drop(link, "did not sign in", now)
        while self._silences and now >= self._silences[0][0]:
            _, link = heapq.heappop(self._silences)
            session = self.sessions.get(link)
            if session is None:
                continue
            silent = session.last_heard + self._patience(session)
            expires = session.expires - self.membership.wall.offset
            if now < (due := min(silent, session.kept_until, expires)):
                heapq.heappush(self._silences, (due, link))
            elif now >= expires:
                self.refuse(link, f"the credential of {session.name} has expired", now, expired=True)
            else:
                self.drop(link, "silent", now)

    def _patience(self, session: Seat) -> float:
        return patience(session.heartbeat) if session.role == "supernode" else SILENCE * session.heartbeat

    def accepted(self, listener: str, info: LinkInfo, now: float) -> int:
        if listener == "stun":
            return self.stun.accept(info, now)
        link = next(self.actions.numbers)
        self.actions.links[link] = self
        if (reason := self.door.knocks(info.peer[0], now)) is not None:
            self.actions.reject(info.peer[0], reason, now)
            self.actions.close(link)
            return link
        self.sessions[link] = session = Seat(info, self.membership.rng.randbytes(32), now, now)
        if (displaced := self.door.greets(link, session.host, now)) is not None:
            self.actions.reject(displaced.host, displaced.reason, now)
            self.drop(displaced.key, displaced.reason, now)
        credential = self.membership.identity.credential
        if credential is None:
            self.refuse(link, f"{self.name} is not enrolled yet; try again", now)
        else:
            self.send(link, Challenge(credential, session.nonce))
        return link

    def udp_up(self, socket: int, local: Address, now: float) -> None:
        if socket not in (STUN_SOCKET, ALTERNATE_SOCKET):  # those are the shell's from the start
            super().udp_up(socket, local, now)

    def datagram(self, socket: int, data: bytes, source: Address, now: float) -> None:
        if socket == STUN_SOCKET and self.nearness.answered(data, source, now):
            return
        if socket in (STUN_SOCKET, ALTERNATE_SOCKET):
            self.reflector.datagram(socket, data, source, now)
        else:
            super().datagram(socket, data, source, now)

    def _other(self, kind: int) -> Other | None:
        """A supernode that is linked with this one and can answer in its place, over IPv4 or IPv6."""
        for peer in self.peers.values():
            if (host := next((host for host in peer.hosts if family(host) == kind), None)) is not None:
                return host, peer.send
        return None

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        owner = self.actions.links.get(link)
        super().link_up(link, info, now)
        self._touched(owner)

    def link_data(self, link: int, data: bytes, now: float) -> None:
        session = self.sessions.get(link)
        if session is None:
            owner = self.actions.links.get(link)
            super().link_data(link, data, now)
            self._touched(owner)
            return
        try:
            for body in session.deframer.feed(data):
                session.last_heard = now  # not of a part of a message: who never ends one says nothing
                message = decode_hub(body)
                if not session.role:
                    self.gate.greeted(link, session, message, now)
                else:
                    self._said(link, session, message, now)
                if link not in self.sessions:
                    return
        except TooMuch as error:
            self.refuse(link, str(error), now, worded=False)
        except ProtocolError as error:
            self.refuse(link, str(error), now, expired=isinstance(error, CredentialExpired))

    def link_down(self, link: int, reason: str, now: float) -> None:
        if link in self.sessions:
            self.drop(link, reason, now)
        else:
            owner = self.actions.links.get(link)
            super().link_down(link, reason, now)
            self._touched(owner)

    def _touched(self, owner: object) -> None:
        if isinstance(owner, HubLink):
            self.mesh.touched(owner)

    def others(self, room: bool = False) -> tuple[tuple[str, ...], ...]:
        """Where a client may go instead: the supernodes that are linked with this one, those with most `room` first,
        and those without any only where room is not asked for."""
        peers = [peer for peer in self.peers.values() if peer.hosts and (peer.room != 0 or not room)]
        peers.sort(key=lambda peer: (peer.room == 0, -(peer.room or 0), peer.clients, peer.name))
        return tuple(peer.hosts for peer in peers)[:MOST_NAMED]

    def somewhere(self) -> tuple[tuple[str, ...], ...]:
        """Where one client may go, who is not the only one to be told: those with room, and first one that is drawn by
        how much it has."""
        named = self.others(room=True)
        roomy = [peer for peer in self.peers.values() if peer.hosts and peer.room != 0]
        if len(roomy) < 2:
            return named
        (first,) = self.membership.rng.choices(roomy, [MANY if peer.room is None else peer.room for peer in roomy])
        return (first.hosts, *(hosts for hosts in named if hosts != first.hosts))[:MOST_NAMED]

    def for_its_own_client(self) -> list[tuple[str, ...]]:
        """Where the client of the same program may sit: at the others; here, where there are none."""
        alone = self.joined and self.taking and not self.peers
        return [self.mesh.own] if alone else self.mesh.machines()

    def spares(self, more: int) -> None:
        """Its machine has room for so many clients more: where that is little, others have to take who comes, and some
        of those that sit here where they have room for them."""
        self.admission.weighed(more, len(self.clients))

    # -- what is said --------------------------------------------------------------------------------------------

    def _said(self, link: int, session: Seat, message: HubMessage, now: float) -> None:
        if session.role != "supernode" or isinstance(message, Ping):
            self._counts(session.role, session.name, session.host, now)
        if isinstance(message, Ping):
            self.send(link, Pong())
            if session.role == "relay":
                self.roster.carries(session.name, message.load, message.room)
            elif session.role == "supernode":
                session.heartbeat = message.within
                self.mesh.heard(session.name, now)
        elif isinstance(message, Renewed) and not session.moved:
            self.gate.renewed(link, session, message, now)
        elif session.role == "supernode" and session.trial is None and session.name in self.peers:
            self.mesh.says(self.peers[session.name], message, now)
        elif session.role == "client" and isinstance(message, Willing | Unwilling | Dialled):
            self.relief.says(session.name, message, now)
        elif session.role == "client" and isinstance(message, Carry) and not session.waiting:
            self._of_client(link, session, message, now)
        elif session.role == "client" and isinstance(message, StandBy) and not session.waiting:
            chosen = self.roster.chosen(without=(session.name,))
            self.carrying.acquaintances.offered(session.name, chosen)
            offers = tuple(self.roster.offer(relay, session.name, None, now) for relay in chosen)
            self.send(link, StandingBy(offers))
        else:
            waits = " while it waits" if session.waiting else ""
            raise ProtocolError(f"{session.role} {session.name} sent {type(message).__name__}{waits}")

    def _tell_of(self, peer: Peer) -> None:
        """Clients and relays that came when this supernode knew few others hear of one more: without any, they have
        nowhere to go once this one dies."""
        for link, session in self.sessions.items():
            sits = session.role in ("client", "relay") and not (session.waiting or session.moved)
            if sits and len(session.told) < MOST_NAMED and peer.hosts not in session.told:
                session.told += (peer.hosts,)
                self.send(link, Supernodes((peer.hosts,)))

    def _counts(self, role: str, name: str, host: str, now: float) -> None:
        """One more message of who is signed in; raises TooMuch."""
        if (reason := self.door.frame(role, name, host, now)) is not None:
            raise TooMuch(reason)

    def _of_client(self, link: int, session: Seat, carry: Carry, now: float) -> None:
        envelope = carry.envelope
        if envelope.sender != session.name:
            raise ProtocolError(f"{session.name} sent an envelope as {envelope.sender}")
        if (reason := self._too_much(session, carry, now)) is not None:
            said = f"{reason}; wait a little"
            self.send(link, Undeliverable(envelope.call, envelope.sender, envelope.recipient, said))
            self.actions.reject(session.host, reason, now)
            return
        seen = tuple(dict.fromkeys((session.host, *self.receipts.proven(carry.receipts))))
        self.carrying.of_client(carry, seen, lambda message: self.send(link, message), now)

    def _too_much(self, session: Seat, carry: Carry, now: float) -> str | None:
        """Why an envelope is not carried of a client that asks for too many, or None. Relays are asked for with an
        invitation alone, and a callee rings without any."""
        envelope = carry.envelope
        invites = carry.relays or is_invite(envelope.body)
        if invites and (reason := self.door.invitation(session.name, session.host, now)) is not None:
            return reason
        if self.directory.knows(envelope.recipient, now):
            return None
        return self.door.lookup(session.name, session.host, now)

    # -- the mesh ------------------------------------------------------------------------------------------------

    def hears(self, peer: Peer, message: HubMessage, now: float) -> None:
        self._counts("supernode", peer.name, peer.name, now)
        if (reason := self.door.mesh_word(peer.name, message, now)) is not None:
            raise TooMuch(reason)

    def peer_up(self, peer: Peer, now: float) -> None:
        self.kept_out_times = 0
        self.directory.up(peer.name)
        self.relief.elsewhere.noted(peer)
        self.actions.emit(Joined("supernode", peer.name, peer.hosts[0] if peer.hosts else ""))
        if self.told is None:
            self.told, self.told_at = self._words(), now
        for word in self.told:  # as all others know it: what has changed since is told to this one with them
            peer.send(word)
        if self.nearness.told.relays:
            peer.send(self.nearness.told)
        if peer.hosts:
            self._tell_of(peer)
        self._settle(now)

    def peer_down(self, peer: Peer, reason: str, now: float) -> None:
        self.directory.down(peer.name, now)
        self.relief.elsewhere.gone(peer.name)
        self.roster.forget(peer.name)
        self.nearness.forget(peer.name)
        self.relief.rechecking.gone(peer.name)
        self.relief.gone(peer.name, now)
        self.actions.emit(Left("supernode", peer.name, reason))

    def peer_says(self, peer: Peer, message: HubMessage, now: float) -> None:
        wall = now + self.membership.wall.offset
        match message:
            case Located() | Moved() if not self.door.locates(peer.name, _clients_of(message), now):
                self.actions.reject(peer.name, f"{peer.name} tells of too many clients", now, worded=True)
            case Located():
                self.directory.located(peer.name, message, wall)
            case Absent(names):
                self.directory.absent(peer.name, names)
            case Lookup(name):
                peer.send(self.directory.asked(name))
            case Found():
                self.directory.found(peer.name, message, now, wall)
            case Moved():
                self.directory.moved(message, wall)
            case Carry(envelope) if not self.door.brings(peer.name, envelope.recipient, now):
                reason = f"{peer.name} brings too many messages for {envelope.recipient}"
                self.actions.reject(peer.name, reason, now, worded=True)
                peer.send(Undeliverable(envelope.call, envelope.sender, envelope.recipient, reason))
            case Carry(envelope) if not self._may_seek(peer, message, now):
                reason = f"{peer.name} brings too many messages for clients that are not here"
                self.actions.reject(peer.name, reason, now, worded=True)
                peer.send(Undeliverable(envelope.call, envelope.sender, envelope.recipient, reason))
            case Carry():
                self.carrying.of_peer(message, peer.send, now)
            case Undeliverable():
                self.directory.doubt(message.recipient)
                if (send := self._client(message.sender)) is not None:
                    send(message)
            case Relays(relays):
                self.roster.told(peer.name, relays)
            case Near():
                self.nearness.word(peer.name, message)
            case Reflect():
                self.reflector.reflect(message, now)
            case Demoted(role, reason) if role == "supernode" and self.promoted:
                if self.accusations.heeds(peer.name, self.peers, now):
                    self.actions.emit(Unreachable(self.name, reason))
            case Demoted():
                pass  # a built-in one ends on nobody's word
            case Dial():
                self.relief.asked_to_dial(peer.name, message, peer.send, now)
            case Dialled() | Unwilling():
                self.relief.told_elsewhere(peer.name, message, now)
            case _:
                raise ProtocolError(f"supernode {peer.name} sent {type(message).__name__}")

    def _may_seek(self, peer: Peer, carry: Carry, now: float) -> bool:
        """Whether an envelope's recipient is here, or is sought for a supernode that has it sought not too often."""
        here = carry.envelope.recipient in self.clients
        return here or carry.sought or self.door.mesh_lookup(peer.name, now)

    def kept_out(self, reason: str) -> None:
        """Those that are linked with this one have it measured; nobody does of one whose links have all broken, when a
        firewall was put before it, and none of whom it dials lets it in again."""
        self.kept_out_times += not self.peers
        if self.promoted and self.kept_out_times >= FAILURES:
            self.actions.emit(Unreachable(self.name, reason))

    def peer_silent(self, peer: Peer, reason: str, now: float) -> None:
        for link in [
            link for link, seat in self.sessions.items() if (seat.role, seat.name) == ("supernode", peer.name)
        ]:
            self.drop(link, reason, now)

    def room_changed(self, peer: Peer, now: float) -> None:
        """Another supernode has room, or has none any more."""
        self.relief.elsewhere.noted(peer)
        if peer.room != 0:
            self.relief.tell_the_line(1 if peer.room is None else peer.room)

    def _words(self) -> tuple[Room, Relays]:
        """What all others are told when it changes."""
        room = 0 if self.leaving is not None else self.admission.room(len(self.clients))
        return Room(len(self.clients), room), Relays(tuple(self.roster.here.values())[:64])

    def _next_words(self) -> float | None:
        """When the others are told of what they do not know yet."""
        words = self._words()
        if words == self.told:
            return None
        if self.told is None or words[1] != self.told[1] or self._much(self.told[0].room, words[0].room):
            return self.told_at + TOLD_EVERY
        return self.told_at + max(TOLD_EVERY, len(self.peers) / WORDS_A_SECOND)

    def _much(self, before: int | None, room: int | None) -> bool:
        if before is None or room is None:
            return before != room
        return abs(before - room) >= MUCH * (self.admission.capacity or 1)

    def _tell_words(self, now: float) -> None:
        before, self.told, self.told_at = self.told, self._words(), now
        for word in self.told:
            if before is None or word not in before:
                for peer in self.peers.values():
                    peer.send(word)

    # -- inside --------------------------------------------------------------------------------------------------

    def tell_to_wait(self, link: int, ahead: int, others: tuple[tuple[str, ...], ...]) -> None:
        self.gate.tell_to_wait(link, ahead, others)

    def send(self, link: int, message: Message) -> None:
        self.actions.write(link, frame(encode(message), 4))

    def _client(self, name: str) -> Callable[[Message], object] | None:
        link = self.clients.get(name)
        return None if link is None else lambda message: self.send(link, message)

    def _peer(self, name: str) -> Callable[[Message], object] | None:
        peer = self.peers.get(name)
        return None if peer is None else peer.send

    def _tell_all(self, message: Message) -> None:
        for peer in self.peers.values():
            peer.send(message)

    def _to_peer(self, name: str, message: Message) -> None:
        if (peer := self.peers.get(name)) is not None:
            peer.send(message)

    def _moved_away(self, name: str, wall: float) -> None:
        """A client has signed in elsewhere, by its own word; `wall` is now, epoch seconds."""
        now = wall - self.membership.wall.offset
        link = self.clients.pop(name, None)
        if link is not None:
            self.admission.left(name)
            self.sessions[link].kept_until = now + MOVED_LIMIT
            heapq.heappush(self._silences, (now + MOVED_LIMIT, link))
            self.relief.gone(name, now)
            self.actions.emit(Left("client", name, "signed in elsewhere"))

    def _left_empty(self, now: float) -> None:
        """It is empty when its clients have closed their links: who sits elsewhere by now may not know it yet."""
        if self.leaving is None or self.left:
            return
        here = any(seat.role == "client" for seat in self.sessions.values())
        if not here or now >= self.leaving or not self.others(room=True):
            self.actions.emit(Empty(len(self.clients)))
            self.leaving = float("inf")

    def refuse(self, link: int, reason: str, now: float, worded: bool = True, expired: bool = False) -> None:
        """Closes a link with a reason; `expired`: that its credential has, and the other is to enrol first."""
        self.actions.reject(self.sessions[link].host, reason, now, worded)
        self.send(link, Refused(reason[:300], expired))
        self.drop(link, reason, now)

    def drop(self, link: int, reason: str, now: float) -> None:
        session = self.sessions.pop(link)
        self.actions.close(link)
        if not session.role:
            self.door.gone(link)
            return
        if session.trial is not None:
            session.trial.stop()
            self.relief.forget_ended()
            return
        if session.waiting:
            self.admission.leave(link)
            if session.name not in self.clients:
                self.relief.gone(session.name, now)
            return
        if (session.role == "supernode" and session.name not in self.peers) or session.moved:
            return
        if session.role != "supernode":
            self.actions.emit(Left(session.role, session.name, reason))
        if session.role != "client" and any(
            (other.role, other.name) == (session.role, session.name) for other in self.sessions.values()
        ):
            return  # it has come back on another link before this one was found dead: its place is that one's
        if session.role == "supernode":
            self.mesh.went(session.name, reason, now)
        elif session.role == "relay":
            self.roster.goes(session.name)
            self.relief.promoting.is_one_no_more(session.name)
            self.relief.rechecking.gone(session.name)
        elif self.clients.get(session.name) == link:
            del self.clients[session.name]
            self.admission.left(session.name)
            self.directory.has_left(session.name)
            self.relief.gone(session.name, now)


def _clients_of(message: Located | Moved) -> int:
    """Of how many clients it says where they sit."""
    return len(message.locations) if isinstance(message, Located) else 1
