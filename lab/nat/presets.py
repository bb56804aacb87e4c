"""The names that a compose file may use, and the axes that each stands for.

Belongs here: names and nothing but their axes. Never: rules; no other file asks for a preset's name.
"""

from collections.abc import Mapping as Table
from types import MappingProxyType
from typing import TypeVar

from lab.errors import ConfigError
from lab.nat.axes import Allocation, Filtering, FirewallPolicy, Mapping, NatProfile, Permit, Translation

PROFILES: Table[str, NatProfile] = MappingProxyType(
    {
        "open": NatProfile(translation=None),
        # What stock MASQUERADE does; the timeouts are the kernel's defaults (nf_conntrack-sysctl).
        "linux": NatProfile(
            Translation(
                mapping=Mapping.ENDPOINT_INDEPENDENT,
                filtering=Filtering.ADDRESS_AND_PORT_DEPENDENT,
                allocation=Allocation.PRESERVING,
                hairpinning=False,
                clash_free=False,
                udp_timeout_one_way=30,
                udp_timeout=120,
            )
        ),
        "symmetric": NatProfile(
            Translation(
                mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT,
                filtering=Filtering.ADDRESS_AND_PORT_DEPENDENT,
                allocation=Allocation.RANDOM,
                hairpinning=False,
                clash_free=True,
                udp_timeout_one_way=60,
                udp_timeout=60,
            )
        ),
    }
)

FIREWALLS: Table[str, FirewallPolicy] = MappingProxyType(
    {
        "none": FirewallPolicy(outbound=(Permit(),), inbound=True),
        "udp-blocked": FirewallPolicy(outbound=(Permit("tcp"),), inbound=False),
        "tcp-443": FirewallPolicy(outbound=(Permit("tcp", 443),), inbound=False),
    }
)


def profile(name: str) -> NatProfile:
    """The axes of a preset. Raises ConfigError naming the value and the ones allowed."""
    return _named("profile", name, PROFILES)


def firewall(name: str) -> FirewallPolicy:
    """The policy of that name. Raises ConfigError naming the value and the ones allowed."""
    return _named("firewall", name, FIREWALLS)


Preset = TypeVar("Preset")


def _named(what: str, name: str, table: Table[str, Preset]) -> Preset:
    if name not in table:
        raise ConfigError(f"unknown {what} {name!r}; allowed: {', '.join(table)}")
    return table[name]
