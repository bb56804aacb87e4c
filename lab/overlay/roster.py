"""The relays that a supernode can send callers to: those that sit here and those that others tell of, with their load.

Belongs here: which relays are offered, and the tokens for them. Never: links.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from lab.overlay.identity import Identity, issue_token
from lab.overlay.mesh import one_a_family
from lab.overlay.paths import nobodys
from lab.wire.messages import Hello, RelayEntry, RelayGrant, RelayOffer

TOKEN_LIFETIME = 60.0
"""Seconds for which a relay token opens a session."""
RELAYS_OFFERED = 2
LEGS: tuple[Literal[0, 1], Literal[0, 1]] = (0, 1)
"""The caller's and the callee's, as grants number them."""


class Roster:
    """One supernode's. `wall_offset` is epoch seconds minus monotonic seconds."""

    def __init__(self, identity: Identity, wall_offset: float) -> None:
        self.identity, self.wall_offset = identity, wall_offset
        self.here: dict[str, RelayEntry] = {}
        self.elsewhere: dict[str, dict[str, RelayEntry]] = {}

    def comes(self, hello: Hello, host: str) -> None:
        """A relay has signed in here from an address."""
        name, hosts = hello.credential.name, one_a_family((host, *hello.hosts))
        self.here[name] = RelayEntry(name, hosts, hello.udp_port or 1, hello.tcp_ports)

    def goes(self, name: str) -> None:
        self.here.pop(name, None)

    def carries(self, name: str, load: int) -> None:
        """What a relay says of its load."""
        if (entry := self.here.get(name)) is not None and entry.load != load:
            self.here[name] = RelayEntry(entry.name, entry.hosts, entry.udp_port, entry.tcp_ports, load)

    def told(self, supernode: str, relays: Iterable[RelayEntry]) -> None:
        """What another supernode says of those that sit there."""
        usable = (relay for relay in relays if not any(nobodys(host) for host in relay.hosts))
        self.elsewhere[supernode] = {relay.name: relay for relay in usable}

    def forget(self, supernode: str) -> None:
        self.elsewhere.pop(supernode, None)

    def all(self) -> dict[str, RelayEntry]:
        """Every relay that is known, by its name; what it says here counts more than what others say of it."""
        known: dict[str, RelayEntry] = {}
        for relays in self.elsewhere.values():
            known.update(relays)
        return {**known, **self.here}

    def chosen(self) -> list[RelayEntry]:
        """The least loaded ones; of these, the ends of a call take what is nearest to both by measured round trip.

        The first of each supernode that tells of any, and of those that sit here, come before every second one: who
        makes up a hundred idle relays takes one place, and none of the one that this supernode has seen itself.
        """
        ranked: list[tuple[int, bool, int, str, RelayEntry]] = []
        for told in (self.here, *self.elsewhere.values()):
            elsewhere = told is not self.here
            best = sorted(
                (relay for relay in told.values() if not (elsewhere and relay.name in self.here)),
                key=lambda relay: (relay.load, relay.name),
            )
            ranked += [(turn, elsewhere, each.load, each.name, each) for turn, each in enumerate(best[:RELAYS_OFFERED])]
        chosen: dict[str, RelayEntry] = {}
        for *_, name, relay in sorted(ranked, key=lambda each: each[:4]):
            chosen.setdefault(name, relay)
        return list(chosen.values())[:RELAYS_OFFERED]

    def offers(self, relays: Sequence[RelayEntry], call: str, now: float) -> tuple[tuple[RelayOffer, ...], ...]:
        """The caller's legs and the callee's, each with a token, at these relays."""
        return tuple(tuple(self.offer(relay, call, leg, now) for relay in relays) for leg in LEGS)

    def offer(self, relay: RelayEntry, call: str, leg: Literal[0, 1] | None, now: float) -> RelayOffer:
        """A relay with a token for one leg of a call, or for a client of that name to wait there for one."""
        grant = RelayGrant(call, relay.name, leg, now + self.wall_offset + TOKEN_LIFETIME)
        return RelayOffer(relay.name, relay.hosts, relay.udp_port, relay.tcp_ports, issue_token(self.identity, grant))
