"""What a path between two clients is, how paths are ranked, and what carries bytes along one.

The ranking is one table. Finding paths is the checklist's work; forwarding them is the relay's.
"""

import ipaddress
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

from lab.overlay.actions import Actions
from lab.overlay.whereabouts import Whereabouts
from lab.wire.addresses import Address, family
from lab.wire.framing import frame
from lab.wire.messages import Candidate


class Kind(StrEnum):
    """Direct: at least one end is a node's own address; punched: a router translated both; relayed: through a relay."""

    DIRECT = "direct"
    PUNCHED = "punched"
    RELAYED = "relayed"


class Transport(StrEnum):
    """What the media travels in; `mixed` is a relayed path with one leg of each."""

    UDP = "udp"
    TCP = "tcp"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class PathName:
    """A path as it is shown and logged; `via` is the relay's name on a relayed path, else None."""

    kind: Kind
    transport: Transport
    via: str | None = None

    @property
    def rank(self) -> int:
        return RANK[self.kind, self.transport]

    def __str__(self) -> str:
        return f"{self.kind}/{self.transport}" + (f" via {self.via}" if self.via else "")


RANK = {
    (Kind.DIRECT, Transport.UDP): 0,
    (Kind.PUNCHED, Transport.UDP): 1,
    (Kind.DIRECT, Transport.TCP): 2,
    (Kind.PUNCHED, Transport.TCP): 3,
    (Kind.RELAYED, Transport.UDP): 4,
    (Kind.RELAYED, Transport.MIXED): 5,
    (Kind.RELAYED, Transport.TCP): 6,
}
"""Best first: a path between the two beats a relay, UDP beats TCP."""


class Carrier(Protocol):
    """Gets bytes to the peer in one way. `transport` is this side's own; `ready` says whether bytes would go out,
    `leaving` that they soon will not."""

    @property
    def transport(self) -> Transport: ...
    @property
    def ready(self) -> bool: ...
    @property
    def leaving(self) -> bool: ...
    def send(self, data: bytes) -> None: ...


@dataclass
class UdpCarrier:
    """Datagrams from the call's socket to one address of the peer."""

    actions: Actions
    socket: int
    remote: Address
    transport: Transport = Transport.UDP
    ready: bool = True
    leaving: bool = False

    def send(self, data: bytes) -> None:
        self.actions.send_to(self.socket, self.remote, data)


@dataclass
class TcpCarrier:
    """A TCP connection between the two clients, whoever opened it; frames as RFC 4571 has them."""

    actions: Actions
    link: int
    remote: Address
    transport: Transport = Transport.TCP
    ready: bool = True
    leaving: bool = False

    def send(self, data: bytes) -> None:
        self.actions.write(self.link, frame(data, 2), media=True)


NOISE = 0.005
"""Seconds by which the round trip of IPv4 must be shorter for it to be the better of two paths of one kind (RFC 8421,
3: IPv6 first where nothing speaks against it); a busy machine's scheduling makes as much."""


MEASURED = 5
"""Round trips that a path is judged by, the last ones; its median, for one that was late says nothing of a path."""
SHUNNED, MOST_SHUNNED = 3.0, 30.0
"""Seconds for which a path that fell silent ranks below every other; doubled each time that it does."""


class Why(StrEnum):
    """What ranks a path below every other: it loses voice, is known to carry none, fell silent, or its relay is about
    to end."""

    LOSS = "loss"
    NARROW = "narrow"
    SILENT = "silent"
    LEAVING = "leaving"


class State(StrEnum):
    """RFC 8445, 6.1.2.6, without Frozen: there is one component."""

    IN_PROGRESS = "in-progress"
    VALID = "valid"
    FAILED = "failed"


Key = tuple[str, object]


