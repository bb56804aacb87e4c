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


@dataclass(frozen=True)
class Translation:
    """How addresses are translated; UDP, TCP and ICMP alike.

    `clash_free` says whether a host keeps its one mapping also when another host uses the same port;
    stock Linux does not: on a clash, a destination gets a mapping of its own.
    Timeouts are seconds: before an answer was seen, and once traffic went both ways (RFC 4787, 4.3).
    """

    mapping: Mapping
    filtering: Filtering
    allocation: Allocation
    hairpinning: bool
    clash_free: bool
    udp_timeout_one_way: int
    udp_timeout: int


@dataclass(frozen=True)
class NatProfile:
    """What a router does to addresses; `translation` is None where it only forwards."""

    translation: Translation | None


@dataclass(frozen=True)
class Permit:
    """One kind of outgoing traffic that may pass: a protocol (None: all), and a destination port (None: all)."""

    protocol: Literal["tcp", "udp", "icmp"] | None = None
    port: int | None = None


@dataclass(frozen=True)
class FirewallPolicy:
    """What may be opened through a router; answers to what was opened always pass.

    `inbound` lets others open towards the site, which needs addresses that are not translated.
    """

    outbound: tuple[Permit, ...]
    inbound: bool
