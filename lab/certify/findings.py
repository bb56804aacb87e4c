"""What was seen at one site in one address family, before anything is concluded from it.

Pure data. Belongs here: sightings in the order of the questions. Never: claims, verdicts.
None stands for what was not asked, or could not be, because the firewall lets nothing of the kind out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lab.certify.ends import Endpoint


class Fate(StrEnum):
    """What becomes of a packet that nobody inside has asked for."""

    DROPPED = "dropped"  # without a word
    REJECTED = "rejected"  # with a RST, or an ICMP error
    ADMITTED = "admitted"


UDP_TO, TCP_TO = (53, 443, 50_000), (22, 50_000)
"""Remote ports beside STUN's, 443 and 80 at which a firewall's hole is looked for: those of DNS, QUIC and SSH, and one
that nobody has registered (RFC 6335, 6)."""


@dataclass(frozen=True)
class Reach:
    """What gets out. `udp`, `tcp_other`: to STUN's port; `udp_to`, `tcp_to`: to others, by remote port.

    `plain_443`, `tls_443`: whether such a payload passes on a connection to port 443. `proxy_elsewhere`: whether the
    proxy CONNECTs to another port; None: it neither did nor refused.
    """

    udp: bool
    icmp: bool
    tcp_443: bool
    tcp_80: bool
    tcp_other: bool
    plain_443: bool | None = None
    tls_443: bool | None = None
    proxy: bool | None = None
    udp_kbit_s: float | None = None  # what passes of a stream; None: all of it
    udp_to: Mapping[int, bool] = field(default_factory=dict)
    tcp_to: Mapping[int, bool] = field(default_factory=dict)
    proxy_elsewhere: bool | None = None


@dataclass(frozen=True)
class Mapped:
    """One inner endpoint's outer ones, by whom it talks to; each as all copies of its packets were seen."""

    inner: Endpoint
    outer: Mapping[Endpoint, frozenset[Endpoint]]


@dataclass(frozen=True)
class Filtered:
    """Who got in to an inner endpoint that had written to `contacted` alone."""

    contacted: Endpoint
    tried: frozenset[Endpoint]
    admitted: frozenset[Endpoint]


@dataclass(frozen=True)
class Shared:
    """Two hosts on one port: the mappings of each, and whether each could be answered at all of them."""

    mapped: tuple[Mapped, Mapped]
    reachable: bool


@dataclass(frozen=True)
class Hairpinned:
    """A packet from one host inside to another's outer endpoint: `source` as it arrived, None where it did not."""

    source: Endpoint | None
    outer: Endpoint
    inner: Endpoint


@dataclass(frozen=True)
class Reported:
    """ICMP errors about an outer packet: which kinds came in, and whether they quoted the inner packet.

    `survived`: the mapping still works, at the same outer endpoint.
    """

    sent: frozenset[str]
    arrived: frozenset[str]
    quoted_inner: bool
    survived: bool


LONGER_BYTES = 2000
"""A datagram that no link here carries in one piece."""
FRAGMENT_BYTES = 1028
"""The longest of the pieces that it comes in, of IPv4 (lab.probe.crafting: 1,000 and headers)."""


@dataclass(frozen=True)
class Fragmented:
    """Whether datagrams in fragments came through whole, by order of the fragments and direction."""

    up_in_order: bool
    up_reversed: bool
    down_in_order: bool
    down_reversed: bool


@dataclass(frozen=True)
class Timed:
    """Mappings (or a firewall's states) left idle after two-way traffic: seconds -> whether an answer still came in.

    `outbound`, `inbound`: whether a packet that way at `refreshed_s` kept one alive at `tested_s`.
    """

    idle: Mapping[float, bool]
    refreshed_s: float
    tested_s: float
    outbound: bool
    inbound: bool


@dataclass(frozen=True)
class Way:
    """One direction of the link: `sent` probes of `size` bytes (None: their loss cannot be seen), `lost` of them."""

    delay_ms: float
    sent: int | None
    lost: int | None
    size: int = 0


@dataclass(frozen=True)
class PathMtu:
    """The longest packet that passes in one direction; `told`: a longer one drew an ICMP error that names the MTU."""

    mtu: int
    told: bool | None


@dataclass(frozen=True)
class Transport:
    """What is asked of UDP and TCP alike."""

    mapped: tuple[Mapped, ...] = ()
    allocated: tuple[tuple[Endpoint, Endpoint], ...] = ()  # inner, outer: in the order in which they were made
    filtered: tuple[Filtered, ...] = ()
    shared: Shared | None = None
    hairpinned: Hairpinned | None = None
    reported: Reported | None = None
    unsolicited: Fate | None = None


@dataclass(frozen=True)
class Findings:
    """Everything. `tcp_ports`: remote ports between which a TCP mapping could differ."""

    reach: Reach
    udp: Transport | None = None
    tcp: Transport | None = None
    tcp_ports: tuple[int, ...] = ()
    fragmented: Fragmented | None = None
    timed: Timed | None = None
    tcp_timed: Timed | None = None
    half_open: Mapping[float, bool] | None = (
        None  # connections left after their SYN: seconds -> an answer still came in
    )
    simultaneous_open: bool | None = None
    up: Way | None = None
    down: Way | None = None
    mtu_up: PathMtu | None = None
    mtu_down: PathMtu | None = None
    ports_of_one_host: int | None = None
    tcp_ports_of_one_host: int | None = None
