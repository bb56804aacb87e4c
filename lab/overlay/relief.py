"""What a supernode does when it has too much to do: clients go where there is room, or one of them becomes a supernode;
and when relays are lacking: one becomes a relay.

Belongs here: when that is, and whom it concerns. Never: how a candidate is measured, which is promoting's.
"""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Protocol

from lab.overlay.actions import Actions, earliest
from lab.overlay.admission import OVERBOOKED, Admission
from lab.overlay.carrying import Carrying
from lab.overlay.favours import Favours
from lab.overlay.hub import MOST_WAITS
from lab.overlay.member import Membership
from lab.overlay.mesh import Machine, Mesh
from lab.overlay.promoting import HERE, Candidate, Promoting, Rechecking
from lab.overlay.reach import Reach
from lab.overlay.roster import Roster
from lab.overlay.seat import Seat, Unreachable
from lab.overlay.vacancies import BUSY, Vacancies
from lab.wire.messages import Demoted, Dial, Dialled, Message, Move, Role, Unwilling, Willing

EASE_TO = 0.75
"""The share of its room down to which a supernode that is busy sends its clients where there is more."""
EASE_EVERY = 2.0
"""Seconds between two looks at that."""
RESERVE = 0.02
"""The share of all places that is to be free: where nobody has any, everybody who comes asks everywhere."""
PATIENCE = 0.1
"""Seconds, for each other supernode, within which this one promotes a client when there is no room: so the first ones
are seen by the others before they do the same."""
URGENT = 0.25
"""Clients that wait, of its room, from which on it waits for no other to promote somebody."""
EASED_AGAIN = 20.0
"""Seconds for which a client is not asked again to move."""
SPARED_AFTER = 300.0
"""Seconds for which a promoted relay carries nothing, while those that do nothing else suffice, before it is let go."""
LOOK_EVERY = 10.0
"""Seconds between two looks at that."""
LACKING = 15.0
"""Seconds without a relay that has room after which a client is asked to be one: relays that are restarted, or start
together with the supernodes, are there by then."""
SPARED = 60.0
"""Seconds for which nobody is asked to dial others who has said that it cannot."""
TURN = 5.0
"""Seconds that each supernode gives every one whose name comes before its own: of several that all lack a relay, one
asks, and is done by then where it knows somebody."""
MOST_TURNS = 5

Done = Callable[[Dial, bool, bool, float], None]


class Hub(Protocol):
    """The supernode, as far as it matters here."""

    @property
    def actions(self) -> Actions: ...
    @property
    def membership(self) -> Membership: ...
    @property
    def sessions(self) -> Mapping[int, Seat]: ...
    @property
    def clients(self) -> Mapping[str, int]: ...
    @property
    def mesh(self) -> Mesh: ...
    @property
    def admission(self) -> Admission: ...
    @property
    def carrying(self) -> Carrying: ...
    @property
    def roster(self) -> Roster: ...
    @property
    def taking(self) -> bool:
        """Whether it takes part: it is ready, and not about to leave."""
        ...

    def others(self, room: bool = False) -> tuple[Machine, ...]: ...
    def somewhere(self) -> tuple[Machine, ...]: ...
    def send(self, link: int, message: Message) -> None: ...
    def tell_to_wait(self, link: int, ahead: int, others: tuple[Machine, ...]) -> None: ...


class _Strangers(Mapping[str, Callable[[Message], object]]):
    """Clients that may be asked to dial somebody, by name, and how: of hundreds, one is."""

    def __init__(self, links: dict[str, int], asks: Callable[[int, str], Callable[[Message], object]]) -> None:
        self._links, self._asks = links, asks

    def __getitem__(self, name: str) -> Callable[[Message], object]:
        return self._asks(self._links[name], name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._links)

    def __len__(self) -> int:
        return len(self._links)


