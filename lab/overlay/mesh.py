"""The supernodes among themselves: each knows all others and has one link with each.

Belongs here: who is known, who dials whom, when a stranger is believed, when somebody is forgotten. Never: what is said
over the links, which is the supernode's.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lab.overlay.actions import Actions, earliest
from lab.overlay.host_cache import HostCache
from lab.overlay.hub import HEARTBEAT, SILENCE, Greeting, HubLink
from lab.overlay.member import SIGNALLING_PORTS, Membership
from lab.overlay.paths import nobodys
from lab.overlay.short_stays import BACKOFF_MOST, ShortStays
from lab.overlay.watching import Watch
from lab.wire.addresses import family
from lab.wire.messages import Demoted, HubMessage, Message, Present, Probe, Room, Supernodes, Suspected

Machine = tuple[str, ...]

MOST_SUPERNODES = 1_000
"""Supernodes that are known: of so many, each has a link with each."""
MOST_ROOM = 1_000
"""Clients that another can have room for, in the eyes of one that takes as many as come."""
TURN = 5.0
"""Seconds after which a supernode dials one whose turn it would be to dial: it may not know this one."""
FORGET_AFTER = 120.0
"""Seconds without a link after which a supernode that is not built in is forgotten."""
TOLD_EVERY = 30.0
"""Seconds between two tellings of all that one knows to one other; what is new is told to some at once."""
TOLD_AT_ONCE = 8
"""Others that are told at once of a new supernode: it dials all that it knows, and each of those tells so many."""
AT_ONCE = 200
"""Machines in one message."""
LONGEST_HEARTBEAT = 60.0
"""Seconds; what a Ping can say."""
PINGS_A_SECOND = 20.0
"""Heartbeats that one supernode sends to others at the most: in a large mesh, each hears it less often."""
REDIAL = 3.0
"""Seconds between two climbs to a built-in supernode that does not answer, at the most, where this one is linked with
few: it comes back without knowing anybody but the other built-in ones, and has to be found."""
REDIALS_A_SECOND = 1.0
"""Climbs to it a second, of all that are linked with one another together: whoever finds it tells it of the rest."""
QUICK = 1.5
"""Seconds between two heartbeats of a link beyond which these alone would tell of a death too late: from thirty others
on, a few watch each (watching.py)."""
STALL = 3.5
"""Seconds beside one heartbeat for which a supernode may say nothing and live: one that stands still for three."""


@dataclass
class Peer:
    """A supernode that is linked with this one. `room` is for how many clients it has room, None: as many as come."""

    name: str
    key: bytes
    hosts: Machine
    send: Callable[[Message], object]
    built_in: bool
    clients: int = 0
    room: int | None = 0


@dataclass
class _Known:
    """A supernode that is known by its addresses; `without_link` since when it has had none, `dial_at` when it may be
    dialled, `due` a time before which its link wants nothing."""

    hosts: Machine
    built_in: bool
    link: HubLink | None = None
    due: float | None = None
    without_link: float | None = None
    dial_at: float | None = None
    peer: str = ""
    stays: ShortStays | None = None
    """How the links have ended that this node has dialled."""


class MeshOwner(Protocol):
    """What the supernode is told."""

    def peer_up(self, peer: Peer, now: float) -> None: ...
    def peer_down(self, peer: Peer, reason: str, now: float) -> None: ...
    def peer_says(self, peer: Peer, message: HubMessage, now: float) -> None: ...
    def hears(self, peer: Peer, message: HubMessage, now: float) -> None:
        """One more message; raises ProtocolError where there are too many."""

    def room_changed(self, peer: Peer, now: float) -> None: ...
    def peer_silent(self, peer: Peer, reason: str, now: float) -> None:
        """The peer has died; its link, which it has dialled, ends."""

    def kept_out(self, reason: str) -> None:
        """One that this node has dialled has tried to reach it, and could not."""

    def expired(self, hub: HubLink, now: float) -> None: ...


@dataclass
class Mesh:
    """One supernode's links with all others. Of two, that one dials whose first address sorts first, as they all know;
    the other only where that one does not."""

    actions: Actions
    membership: Membership
    owner: MeshOwner
    known: list[_Known] = field(default_factory=list)
    """The built-in ones first, which are never forgotten."""
    by_host: dict[str, _Known] = field(default_factory=dict)
    peers: dict[str, Peer] = field(default_factory=dict)
    joined: bool = False
    next_telling: float = 0.0
    alarm: float | None = None
    """A time before which nothing is due: links are many, and most of what they hear makes nothing due earlier."""
    dialled: dict[HubLink, _Known] = field(default_factory=dict)
    """By the links that this node has dialled, or is dialling."""

    def __post_init__(self) -> None:
        self.watch = Watch(self.membership.identity.name, self.membership.rng, self._to, self._silent)
        for hosts in self.membership.supernodes:
            if not set(hosts) & set(self.membership.own.addresses):
                self._know(hosts, built_in=True, now=0.0)

    @property
    def own(self) -> Machine:
        """This node's machine, as the others call it: the built-in name for it, else one address a family."""
        addresses = self.membership.own.addresses
        for hosts in self.membership.supernodes:
            if set(hosts) & set(addresses):
                return hosts
        return one_a_family(addresses)

    @property
    def complete(self) -> bool:
        """Whether all built-in ones are linked."""
        return all(known.peer for known in itertools.takewhile(lambda known: known.built_in, self.known))

    @property
    def heartbeat(self) -> float:
        """Seconds between two pings on a link that this node has dialled."""
        return min(max(HEARTBEAT, len(self.peers) / PINGS_A_SECOND), LONGEST_HEARTBEAT)

    def join(self, machines: Iterable[Machine], now: float) -> None:
        """Begins to link; `machines` are supernodes that are known beside the built-in ones."""
        self.joined, self.next_telling = True, now + TOLD_EVERY
        self.learn(machines, now)
        for known in self.known:
            self._plan(known, now)
        self.poll(now)

    def leave(self) -> None:
        """Ends the links that this node has dialled; the others are its sessions'."""
        self.joined = False
        self.watch.members.clear()
        for known in self.known:
            self._unlink(known)

    def _unlink(self, known: _Known) -> None:
        if known.link is not None:
            known.link.stop()
            del self.dialled[known.link]
            known.link = known.due = None

    # -- who is known ----------------------------------------------------------------------------------------------

    def learn(self, machines: Iterable[Machine], now: float) -> list[Machine]:
        """Keeps what is new of these, and dials them when it is this node's turn; returns them."""
        own, new = set(self.membership.own.addresses), []
        for machine in machines:
            if any(host in self.by_host or host in own or nobodys(host) for host in machine):
                continue
            if len(self.known) < MOST_SUPERNODES:
                known = self._know(machine, built_in=False, now=now)
                new.append(known.hosts)
                if self.joined:
                    self._plan(known, now)
        return new

    def _know(self, hosts: Machine, built_in: bool, now: float) -> _Known:
        known = _Known(tuple(hosts), built_in, without_link=now)
        self.known.append(known)
        for host in hosts:
            self.by_host[host] = known
        return known

    def _plan(self, known: _Known, now: float) -> None:
        """When to dial it, if nobody is linked with it yet."""
        if known.link is None and not known.peer:
            known.dial_at = now if min(self.own) < min(known.hosts) else now + TURN
            self.alarm = earliest(self.alarm, known.dial_at)

    def machines(self) -> list[Machine]:
        """All that are linked with this one."""
        return [peer.hosts for peer in self.peers.values() if peer.hosts]

    def is_built_in(self, host: str) -> bool:
        """Whether everybody has been told of the supernode at this address from the start."""
        known = self.by_host.get(host)
        return known is not None and known.built_in

    def keeps(self, host: str) -> bool:
        """Whether this node has dialled the supernode at this address, and been let in."""
        known = self.by_host.get(host)
        return known is not None and known.link is not None and known.link.hub is not None

    # -- links -----------------------------------------------------------------------------------------------------

    def came_in(
        self, name: str, key: bytes, hosts: Sequence[str], send: Callable[[Message], object], now: float
    ) -> Peer:
        """A supernode that is to be believed has signed in here."""
        if name in self.peers:
            self.went(name, "signed in again", now)
        known = next((self.by_host[host] for host in hosts if host in self.by_host), None)
        if known is None:
            known = self._know(one_a_family(hosts), built_in=False, now=now)
        self._unlink(known)
        return self._up(known, Peer(name, key, known.hosts, send, known.built_in), now)

    def went(self, name: str, reason: str, now: float) -> None:
        """The link with a supernode is gone."""
        if (peer := self.peers.pop(name, None)) is None:
            return
        known = next((self.by_host[host] for host in peer.hosts if host in self.by_host), None)
        if known is not None:
            known.peer, known.without_link = "", now
            self.alarm = earliest(self.alarm, now + FORGET_AFTER)
            if self.joined:
                self._plan(known, now)
        self.watch.down(name, now)
        self._pace(now)
        self.owner.peer_down(peer, reason, now)

    def _up(self, known: _Known, peer: Peer, now: float) -> Peer:
        others = [other for other in self.peers.values() if other.hosts]
        self.peers[peer.name] = peer
        known.peer, known.without_link, known.dial_at = peer.name, None, None
        for at in range(0, len(others), AT_ONCE):
            peer.send(Supernodes(tuple(other.hosts for other in others[at : at + AT_ONCE])))
        if not known.built_in:
            for other in self.membership.rng.sample(others, min(TOLD_AT_ONCE, len(others))):
                other.send(Supernodes((known.hosts,)))
        self.watch.up(peer.name, now)
        self._pace(now)
        self.owner.peer_up(peer, now)
        return peer

    def _pace(self, now: float) -> None:
        """The size of the mesh has changed, and how often each hears the others with it."""
        heartbeat = self.heartbeat
        for link, known in self.dialled.items():
            link.heartbeat, link.patience = heartbeat, patience(heartbeat)
            link.longest_pause = self._longest_pause(known)
        self.watch.turn(heartbeat > QUICK, now)

    def _longest_pause(self, known: _Known) -> float:
        """Seconds between two climbs to it, at the most."""
        together = (1 + len(self.peers)) / REDIALS_A_SECOND
        return min(max(REDIAL, together), BACKOFF_MOST) if known.built_in else BACKOFF_MOST

    def heard(self, name: str, now: float) -> None:
        """Something has come from a supernode."""
        self.watch.heard(name, now)

    def _to(self, name: str, message: Message) -> None:
        if (peer := self.peers.get(name)) is not None:
            peer.send(message)

    def _silent(self, name: str, now: float) -> None:
        """Two watchers have not heard it, and it has not answered this node either."""
        peer, reason = self.peers[name], "two others have not heard it, nor does it answer here"
        known = next((self.by_host[host] for host in peer.hosts if host in self.by_host), None)
        if known is not None and known.link is not None and known.link.hub == name:
            known.link.is_dead(reason, now)
            self.touched(known.link)
        else:
            self.owner.peer_silent(peer, reason, now)

    def says(self, peer: Peer, message: HubMessage, now: float) -> None:
        """A word of a peer: what is the mesh's own is done here, the rest is the supernode's. Raises
        ProtocolError."""
        self.owner.hears(peer, message, now)
        self.watch.heard(peer.name, now)
        if isinstance(message, Probe):
            peer.send(Present())
        elif isinstance(message, Present):
            pass  # as is any word, it is heard
        elif isinstance(message, Suspected):
            self.watch.suspected(peer.name, message.names, now)
        elif isinstance(message, Supernodes):
            self.learn(message.machines, now)
        elif isinstance(message, Room):
            peer.clients, peer.room = message.clients, self._believed(message.room)
            self.owner.room_changed(peer, now)
        else:
            self.owner.peer_says(peer, message, now)

    def _believed(self, room: int | None) -> int | None:
        """Of what another claims to have room for, no more than this one has at all: who claims more draws no more
        clients for it, and lets nobody wait for long for room that is not there."""
        return None if room is None else min(room, self.membership.capacity or MOST_ROOM)

    def signed_in(self, hub: HubLink, now: float) -> None:
        known = self.dialled[hub]
        self._up(known, Peer(hub.hub or "", hub.hub_key, known.hosts, hub.send, known.built_in), now)

    def signed_out(self, hub: HubLink, reason: str, now: float) -> None:
        self.went(hub.last_hub, reason, now)

    def hub_message(self, hub: HubLink, message: HubMessage, now: float) -> None:
        if (peer := self.peers.get(hub.hub or "")) is not None:
            self.says(peer, message, now)

    def asked_waiting(self, hub: HubLink, link: int, message: HubMessage, now: float) -> None:
        """Supernodes do not wait for one another: it is why one does not let this one in."""
        if isinstance(message, Demoted):
            self.owner.kept_out(message.reason)

    def expired(self, hub: HubLink, now: float) -> None:
        self.owner.expired(hub, now)

    # -- time ------------------------------------------------------------------------------------------------------

    def links(self) -> list[HubLink]:
        """Those that this node has dialled, or is dialling."""
        return list(self.dialled)

    def touched(self, link: HubLink) -> None:
        """Something has happened on a link that this node has dialled: it may have to be looked after earlier."""
        if (known := self.dialled.get(link)) is not None:
            known.due = link.deadline()
            self.alarm = earliest(self.alarm, known.due)

    def deadline(self) -> float | None:
        return earliest(self.alarm, self.watch.deadline()) if self.joined else None

    def poll(self, now: float) -> None:
        if self.joined:
            self.watch.poll(now)
        if not self.joined or (self.alarm is not None and now < self.alarm):
            return
        for known in list(self.known):
            if known.due is not None and now >= known.due and known.link is not None:
                known.link.poll(now)
                self.touched(known.link)
            if known.dial_at is not None and now >= known.dial_at:
                self._dial(known, now)
            if not known.built_in and known.without_link is not None and now >= known.without_link + FORGET_AFTER:
                self._forget(known)
        if now >= self.next_telling:
            self.next_telling = now + TOLD_EVERY * self.membership.rng.uniform(0.5, 1.0)
            self._tell()
        self.alarm = self._earliest()

    def _earliest(self) -> float | None:
        dues = (due for known in self.known for due in (known.dial_at, known.due))
        ends = (
            known.without_link + FORGET_AFTER
            for known in self.known
            if not known.built_in and known.without_link is not None
        )
        return earliest(self.next_telling, *dues, *ends)

    def _tell(self) -> None:
        """All that this one is linked with, to one other by chance: what a link that broke has kept from it."""
        if self.peers:
            peer = self.membership.rng.choice(sorted(self.peers.values(), key=lambda peer: peer.name))
            machines = [machine for machine in self.machines() if machine != peer.hosts]
            for at in range(0, len(machines), AT_ONCE):
                peer.send(Supernodes(tuple(machines[at : at + AT_ONCE])))

    def _forget(self, known: _Known) -> None:
        self._unlink(known)
        self.known.remove(known)
        for host in known.hosts:
            self.by_host.pop(host, None)

    def _dial(self, known: _Known, now: float) -> None:
        self._unlink(known)
        known.dial_at = None
        known.link = link = self._toward(known)
        self.dialled[link] = known
        link.start(now)
        self.touched(link)

    def _stays(self, known: _Known) -> ShortStays:
        known.stays = known.stays or ShortStays(self.membership.rng)
        return known.stays

    def _toward(self, known: _Known) -> HubLink:
        m = self.membership
        link = HubLink(
            self.actions,
            self,
            m.identity,
            m.authority,
            Greeting("supernode"),
            HostCache([known.hosts]),
            m.own,
            SIGNALLING_PORTS,
            m.rng,
            m.wall,
            self._stays(known),
        )
        link.heartbeat, link.patience = self.heartbeat, patience(self.heartbeat)
        link.longest_pause = self._longest_pause(known)
        return link


def patience(heartbeat: float) -> float:
    """Seconds without a word on a link of the mesh after which its other end counts as dead."""
    return max(SILENCE * heartbeat, STALL + heartbeat)


def one_a_family(hosts: Sequence[str]) -> Machine:
    """The first address of each family, IPv4 first."""
    first = {family(host): host for host in reversed(hosts)}
    return tuple(first[kind] for kind in sorted(first))
