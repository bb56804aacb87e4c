"""The notation of `LAB_ROUTES`: public prefixes that core sends to a site's router.

Belongs here: text to data, for the parser and for core's own start-up. Never: kernels.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lab.errors import ConfigError


@dataclass(frozen=True)
class Route:
    """Packets to `prefix` go to `via`, an address on the internet."""

    prefix: IPv4Network
    via: IPv4Address


def routes(text: str) -> tuple[Route, ...]:
    """Routes from "198.51.100.16/28 via 203.0.113.31, ..."; nothing from "". Raises ConfigError."""
    return tuple(_route(part.strip()) for part in text.split(",") if part.strip())


def _route(text: str) -> Route:
    words = text.split()
    try:
        if len(words) != 3 or words[1] != "via":
            raise ValueError(text)
        return Route(IPv4Network(words[0]), IPv4Address(words[2]))
    except ValueError as error:
        raise ConfigError(f"expected LAB_ROUTES like '198.51.100.16/28 via 203.0.113.31', got {text!r}") from error