class Relief:
    """One supernode's."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.reaches: list[Reach] = []
        self.next_ease = 0.0
        self.elsewhere = Vacancies()
        self.relay_at: float | None = None
        """When a client is asked to be a relay, unless there is one by then."""
        rng = hub.membership.rng
        self.rechecking = Rechecking(rng, self._dial, self._strangers_to)
        able = self.rechecking.able.__contains__
        self.promoting = Promoting(
            hub.actions.emit, rng, self._dial, self._strangers, self._machines, able, self._elsewhere
        )
        self.favours = Favours(rng)
        self.no_measurers: dict[str, float] = {}
        """Clients that have said that they cannot dial others, and until when they are not asked to; in that order."""
        self.idle: dict[str, float] = {}
        """Since when promoted relays that sit here carry nothing while others suffice."""
        self.next_look = 0.0

    def deadline(self) -> float | None:
        return earliest(
            self._asks_at(),
            self.rechecking.deadline(self._any_promoted()),
            self.next_look if self.hub.roster.promoted else None,
            self.next_ease if self._surplus() or self._line_could_go() else None,
            *(reach.deadline() for reach in self.reaches),
        )

    def poll(self, now: float) -> None:
        for reach in list(self.reaches):
            reach.poll(now)
        self.hub.carrying.acquaintances.turn(now)
        while self.no_measurers and now >= self.no_measurers[first := next(iter(self.no_measurers))]:
            del self.no_measurers[first]
        if not (self.hub.taking and self.hub.roster.lacking):
            self.relay_at = None
        elif self.relay_at is None:
            before = sum(name < self.hub.membership.identity.name for name in self.hub.mesh.peers)
            self.relay_at = now + LACKING + TURN * min(before, MOST_TURNS)
        needed = self._needed(now)
        patience = self._patience() if needed == "supernode" else 0.0
        self.promoting.poll(needed, self._candidates, patience, now, self._waiting(needed))
        self.rechecking.poll(self._promoted, now, self._built_in)
        if now >= self.next_look and self.hub.roster.promoted:
            self.next_look = now + LOOK_EVERY
            self._let_the_idle_go(now)
        if now >= self.next_ease and (self._surplus() or self._line_could_go()):
            self.next_ease = now + EASE_EVERY
            self.tell_the_line(self.elsewhere.spare)
            self._ease(now)

    def reach(self, question: Dial, done: Done, now: float) -> Reach:
        """Dials somebody, as who knows nothing of it would."""
        m = self.hub.membership

        def finished(question: Dial, tcp: bool, udp: bool, now: float) -> None:
            self.forget_ended()
            done(question, tcp, udp, now)

        reach = Reach(self.hub.actions, question, m.authority, m.own, m.rng, m.wall, finished)
        self.reaches.append(reach)
        reach.start(now)
        return reach

    def forget_ended(self) -> None:
        self.reaches = [reach for reach in self.reaches if not reach.over]

    def gone(self, name: str, now: float) -> None:
        """A client or another supernode has left."""
        self.no_measurers.pop(name, None)
        self.favours.gone(name)
        self.promoting.gone(name, now)

    # -- room elsewhere --------------------------------------------------------------------------------------------

    def _line_could_go(self) -> bool:
        """Whether somebody waits here for room, and not for its turn alone, while others have some."""
        hub = self.hub
        return bool(hub.admission.line) and self.elsewhere.spare > 0 and hub.admission.full(len(hub.clients))

    def tell_the_line(self, places: int) -> None:
        """Some who wait here hear again where there is room: of twice as many as fit there this supernode's part, for
        all that are full tell theirs."""
        if not self._line_could_go():
            return
        part = OVERBOOKED * places / (1 + self.elsewhere.full)
        most = int(part) + (self.hub.membership.rng.random() < part % 1.0)
        if not most:
            return
        for ahead, link in enumerate(list(itertools.islice(self.hub.admission.line, most))):
            self.hub.tell_to_wait(link, ahead, self.hub.somewhere())

    def _surplus(self) -> int:
        """How many of its clients would be better off elsewhere, where there is room for them; one at least for each
        supernode that waits here, for which there is no room at itself."""
        hub, capacity = self.hub, self.hub.admission.capacity
        if capacity is None or not hub.taking or len(hub.clients) < capacity * BUSY:
            return 0
        spare = self.elsewhere.to_send - hub.admission.without_help
        for_help = min(hub.admission.helpers, self.elsewhere.spare) if hub.admission.full(len(hub.clients)) else 0
        return max(0, for_help, min(len(hub.clients) - int(capacity * EASE_TO), spare))

    def _ease(self, now: float) -> None:
        """Sends some of its clients where there is more room, each not too often."""
        hub = self.hub
        links = [link for name, link in hub.clients.items() if name not in hub.mesh.peers]
        links = [link for link in links if now >= hub.sessions[link].eased + EASED_AGAIN]
        roomy, rng = [peer.hosts for peer in self.elsewhere.roomy], hub.membership.rng
        for link in rng.sample(links, min(self._surplus(), len(links))):
            hub.sessions[link].eased = now
            hub.send(link, Move(tuple(rng.sample(roomy, len(roomy))) or hub.somewhere()))

    # -- promotion -------------------------------------------------------------------------------------------------

    def _needed(self, now: float) -> Role | None:
        """What a client should become: a supernode where this one and the others have too much to do; a relay where
        there has been none with room for a while."""
        if self._too_busy():
            return "supernode"
        return "relay" if self.relay_at is not None and now >= self.relay_at else None

    def _too_busy(self) -> bool:
        hub, capacity = self.hub, self.hub.admission.capacity
        if not hub.taking or capacity is None:
            return False
        waiting = len(hub.admission.line)
        reserve = int(RESERVE * capacity * (1 + len(hub.mesh.peers)))
        return len(hub.clients) + waiting >= capacity * BUSY and self.elsewhere.spare <= self._in_all() + reserve

    def _in_all(self) -> int:
        """Clients for whom there is no place here nor at the others that are full, whose lines are taken for as long as
        this one's: the room elsewhere is for all of them. Each stands in as many lines as it may."""
        hub, lines = self.hub, 1 + self.elsewhere.full
        places = max(0, (hub.admission.capacity or 0) - len(hub.clients)) * lines
        return max(0, len(hub.admission.line) * lines // min(MOST_WAITS, lines) - places)

    def _waiting(self, needed: Role | None) -> int:
        """Clients that what is promoted could help."""
        return self._in_all() if needed == "supernode" else 0

    def _patience(self) -> float:
        """Seconds for which it may leave it to the others to promote somebody: all of them see at once that there is no
        room any more, and one newcomer is enough for some hundred clients. The more wait here, the less."""
        hub = self.hub
        urgent = len(hub.admission.line) / (URGENT * (hub.admission.capacity or 1))
        return PATIENCE * len(hub.mesh.peers) * max(0.0, 1.0 - urgent)

    def _asks_at(self) -> float | None:
        """When somebody may have to be asked, or has not answered; at once where what was needed is not any more, for
        how patient this one is the next time is not to depend on what else has it look up meanwhile."""
        if self._too_busy():
            return self.promoting.deadline("supernode", self._patience(), self._in_all())
        lacking = self.hub.taking and self.hub.roster.lacking
        if not lacking and not self.relay_at is self.promoting.needed_since is None:
            return 0.0
        if self.promoting.asking is not None or not lacking:
            return self.promoting.deadline(None, 0.0)
        return 0.0 if self.relay_at is None else max(self.relay_at, self.promoting.next(0.0))

    def _clients(self) -> list[tuple[int, Seat]]:
        """Its clients that are nothing else, by link."""
        more = {*self.hub.mesh.peers, *self.hub.roster.all()}  # those that are a supernode or relay already
        return [
            (link, seat)
            for link, seat in self.hub.sessions.items()
            if seat.role == "client" and seat.name not in more and not seat.moved
        ]

    def _to(self, link: int) -> Callable[[Message], None]:
        return lambda message: self.hub.send(link, message)

    def _machines(self) -> list[Machine]:
        """The supernodes that a promoted one is told of, this one first: it may be the only one, and not built in."""
        return [self.hub.mesh.own, *self.hub.mesh.machines()]

    def _candidates(self) -> list[Candidate]:
        return [
            Candidate(seat.name, seat.key, seat.info.peer, seat.since, self._to(link)) for link, seat in self._clients()
        ]

    def _strangers(self, candidate: Candidate) -> "_Strangers":
        """Who could measure it: at whose address it has, as far as is known here, never sent anything to anybody."""
        return self._strangers_of(candidate.name, (candidate.observed[0],))

    def _strangers_to(self, promoted: Dial) -> "_Strangers":
        """The same, of one that is promoted."""
        return self._strangers_of(promoted.name, promoted.hosts)

    def _strangers_of(self, name: str, hosts: Collection[str]) -> "_Strangers":
        met, clients = self.hub.carrying.acquaintances, self._clients()
        talked = met.talked_with(name)
        contacted = {*hosts, *self._everybodys(), *met.contacted(name)}
        contacted.update(seat.host for _, seat in clients if seat.name in talked)
        barred = {name, *talked, *self.no_measurers}
        links = {seat.name: link for link, seat in clients if seat.name not in barred and seat.host not in contacted}
        return _Strangers(links, self._asks)

    def _everybodys(self) -> set[str]:
        """Hosts that any client may have sent something to: the authority's and those of supernodes."""
        hub = self.hub
        known = {*hub.membership.authority_hosts, *hub.membership.own.addresses}
        return known.union(*(peer.hosts for peer in hub.mesh.peers.values()))

    def _asks(self, link: int, measurer: str) -> Callable[[Message], None]:
        """Asks it to dial somebody, whose hosts it has contacted from then on."""

        def ask(question: Message) -> None:
            if isinstance(question, Dial):
                self.hub.carrying.acquaintances.dials(measurer, question.hosts)
            self.hub.send(link, question)

        return ask

    def says(self, name: str, message: Willing | Unwilling | Dialled, now: float) -> None:
        """A client's word about being asked to be something, or to dial somebody."""
        if isinstance(message, Dialled):
            favour = self.favours.dialled(name, message)
            if message.tcp and message.udp and (favour or self.promoting.measures(name, message)):
                self.rechecking.can(name)
            if favour:
                return
            if (found := self.rechecking.says(name, message, now)) is not None:
                self._rechecked(*found, name, now)
                return
        elif isinstance(message, Unwilling) and self._cannot_measure(name, now):
            return
        self.promoting.says(name, message, now)

    def _cannot_measure(self, name: str, now: float) -> bool:
        """Whether the one that is unwilling was asked to dial somebody; it is not asked again for a while."""
        favour = self.favours.unwilling(name)
        if not (favour or self.promoting.measurer == name or self.rechecking.measurer == name):
            return False
        self.no_measurers.pop(name, None)
        self.no_measurers[name] = now + SPARED
        self.promoting.cannot_measure(name, now)
        self.rechecking.cannot_measure(name, now)
        return True

    # -- measuring for one another ---------------------------------------------------------------------------------

    def _elsewhere(self) -> Mapping[str, Callable[[Message], object]]:
        return {name: peer.send for name, peer in self.hub.mesh.peers.items()}

    def asked_to_dial(self, supernode: str, question: Dial, answer: Callable[[Message], object], now: float) -> None:
        """Another supernode, at which nobody is a stranger to its candidate, would have it dialled by one of the
        clients here that is."""
        self.favours.ask(supernode, question, answer, self._strangers_to(question), self.rechecking.able, now)

    def told_elsewhere(self, supernode: str, message: Unwilling | Dialled, now: float) -> None:
        """What has come of that at another one."""
        if isinstance(message, Dialled):
            self.promoting.says(supernode, message, now)
        else:
            self.promoting.cannot_measure(supernode, now)

    # -- those that are promoted -----------------------------------------------------------------------------------

    def _let_the_idle_go(self, now: float) -> None:
        """Users' computers that relay nothing are clients again where those that do nothing else suffice."""
        roster = self.hub.roster
        idle = [name for name in roster.promoted if not roster.here[name].load] if roster.suffices else []
        self.idle = {name: self.idle.get(name, now) for name in idle}
        for name in [name for name, since in self.idle.items() if now >= since + SPARED_AFTER]:
            del self.idle[name]
            roster.promoted[name].send(Demoted("relay", "the relays that do nothing else suffice", needed=False))

    def _any_promoted(self) -> bool:
        return bool(self.hub.roster.promoted) or any(
            not peer.built_in and peer.hosts for peer in self.hub.mesh.peers.values()
        )

    def _promoted(self) -> list[Dial]:
        peers, roster = self.hub.mesh.peers.values(), self.hub.roster
        hubs = [
            Dial("supernode", peer.name, peer.key, peer.hosts) for peer in peers if not peer.built_in and peer.hosts
        ]
        return hubs + [
            Dial("relay", name, relay.key, roster.here[name].hosts) for name, relay in roster.promoted.items()
        ]

    def _built_in(self) -> list[Dial]:
        peers = self.hub.mesh.peers.values()
        return [Dial("supernode", peer.name, peer.key, peer.hosts) for peer in peers if peer.built_in and peer.hosts]

    def _dial(self, question: Dial, now: float) -> None:
        self.reach(question, self._dialled, now)

    def _dialled(self, question: Dial, tcp: bool, udp: bool, now: float) -> None:
        if self._way_to(question) is None:
            self.promoting.dialled(question, tcp, udp, now)
        else:
            self._rechecked(question, tcp, udp, HERE, now)

    def _rechecked(self, question: Dial, tcp: bool, udp: bool, measurer: str, now: float) -> None:
        """Somebody who is promoted has been dialled, from here or by a stranger."""
        send = self._way_to(question)
        if send is not None and self.rechecking.dialled(question.name, tcp and udp, now, measurer):
            who = measurer or self.hub.membership.identity.name
            reason = f"{who} cannot reach it by {'TCP' if udp else 'UDP'}"
            self.hub.actions.emit(Unreachable(question.name, reason))
            send(Demoted(question.role, reason))

    def _way_to(self, promoted: Dial) -> Callable[[Message], object] | None:
        """The link of one that is what it was dialled as; None for one that is not yet."""
        of_role = self.hub.mesh.peers if promoted.role == "supernode" else self.hub.roster.promoted
        found = of_role.get(promoted.name)
        return found.send if found is not None else None
