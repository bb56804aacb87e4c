"""What client, supernode and relay have in common: an identity that stays enrolled, and times that are shared.

Each of them is a member of the overlay; what it does there stands in its own file.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lab.overlay.actions import Event, Machine
from lab.overlay.enrolment import Enrolment
from lab.overlay.hub import HubLink
from lab.overlay.identity import Identity
from lab.overlay.wallclock import WallClock
from lab.overlay.whereabouts import Whereabouts
from lab.wire.messages import Credential

AUTHORITY_PORTS = (33032, 443, 80)
SIGNALLING_PORTS = (33033, 443, 80)
RELAY_UDP_PORT = 33034
RELAY_TCP_PORTS = (33034, 443, 80)
"""This system's own ports, and 443 and 80 because some firewalls let nothing else out."""


@dataclass(frozen=True, slots=True)
class NameEnrolled(Event):
    """The authority has signed; the node keeps the credential for its next start."""

    credential: Credential


@dataclass(frozen=True, slots=True)
class Ready(Event):
    """The node does what it is for: told once, after its start."""


@dataclass(frozen=True, slots=True)
class SignedIn(Event):
    """The node is connected to a supernode."""

    hub: str
    port: int
    proxied: bool = False


@dataclass(frozen=True, slots=True)
class SignedOut(Event):
    """The link to the supernode broke; the node is already looking for another."""

    hub: str
    reason: str


@dataclass(frozen=True, slots=True)
class Relocated(Event):
    """The host's addresses or routes have changed; it has these addresses now."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trouble(Event):
    """Something a person should know of that the node goes on without: a refusal, a broken rule of a peer."""

    what: str


@dataclass(frozen=True)
class Membership:
    """What every member is started with.

    `authority` is the authority's Ed25519 public key, known beforehand; `authority_hosts` are its addresses;
    `supernodes` are the built-in ones, each with all its addresses; `own` is where this node stands;
    `wall` is the host's clock. `learnt` are the supernodes that it knew when it last ran,
    `pins` the keys of its contacts, `invites` those that it had taken, by sender and call, and until when by the wall
    clock each could be shown again;
    `capacity` is how many clients a supernode has room for, None: as many as come; `login_rate` how many it lets in a
    second, None: as many as it says by itself; `calls` is how many calls a relay carries, None: as many as it says.
    """

    identity: Identity
    authority: bytes
    authority_hosts: tuple[str, ...]
    supernodes: tuple[tuple[str, ...], ...]
    own: Whereabouts
    rng: random.Random
    wall: WallClock
    learnt: tuple[tuple[str, ...], ...] = ()
    pins: Mapping[str, bytes] = field(default_factory=dict)
    invites: Mapping[tuple[str, str], float] = field(default_factory=dict)
    capacity: int | None = None
    login_rate: float | None = None
    calls: int | None = None


READY_LIMIT = 5.0
"""Seconds after joining for which a supernode or relay waits for the others before it is ready without them."""


class Member(Machine):
    """A machine that enrols first and then joins."""

    def __init__(self, membership: Membership, beside: bool = False) -> None:
        """`beside`: another machine of the same program has the same identity, and enrols."""
        super().__init__()
        self.membership = membership
        self.enrolment = Enrolment(
            self.actions,
            membership.identity,
            membership.authority,
            membership.authority_hosts,
            membership.own,
            AUTHORITY_PORTS,
            membership.wall,
            self._enrolled,
            lambda reason: self.actions.emit(Trouble(reason)),
            membership.rng,
            renews=not beside,
        )
        self.shown: Credential | None = None
        """What this machine has last signed in with."""
        self.ready = False
        self.ready_by: float | None = None

    @property
    def name(self) -> str:
        return self.membership.identity.name

    def start(self, now: float) -> None:
        if not self.enrolment.left(now):
            self.enrolment.start(now)
        else:
            self.enrolment.keep(now)
            self._joins(now)

    def _joins(self, now: float) -> None:
        self.shown = self.membership.identity.credential
        self.join(now)

    def keep_enrolled(self, now: float) -> None:
        """To be called with each poll: renews the credential in time, and shows a fresh one to the hubs."""
        self.enrolment.poll(now)
        fresh = self.membership.identity.credential
        if self.shown is not None and fresh is not self.shown:
            self.shown = fresh
            for hub in self.hub_links():
                hub.renewed(now)

    def expired(self, hub: HubLink, now: float) -> None:
        """The credential does not hold any more, or a hub says so."""
        self.enrolment.hurry(now)

    def join(self, now: float) -> None:
        """The name is this node's: it may sign in."""
        raise NotImplementedError

    def hub_links(self) -> Sequence[HubLink]:
        """The links that this node keeps to hubs."""
        raise NotImplementedError

    def relocated(self, addresses: tuple[str, ...], now: float) -> None:
        self.membership.own.move(addresses)
        self.actions.emit(Relocated(self.membership.own.addresses))
        self.enrolment.relocated(now)
        if self.membership.identity.credential is not None:
            for hub in self.hub_links():
                hub.relocated(now)

    def settle(self, complete: bool, now: float) -> None:
        """Tells once that the node is ready: when `complete`, or READY_LIMIT after the first time of asking."""
        if self.ready:
            return
        if self.ready_by is None:
            self.ready_by = now + READY_LIMIT
        if complete or now >= self.ready_by:
            self.ready, self.ready_by = True, None
            self.actions.emit(Ready())

    def _enrolled(self, credential: Credential, now: float) -> None:
        self.actions.emit(NameEnrolled(credential))
        if self.shown is None:
            self._joins(now)
        else:
            self.keep_enrolled(now)
