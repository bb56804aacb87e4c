"""Who comes in at a supernode: what a stranger has to show, whose turn it is, and who waits.

Belongs here: the way from a Hello to a Welcome, or to none. Never: what is said afterwards.
"""

from typing import Protocol

from lab.errors import ProtocolError
from lab.overlay.directory import Directory
from lab.overlay.doorkeeper import Doorkeeper
from lab.overlay.identity import CLOCK_TOLERANCE, check_credential, check_location, check_signature
from lab.overlay.mesh import one_a_family
from lab.overlay.refusals import TooMuch
from lab.overlay.relief import Hub, Relief
from lab.overlay.roster import Roster
from lab.overlay.seat import Joined, Seat, ToldToWait, TurnedAway
from lab.wire.messages import Demoted, Dial, Full, Hello, HubMessage, Location, Renewed, Wait, Welcome

MOST_LINKS = 3
"""Links of one relay, or of a supernode that is still being dialled: one that is dead and not yet found silent may be
among them."""
MOST_ASKED = 6
"""Other supernodes that one who is turned away has asked as well, or will: those that everybody knows are so many."""


class House(Hub, Protocol):
    """The supernode, as far as it matters here."""

    @property
    def name(self) -> str: ...

    sessions: dict[int, Seat]
    clients: dict[str, int]
    directory: Directory
    door: Doorkeeper
    roster: Roster
    relief: Relief
    joined: bool
    leaving: float | None

    def drop(self, link: int, reason: str, now: float) -> None: ...
    def refuse(self, link: int, reason: str, now: float) -> None: ...
    def listens_for(self, link: int) -> None: ...


