"""The axes on which a router's behaviour is described, in the words of RFC 4787.

Belongs here: frozen types. Never: names of presets, rule text.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Mapping(StrEnum):
    """RFC 4787, 4.1: what an inner endpoint's outer endpoint depends on."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class Filtering(StrEnum):
    """RFC 4787, 5: who may answer to a mapping."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class Allocation(StrEnum):
    """RFC 4787, 4.2: how a mapping's outer port is chosen."""

    PRESERVING = "preserving"
    SEQUENTIAL = "sequential"
    RANDOM = "random"


class Pooling(StrEnum):
    """RFC 4787, 4.1: whether all mappings of one host share one outer address, where there are several."""

    PAIRED = "paired"
    ARBITRARY = "arbitrary"


@dataclass(frozen=True)
class PortRange:
    """Outer ports, both ends included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


ALL_PORTS = PortRange(1024, 65535)
"""What Linux draws from where the inner port is above 1023."""


@dataclass(frozen=True)
class Behaviour:
    """What is done to one transport protocol. `hairpinning`: a neighbour is reached under its outer address.

    `ports_per_host` None: every host draws from all of `ports`; else each has a block of that many of its own.
    """

    mapping: Mapping
    filtering: Filtering
    allocation: Allocation
    hairpinning: bool = False
    ports: PortRange = ALL_PORTS
    ports_per_host: int | None = None
    pooling: Pooling = Pooling.PAIRED


@dataclass(frozen=True)
class Timers:
    """Seconds for which a router remembers a flow that is idle; the defaults are the kernel's (nf_conntrack-sysctl).

    Of UDP before an answer was seen, and once traffic went both ways (RFC 4787, 4.3); of TCP while a connection is
    opened (one timer here; the kernel has another of 60 s once a SYN was answered), and once it stands (RFC 5382, 5).
    """

    udp_timeout_one_way: int = 30
    udp_timeout: int = 120
    tcp_transitory_timeout: int = 120
    tcp_timeout: int = 432_000


@dataclass(frozen=True)
class Translation:
    """How addresses are translated.

    `clash_free` says whether a host keeps its one mapping also when another host uses the same port;
    stock Linux does not: on a clash, a destination gets a mapping of its own.
    Timeouts are those of Timers; packets of either direction refresh a mapping.
    """

    udp: Behaviour
    tcp: Behaviour
    clash_free: bool
    udp_timeout_one_way: int
    udp_timeout: int
    tcp_transitory_timeout: int = 240
    tcp_timeout: int = 7440

    @property
    def hairpinning(self) -> bool:
        """Whether anything is turned back to a neighbour."""
        return self.udp.hairpinning or self.tcp.hairpinning

    @property
    def timers(self) -> Timers:
        """How long its mappings are remembered."""
        return Timers(self.udp_timeout_one_way, self.udp_timeout, self.tcp_transitory_timeout, self.tcp_timeout)


PortProtocol = Literal["upnp", "natpmp"]
"""UPnP IGD; NAT-PMP and PCP."""


@dataclass(frozen=True)
class NatProfile:
    """What a router does to addresses; `translation` is None where it only forwards IPv4.

    `prefix_translation`: IPv6 prefixes are exchanged one for one (NPTv6), which concerns no port and no filter.
    `port_mapping`: hosts inside may ask for an outer port of their own, open to everybody, in these protocols.
    `timers`: of flows that are forwarded without a translation, IPv6 among them; a stateful firewall goes by them.
    """

    translation: Translation | None
    prefix_translation: bool = False
    port_mapping: frozenset[PortProtocol] = frozenset()
    timers: Timers = Timers()


@dataclass(frozen=True)
class Permit:
    """One kind of outgoing traffic that may pass: a protocol (None: all), and a destination port (None: all).

    `tls`: only connections that begin like TLS; others are cut at their first bytes.
    `source`: who may send it, the site's hosts or its proxy alone.
    """

    protocol: Literal["tcp", "udp", "icmp"] | None = None
    port: int | None = None
    tls: bool = False
    source: Literal["site", "proxy"] = "site"


@dataclass(frozen=True)
class FirewallPolicy:
    """What may be opened through a router; answers to what was opened always pass.

    `inbound` lets others open towards the site where addresses or mappings allow it; else the firewall is stateful.
    `udp_rate`: UDP beyond so many bits a second is dropped, in each direction; None: as much as there is.
    """

    outbound: tuple[Permit, ...]
    inbound: bool
    udp_rate: int | None = None

    @property
    def lets_udp_out(self) -> bool:
        """Whether the site's hosts may send UDP to anybody."""
        return any(permit.protocol in (None, "udp") and permit.source == "site" for permit in self.outbound)
