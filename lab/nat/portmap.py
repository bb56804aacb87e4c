"""Ports that hosts inside ask for (UPnP IGD, NAT-PMP, PCP): where the daemon that grants them writes its rules.

Pure. Belongs here: the table that is the daemon's alone, and which routers can offer it. Never: starting it.
"""

from lab.errors import ConfigError
from lab.nat.axes import FirewallPolicy, NatProfile

TABLE = "portmap"
FILTER, PREROUTING, POSTROUTING = "forward", "prerouting", "postrouting"
"""The daemon's chains. The first hangs nowhere: what it lets in passes the router's own filters, which know it by its
translated destination."""
WITHOUT = f"add table inet {TABLE}\ndelete table inet {TABLE}\n"
"""The table gone, and every mapping with it."""
EMPTY = (
    f"{WITHOUT}table inet {TABLE} {{\n  chain {FILTER} {{\n  }}\n"
    f"  chain {PREROUTING} {{\n    type nat hook prerouting priority dstnat - 5\n  }}\n"
    f"  chain {POSTROUTING} {{\n    type nat hook postrouting priority srcnat - 5\n  }}\n}}\n"
)
"""The table without a mapping. A port that was asked for comes before one that a flow has happened to get."""
SSDP = ("239.255.255.250", 1900)
"""Where hosts look for their gateway (UPnP Device Architecture 2.0, 1.3.2)."""


def sensible_at(carrier: bool, ipv4: bool) -> None:
    """Whether hosts behind such a router ask for ports: not on a `carrier`, and not without IPv4 inside.

    Raises ConfigError.
    """
    if carrier:
        raise ConfigError(
            "portmap is for a site's router: clients ask the router of their own site, never the carrier's; "
            "set it at the sites, or portmap off"
        )
    if not ipv4:
        raise ConfigError("portmap needs IPv4 inside, which the ports of this site would be for; take portmap off")


def offerable(profile: NatProfile, firewall: FirewallPolicy) -> None:
    """Whether such a router can offer ports, where it is to. Raises ConfigError."""
    if not profile.port_mapping:
        return
    if profile.translation is None:
        raise ConfigError(
            "portmap needs a router that translates: with profile open there is no outer port to give; "
            "take another profile, or portmap off"
        )
    if not firewall.lets_udp_out:
        raise ConfigError(
            "portmap needs a firewall that lets UDP out: a mapped port would be a hole in one that does not; "
            "take firewall none, inbound-blocked or udp-throttled, or portmap off"
        )