class Gate:
    """One supernode's."""

    def __init__(self, hub: House) -> None:
        self.hub = hub
        self.untold: list[int] = []
        """Links in the line that expect to be let in at any moment."""

    def greeted(self, link: int, session: Seat, message: HubMessage, now: float) -> None:
        """Somebody's first word; raises ProtocolError for one that is not good enough."""
        if not isinstance(message, Hello):
            raise ProtocolError(f"{type(message).__name__} before Hello")
        credential, own, wall = message.credential, self.hub.membership.identity, now + self.hub.membership.wall.offset
        check_credential(credential, self.hub.membership.authority, wall)
        check_signature(credential.key, message.signature, "lab hello", session.nonce, own.public)
        if message.role == "relay" and (message.udp_port is None or not message.tcp_ports):
            raise ProtocolError(f"relay {credential.name} does not say where it listens")
        if message.role == "client":
            session.location = self._located(message, wall)
        if message.role == "supernode" and abs(message.at - wall) > CLOCK_TOLERANCE:
            # each would refuse what the other's clients sign: their link would end as often as it begins
            both = " and ".join(sorted((credential.name, own.name)))
            raise ProtocolError(f"the clocks of {both} are more than {CLOCK_TOLERANCE:.0f} s apart; set them")
        if (reason := self.hub.door.known(link, message.role, credential.name, session.host, now)) is not None:
            raise TooMuch(reason)
        session.role, session.name, session.key = message.role, credential.name, credential.key
        session.expires = credential.expires
        self.hub.listens_for(link)
        if session.role != "client":
            self._few(session, now)
        if session.role == "client":
            self._client_comes(link, session, now)
        elif session.role == "supernode":
            self._supernode_comes(link, session, message, now)
        else:
            self._welcome(link, session)
            self.hub.roster.comes(message, session.host, lambda word: self.hub.send(link, word))

    def _few(self, session: Seat, now: float) -> None:
        """One who signs in again and again has few links at a time; of a client the one before is dropped at once."""
        alike = [
            link
            for link, other in self.hub.sessions.items()
            if (other.role, other.name) == (session.role, session.name)
            and (session.role == "relay" or other.trial is not None)
        ]
        for link in alike[:-MOST_LINKS]:
            self.hub.refuse(link, f"{session.role} {session.name} has signed in again", now)

    def renewed(self, link: int, session: Seat, message: Renewed, now: float) -> None:
        """Somebody who is signed in, or waits, has enrolled anew; raises ProtocolError for another name or key."""
        if (reason := self.hub.door.renewal(session.role, session.name, now)) is not None:
            raise TooMuch(reason)
        credential, wall = message.credential, now + self.hub.membership.wall.offset
        check_credential(credential, self.hub.membership.authority, wall)
        if (credential.name, credential.key) != (session.name, session.key):
            raise ProtocolError(f"{session.name} shows another's credential: that of {credential.name}")
        if session.role == "client":
            session.location = self._located(message, wall)
            if self.hub.clients.get(session.name) == link:
                self.hub.directory.sits_here(session.location)
        session.expires = credential.expires

    def _located(self, said: Hello | Renewed, wall: float) -> Location:
        if said.location is None:
            raise ProtocolError(f"client {said.credential.name} does not sign where it sits")
        if said.sealing is None:
            raise ProtocolError(f"client {said.credential.name} names no key to seal words to it under")
        if abs(off := said.at - wall) > CLOCK_TOLERANCE:
            raise ProtocolError(f"the clock is {off:+.0f} s off, {CLOCK_TOLERANCE:.0f} s are allowed; set it")
        location = Location(said.credential, self.hub.name, said.at, said.sealing, said.location)
        check_location(location, self.hub.membership.authority, wall)
        return location

    def _welcome(self, link: int, session: Seat) -> None:
        session.told = self.hub.others()
        self.hub.send(link, Welcome(session.info.peer, session.told))
        if session.role != "supernode":  # of which the mesh tells, whoever has dialled
            self.hub.actions.emit(Joined(session.role, session.name, session.host))

    def _client_comes(self, link: int, session: Seat, now: float) -> None:
        """Is let in at once where it is its turn; else it waits, if there is room for that. So does one that replaces
        its own connection: what is left of it may be a name that a whole world has before it comes back at once. The
        client of the same program takes nobody's place: it comes here where there is no other supernode."""
        sits = session.name in self.hub.clients or session.name == self.hub.name
        if self.hub.leaving is not None:
            self.turn_away(link, now)
        elif self.hub.admission.now(len(self.hub.clients), now, sits):
            self._client_in(link, session, now)
        elif self._wait(link, session, now, sits):
            session.waiting = True
            full = self.hub.admission.full(len(self.hub.clients)) and not sits
            if full or self.hub.admission.seconds(sits) > 1.0:
                self.tell_to_wait(link, self.hub.admission.ahead(link), self.hub.somewhere())
            elif not sits:
                self.untold.append(link)
        else:
            self.turn_away(link, now)

    def tell_to_wait(self, link: int, ahead: int, others: tuple[tuple[str, ...], ...]) -> None:
        """Where it takes longer than somebody who is about to be let in expects; so many wait before it, and these
        others have room."""
        session = self.hub.sessions[link]
        if not session.told_to_wait:
            self.hub.actions.emit(ToldToWait(session.name, ahead))
        session.told_to_wait = True
        self.hub.send(link, Wait(others, ahead))

    def _wait(self, link: int, session: Seat, now: float, sits: bool) -> bool:
        if (other := self.hub.admission.waits(session.name)) is not None:
            self.hub.drop(other, "waits on another link", now)
        return self.hub.admission.wait(link, session.name, now, session.name in self.hub.mesh.peers, sits)

    def turn_away(self, link: int, now: float) -> None:
        """There is no room, not even to wait in, or no time."""
        self.hub.actions.refusals.counted["full"] += 1
        self.hub.actions.emit(TurnedAway(self.hub.sessions[link].name, tuple(self.hub.mesh.peers)))
        lines = 1 + min(len(self.hub.mesh.peers), MOST_ASKED)
        after = 0.0 if self.hub.leaving is not None else self.hub.admission.come_back(now, lines)
        self.hub.send(link, Full(self.hub.somewhere(), after))
        self.hub.drop(link, "full", now)

    def let_in(self, now: float) -> None:
        """Those whose turn it is."""
        if self.hub.leaving is not None:
            return
        while (link := self.hub.admission.due(len(self.hub.clients), now)) is not None:
            session = self.hub.sessions[link]
            session.waiting = False
            self._client_in(link, session, now)
        line = self.hub.admission.line
        if self.untold and self.hub.admission.full(len(self.hub.clients)):
            for link in self.untold:
                if link in line:
                    self.tell_to_wait(link, self.hub.admission.ahead(link), self.hub.somewhere())
            self.untold.clear()
        elif not line:
            self.untold.clear()

    def _client_in(self, link: int, session: Seat, now: float) -> None:
        before = self.hub.clients.get(session.name)
        self.hub.clients[session.name] = link
        self._welcome(link, session)
        if before is not None:
            self.hub.drop(before, "signed in again", now)
        assert session.location is not None, "who signs in says where"
        self.hub.directory.sits_here(session.location)

    def _supernode_comes(self, link: int, session: Seat, hello: Hello, now: float) -> None:
        """A built-in one is believed; any other is dialled first, as who has never heard of it would."""
        if not self.hub.joined:
            raise ProtocolError(f"{self.hub.name} is no supernode yet")
        if self.hub.mesh.keeps(session.host):
            raise ProtocolError(f"{session.name} is linked with {self.hub.name} already")
        hosts = one_a_family((session.host, *hello.hosts))
        if self.hub.mesh.is_built_in(session.host):
            self._supernode_in(link, session, hosts, now)
            return
        question = Dial("supernode", session.name, session.key, hosts)

        def done(wanted: Dial, tcp: bool, udp: bool, now: float) -> None:
            if self.hub.sessions.get(link) is not session:
                return
            session.trial = None
            if tcp and udp:
                self._supernode_in(link, session, hosts, now)
            else:
                reason = f"{self.hub.name} cannot reach {session.name} by {'TCP' if udp else 'UDP'}"
                self.hub.send(link, Demoted("supernode", reason))
                self.hub.refuse(link, reason, now)

        session.trial = self.hub.relief.reach(question, done, now)

    def _supernode_in(self, link: int, session: Seat, hosts: tuple[str, ...], now: float) -> None:
        self._welcome(link, session)
        self.hub.mesh.came_in(session.name, session.key, hosts, lambda message: self.hub.send(link, message), now)
        if (waiting := self.hub.admission.waits(session.name)) is not None:
            self.hub.admission.first(waiting)
