"""The addressing rules that a topology is checked by and that start-up acts on.

Pure. Belongs here: prefixes and the notation of routes. Never: files, kernels.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from lab.errors import ConfigError

# RFC 1918 and RFC 6598: nobody on the internet routes these. (What ipaddress calls private has the documentation
# prefixes as well, and those are the lab's public addresses.)
PRIVATE = tuple(IPv4Network(prefix) for prefix in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))


PRIVATE6 = (IPv6Network("fc00::/7"),)
"""RFC 4193."""


def is_private(network: IPv4Network) -> bool:
    """Whether nobody on the internet routes it."""
    return any(network.subnet_of(prefix) for prefix in PRIVATE)


def is_private6(network: IPv6Network) -> bool:
    """The same of IPv6."""
    return any(network.subnet_of(prefix) for prefix in PRIVATE6)


@dataclass(frozen=True)
class Route:
    """Packets to `prefix` go to `via`, an address on the internet."""

    prefix: IPv4Network
    via: IPv4Address


@dataclass(frozen=True)
class Route6:
    """The same of IPv6."""

    prefix: IPv6Network
    via: IPv6Address


def addresses(text: str) -> tuple[IPv4Address, ...]:
    """A router's further outer addresses, from "203.0.113.64,203.0.113.65"; none from "". Raises ConfigError."""
    try:
        return tuple(IPv4Address(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ConfigError(f"expected IPv4 addresses in lab.outer, like 203.0.113.64, got {text!r}") from error


def prefix6(text: str) -> IPv6Network | None:
    """The prefix that a router puts in place of the inner one (NPTv6), from "2001:db8:35::/64"; None from "". Raises
    ConfigError."""
    try:
        return IPv6Network(text.strip()) if text.strip() else None
    except ValueError as error:
        raise ConfigError(f"expected an IPv6 prefix in lab.outer6, like 2001:db8:35::/64, got {text!r}") from error


def routes(text: str) -> tuple[Route, ...]:
    """Those of IPv4 in "198.51.100.16/28 via 203.0.113.31, ..."; nothing from "". Raises ConfigError."""
    return tuple(route for route in _routes(text) if isinstance(route, Route))


def routes6(text: str) -> tuple[Route6, ...]:
    """Those of IPv6 in the same text. Raises ConfigError."""
    return tuple(route for route in _routes(text) if isinstance(route, Route6))


def _routes(text: str) -> list[Route | Route6]:
    return [_route(part.strip()) for part in text.split(",") if part.strip()]


def _route(text: str) -> Route | Route6:
    words = text.split()
    try:
        if len(words) != 3 or words[1] != "via":
            raise ValueError(text)
        if isinstance(prefix := ip_network(words[0]), IPv6Network):
            return Route6(prefix, IPv6Address(words[2]))
        return Route(prefix, IPv4Address(words[2]))
    except ValueError as error:
        raise ConfigError(f"expected LAB_ROUTES like '198.51.100.16/28 via 203.0.113.31', got {text!r}") from error
