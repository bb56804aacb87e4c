"""Which router a site can have: what its addresses, and what else is there, allow.

Pure. Belongs here: one reason a rule, the same for a compose file, for a change at run time and for the router itself.
Never: which axes go together wherever they are (sense.py), and how they are rendered (render.py).
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from lab.errors import ConfigError
from lab.internet import is_private, is_private6
from lab.nat.axes import FirewallPolicy, NatProfile, Pooling
from lab.nat.portmap import offerable, sensible_at


@dataclass(frozen=True)
class Site:
    """What of a site decides which router it can have.

    `inside`, `inside6`: its subnets, None where there is no such family inside. `outer`: its router's IPv4 addresses
    outside. `proxy`: whether it has one. `carrier`: whether those inside are routers of sites, and no hosts.
    `behind`: whether its router sits behind a carrier's.
    """

    inside: IPv4Network | None
    inside6: IPv6Network | None = None
    outer: tuple[IPv4Address, ...] = ()
    proxy: bool = False
    carrier: bool = False
    behind: bool = False


def fits(profile: NatProfile, firewall: FirewallPolicy, site: Site) -> None:
    """Whether a site can have a router with these axes and this firewall. Raises ConfigError with the reason."""
    _ipv4(profile, site)
    _ipv6(profile, site)
    if site.inside is None and all(permit.source == "proxy" for permit in firewall.outbound):
        raise ConfigError(
            "firewall proxy-only needs IPv4 inside, by which hosts reach the site's proxy, and there is none: the site "
            "would be cut off; take another firewall"
        )
    if not site.proxy and all(permit.source == "proxy" for permit in firewall.outbound):
        raise ConfigError(
            "firewall proxy-only lets nobody out but the site's proxy, and there is no node of role proxy: the site "
            "would be cut off; take another firewall, or add a proxy to the file"
        )
    offerable(profile, firewall)
    if profile.port_mapping:
        sensible_at(site.carrier, site.inside is not None)


def source_range(addresses: tuple[IPv4Address, ...]) -> tuple[IPv4Address, IPv4Address]:
    """The first and the last of a router's outer addresses, as stock SNAT takes them. Raises ConfigError."""
    first, last = min(addresses), max(addresses)
    if int(last) - int(first) + 1 != len(addresses):
        listed = ", ".join(map(str, sorted(addresses)))
        raise ConfigError(
            f"stock SNAT takes a range of outer addresses without gaps, got {listed}; take neighbours in lab.outer, or "
            "clash-free=yes"
        )
    return first, last


def _ipv4(profile: NatProfile, site: Site) -> None:
    inside, axes = site.inside, profile.translation
    if axes is None:
        if len(site.outer) > 1:
            raise ConfigError(
                f"a router that translates nothing has no use for further outer addresses, got lab.outer "
                f"{', '.join(map(str, site.outer[1:]))}; take a profile that translates, or leave lab.outer away"
            )
        if inside is not None and site.behind:
            raise ConfigError(
                f"a router that translates nothing has no place behind a carrier's, which has no route to {inside}: "
                "no answer would come back; take a profile that translates, or put the site on the internet"
            )
        if inside is not None and is_private(inside):
            raise ConfigError(
                f"a router that translates nothing needs a public subnet inside, and {inside} is private: "
                "nobody on the internet could answer; take a profile that translates"
            )
        return
    if inside is None:
        raise ConfigError(
            "a router that translates needs IPv4 inside, and there is none: it would translate nothing; "
            "take profile open"
        )
    if not is_private(inside):
        raise ConfigError(
            f"a router that translates needs a private subnet inside, and {inside} is public: the internet routes it "
            "to the router by itself; take a profile that translates nothing"
        )
    if not axes.clash_free and len(site.outer) > 1:
        source_range(site.outer)
    if Pooling.ARBITRARY in (axes.udp.pooling, axes.tcp.pooling) and len(site.outer) < 2:
        raise ConfigError(
            "pooling=arbitrary chooses among several outer addresses, and the router has one; add others in lab.outer, "
            "or take pooling=paired"
        )


def _ipv6(profile: NatProfile, site: Site) -> None:
    inside = site.inside6
    if profile.prefix_translation:
        if inside is None:
            raise ConfigError("profile6 nptv6 exchanges IPv6 prefixes, and there is no IPv6 inside; take profile6 open")
        if not is_private6(inside):
            raise ConfigError(
                f"profile6 nptv6 needs a unique local prefix inside (fc00::/7), and {inside} is public: the internet "
                "routes it to the router by itself; take profile6 open"
            )
    elif inside is not None and is_private6(inside):
        raise ConfigError(
            f"profile6 open needs a public IPv6 prefix inside, and {inside} is private: it would leave untranslated "
            "and nobody on the internet could answer; take profile6 nptv6"
        )
