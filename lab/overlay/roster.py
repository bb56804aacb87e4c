"""The relays that a supernode can send callers to: those that sit here and those that others tell of, with their load.

Belongs here: which relays are offered, the tokens for them, and whether there are enough. Never: links.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from lab.overlay.identity import Identity, issue_token
from lab.overlay.mesh import one_a_family
from lab.overlay.paths import nobodys
from lab.overlay.wallclock import WallClock
from lab.wire.messages import Hello, Message, RelayEntry, RelayGrant, RelayOffer

TOKEN_LIFETIME = 60.0
"""Seconds for which a relay token opens a session."""
RELAYS_OFFERED = 3
NEARER = 0.02
"""Seconds of a call's round trip that count as no difference: then the load decides."""
USERS_OWN = 0.05
"""Seconds that a user's computer has to be nearer to be taken before a relay that does nothing else."""
UNKNOWN = 1.0
"""Seconds that a relay counts as away at the most."""
BUSY = 0.8
"""The share of its room from which on a relay is busy."""
AT_EASE = 0.5
"""The same, below which it lets promoted ones go: far enough from BUSY that none is made again at once."""
LEGS: tuple[Literal[0, 1], Literal[0, 1]] = (0, 1)
"""The caller's and the callee's, as grants number them."""


@dataclass(frozen=True)
class Promoted:
    """A client that has become a relay beside and sits here: its key, and the way to it."""

    key: bytes
    send: Callable[[Message], object]


