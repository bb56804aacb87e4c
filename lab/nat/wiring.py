"""What rules are written for and what they are written as: a router's two sides, and the texts of its tools.

Belongs here: frozen types. Never: rules.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from lab.nat.fitting import Site


@dataclass(frozen=True)
class Wiring:
    """Where a router's two sides are: interface names of its kernel, its addresses with their prefixes.

    A side without an address of a family is None there. `outer`: further outer addresses beside `wan_address`.
    `outer6`: the prefix that stands for `lan6`'s outside, where prefixes are translated. `proxy`: the site's proxy.
    """

    wan: str
    lan: str
    wan_address: IPv4Interface
    lan_address: IPv4Interface | None
    outer: tuple[IPv4Address, ...] = ()
    wan6: IPv6Interface | None = None
    lan6: IPv6Interface | None = None
    outer6: IPv6Network | None = None
    proxy: IPv4Address | None = None

    @property
    def outer_addresses(self) -> tuple[IPv4Address, ...]:
        """All of them, the first one first."""
        return (self.wan_address.ip, *self.outer)

    @property
    def inside(self) -> IPv4Network | None:
        return self.lan_address.network if self.lan_address else None

    @property
    def site(self) -> Site:
        """What the router knows of its site; of a carrier it does not."""
        inside6 = self.lan6.network if self.lan6 else None
        return Site(self.inside, inside6, self.outer_addresses, proxy=self.proxy is not None)


@dataclass(frozen=True)
class RuleSet:
    """Each text replaces what its tool had, table by table: `nft -f -`, `iptables-restore`, `ip6tables-restore`.

    They are fed in this order while nothing is forwarded, and afterwards the kernel forgets the flows that it tracks:
    one from before would go on as it was translated then. Maps and sets of nftables begin empty with each text.
    """

    nftables: str
    iptables: str
    ip6tables: str = ""
