"""How a TCP connection may be made: to which port, plain or inside TLS, straight or through the site's proxy.

Belongs here: ways and their order, the ladder on which a node climbs to a hub. Never: what a network lets pass.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.overlay.whereabouts import Whereabouts
from lab.wire.addresses import Address

TLS_PORT = 443
"""The port that proxies let clients CONNECT to (RFC 9110, 9.3.6: to well-known ports), and firewalls out."""


@dataclass(frozen=True, slots=True)
class Way:
    """A kind of TCP connection, as firewalls tell them apart; `port` None is any but those named by other ways."""

    port: int | None
    secure: bool = False
    proxied: bool = False

    def __str__(self) -> str:
        what = "TLS" if self.secure else "plain"
        return f"{what} to {self.port or 'any port'}" + (" through the proxy" if self.proxied else "")


@dataclass(frozen=True, slots=True)
class Route:
    """One connection that may be tried; `proxied`: by CONNECT through the site's proxy."""

    address: Address
    secure: bool
    proxied: bool = False


def rungs(hosts: Iterable[str], ports: Sequence[int], own: Whereabouts) -> list[Route]:
    """The ladder to one machine that speaks TLS on each of `ports`: each port in turn, then through the proxy."""
    reachable = own.reachable(hosts)
    straight = [Route((host, port), secure=True) for port in ports for host in reachable]
    through = [Route((host, TLS_PORT), secure=True, proxied=True) for host in reachable if own.proxied(host)]
    return straight + through
