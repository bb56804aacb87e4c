"""A network's behaviour on every axis, as it is claimed and as it is measured: the same type for both.

Pure data. Belongs here: the axes, and their order in the document. Never: how a value was come by.
None: not translated, not limited, or hidden by the firewall, and so on both sides.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

ENDPOINT_INDEPENDENT = "endpoint-independent"
ADDRESS_DEPENDENT = "address-dependent"
ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"
DEPENDENCES = (ENDPOINT_INDEPENDENT, ADDRESS_DEPENDENT, ADDRESS_AND_PORT_DEPENDENT)
"""RFC 4787, 4.1 and 5: mapping and filtering, the freest first."""
PRESERVING, SEQUENTIAL, RANDOM = "preserving", "sequential", "random"
IRREGULAR = "irregular"
"""None of what RFC 4787 names: it differs from socket to socket."""
PAIRED, ARBITRARY = "paired", "arbitrary"
KEPT, SPLIT, LOST = "kept", "split", "lost"
"""What becomes of a host's mappings when another host uses its port: as before, one a destination, out of reach."""
ANYTHING, TLS = "anything", "tls"
EXTERNAL, INTERNAL = "external", "internal"
BOTH, OUTBOUND, INBOUND, NOTHING = "both", "outbound", "inbound", "nothing"
"""Which packets keep a mapping alive: RFC 4787, 4.3."""
DELIVERED, OUTER_QUOTED = "delivered", "outer quoted"
"""ICMP errors: as the packet's sender knows it, or with an endpoint that it has never heard of (RFC 5508, REQ-4)."""


@dataclass(frozen=True)
class OneWay:
    """One direction of a link. `loss`: a share; `mtu`: bytes; `blackhole`: longer packets vanish without a word."""

    delay_ms: float | None = None
    loss: float | None = None
    mtu: int | None = None
    blackhole: bool | None = None


@dataclass(frozen=True)
class Link:
    """A site's access link; `delay_ms` and `loss` are the mean of its two directions."""

    delay_ms: float | None = None
    loss: float | None = None
    up: OneWay = field(default_factory=OneWay)
    down: OneWay = field(default_factory=OneWay)


@dataclass(frozen=True)
class Tcp:
    """The axes of TCP, and whether two SYNs that cross make a connection.

    `timeout_s`: of a connection that stands, `transitory_timeout_s`: of one half open; None where they are too long to
    be waited for. `icmp_errors`, `outlives_icmp`: as of UDP.
    """

    mapping: str | None = None
    filtering: str | None = None
    allocation: str | None = None
    hairpinning: bool | None = None
    same_port: str | None = None
    pooling: str | None = None
    ports: tuple[int, int] | None = None
    ports_per_host: int | None = None
    simultaneous_open: bool | None = None
    unsolicited: str | None = None
    timeout_s: float | None = None
    transitory_timeout_s: float | None = None
    icmp_errors: str | None = None
    outlives_icmp: bool | None = None


@dataclass(frozen=True)
class Outbound:
    """What gets out. `tcp_443`: anything or tls; `proxy`: an HTTP CONNECT proxy serves; `udp_kbit_s`: a throttle.

    `udp`, `tcp_other`: to STUN's port; `udp_to`, `tcp_to`: to others, by remote port. `proxy_elsewhere`: the proxy
    serves another port than 443 as well.
    """

    udp: bool
    icmp: bool
    tcp_443: str | None
    tcp_80: bool
    tcp_other: bool
    proxy: bool | None = None
    udp_kbit_s: float | None = None
    udp_to: Mapping[str, bool] = field(default_factory=dict)
    tcp_to: Mapping[str, bool] = field(default_factory=dict)
    proxy_elsewhere: bool | None = None


@dataclass(frozen=True)
class Behaviour:
    """One site in one family: the axes of UDP, with TCP's beside them in `tcp`.

    `unsolicited`: what becomes of UDP that nobody inside asked for. `pooling`: None of one outer address.
    `ports`: the first and the last outer one. `ports_per_host`: as many outer ports as one host gets, None: no limit.
    `udp_timeout_s`: how long a mapping lives, or a stateful firewall's state where nothing is translated.
    `refreshed_by`: which packets keep it alive. `icmp_errors`: what becomes of those about a mapped packet;
    `outlives_icmp`: the mapping does. `fragments`: datagrams come through in fragments, in whatever order.
    """

    mapping: str | None
    filtering: str | None
    allocation: str | None
    hairpinning: bool | None
    udp_timeout_s: float | None
    link: Link
    outbound: Outbound
    hairpinning_source: str | None = None
    same_port: str | None = None
    pooling: str | None = None
    ports: tuple[int, int] | None = None
    ports_per_host: int | None = None
    unsolicited: str | None = None
    prefix_translation: bool = False
    refreshed_by: str | None = None
    icmp_errors: str | None = None
    outlives_icmp: bool | None = None
    fragments: bool | None = None
    tcp: Tcp = field(default_factory=Tcp)

    def to_json(self) -> dict[str, Any]:
        """The document's keys."""
        return asdict(self)