class Roster:
    """One supernode's. `wall` is the host's clock; `distance` gives the seconds over a
    relay from here to another supernode and back, None where they are not known. Only a relay that is `measured` is
    offered, and counts as one: anybody can tell of idle ones that are nowhere. `appeared` is called with those
    that there may be to measure.
    """

    def __init__(
        self,
        identity: Identity,
        wall: WallClock,
        distance: Callable[[str, str | None], float | None] = lambda relay, hub: None,
        measured: Callable[[RelayEntry], bool] = lambda relay: True,
        appeared: Callable[[Iterable[RelayEntry]], object] = lambda relays: None,
    ) -> None:
        self.identity, self.wall, self.distance = identity, wall, distance
        self.measured, self.appeared = measured, appeared
        self.here: dict[str, RelayEntry] = {}
        self.elsewhere: dict[str, dict[str, RelayEntry]] = {}
        self.promoted: dict[str, Promoted] = {}
        self.free: set[str] = set()
        """The supernodes that tell of a relay that is not busy; this one under its own name."""

    def comes(self, hello: Hello, host: str, send: Callable[[Message], object]) -> None:
        """A relay has signed in here from an address."""
        name, hosts = hello.credential.name, one_a_family((host, *hello.hosts))
        self.here[name] = RelayEntry(name, hosts, hello.udp_port or 1, hello.tcp_ports, beside=hello.beside)
        self.promoted.pop(name, None)
        if hello.beside:
            self.promoted[name] = Promoted(hello.credential.key, send)
        self.appeared((self.here[name],))
        self._weigh(self.identity.name, self.here.values())

    def goes(self, name: str) -> None:
        self.here.pop(name, None)
        self.promoted.pop(name, None)
        self._weigh(self.identity.name, self.here.values())

    def carries(self, name: str, load: int, room: int | None) -> None:
        """What a relay says of its load, and for how many calls more it has room."""
        entry = self.here.get(name)
        if entry is not None and (entry.load, entry.room) != (load, room):
            self.here[name] = msgspec.structs.replace(entry, load=load, room=room)
            self._weigh(self.identity.name, self.here.values())

    def told(self, supernode: str, relays: Iterable[RelayEntry]) -> None:
        """What another supernode says of those that sit there."""
        usable = (relay for relay in relays if not any(nobodys(host) for host in relay.hosts))
        self.elsewhere[supernode] = {relay.name: relay for relay in usable}
        self.appeared(self.elsewhere[supernode].values())
        self._weigh(supernode, self.elsewhere[supernode].values())

    def forget(self, supernode: str) -> None:
        self.elsewhere.pop(supernode, None)
        self.free.discard(supernode)

    @property
    def lacking(self) -> bool:
        """Whether no relay is known that is not busy."""
        return not self.free

    @property
    def suffices(self) -> bool:
        """Whether a relay that does nothing else has half of its room left, so that users' computers may rest."""
        own = (relay for relay in self.all().values() if not relay.beside and self.measured(relay))
        return not all(busy(relay, AT_EASE) for relay in own)

    def weigh_anew(self) -> None:
        """Others are measured than before."""
        for supernode, relays in ((self.identity.name, self.here), *self.elsewhere.items()):
            self._weigh(supernode, relays.values())

    def _weigh(self, supernode: str, relays: Iterable[RelayEntry]) -> None:
        if all(busy(relay) or not self.measured(relay) for relay in relays):
            self.free.discard(supernode)
        else:
            self.free.add(supernode)

    def all(self) -> dict[str, RelayEntry]:
        """Every relay that is known, by its name; what it says here counts more than what others say of it. Those that
        are here come first, then one after the other of each supernode, so that none fills the first hundreds."""
        known = dict(self.here)
        for turn in itertools.zip_longest(*(relays.values() for relays in self.elsewhere.values())):
            for relay in turn:
                if relay is not None:
                    known.setdefault(relay.name, relay)
        return known

    def chosen(self, without: Collection[str] = (), hub: str | None = None) -> list[RelayEntry]:
        """Those that are not busy and nearest to both ends, by the round trips that this supernode and the callee's,
        `hub`, have measured, None: the same; of equally near ones the least loaded. Of these, the ends of a call take
        what is nearest by what they measure themselves.

        Never one that has no room or is about to end, nor one of those `without`: where a call's own end is a relay
        beside, whoever reaches that reaches the end itself. A user's computer comes after those that do nothing else,
        unless they are busy, or farther by USERS_OWN.

        The first of each supernode that tells of any, and of those that sit here, come before every second one: who
        makes up a hundred idle relays takes one place, and none of the one that this supernode has seen itself.
        """
        near: dict[str, int] = {}

        def least(relay: RelayEntry) -> tuple[bool, int, int, str]:
            if relay.name not in near:
                seconds = self.distance(relay.name, hub)
                far = (UNKNOWN if seconds is None else min(seconds, UNKNOWN)) + USERS_OWN * relay.beside
                near[relay.name] = round(far / NEARER)
            return busy(relay), near[relay.name], relay.load, relay.name

        ranked: list[tuple[int, bool, tuple[bool, int, int, str], RelayEntry]] = []
        for told in (self.here, *self.elsewhere.values()):
            elsewhere = told is not self.here
            best = sorted(
                (
                    relay
                    for relay in told.values()
                    if not (elsewhere and relay.name in self.here)
                    and relay.room != 0
                    and relay.name not in without
                    and self.measured(relay)
                ),
                key=least,
            )
            ranked += [(turn, elsewhere, least(each), each) for turn, each in enumerate(best[:RELAYS_OFFERED])]
        own = [each for each in ranked if each[:2] == (0, False)]
        ranked = own + sorted((each for each in ranked if each not in own), key=lambda each: (each[0], each[2]))
        chosen: dict[str, RelayEntry] = {}
        for *_, relay in ranked:
            chosen.setdefault(relay.name, relay)
        return sorted(list(chosen.values())[:RELAYS_OFFERED], key=least)

    def offers(self, relays: Sequence[RelayEntry], call: str, now: float) -> tuple[tuple[RelayOffer, ...], ...]:
        """The caller's legs and the callee's, each with a token, at these relays."""
        return tuple(tuple(self.offer(relay, call, leg, now) for relay in relays) for leg in LEGS)

    def offer(self, relay: RelayEntry, call: str, leg: Literal[0, 1] | None, now: float) -> RelayOffer:
        """A relay with a token for one leg of a call, or for a client of that name to wait there for one."""
        grant = RelayGrant(call, relay.name, leg, now + self.wall.offset + TOKEN_LIFETIME)
        return RelayOffer(relay.name, relay.hosts, relay.udp_port, relay.tcp_ports, issue_token(self.identity, grant))


def busy(relay: RelayEntry, share: float = BUSY) -> bool:
    """Whether so much of a relay's room is taken, as far as it has told of any."""
    return relay.room is not None and relay.load >= share * (relay.load + relay.room)
