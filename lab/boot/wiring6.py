"""Which IPv6 routes a node needs beside those of IPv4, from its role and the addresses that it finds on itself.

Pure, and nothing at all for a node without IPv6. The rule is wiring.py's: a network's first address is the way out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from lab.errors import ConfigError
from lab.internet import PRIVATE6, routes6

EVERYWHERE6 = IPv6Network("::/0")
FAMILY = "LAB_FAMILY"
"""Of the environment of a site's nodes: `ipv6` where there is no IPv4 inside. (A name without dots: shells keep it.)"""


@dataclass(frozen=True)
class Interface6:
    """One interface's address of IPv6, as the kernel has it; link-local ones are left out."""

    index: int
    address: IPv6Interface


@dataclass(frozen=True)
class RoutePlan6:
    """A route to set: through a neighbour, straight out of an interface, or (neither) to nowhere."""

    prefix: IPv6Network
    via: IPv6Address | None = None
    interface: int | None = None


@dataclass(frozen=True)
class Wiring6:
    """What start-up does to a node's IPv6 routes: remove, then set. `lan` is None but on routers."""

    wan: IPv6Interface | None = None
    lan: IPv6Interface | None = None
    remove: tuple[IPv6Network, ...] = ()
    routes: tuple[RoutePlan6, ...] = ()


def alone(environ: Mapping[str, str]) -> bool:
    """Whether the node's site has no IPv4 inside. Raises ConfigError for a family that is none."""
    family = environ.get(FAMILY, "")
    if family not in ("", "ipv6"):
        raise ConfigError(f"expected {FAMILY} to be ipv6 or nothing, got {family}")
    return family == "ipv6"


def wiring6(
    role: str, outside: int, inside: int | None, found: Sequence[Interface6], environ: Mapping[str, str]
) -> Wiring6:
    """The IPv6 routes of a node; `outside` and `inside` are the indices of its interfaces. Raises ConfigError."""
    wan = _on(outside, found)
    lan = _on(inside, found) if inside is not None else None
    if wan is None:
        if lan is not None:
            raise ConfigError(f"expected an IPv6 address on the router's outer side as on its LAN ({lan}), got none")
        return Wiring6()
    ours = [each for each in (wan, lan) if each is not None]
    # The last address but one is the machine's below (older engines cannot have the last): none of a node's business.
    machine = tuple(RoutePlan6(IPv6Network(each.network[-2])) for each in ours)
    first = wan.network[1]
    if role in ("client", "proxy"):
        return Wiring6(wan, None, (), (RoutePlan6(EVERYWHERE6, via=first), *machine))
    if role == "core":
        public = tuple(RoutePlan6(route.prefix, via=route.via) for route in routes6(environ.get("LAB_ROUTES", "")))
        return Wiring6(wan, None, (EVERYWHERE6,), (*public, *(RoutePlan6(prefix) for prefix in PRIVATE6), *machine))
    through_core = (RoutePlan6(IPv6Network(first), interface=outside), RoutePlan6(EVERYWHERE6, via=first))
    return Wiring6(wan, lan, (wan.network,), (*through_core, *machine))


def _on(index: int, found: Sequence[Interface6]) -> IPv6Interface | None:
    return next((each.address for each in found if each.index == index), None)