@dataclass
class Path:
    """One way to the peer and what is known of it; times are monotonic seconds, `priority` is of RFC 8445, 6.1.2.3.

    `last_answer` counts a nomination as one (choice.py): a sign of life. `asked_since` is when the first check was sent
    that no answer has followed, for consent.
    `rest` is for how many seconds since its last answer it may be left alone while the call is on hold (holding.py).
    `demoted` is why it has been ranked down, how much of the voice it lost, 0 to 1, and as what, until that is told.
    `doubted`: the peer stands elsewhere since it has answered, or its network is another.
    """

    key: Key
    carrier: Carrier
    remote: Address
    via: str | None
    next_check: float
    state: State = State.IN_PROGRESS
    tries: int = 0
    first_check: float | None = None
    last_answer: float = 0.0
    asked_since: float | None = None
    rest: float = 0.0
    rtt: float | None = None
    samples: deque[float] = field(default_factory=lambda: deque(maxlen=MEASURED))
    local_translated: bool = False
    remote_translated: bool = False
    peer_leg: Transport | None = None
    nominated: bool = False
    nominating: bool = False
    lossy_until: float = float("-inf")
    demoted: tuple[Why, float | None, str] | None = None
    shunned_for: float = 0.0
    doubted: bool = False
    legs: tuple[Transport, Transport] | None = None
    carried: Transport | None = None
    priority: int = 0

    def rank_down(self, why: Why, until: float, lost: float | None = None) -> None:
        """Until then it ranks below every clean one."""
        self.lossy_until, self.demoted = until, (why, lost, self.label)

    def shun(self, now: float) -> None:
        """It fell silent: for a while it ranks below every clean one, twice as long each time."""
        self.shunned_for = min(MOST_SHUNNED, 2 * self.shunned_for or SHUNNED)
        self.rank_down(Why.SILENT, max(self.lossy_until, now + self.shunned_for))

    def expect_voice(self, over_udp: bool) -> None:
        """Where a network is known to let no voice out over UDP, a path that leaves it counts as lossy at once."""
        if self.key[0] == "udp" and not is_local(self.remote[0]):
            if not over_udp and self.lossy_until != math.inf:
                self.rank_down(Why.NARROW, math.inf)
            elif over_udp and self.lossy_until == math.inf:
                self.lossy_until = -math.inf

    def lossy(self, now: float) -> bool:
        """Whether it has lost too much voice of late."""
        return now < self.lossy_until

    @property
    def leaving(self) -> bool:
        """Whether its relay has said that it is about to end: it works, and every other that works is better."""
        return self.carrier.leaving

    @property
    def turned(self) -> bool:
        """Whether this end's leg at a relay has changed between UDP and TCP since it was last told."""
        return self.via is not None and self.carrier.ready and self.carried is not self.carrier.transport

    def expect_leg(self, peer_has_udp: bool | None) -> None:
        """What the peer's leg will be, by what it says of its network, until its first word over the relay tells."""
        if self.via is not None and self.legs is None and peer_has_udp is not None:
            self.peer_leg = Transport.UDP if peer_has_udp else Transport.TCP

    def note_legs(self, peer_leg: Transport) -> bool:
        """A relayed path is another one as soon as a leg has changed between UDP and TCP; whether it is."""
        before, self.legs, self.peer_leg = self.legs, (self.carrier.transport, peer_leg), peer_leg
        if self.legs != before:
            self.lossy_until = float("-inf")
        return self.legs != before

    @property
    def over_ipv6(self) -> bool:
        """Whether it goes to an IPv6 address, of the peer or of a relay."""
        return family(self.remote[0]) == 6

    @property
    def distance(self) -> float:
        """What ranks paths of one kind: the round trip in seconds, IPv4's counted as NOISE longer."""
        return (self.rtt or 0.0) + (0.0 if self.over_ipv6 else NOISE)

    def measure(self, sample: float, now: float) -> None:
        """One more round trip, seconds: smoothed as TCP does (RFC 6298, 2.3)."""
        self.rtt = sample if self.rtt is None else self.rtt + (sample - self.rtt) / 8
        self.samples.append(sample)
        self.last_answer, self.asked_since, self.doubted = now, None, False

    @property
    def measured(self) -> float | None:
        """The median of its last round trips, seconds; None before there are enough."""
        return sorted(self.samples)[MEASURED // 2] if len(self.samples) == MEASURED else None

    @property
    def label(self) -> str:
        """For the log: what it is, or while that is not known what it is tried over."""
        return str(self.name) if self.state is State.VALID or self.via else self.carrier.transport.value

    @property
    def name(self) -> PathName:
        """What the path is; meaningful once it is valid."""
        if self.via is not None:
            mine, theirs = self.carrier.transport, self.peer_leg or self.carrier.transport
            return PathName(Kind.RELAYED, mine if mine is theirs else Transport.MIXED, self.via)
        kind = Kind.PUNCHED if self.local_translated and self.remote_translated else Kind.DIRECT
        return PathName(kind, self.carrier.transport)


# RFC 1918, 6598 (carriers) and 4193: addresses that mean something else on the other side of a router.
_LOCAL_NETWORKS = [
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
]


@lru_cache(maxsize=4096)
def is_local(host: str) -> bool:
    """Whether an address is one that only its own site can reach."""
    address = ipaddress.ip_address(host)
    return any(address.version == network.version and address in network for network in _LOCAL_NETWORKS)


def on_one_network(host: str, other: str) -> bool:
    """Whether two IPv6 addresses are of the same /64, as those of one LAN are (RFC 4291, 2.5.4)."""
    if family(host) != 6 or family(other) != 6:
        return False
    return int(ipaddress.IPv6Address(host)) >> 64 == int(ipaddress.IPv6Address(other)) >> 64


def _disguised(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """RFC 1112, 4 (240/4, broadcast among them) and RFC 4291, 2.4: nobody's unicast address, or another family's, as
    ::127.0.0.1 (RFC 4291, 2.5.5.1) and what a translator makes of IPv4 (RFC 6052, 2.1) are."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_reserved or address.packed[0] == 0
    if address.is_reserved or address.is_site_local or address.scope_id is not None:
        return True
    return address.ipv4_mapped is not None or address.sixtofour is not None or address.teredo is not None


@lru_cache(maxsize=10_000)
def nobodys(host: str) -> bool:
    """Whether no machine on a network can be at an address: loopback, multicast, broadcast, reserved, unspecified or
    link-local, IPv4 in the clothes of IPv6, text that is no IP address.

    A subnet's own broadcast address looks like any other without its netmask, and needs no refusal here: a kernel lets
    no socket send to its own without SO_BROADCAST, and routers forward none to another (RFC 2644).
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    refused = (address.is_loopback, address.is_multicast, address.is_unspecified, address.is_link_local)
    return any(refused) or _disguised(address)


def usable(candidates: Iterable[Candidate], own: Whereabouts) -> list[Candidate]:
    """The peer's candidates that may be tried at all, IPv6 first: none that can be nobody's, nothing of our own host or
    of a family that it has not, each once."""
    kept: dict[tuple[str, Address], Candidate] = {}
    ours, families = set(own.addresses), own.families
    for candidate in candidates:
        if nobodys(candidate.address[0]):
            continue
        address = ipaddress.ip_address(candidate.address[0])
        if str(address) in ours or address.version not in families:
            continue
        kept.setdefault((candidate.transport, candidate.address), candidate)
    return sorted(kept.values(), key=lambda candidate: family(candidate.address[0]), reverse=True)
