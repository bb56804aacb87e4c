"""Where a node stands at the moment: its own addresses, of which families, and what it can therefore reach.

One object a node, shared by its parts, because a node may move while it runs. How addresses are learnt is the shell's.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lab.wire.addresses import family, is_address

MOST_ADDRESSES = 8
"""Own addresses that are used; more would not fit a call's candidates (50), each with a UDP and several TCP ports."""


@dataclass
class Whereabouts:
    """`addresses` are this host's own, in text, IPv6 before IPv4; none at all while it is unplugged.

    `proxied` says whether the site's HTTP proxy, if there is one, may be asked for a host.
    """

    addresses: tuple[str, ...] = ()
    proxied: Callable[[str], bool] = lambda host: False

    def __post_init__(self) -> None:
        self.move(self.addresses)

    def move(self, addresses: Iterable[str]) -> None:
        """The host has these addresses from now on."""
        self.addresses = tuple(sorted(dict.fromkeys(addresses), key=family, reverse=True))[:MOST_ADDRESSES]

    @property
    def families(self) -> frozenset[int]:
        """4, 6, both or neither."""
        return frozenset(family(address) for address in self.addresses)

    def reachable(self, hosts: Iterable[str]) -> list[str]:
        """Those of one machine's addresses whose family this node has, IPv6 first (RFC 6724, 10.3; RFC 8305, 4)."""
        families = self.families
        usable = (host for host in hosts if is_address(host) and family(host) in families)
        return sorted(usable, key=family, reverse=True)
